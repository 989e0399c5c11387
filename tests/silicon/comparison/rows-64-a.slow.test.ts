import { compareRows } from './suite.ts';

compareRows([64], 0, 2);

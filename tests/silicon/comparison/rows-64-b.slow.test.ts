import { compareRows } from './suite.ts';

compareRows([64], 1, 2);

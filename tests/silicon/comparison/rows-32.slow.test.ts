import { compareRows } from './suite.ts';

compareRows([32]);

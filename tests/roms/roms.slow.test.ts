import { roms } from './catalogue/index.ts';
import { testRoms } from './test-roms.ts';

testRoms(
  roms.filter(({ extension }) => extension !== undefined),
  'interpreted',
);
testRoms(roms, 'compiled');

import { i32, xor } from '@minusone/wasm';
import { type InstructionRow, instruction } from '../../table/row.ts';

/** Flag control (SDM Vol. 1, 7.3.12), and what does nothing that software can see. CLI, STI, POPF and PUSHF are system rows. */
export const flagControlRows: readonly InstructionRow[] = [
  instruction('CLC', ['F8'], (e) => e.flags.set({ cf: i32(0) })),
  instruction('STC', ['F9'], (e) => e.flags.set({ cf: i32(1) })),
  instruction('CMC', ['F5'], (e) => e.flags.set({ cf: xor(e.flags.get('cf'), i32(1)) })),
  instruction('CLD', ['FC'], (e) => e.flags.setDf(0)),
  instruction('STD', ['FD'], (e) => e.flags.setDf(1)),
  instruction(
    'NOP',
    ['90', '0F 1F /r Ev', '0F 19 /r Ev alt', '0F 1A /r Ev alt', '0F 1B /r Ev alt', '0F 1C /r Ev alt', '0F 1D /r Ev alt', '0F 1E /r Ev alt'],
    () => {},
  ),
  instruction('ENDBR64', ['F3 0F 1E FA'], () => {}),
  instruction('ENDBR32', ['F3 0F 1E FB'], () => {}),
  instruction('PREFETCHNTA', ['0F 18 /0 M'], () => {}),
  instruction('PREFETCHT0', ['0F 18 /1 M'], () => {}),
  instruction('PREFETCHT1', ['0F 18 /2 M'], () => {}),
  instruction('PREFETCHT2', ['0F 18 /3 M'], () => {}),
  /** The rest of 0F 18 is reserved for hints: NOP (SDM Vol. 2D, Table A-6). */
  instruction(
    'NOP',
    [
      '0F 18 /0 Rv alt',
      '0F 18 /1 Rv alt',
      '0F 18 /2 Rv alt',
      '0F 18 /3 Rv alt',
      '0F 18 /4 Ev alt',
      '0F 18 /5 Ev alt',
      '0F 18 /6 Ev alt',
      '0F 18 /7 Ev alt',
    ],
    () => {},
  ),
  instruction('PREFETCHW', ['0F 0D /1 M'], () => {}),
  instruction(
    'PREFETCH',
    ['0F 0D /0 M', '0F 0D /2 M alt', '0F 0D /3 M alt', '0F 0D /4 M alt', '0F 0D /5 M alt', '0F 0D /6 M alt', '0F 0D /7 M alt'],
    () => {},
  ),
  /** Memory order is the program's order on this machine. */
  instruction('LFENCE', ['NP 0F AE E8+i'], () => {}, { features: ['SSE2'] }),
  instruction('MFENCE', ['NP 0F AE F0+i'], () => {}, { features: ['SSE2'] }),
  instruction('SFENCE', ['NP 0F AE F8+i'], () => {}, { features: ['SSE'] }),
  /** CLFLUSH faults as a byte load does (SDM Vol. 2A, CLFLUSH). */
  instruction('CLFLUSH', ['NP 0F AE /7 Mb'], (e) => void e.dst.read(), { features: ['CLFSH'] }),
  instruction('CLFLUSHOPT', ['66 0F AE /7 Mb'], (e) => void e.dst.read(), { features: ['CLFLUSHOPT'] }),
];

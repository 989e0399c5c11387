import { and, i32, i64, type Local, load, or, select, xor } from '@minusone/wasm';
import { type Subroutine, subroutine } from '../../semantics/subroutine.ts';
import { Gpr, State } from '../../state/layout.ts';
import { type InstructionRow, instruction } from '../../table/row.ts';
import { Fsw, readFsw, writeFsw } from './stack.ts';

/** The bits of the control word that exist (SDM Vol. 1, 8.1.5): masks, PC, RC and the infinity control, which has no effect; bit 6 reads as 1. */
export const FCW_BITS = 0x1f3f;
export const FCW_ONE = 0x40;

/** (cpu): ES and B say whether an exception flag is unmasked. */
const summarize: Subroutine = subroutine('x87.summarize', { params: ['i32'], results: [] }, (f) => {
  const [cpu] = f.params as [Local];
  const fsw = readFsw(f, cpu);
  const unmasked = and(and(fsw, i32(0x3f)), xor(load('i32', cpu, { offset: State.fcw }), i32(-1)));
  writeFsw(f, cpu, or(and(fsw, i32(~(Fsw.ES | Fsw.B))), select(unmasked, i32(Fsw.ES | Fsw.B), i32(0))));
});

/** (cpu): as FNINIT leaves it (SDM Vol. 2A, FINIT/FNINIT). The registers keep what they hold, but are empty. */
const initialize: Subroutine = subroutine('x87.initialize', { params: ['i32'], results: [] }, (f) => {
  const [cpu] = f.params as [Local];
  f.store(cpu, i32(0x37f), { offset: State.fcw });
  for (const offset of [State.fsw, State.ftw, State.fop, State.fcs, State.fds]) f.store(cpu, i32(0), { offset });
  for (const offset of [State.fip, State.fdp]) f.store(cpu, i64(0), { offset });
});

/** Control words, status word, and waiting (SDM Vol. 1, 8.3.11 "x87 FPU Control Instructions"). The FN forms do not wait for pending exceptions. */
export const controlRows: readonly InstructionRow[] = [
  instruction('FNINIT', ['DB E3 nowait'], (e) => e.callVoid(initialize, e.cpu)),
  instruction('FNCLEX', ['DB E2 nowait'], (e) => e.fpu.setFsw(and(e.fpu.fsw, i32(0x7f00)))),
  instruction('FLDCW', ['D9 /5 Mw'], (e) => {
    e.fpu.setFcw(or(and(e.dst.read(), i32(FCW_BITS)), i32(FCW_ONE)));
    e.callVoid(summarize, e.cpu);
  }),
  instruction('FNSTCW', ['D9 /7 Mw nowait'], (e) => e.dst.write(e.fpu.fcw)),
  instruction('FNSTSW', ['DD /7 Mw nowait'], (e) => e.dst.write(e.fpu.fsw)),
  instruction('FNSTSW', ['DF E0 AX nowait'], (e) => e.gpr(Gpr.RAX, 2).write(e.fpu.fsw)),
  // The 8087's FENI and FDISI and the 80287's FSETPM do nothing since the 80387.
  instruction('FNENI', ['DB E0 nowait'], () => {}),
  instruction('FNDISI', ['DB E1 nowait'], () => {}),
  instruction('FNSETPM', ['DB E4 nowait'], () => {}),
  /** EMMS (SDM Vol. 2A): ends a run of MMX instructions by marking all registers empty. TOP becomes 0 as by the other MMX instructions. */
  instruction(
    'EMMS',
    ['NP 0F 77'],
    (e) => {
      e.fpu.setFtw(i32(0));
      e.fpu.setFsw(and(e.fpu.fsw, i32(~(7 << Fsw.TOP_SHIFT))));
    },
    { unit: 'mmx', features: ['MMX'] },
  ),
  /** WAIT: only the check for pending exceptions. */
  instruction('FWAIT', ['9B'], () => {}),
];

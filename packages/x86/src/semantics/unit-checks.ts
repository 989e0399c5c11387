import { and, i32 } from '@minusone/wasm';
import { Vector } from '../cpu/fault.ts';
import { State } from '../state/layout.ts';
import type { Mode } from '../state/mode.ts';
import type { InstructionForm } from '../table/form.ts';
import type { EmitBase } from './emit-base.ts';
import { loadAt, storeTo } from './state-access.ts';

/** ES, the error summary of the x87 status word. */
const FSW_ES = 1 << 7;
/** The x87 control instructions, which leave the pointers to the last instruction alone (SDM Vol. 1, 8.1.8; 8.3.11 "x87 FPU Control Instructions"). */
const CONTROL = new Set(
  'FINIT FNINIT FCLEX FNCLEX FLDCW FSTCW FNSTCW FSTSW FNSTSW FSTENV FNSTENV FLDENV FSAVE FNSAVE FRSTOR FNENI FNDISI FNSETPM FWAIT WAIT FXSAVE FXRSTOR FXSAVE64 FXRSTOR64'.split(
    ' ',
  ),
);

/** The exception that an instruction's unit raises in a mode, whatever the operands; undefined where it is usable (SDM Vol. 3A, Table 2-2 and 14.1). */
export function unitFault(form: InstructionForm, mode: Mode): number | undefined {
  switch (form.unit) {
    case 'integer':
      return undefined;
    case 'x87':
      if (form.mnemonic === 'WAIT' || form.mnemonic === 'FWAIT') return mode.mp && mode.ts ? Vector.NM : undefined;
      return mode.em || mode.ts ? Vector.NM : undefined;
    case 'mmx':
      return mode.em ? Vector.UD : mode.ts ? Vector.NM : undefined;
    case 'sse':
      return mode.em || !mode.osfxsr ? Vector.UD : mode.ts ? Vector.NM : undefined;
    case 'avx':
      return !mode.avx || !mode.protected ? Vector.UD : mode.ts ? Vector.NM : undefined;
  }
}

/** Before the effect: an unmasked x87 exception that is pending raises #MF (SDM Vol. 1, 8.7). */
export function emitUnitChecks(e: EmitBase): void {
  const { form } = e.insn;
  const touchesX87 = form.unit === 'x87' || form.unit === 'mmx' || touchesMmx(form);
  if (!touchesX87 || form.nowait) return;
  e.raise(Vector.MF, undefined, and(loadAt(e.cpu, State.fsw, 4), i32(FSW_ES)));
}

/** After the effect: the x87's pointers, or the change to MMX state. */
export function emitUnitEffects(e: EmitBase): void {
  const { f, cpu } = e;
  const { form } = e.insn;
  if (form.unit === 'x87' && !CONTROL.has(form.mnemonic)) e.fpu.recordInstruction();
  if (touchesMmx(form) && e.operands.some(({ kind }) => kind === 'mmx')) {
    // SDM Vol. 1, 9.5.1: every MMX instruction but EMMS sets TOP to 0 and all tags to valid.
    storeTo(f, cpu, State.fsw, 4, and(loadAt(cpu, State.fsw, 4), i32(~(7 << 11))));
    storeTo(f, cpu, State.ftw, 4, i32(0xff));
  }
}

function touchesMmx(form: InstructionForm): boolean {
  return form.operands.some(({ method }) => method === 'P' || method === 'Q' || method === 'N');
}

import { FIELD } from '@minusone/vtx';
import { Policy } from './memory-map.ts';
import { say } from './print.ts';
import type { VtxAttempt } from './vtx-attempt.ts';
import { VtxMemory } from './vtx-memory.ts';
import { GUEST_REGISTERS } from './vtx-print.ts';

/** RFLAGS with all of the arithmetic flags set. */
const ALL_SET = 0x8d7;
const ARITHMETIC = 0x8d5;
/** #UD, #TS, #NP, #SS, #GP, #PF, #AC. */
const FAULTS = [6, 10, 11, 12, 13, 14, 17];

/** Memory for the operands of instructions. */
export const OPERAND = VtxMemory.free;

/** What an instruction of the host is tried with. */
export interface RootOptions {
  /** Host code before the flags are set; there is a clear VMCS, filled and current. */
  readonly setup?: string;
  /** Host code after the outcome has been printed. */
  readonly afterwards?: string;
  /** Host code that puts right what the attempt has changed, whatever came of it. */
  readonly restore?: string;
  readonly bochs?: string;
  readonly manual?: string;
}

/**
 * One attempt in VMX root operation, or outside VMX operation: the code, in 64-bit mode with all arithmetic flags set; prints VMsucceed,
 * VMfailInvalid or VMfail with the number of the error, the flags, and the registers that are not 0; or the name of the fault.
 */
export function root(label: string, code: string, options: RootOptions = {}): VtxAttempt {
  const source = `
  vt_${label.replace(/[^A-Za-z0-9]+/g, '_')}:
    ${say(64, `${label}: `)}
    call vtx_root
    mov qword [resume_ip], .end
    mov [resume_sp], rsp
    ${options.setup ?? ''}
    call clear64
    push ${ALL_SET}
    popfq
    ${code}
    call vtx_outcome
    ${options.afterwards ?? ''}
  .end:
    ${options.restore ?? ''}`;
  return { label, source, options };
}

/** Stores a 64-bit value where instructions find it: at `OPERAND`, or so many bytes behind. Clobbers RAX. */
export const operand = (value: number | bigint | string, offset = 0): string => `mov rax, ${value}\nmov [${OPERAND + offset}], rax`;

/** The routines that `root` needs. */
export function rootRoutines(): string {
  return `
    bits 64
  vtx_root:
    ${FAULTS.map((vector) => `mov byte [event_policy + ${vector}], ${Policy.brief}`).join('\n')}
    jmp vtx_begin
  vtx_outcome:
    ${GUEST_REGISTERS.map((name) => `mov [vtx_${name}], ${name}`).join('\n')}
    pushfq
    pop r15
    bt r15, 0
    jc .invalid
    bt r15, 6
    jc .valid
    ${say(64, 'VMsucceed')}
    jmp .flags
  .invalid:
    ${say(64, 'VMfailInvalid')}
    jmp .flags
  .valid:
    ${say(64, 'VMfail ')}
    mov ecx, ${FIELD.VM_INSTRUCTION_ERROR}
    vmread rax, rcx
    call vtx_hex
  .flags:
    ${say(64, ' fl=')}
    mov rax, r15
    and eax, ${ARITHMETIC}
    call vtx_hex
    jmp vtx_print_registers`;
}

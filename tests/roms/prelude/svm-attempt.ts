import { say } from './print.ts';
import { interceptFields, type SvmIntercept, type VmcbValue, type VmcbValues, vmcbTable } from './svm-fields.ts';
import { svmHost } from './svm-host.ts';
import { SVM_GUEST_STACK } from './svm-memory.ts';
import { SVM_COMMON, SVM_GUEST_MODES, type SvmGuestModeName } from './svm-modes.ts';
import { type SVM_GUEST_REGISTERS, SvmHide } from './svm-print.ts';

const identifier = (text: string): string => text.replace(/[^A-Za-z0-9]+/g, '_');

/** What an attempt enters, and how. */
export interface SvmGuestOptions {
  /** Default: `long`, 64-bit mode. */
  readonly mode?: SvmGuestModeName;
  /** Besides VMRUN, VMMCALL and SHUTDOWN, which every attempt has. */
  readonly intercepts?: readonly SvmIntercept[];
  readonly fields?: VmcbValues;
  /** The guest's registers, constants or labels; the others are 0. */
  readonly registers?: Readonly<Partial<Record<(typeof SVM_GUEST_REGISTERS)[number], VmcbValue>>>;
  /** Host code before the entry, after the VMCB has been filled. */
  readonly before?: string;
  /** Host code after the first exit has been printed. */
  readonly after?: string;
  readonly hide?: readonly (keyof typeof SvmHide)[];
  /** What decode assists tell (APM Vol. 2, 15.8); no peer has them. The instruction's bytes are shown where this speaks of them. */
  readonly assists?: string;
  /** Where the next instruction is, where Bochs does not say it. */
  readonly nrip?: string;
  /** How a peer departs from the manual. */
  readonly bochs?: string;
  readonly qemu?: string;
  /** What the manual asks for where both do. */
  readonly manual?: string;
}

/** One attempt, with what only the manual can say of it. */
export interface SvmAttempt {
  readonly label: string;
  readonly source: string;
  readonly options: SvmGuestOptions;
}

/**
 * One attempt under SVM: prints `label:`, fills a VMCB, runs the code as a guest and prints its exit. Code that runs to its end does VMMCALL; so do events that the
 * guest's handlers have printed and given up.
 */
export function svm(label: string, code: string, options: SvmGuestOptions = {}): SvmAttempt {
  const name = options.mode ?? 'long';
  const mode = SVM_GUEST_MODES[name];
  const hide = (options.hide ?? []).reduce((bits, part) => bits | SvmHide[part], options.assists?.startsWith('bytes') ? 0 : SvmHide.bytes);
  const registers = Object.entries(options.registers ?? {}).map(([register, value]) => `mov rax, ${value}\nmov [svm_${register}], rax`);
  const intercepts = interceptFields(['VMRUN', 'VMMCALL', 'SHUTDOWN', ...(options.intercepts ?? [])]);
  const source = `
  svm_${identifier(label)}:
    ${say(64, `${label}:`)}
    call svm_begin
    mov esi, svm_mode_${name}
    call svm_set
    mov esi, .fields
    call svm_set
    mov word [svm_hide], ${hide}
    mov qword [svm_origin], .guest
    mov qword [resume_ip], svm_done${mode.bits}
    mov qword [resume_sp], ${SVM_GUEST_STACK}
    ${registers.join('\n')}
    ${options.before ?? ''}
  .enter:
    call svm_go
    call svm_print_registers
    ${options.after ?? ''}
    jmp .end
  .fields:
    ${vmcbTable({ ...SVM_COMMON, ...mode.fields, RIP: '.guest', ...intercepts, ...options.fields }, { ...SVM_COMMON, ...mode.fields })}
    bits ${mode.bits}
  .guest:
    ${code}
    vmmcall
    bits 64
  .end:`;
  return { label, source, options };
}

/** The source of a ROM of such attempts, with the routines and tables that they need; the host is in 64-bit mode, with EFER.SVME. */
export function svmSource(attempts: readonly SvmAttempt[]): string {
  const source = attempts.map((attempt) => attempt.source).join('\n');
  const modes = (Object.keys(SVM_GUEST_MODES) as SvmGuestModeName[]).filter((mode) => source.includes(`svm_mode_${mode}\n`));
  return `${svmHost(modes)}\n${source}`;
}

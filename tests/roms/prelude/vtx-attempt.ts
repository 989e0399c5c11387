import { say } from './print.ts';
import { fieldTable, vtxHost } from './vtx-host.ts';
import { GUEST_STACK } from './vtx-memory.ts';
import { COMMON_CONTROLS, type Controls, controlFields, type Fields, GUEST_MODES, type GuestModeName, UNRESTRICTED } from './vtx-modes.ts';
import { type GUEST_REGISTERS, Hide } from './vtx-print.ts';
import { rootRoutines } from './vtx-root.ts';

const identifier = (text: string): string => text.replace(/[^A-Za-z0-9]+/g, '_');

/** What an attempt enters, and how. */
export interface GuestOptions {
  /** Default: `long`, 64-bit mode. */
  readonly mode?: GuestModeName;
  readonly controls?: Controls;
  readonly fields?: Fields;
  /** Control words as they are, without the bits that the processor wants to be 1. */
  readonly raw?: Fields;
  /** The guest's registers, constants or labels; the others are 0. */
  readonly registers?: Readonly<Record<(typeof GUEST_REGISTERS)[number], number | bigint | string>>;
  /** Host code before the entry, after the VMCS has been filled. */
  readonly before?: string;
  /** Host code after the first exit has been printed. */
  readonly afterwards?: string;
  readonly hide?: readonly (keyof typeof Hide)[];
  /** Shows RFLAGS.RF as the exit saved it, which Bochs never sets. */
  readonly showsResumeFlag?: boolean;
  /** How Bochs departs from the manual, and what the manual asks for: the attempt's lines after the label. */
  readonly bochs?: string;
  readonly manual?: string;
  /** Enters with EPT and "unrestricted guest", whatever the mode. */
  readonly unrestricted?: boolean;
}

/** One attempt, with how Bochs departs from the manual in it. */
export interface VtxAttempt {
  readonly label: string;
  readonly source: string;
  readonly options: Pick<GuestOptions, 'bochs' | 'manual'>;
}

/**
 * One attempt under VT-x: prints `label:`, fills a clear VMCS, runs the code as a guest and prints its exit. Code that runs to its end does VMCALL; so do events
 * that the guest's handlers have printed and given up.
 */
export function vt(label: string, code: string, options: GuestOptions = {}): VtxAttempt {
  const mode = GUEST_MODES[options.mode ?? 'long'];
  const controls = [COMMON_CONTROLS, mode.controls, options.controls ?? {}, options.unrestricted ? UNRESTRICTED : {}];
  const hide = (options.hide ?? []).reduce((bits, name) => bits | Hide[name], options.showsResumeFlag ? 0 : Hide.resumeFlag);
  const registers = Object.entries(options.registers ?? {}).map(([name, value]) => `mov rax, ${value}\nmov [vtx_${name}], rax`);
  const source = `
  vt_${identifier(label)}:
    ${say(64, `${label}:`)}
    call vtx_begin
    mov esi, vtx_mode_${options.mode ?? 'long'}
    call vtx_set
    mov esi, .fields
    call vtx_set
    ${hide === 0 ? '' : `mov byte [vtx_hide], ${hide}`}
    mov qword [vtx_origin], .guest
    mov qword [resume_ip], vtx_done${mode.bits}
    mov qword [resume_sp], ${GUEST_STACK}
    ${registers.join('\n')}
    ${options.before ?? ''}
    call vtx_go
    call vtx_print_registers
    ${options.afterwards ?? ''}
    jmp .end
  .fields:
    ${fieldTable({ GUEST_RIP: '.guest', ...controlFields(...controls), ...options.fields }, options.raw)}
    bits ${mode.bits}
  .guest:
    ${code}
    vmcall
    bits 64
  .end:`;
  return { label, source, options };
}

/** The source of a ROM of such attempts, with the routines and tables that they need; the host is in 64-bit mode, in VMX operation. */
export function vtxSource(attempts: readonly VtxAttempt[]): string {
  const source = attempts.map((attempt) => attempt.source).join('\n');
  const modes = (Object.keys(GUEST_MODES) as GuestModeName[]).filter((mode) => source.includes(`vtx_mode_${mode}\n`));
  const root = source.includes('call vtx_root\n') ? `jmp finish64\n${rootRoutines()}` : '';
  return `${vtxHost(modes)}\n${source}\n${root}`;
}

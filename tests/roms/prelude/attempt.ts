import { DONE_VECTOR } from './handlers.ts';
import { MemoryMap, Selector } from './memory-map.ts';
import { type Bits, say } from './print.ts';

const identifier = (text: string): string => text.replace(/[^A-Za-z0-9]+/g, '_');

/** How often the default handlers may return before they give up the attempt. */
const EVENT_LIMIT = 40;

/**
 * One attempt: prints `label: `, clears registers and flags, runs the code, and prints what came of it: a fault with its frame, or `ok` with
 * flags and registers (those that are not 0; data segments that are not flat). Comes back to the same ring 0 code either way.
 */
export function attempt(bits: Bits, label: string, code: string): string {
  const [size, sp] = bits === 64 ? ['qword', 'rsp'] : bits === 32 ? ['dword', 'esp'] : ['word', 'sp'];
  return `
  at_${identifier(label)}:
    ${say(bits, `${label}: `)}
    mov byte [events_left], ${EVENT_LIMIT}
    mov ${size} [resume_ip], .after
    mov [resume_sp], ${sp}
    call clear${bits}
    ${code}
    call ok${bits}
  .after:`;
}

export const attempt16 = (label: string, code: string): string => attempt(16, label, code);
export const attempt32 = (label: string, code: string): string => attempt(32, label, code);
export const attempt64 = (label: string, code: string): string => attempt(64, label, code);

/** How to go to an outer ring. */
export interface OuterOptions {
  readonly cs?: number;
  readonly ss?: number;
  readonly flags?: number;
  readonly sp?: number;
}

/** IRETs to ring 3, runs the code there with all registers 0 and flat ring 3 data segments; `int 30` shows its end. */
export function user32(label: string, code: string, options: OuterOptions = {}): string {
  const ss = options.ss ?? Selector.data3;
  return attempt32(
    label,
    `
    mov ax, ${ss}
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    xor eax, eax
    push ${ss}
    push ${options.sp ?? MemoryMap.ring3Stack}
    push ${options.flags ?? 2}
    push ${options.cs ?? Selector.code3}
    push .outer
    iretd
  .outer:
    ${code}
    int ${DONE_VECTOR}`,
  );
}

/** The same from 64-bit mode to ring 3 64-bit code. */
export function user64(label: string, code: string, options: OuterOptions = {}): string {
  return attempt64(
    label,
    `
    push ${options.ss ?? Selector.data64Ring3}
    push ${options.sp ?? MemoryMap.ring3Stack}
    push ${options.flags ?? 2}
    push ${options.cs ?? Selector.code64Ring3}
    push .outer
    iretq
  .outer:
    ${code}
    int ${DONE_VECTOR}`,
  );
}

/** From 64-bit mode to 32-bit compatibility mode in ring 3. */
export function compatibility(label: string, code: string, options: OuterOptions = {}): string {
  const ss = options.ss ?? Selector.data3;
  return attempt64(
    label,
    `
    mov ax, ${ss}
    mov ds, ax
    mov es, ax
    xor eax, eax
    push ${ss}
    push ${options.sp ?? MemoryMap.ring3Stack}
    push ${options.flags ?? 2}
    push ${options.cs ?? Selector.code3}
    push .outer
    iretq
    bits ${options.cs !== undefined && (options.cs & ~7) === Selector.code16 ? 16 : 32}
  .outer:
    ${code}
    int ${DONE_VECTOR}
    bits 64`,
  );
}

/** From protected mode to virtual-8086 mode: CS = 0, SS:SP = 0:ring3Stack, data segments as given. IOPL 3 unless told, so that INT works. */
export function v86(
  label: string,
  code: string,
  options: { readonly flags?: number; readonly ds?: number; readonly es?: number } = {},
): string {
  return attempt32(
    label,
    `
    push 0x4444
    push 0x3333
    push ${options.ds ?? 0}
    push ${options.es ?? 0}
    push 0
    push ${MemoryMap.ring3Stack}
    push ${(options.flags ?? 0x3002) | 0x20000}
    push 0
    push .v86
    iretd
    bits 16
  .v86:
    ${code}
    int ${DONE_VECTOR}
    bits 32`,
  );
}

/** Sets what the default handlers do after an event. */
export const policy = (vector: number, bits: number): string => `mov byte [event_policy + ${vector}], ${bits}`;

/** Ends the ROM. */
export const finish = (bits: Bits): string => `jmp finish${bits}`;

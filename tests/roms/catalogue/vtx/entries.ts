import type { VmcsFieldName } from '@minusone/vtx';
import { type GuestOptions, type VtxAttempt, vt } from '../../prelude/vtx-attempt.ts';
import { note, vmread } from '../../prelude/vtx-host.ts';
import { VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Fields, GuestModeName } from '../../prelude/vtx-modes.ts';

/** What ROMs about VM entries and VM exits have in common. */

/** The lowest address that is not canonical, the lowest of the canonical ones above it, and a physical address beyond any width. */
export const NOT_CANONICAL = 0x8000_0000_0000n;
export const HIGHEST = 0xffff_8000_0000_0000n;
export const TOO_WIDE = 1n << 56n;
/** A canonical address of more than 32 bits. */
export const WIDE_ADDRESS = 0x7000_1234_5000n;
/** CR0 of a 64-bit guest; IA32_EFER with SCE, LME, LMA and NXE. */
export const LONG_CR0 = 0x8000_0031;
export const LONG_EFER = 0xd01;

/** VM-entry controls of a 64-bit guest without "load debug controls", and without "load IA32_EFER"; the latter of other guests. */
export const ENTRY_KEEPS_DEBUG: Fields = { VM_ENTRY_CONTROLS: 0x0000_93fb };
export const ENTRY_KEEPS_EFER: Fields = { VM_ENTRY_CONTROLS: 0x0000_13ff };
export const ENTRY_KEEPS_EFER_32: Fields = { VM_ENTRY_CONTROLS: 0x0000_11ff };
/** VM-exit controls without "load IA32_EFER". */
export const EXIT_KEEPS_EFER: Fields = { VM_EXIT_CONTROLS: 0x0003_6fff };
/** The guest reads and writes MSRs as it likes. */
export const MSRS_PASS: GuestOptions = { controls: { primary: ['useMsrBitmaps'] }, fields: { MSR_BITMAP: VtxMemory.msrBitmap } };

/** An attempt whose guest does nothing: what matters is whether it is entered. */
export const entry = (label: string, fields: Fields, more: GuestOptions = {}): VtxAttempt => vt(label, '', { ...more, fields });
export const inMode = (mode: GuestModeName): GuestOptions => ({ mode });

const READ = VtxMemory.free + 0x800;
/** Prints a line of fields of the current VMCS. */
export const showFields = (...fields: readonly VmcsFieldName[]): string =>
  fields.map((field, n) => `${vmread(field)}\nmov [${READ + 8 * n}], rax`).join('\n') +
  `\n${note(Object.fromEntries(fields.map((field, n) => [field, `[${READ + 8 * n}]`])))}`;

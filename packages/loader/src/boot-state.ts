/**
 * The state in which a CPU starts an image, as plain data. It is complete: whoever applies it needs to know nothing
 * about boot protocols, and a loader needs to know nothing about a CPU.
 */

/** General registers by the manuals' names; in 32-bit and real mode the low half counts. */
export type RegisterName =
  | 'rax'
  | 'rcx'
  | 'rdx'
  | 'rbx'
  | 'rsp'
  | 'rbp'
  | 'rsi'
  | 'rdi'
  | 'r8'
  | 'r9'
  | 'r10'
  | 'r11'
  | 'r12'
  | 'r13'
  | 'r14'
  | 'r15';

export type SegmentName = 'es' | 'cs' | 'ss' | 'ds' | 'fs' | 'gs' | 'ldtr' | 'tr';

/**
 * A segment register with its hidden part. `limit` is in bytes, already scaled. `attributes` has the VMCS access-rights format
 * (SDM Vol. 3C, "Guest Register State"): bits 0-3 type, 4 S, 5-6 DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G, 16 unusable.
 */
export interface SegmentState {
  readonly selector: number;
  readonly base: number;
  readonly limit: number;
  readonly attributes: number;
}

export interface DescriptorTable {
  readonly base: number;
  readonly limit: number;
}

/** What to set in the first CPU. General registers that are not named start at 0, save where `keepsReset` is true. */
export interface BootState {
  /** Which of the modes the control registers below amount to. */
  readonly mode: 'real' | 'protected32' | 'long64';
  /** True: start from the CPU's own reset state (SDM Vol. 3A, "Processor State After Reset"), so that EDX holds the CPU's signature. */
  readonly keepsReset: boolean;
  /** Offset of the first instruction in CS. */
  readonly rip: number;
  readonly rflags: number;
  readonly registers: Readonly<Partial<Record<RegisterName, number>>>;
  readonly segments: Readonly<Record<SegmentName, SegmentState>>;
  readonly gdtr: DescriptorTable;
  readonly idtr: DescriptorTable;
  readonly cr0: number;
  readonly cr3: number;
  readonly cr4: number;
  readonly efer: number;
}

/** Bits of the control registers that boot states use (SDM Vol. 3A, "Control Registers" and "Extended Feature Enable Register"). */
export const CR0_PE = 0x1;
export const CR0_ET = 0x10;
export const CR0_NW = 0x2000_0000;
export const CR0_CD = 0x4000_0000;
export const CR0_PG = 0x8000_0000;
export const CR4_PAE = 0x20;
export const EFER_LME = 0x100;
export const EFER_LMA = 0x400;

const FIXED_FLAG = 0x2;
const PRESENT_DATA16 = 0x93;
/** Present, code, execute/read, accessed; D=1 or L=1; G=1. */
export const CODE32: number = 0xc09b;
export const CODE64: number = 0xa09b;
/** Present, data, read/write, accessed, B=1, G=1. */
export const DATA32: number = 0xc093;
const PRESENT_LDT = 0x82;
const BUSY_TSS32 = 0x8b;

const RESET_LDTR: SegmentState = { selector: 0, base: 0, limit: 0xffff, attributes: PRESENT_LDT };
const RESET_TR: SegmentState = { selector: 0, base: 0, limit: 0xffff, attributes: BUSY_TSS32 };

/** A real-mode segment: base = selector * 16, limit 64 KiB. */
function realSegment(selector: number, base: number = selector * 16): SegmentState {
  return { selector, base, limit: 0xffff, attributes: PRESENT_DATA16 };
}

function realSegments(cs: SegmentState): BootState['segments'] {
  const zero = realSegment(0);
  return { es: zero, cs, ss: zero, ds: zero, fs: zero, gs: zero, ldtr: RESET_LDTR, tr: RESET_TR };
}

/** Real mode at CS:IP, all else zero. `cs` is a selector. */
export function realModeState(cs: number, ip: number): BootState {
  return {
    mode: 'real',
    keepsReset: false,
    rip: ip,
    rflags: FIXED_FLAG,
    registers: {},
    segments: realSegments(realSegment(cs)),
    gdtr: { base: 0, limit: 0xffff },
    idtr: { base: 0, limit: 0x3ff },
    cr0: CR0_ET,
    cr3: 0,
    cr4: 0,
    efer: 0,
  };
}

/** The state after RESET (SDM Vol. 3A, "Processor State After Reset"): CS selector 0xF000 with base 0xFFFF0000, EIP 0xFFF0. */
export function resetState(): BootState {
  return {
    ...realModeState(0, 0),
    keepsReset: true,
    rip: 0xfff0,
    segments: realSegments(realSegment(0xf000, 0xffff_0000)),
    idtr: { base: 0, limit: 0xffff },
    cr0: CR0_CD + CR0_NW + CR0_ET,
  };
}

/** What the two flat states share: interrupts off, flat 4 GiB segments from a GDT with code at `codeSelector` and data 8 above. */
interface FlatStart {
  readonly entry: number;
  readonly registers: BootState['registers'];
  readonly gdt: DescriptorTable;
  readonly codeSelector: number;
}

function flatState(mode: 'protected32' | 'long64', start: FlatStart): BootState {
  const flat = (selector: number, attributes: number): SegmentState => ({ selector, base: 0, limit: 0xffff_ffff, attributes });
  const data = flat(start.codeSelector + 8, DATA32);
  return {
    mode,
    keepsReset: false,
    rip: start.entry,
    rflags: FIXED_FLAG,
    registers: start.registers,
    segments: {
      es: data,
      cs: flat(start.codeSelector, mode === 'long64' ? CODE64 : CODE32),
      ss: data,
      ds: data,
      fs: data,
      gs: data,
      ldtr: RESET_LDTR,
      tr: { ...RESET_TR, limit: 0x67 },
    },
    gdtr: start.gdt,
    idtr: { base: 0, limit: 0 },
    cr0: CR0_PE + CR0_ET,
    cr3: 0,
    cr4: 0,
    efer: 0,
  };
}

/** 32-bit protected mode, flat, paging off. */
export function protectedModeState(start: FlatStart): BootState {
  return flatState('protected32', start);
}

/** 64-bit mode on the page tables at `cr3`. */
export function longModeState(start: FlatStart & { readonly cr3: number }): BootState {
  return {
    ...flatState('long64', start),
    cr0: CR0_PG + CR0_PE + CR0_ET,
    cr3: start.cr3,
    cr4: CR4_PAE,
    efer: EFER_LME + EFER_LMA,
  };
}

import { type Cpu, Cr0, Dr6, Dr7, Efer, Eflags, Gpr, readEflags, Segment, State, writeEflags } from '@minusone/x86';
import { canonicalHigh, loadSegment, saveSegment } from './segments.ts';
import * as W from './words.ts';

/**
 * What VMRUN loads from the state-save area, and #VMEXIT saves there (APM Vol. 2, 15.5.1 "Basic Operation", 15.6 "#VMEXIT"). Straight code: it runs at every entry and exit.
 * `words` is the machine's memory, where both the VMCB and the CPU's state stand.
 */

const CR0_DEFINED = Cr0.PE | Cr0.MP | Cr0.EM | Cr0.TS | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.AM | Cr0.NW | Cr0.CD | Cr0.PG;
const DR6_WRITABLE = 0xe00f;
const DR7_WRITABLE = ~0xd800;
/** S, code, readable, accessed. */
const L_ATTRIBUTE = 0x200;

/** Doublewords of the state: entries and exits go by these, not by `Registers`, as that is how all of it becomes straight code. */
const S = {
  GDTR_LIMIT: State.gdtrLimit >>> 2,
  GDTR_BASE: State.gdtrBase >>> 2,
  IDTR_LIMIT: State.idtrLimit >>> 2,
  IDTR_BASE: State.idtrBase >>> 2,
  CR0: State.cr0 >>> 2,
  CR2: State.cr2 >>> 2,
  CR3: State.cr3 >>> 2,
  CR4: State.cr4 >>> 2,
  EFER: State.efer >>> 2,
  DR6: State.dr6 >>> 2,
  DR7: State.dr7 >>> 2,
  RIP: State.rip >>> 2,
  RAX: (State.gpr >>> 2) + Gpr.RAX * 2,
  RSP: (State.gpr >>> 2) + Gpr.RSP * 2,
  CPL: State.cpl >>> 2,
} as const;

/** @param at the VMCB's first doubleword in `words` @param width linear-address width in bits */
export function loadGuestState(cpu: Cpu, words: Int32Array, at: number, width: number): void {
  const to = cpu.state >>> 2;
  const segments = at + W.ES;
  loadSegment(cpu, words, segments, Segment.ES, width);
  loadSegment(cpu, words, segments + 4, Segment.CS, width, true);
  loadSegment(cpu, words, segments + 8, Segment.SS, width);
  loadSegment(cpu, words, segments + 12, Segment.DS, width);
  words[to + S.GDTR_LIMIT] = (words[at + W.GDTR_LIMIT] as number) & 0xffff;
  words[to + S.GDTR_BASE] = words[at + W.GDTR_BASE] as number;
  words[to + S.GDTR_BASE + 1] = canonicalHigh(words[at + W.GDTR_BASE + 1] as number, width);
  words[to + S.IDTR_LIMIT] = (words[at + W.IDTR_LIMIT] as number) & 0xffff;
  words[to + S.IDTR_BASE] = words[at + W.IDTR_BASE] as number;
  words[to + S.IDTR_BASE + 1] = canonicalHigh(words[at + W.IDTR_BASE + 1] as number, width);

  const cr0 = words[at + W.CR0] as number;
  const cr4 = words[at + W.CR4] as number;
  const oldCr4 = words[to + S.CR4] as number;
  let efer = words[at + W.EFER] as number;
  // EFER.LMA follows from LME and CR0.PG, whatever the VMCB holds.
  const long = (efer & Efer.LME) !== 0 && (cr0 & Cr0.PG) !== 0;
  efer = long ? efer | Efer.LMA : efer & ~Efer.LMA;
  words[to + S.CR0] = (cr0 & CR0_DEFINED) | Cr0.ET;
  words[to + S.CR4] = cr4;
  words[to + S.EFER] = efer;
  words[to + S.CR3] = words[at + W.CR3] as number;
  words[to + S.CR3 + 1] = words[at + W.CR3 + 1] as number;
  words[to + S.CR2] = words[at + W.CR2] as number;
  words[to + S.CR2 + 1] = words[at + W.CR2 + 1] as number;
  words[to + S.DR6] = ((words[at + W.DR6] as number) & DR6_WRITABLE) | Dr6.INITIAL;
  cpu.debug.loadControl(((words[at + W.DR7] as number) & DR7_WRITABLE) | Dr7.FIXED, oldCr4 ^ cr4);

  let flags = words[at + W.RFLAGS] as number;
  if (long) flags &= ~Eflags.VM;
  writeEflags(cpu.registers, flags);
  const is64Bit = long && (((words[segments + 4] as number) >>> 16) & L_ATTRIBUTE) !== 0;
  words[to + S.RIP] = words[at + W.RIP] as number;
  words[to + S.RIP + 1] = is64Bit ? (words[at + W.RIP + 1] as number) : 0;
  words[to + S.RSP] = words[at + W.RSP] as number;
  words[to + S.RSP + 1] = words[at + W.RSP + 1] as number;
  words[to + S.RAX] = words[at + W.RAX] as number;
  words[to + S.RAX + 1] = words[at + W.RAX + 1] as number;
  // Real mode has CPL 0, virtual-8086 mode CPL 3, whatever the VMCB holds (15.5.1).
  words[to + S.CPL] = (cr0 & Cr0.PE) === 0 ? 0 : (flags & Eflags.VM) !== 0 ? 3 : ((words[at + W.CPL] as number) >>> 24) & 3;
}

/** The other way. DR6 and DR7 are as a #DB handler would see them. */
export function saveGuestState(cpu: Cpu, words: Int32Array, at: number): void {
  const { registers } = cpu;
  const from = cpu.state >>> 2;
  const segments = at + W.ES;
  saveSegment(registers, words, segments, Segment.ES);
  saveSegment(registers, words, segments + 4, Segment.CS);
  saveSegment(registers, words, segments + 8, Segment.SS);
  saveSegment(registers, words, segments + 12, Segment.DS);
  words[at + W.GDTR_LIMIT] = words[from + S.GDTR_LIMIT] as number;
  words[at + W.GDTR_BASE] = words[from + S.GDTR_BASE] as number;
  words[at + W.GDTR_BASE + 1] = words[from + S.GDTR_BASE + 1] as number;
  words[at + W.IDTR_LIMIT] = words[from + S.IDTR_LIMIT] as number;
  words[at + W.IDTR_BASE] = words[from + S.IDTR_BASE] as number;
  words[at + W.IDTR_BASE + 1] = words[from + S.IDTR_BASE + 1] as number;
  words[at + W.CR0] = words[from + S.CR0] as number;
  words[at + W.CR0 + 1] = 0;
  words[at + W.CR4] = words[from + S.CR4] as number;
  words[at + W.CR4 + 1] = 0;
  words[at + W.EFER] = words[from + S.EFER] as number;
  words[at + W.EFER + 1] = 0;
  words[at + W.CR3] = words[from + S.CR3] as number;
  words[at + W.CR3 + 1] = words[from + S.CR3 + 1] as number;
  words[at + W.CR2] = words[from + S.CR2] as number;
  words[at + W.CR2 + 1] = words[from + S.CR2 + 1] as number;
  words[at + W.DR6] = words[from + S.DR6] as number;
  words[at + W.DR6 + 1] = 0;
  words[at + W.DR7] = words[from + S.DR7] as number;
  words[at + W.DR7 + 1] = 0;
  words[at + W.RFLAGS] = readEflags(registers);
  words[at + W.RFLAGS + 1] = 0;
  words[at + W.RIP] = words[from + S.RIP] as number;
  words[at + W.RIP + 1] = words[from + S.RIP + 1] as number;
  words[at + W.RSP] = words[from + S.RSP] as number;
  words[at + W.RSP + 1] = words[from + S.RSP + 1] as number;
  words[at + W.RAX] = words[from + S.RAX] as number;
  words[at + W.RAX + 1] = words[from + S.RAX + 1] as number;
  words[at + W.CPL] = ((words[at + W.CPL] as number) & 0xff_ffff) | ((words[from + S.CPL] as number) << 24);
}

/** MSRs of VMLOAD and VMSAVE: the doubleword of the VMCB and the field of the state. */
const MSRS: readonly (readonly [word: number, state: number])[] = [
  [W.STAR, State.star],
  [W.LSTAR, State.lstar],
  [W.CSTAR, State.cstar],
  [W.SFMASK, State.fmask],
  [W.KERNEL_GS_BASE, State.kernelGsBase],
  [W.SYSENTER_CS, State.sysenterCs],
  [W.SYSENTER_ESP, State.sysenterEsp],
  [W.SYSENTER_EIP, State.sysenterEip],
];
const MSR_WORDS: Int32Array = Int32Array.from(MSRS, ([word]) => word);
const MSR_FIELDS: Int32Array = Int32Array.from(MSRS, ([, state]) => state);

/** VMLOAD: FS, GS, TR and LDTR with their hidden parts, and the MSRs of system calls (APM Vol. 2, 15.5.2 "VMSAVE and VMLOAD Instructions"). */
export function loadAdditionalState(cpu: Cpu, words: Int32Array, at: number, width: number): void {
  loadSegment(cpu, words, at + W.FS, Segment.FS, width);
  loadSegment(cpu, words, at + W.GS, Segment.GS, width);
  loadSegment(cpu, words, at + W.LDTR, Segment.LDTR, width);
  loadSegment(cpu, words, at + W.TR, Segment.TR, width);
  for (let i = 0; i < MSR_WORDS.length; i++) {
    const from = at + (MSR_WORDS[i] as number);
    const field = MSR_FIELDS[i] as number;
    cpu.registers.set32(field, words[from] as number);
    cpu.registers.set32(field + 4, words[from + 1] as number);
  }
}

/** VMSAVE. */
export function saveAdditionalState(cpu: Cpu, words: Int32Array, at: number): void {
  const { registers } = cpu;
  saveSegment(registers, words, at + W.FS, Segment.FS);
  saveSegment(registers, words, at + W.GS, Segment.GS);
  saveSegment(registers, words, at + W.LDTR, Segment.LDTR);
  saveSegment(registers, words, at + W.TR, Segment.TR);
  for (let i = 0; i < MSR_WORDS.length; i++) {
    const to = at + (MSR_WORDS[i] as number);
    const field = MSR_FIELDS[i] as number;
    words[to] = registers.get32(field);
    words[to + 1] = registers.get32(field + 4);
  }
}

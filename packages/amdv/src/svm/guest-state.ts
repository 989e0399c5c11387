import { type Cpu, Cr0, Cr4, Dr6, Dr7, Efer, Eflags, Gpr, readEflags, Segment, State, writeEflags } from '@minusone/x86';
import { canonicalHigh, loadSegment, saveSegment } from './segments.ts';
import * as W from './words.ts';

/** What VMRUN loads from the state-save area, and #VMEXIT saves there (APM Vol. 2, 15.5.1 "Basic Operation", 15.6 "#VMEXIT"). Straight code: it runs at every entry and exit. */

const CR0_DEFINED = Cr0.PE | Cr0.MP | Cr0.EM | Cr0.TS | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.AM | Cr0.NW | Cr0.CD | Cr0.PG;
/** Enable bits of DR7. */
const DR7_ENABLED = 0xff;
const DR6_WRITABLE = 0xe00f;
const DR7_WRITABLE = ~0xd800;
/** S, code, readable, accessed. */
const L_ATTRIBUTE = 0x200;

/** The debug registers with what depends on them, where a breakpoint is concerned. `cr4Changed`: bits of CR4 that have just changed. */
export function setDebugControl(cpu: Cpu, dr7: number, cr4Changed: number): void {
  const { registers } = cpu;
  const old = registers.get32(State.dr7);
  registers.set32(State.dr7, dr7);
  if (((old | dr7) & DR7_ENABLED) !== 0 && (old !== dr7 || (cr4Changed & Cr4.DE) !== 0)) cpu.debug.changed();
}

/** @param at the VMCB's first doubleword in `words` @param width linear-address width in bits */
export function loadGuestState(cpu: Cpu, words: Int32Array, at: number, width: number): void {
  const { registers } = cpu;
  const segments = at + W.ES;
  loadSegment(cpu, words, segments, Segment.ES, width);
  loadSegment(cpu, words, segments + 4, Segment.CS, width, true);
  loadSegment(cpu, words, segments + 8, Segment.SS, width);
  loadSegment(cpu, words, segments + 12, Segment.DS, width);
  registers.set32(State.gdtrLimit, (words[at + W.GDTR_LIMIT] as number) & 0xffff);
  registers.set32(State.gdtrBase, words[at + W.GDTR_BASE] as number);
  registers.set32(State.gdtrBase + 4, canonicalHigh(words[at + W.GDTR_BASE + 1] as number, width));
  registers.set32(State.idtrLimit, (words[at + W.IDTR_LIMIT] as number) & 0xffff);
  registers.set32(State.idtrBase, words[at + W.IDTR_BASE] as number);
  registers.set32(State.idtrBase + 4, canonicalHigh(words[at + W.IDTR_BASE + 1] as number, width));

  const cr0 = words[at + W.CR0] as number;
  const cr4 = words[at + W.CR4] as number;
  const oldCr4 = registers.get32(State.cr4);
  let efer = words[at + W.EFER] as number;
  // EFER.LMA follows from LME and CR0.PG, whatever the VMCB holds.
  const long = (efer & Efer.LME) !== 0 && (cr0 & Cr0.PG) !== 0;
  efer = long ? efer | Efer.LMA : efer & ~Efer.LMA;
  registers.set32(State.cr0, (cr0 & CR0_DEFINED) | Cr0.ET);
  registers.set32(State.cr4, cr4);
  registers.set32(State.efer, efer);
  registers.set32(State.cr3, words[at + W.CR3] as number);
  registers.set32(State.cr3 + 4, words[at + W.CR3 + 1] as number);
  registers.set32(State.cr2, words[at + W.CR2] as number);
  registers.set32(State.cr2 + 4, words[at + W.CR2 + 1] as number);
  registers.set32(State.dr6, ((words[at + W.DR6] as number) & DR6_WRITABLE) | Dr6.INITIAL);
  setDebugControl(cpu, ((words[at + W.DR7] as number) & DR7_WRITABLE) | Dr7.FIXED, oldCr4 ^ cr4);

  let flags = words[at + W.RFLAGS] as number;
  if (long) flags &= ~Eflags.VM;
  writeEflags(registers, flags);
  const is64Bit = long && (((words[segments + 4] as number) >>> 16) & L_ATTRIBUTE) !== 0;
  registers.set32(State.rip, words[at + W.RIP] as number);
  registers.set32(State.rip + 4, is64Bit ? (words[at + W.RIP + 1] as number) : 0);
  registers.setGprHalves(Gpr.RSP, words[at + W.RSP] as number, words[at + W.RSP + 1] as number);
  registers.setGprHalves(Gpr.RAX, words[at + W.RAX] as number, words[at + W.RAX + 1] as number);
  // Real mode has CPL 0, virtual-8086 mode CPL 3, whatever the VMCB holds (15.5.1).
  const cpl = (cr0 & Cr0.PE) === 0 ? 0 : (flags & Eflags.VM) !== 0 ? 3 : ((words[at + W.CPL] as number) >>> 24) & 3;
  registers.set32(State.cpl, cpl);
}

/** The other way. DR6 and DR7 are as a #DB handler would see them. */
export function saveGuestState(cpu: Cpu, words: Int32Array, at: number): void {
  const { registers } = cpu;
  const segments = at + W.ES;
  saveSegment(registers, words, segments, Segment.ES);
  saveSegment(registers, words, segments + 4, Segment.CS);
  saveSegment(registers, words, segments + 8, Segment.SS);
  saveSegment(registers, words, segments + 12, Segment.DS);
  words[at + W.GDTR_LIMIT] = registers.get32(State.gdtrLimit);
  words[at + W.GDTR_BASE] = registers.get32(State.gdtrBase);
  words[at + W.GDTR_BASE + 1] = registers.get32(State.gdtrBase + 4);
  words[at + W.IDTR_LIMIT] = registers.get32(State.idtrLimit);
  words[at + W.IDTR_BASE] = registers.get32(State.idtrBase);
  words[at + W.IDTR_BASE + 1] = registers.get32(State.idtrBase + 4);
  words[at + W.CR0] = registers.get32(State.cr0);
  words[at + W.CR0 + 1] = 0;
  words[at + W.CR4] = registers.get32(State.cr4);
  words[at + W.CR4 + 1] = 0;
  words[at + W.EFER] = registers.get32(State.efer);
  words[at + W.EFER + 1] = 0;
  words[at + W.CR3] = registers.get32(State.cr3);
  words[at + W.CR3 + 1] = registers.get32(State.cr3 + 4);
  words[at + W.CR2] = registers.get32(State.cr2);
  words[at + W.CR2 + 1] = registers.get32(State.cr2 + 4);
  words[at + W.DR6] = registers.get32(State.dr6);
  words[at + W.DR6 + 1] = 0;
  words[at + W.DR7] = registers.get32(State.dr7);
  words[at + W.DR7 + 1] = 0;
  words[at + W.RFLAGS] = readEflags(registers);
  words[at + W.RFLAGS + 1] = 0;
  words[at + W.RIP] = registers.get32(State.rip);
  words[at + W.RIP + 1] = registers.get32(State.rip + 4);
  words[at + W.RSP] = registers.gprLow(Gpr.RSP);
  words[at + W.RSP + 1] = registers.gprHigh(Gpr.RSP);
  words[at + W.RAX] = registers.gprLow(Gpr.RAX);
  words[at + W.RAX + 1] = registers.gprHigh(Gpr.RAX);
  words[at + W.CPL] = ((words[at + W.CPL] as number) & 0xff_ffff) | (registers.get32(State.cpl) << 24);
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

import {
  type Activity,
  type Cpu,
  Dr7,
  Gpr,
  InterruptShadow,
  readEflags,
  SEGMENT_STRIDE,
  Segment,
  SegmentField,
  State,
  segmentOffset,
  setSegment,
  writeEflags,
} from '@minusone/x86';
import { FIELD, type VmcsFieldName } from '../vmcs/fields.ts';
import { fieldOffset } from '../vmcs/layout.ts';
import { EntryControl, ExitControl, PinBased, Secondary } from './controls.ts';
import type { VmxOperation } from './operation.ts';
import type { Region } from './region.ts';
import { update32, update64, wordOf } from './words.ts';

/** Loading the guest's state (SDM Vol. 3C, 27.3.2 "Loading Guest State") and saving it (28.3 "Saving Guest State"). Hot: numbers and linear memory only. */

const half = (name: VmcsFieldName): number => fieldOffset(FIELD[name]) >>> 1;

interface Copies {
  readonly encodings: Uint16Array;
  readonly state: Uint16Array;
  readonly vmcs: Uint16Array;
}
/** Fields that stand in the CPU's state as they stand in the VMCS, as lists of encodings and of words' places. */
function copies(rows: readonly (readonly [field: VmcsFieldName, state: number])[]): Copies {
  return {
    encodings: Uint16Array.from(rows, ([field]) => FIELD[field]),
    state: Uint16Array.from(rows, ([, state]) => state >>> 2),
    vmcs: Uint16Array.from(rows, ([field]) => wordOf(field)),
  };
}
const WIDE = copies([
  ['GUEST_RSP', State.gpr + Gpr.RSP * 8],
  ['GUEST_RIP', State.rip],
  ['GUEST_CR3', State.cr3],
  ['GUEST_GDTR_BASE', State.gdtrBase],
  ['GUEST_IDTR_BASE', State.idtrBase],
  ['GUEST_SYSENTER_ESP', State.sysenterEsp],
  ['GUEST_SYSENTER_EIP', State.sysenterEip],
]);
const NARROW = copies([
  ['GUEST_GDTR_LIMIT', State.gdtrLimit],
  ['GUEST_IDTR_LIMIT', State.idtrLimit],
  ['GUEST_SYSENTER_CS', State.sysenterCs],
]);
const PDPTES = copies([
  ['GUEST_PDPTR0', State.pdptes],
  ['GUEST_PDPTR1', State.pdptes + 8],
  ['GUEST_PDPTR2', State.pdptes + 16],
  ['GUEST_PDPTR3', State.pdptes + 24],
]);

/** A segment register in the state, in words: base, and from there the rest. */
const SEGMENT_WORDS = SEGMENT_STRIDE >>> 2;
const LIMIT = SegmentField.limit >>> 2;
const SELECTOR = SegmentField.selector >>> 2;
const ATTRIBUTES = SegmentField.attributes >>> 2;

const SEGMENTS = (['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR'] as const).map((name, segment) => ({
  segment,
  selector: FIELD[`GUEST_${name}_SELECTOR`],
  limit: FIELD[`GUEST_${name}_LIMIT`],
  attributes: FIELD[`GUEST_${name}_AR_BYTES`],
  base: FIELD[`GUEST_${name}_BASE`],
  selectorHalf: half(`GUEST_${name}_SELECTOR`),
  limitWord: wordOf(`GUEST_${name}_LIMIT`),
  attributesWord: wordOf(`GUEST_${name}_AR_BYTES`),
  baseWord: wordOf(`GUEST_${name}_BASE`),
  imageWord: segment * SEGMENT_WORDS,
  stateBase: segmentOffset(segment, 'base') >>> 2,
}));
type SegmentPlaces = (typeof SEGMENTS)[number];
/** The first of them in the state, in words; and the places of all in the VMCS, in words and (selectors) halves. */
const SEGMENT_IMAGE = segmentOffset(0, 'base') >>> 2;
const SEGMENT_SELECTORS = Uint16Array.from(SEGMENTS, ({ selectorHalf }) => selectorHalf);
const SEGMENT_LIMITS = Uint16Array.from(SEGMENTS, ({ limitWord }) => limitWord);
const SEGMENT_ATTRIBUTES = Uint16Array.from(SEGMENTS, ({ attributesWord }) => attributesWord);
const SEGMENT_BASES = Uint16Array.from(SEGMENTS, ({ baseWord }) => baseWord);

const {
  GUEST_CR0,
  GUEST_CR4,
  GUEST_RFLAGS,
  GUEST_DR7,
  GUEST_IA32_DEBUGCTL,
  GUEST_IA32_PAT,
  GUEST_IA32_EFER,
  GUEST_INTERRUPTIBILITY_INFO,
  GUEST_PENDING_DBG_EXCEPTIONS,
  GUEST_ACTIVITY_STATE,
  VMX_PREEMPTION_TIMER_VALUE,
  VM_ENTRY_CONTROLS,
} = FIELD;

const W_GUEST_CR0 = wordOf('GUEST_CR0');
const W_GUEST_CR4 = wordOf('GUEST_CR4');
const W_GUEST_RIP = wordOf('GUEST_RIP');
const W_GUEST_RSP = wordOf('GUEST_RSP');
const W_GUEST_RFLAGS = wordOf('GUEST_RFLAGS');
const W_GUEST_DR7 = wordOf('GUEST_DR7');
const W_GUEST_IA32_DEBUGCTL = wordOf('GUEST_IA32_DEBUGCTL');
const W_GUEST_IA32_PAT = wordOf('GUEST_IA32_PAT');
const W_GUEST_IA32_EFER = wordOf('GUEST_IA32_EFER');
const W_VM_ENTRY_CONTROLS = wordOf('VM_ENTRY_CONTROLS');
const W_GUEST_INTERRUPTIBILITY_INFO = wordOf('GUEST_INTERRUPTIBILITY_INFO');
const W_GUEST_ACTIVITY_STATE = wordOf('GUEST_ACTIVITY_STATE');
const W_GUEST_PENDING_DBG_EXCEPTIONS = wordOf('GUEST_PENDING_DBG_EXCEPTIONS');

/** CR0 bits that entries and exits leave as they are: ET, CD, NW, and the reserved 15:6, 17 and 28:19 (27.3.2.1, 28.5.1). */
export const CR0_KEPT = 0x7ffa_ffd0;
const EFER_LONG = 0x500;
const PG = 0x8000_0000 | 0;
const CR4_PAE = 0x20;
/** DR7: bits 12, 14 and 15 read 0. */
const DR7_ZEROS = 0xd000;
const RF = 0x1_0000;
/** VM and AC: with them the mode changes. */
const MODE_FLAGS = 0x6_0000;

export const Interruptibility = { STI: 1, MOV_SS: 2, SMI: 4, NMI: 8 } as const;
/** Pending debug exceptions: B0 to B3; enabled breakpoint; BS. */
export const PendingDebug = { BREAKPOINTS: 15, ENABLED: 0x1000, BS: 0x4000 } as const;

/** 27.3.2.1 to 27.3.2.4, and 27.7.1 f. What depends on the paging (its PDPTEs too) comes after. */
export function loadGuestState(op: VmxOperation, region: Region): void {
  const { cpu, controls } = op;
  const { memory, registers } = cpu;
  const { i32, u16 } = memory;
  const s = cpu.state >>> 2;
  const v = region.word;

  for (let i = 0; i < WIDE.state.length; i++) {
    const to = s + WIDE.state[i]!;
    const from = v + WIDE.vmcs[i]!;
    i32[to] = i32[from]!;
    i32[to + 1] = i32[from + 1]!;
  }
  for (let i = 0; i < NARROW.state.length; i++) i32[s + NARROW.state[i]!] = i32[v + NARROW.vmcs[i]!]!;
  i32[s + (State.sysenterCs >>> 2) + 1] = 0;

  const oldCr4 = registers.get32(State.cr4);
  const cr0 = (registers.get32(State.cr0) & CR0_KEPT) | (i32[v + W_GUEST_CR0]! & ~CR0_KEPT);
  const cr4 = i32[v + W_GUEST_CR4]!;
  registers.set32(State.cr0, cr0);
  registers.set32(State.cr4, cr4);
  loadEfer(cpu, op, cr0, i32[v + W_GUEST_IA32_EFER]!);
  if (controls.hasEntry(EntryControl.loadIa32Pat)) {
    registers.set32(State.pat, i32[v + W_GUEST_IA32_PAT]!);
    registers.set32(State.pat + 4, i32[v + W_GUEST_IA32_PAT + 1]!);
  }
  let dr7 = registers.get32(State.dr7);
  if (controls.hasEntry(EntryControl.loadDebugControls)) {
    dr7 = (i32[v + W_GUEST_DR7]! & ~DR7_ZEROS) | Dr7.FIXED;
    cpu.msrs.debugCtl = i32[v + W_GUEST_IA32_DEBUGCTL]! & 3;
  }
  cpu.debug.loadControl(dr7, oldCr4 ^ cr4);

  if (areSegmentsAsKept(region, i32, u16)) i32.set(region.segments, s + SEGMENT_IMAGE);
  else for (const places of SEGMENTS) loadSegment(cpu, places, region, i32, u16);
  // CPL is SS.DPL (25.4.1); in virtual-8086 mode that is 3, in real-address mode 0.
  registers.set32(State.cpl, (registers.get32(segmentOffset(Segment.SS, 'attributes')) >>> 5) & 3);
  writeEflags(registers, i32[v + W_GUEST_RFLAGS]!);
  loadNonRegisterState(cpu, i32, v);
}

/** What of 27.3.2 a guest that has stayed in the processor needs: where it stands. Returns false where its mode is another by that. */
export function loadPosition(op: VmxOperation, region: Region): boolean {
  const { cpu } = op;
  const { registers } = cpu;
  const { i32 } = cpu.memory;
  const v = region.word;
  registers.set32(State.rip, i32[v + W_GUEST_RIP]!);
  registers.set32(State.rip + 4, i32[v + W_GUEST_RIP + 1]!);
  registers.setGprHalves(Gpr.RSP, i32[v + W_GUEST_RSP]!, i32[v + W_GUEST_RSP + 1]!);
  const flags = i32[v + W_GUEST_RFLAGS]!;
  const same = ((registers.get32(State.eflags) ^ flags) & MODE_FLAGS) === 0;
  writeEflags(registers, flags);
  loadNonRegisterState(cpu, i32, v);
  return same;
}

/** 25.4.2 "Guest Non-Register State". */
function loadNonRegisterState(cpu: Cpu, i32: Int32Array, v: number): void {
  const blocking = i32[v + W_GUEST_INTERRUPTIBILITY_INFO]!;
  cpu.interruptShadow =
    (blocking & Interruptibility.MOV_SS) !== 0
      ? InterruptShadow.MOV_SS
      : (blocking & Interruptibility.STI) !== 0
        ? InterruptShadow.STI
        : InterruptShadow.NONE;
  cpu.nmiBlocked = (blocking & Interruptibility.NMI) !== 0;
  cpu.activity = i32[v + W_GUEST_ACTIVITY_STATE]! as Activity;
}

/** @param efer GUEST_IA32_EFER, bits 31:0 */
function loadEfer(cpu: Cpu, op: VmxOperation, cr0: number, efer: number): void {
  const { registers } = cpu;
  const { controls } = op;
  if (controls.hasEntry(EntryControl.loadIa32Efer)) {
    registers.set32(State.efer, efer);
    return;
  }
  // 27.3.2.1: LMA is "IA-32e mode guest"; LME too, but only where CR0.PG is 1.
  const long = controls.hasEntry(EntryControl.ia32eModeGuest) ? EFER_LONG : 0;
  const mask = (cr0 & PG) !== 0 ? EFER_LONG : 0x400;
  registers.set32(State.efer, (registers.get32(State.efer) & ~mask) | (long & mask));
}

/** Whether all segment registers in the VMCS are as the CPU's state had them last: then what is derived from them is known, too. */
function areSegmentsAsKept(region: Region, i32: Int32Array, u16: Uint16Array): boolean {
  const v = region.word;
  const { segments } = region;
  for (let n = 0, at = 0; n < SEGMENTS.length; n++, at += SEGMENT_WORDS) {
    const base = v + SEGMENT_BASES[n]!;
    if (
      segments[at] !== i32[base] ||
      segments[at + 1] !== i32[base + 1] ||
      segments[at + LIMIT] !== i32[v + SEGMENT_LIMITS[n]!] ||
      segments[at + ATTRIBUTES] !== i32[v + SEGMENT_ATTRIBUTES[n]!] ||
      segments[at + SELECTOR] !== u16[region.half + SEGMENT_SELECTORS[n]!]
    )
      return false;
  }
  return true;
}

function loadSegment(cpu: Cpu, p: SegmentPlaces, region: Region, i32: Int32Array, u16: Uint16Array): void {
  const v = region.word;
  const selector = u16[region.half + p.selectorHalf]!;
  const low = i32[v + p.baseWord]!;
  const high = i32[v + p.baseWord + 1]!;
  setSegment(cpu.registers, p.segment, selector, i32[v + p.attributesWord]!, i32[v + p.limitWord]!, low, high);
  const from = (cpu.state >>> 2) + p.stateBase;
  for (let n = 0; n < SEGMENT_WORDS; n++) region.segments[p.imageWord + n] = i32[from + n]!;
}

/** The PDPTEs of a guest with PAE paging and EPT come from the VMCS (27.3.2.4). */
export function loadPdptesFromVmcs(op: VmxOperation, region: Region): void {
  const { i32 } = op.cpu.memory;
  const s = op.cpu.state >>> 2;
  for (let i = 0; i < 4; i++) {
    i32[s + PDPTES.state[i]!] = i32[region.word + PDPTES.vmcs[i]!]!;
    i32[s + PDPTES.state[i]! + 1] = i32[region.word + PDPTES.vmcs[i]! + 1]!;
  }
}

/** PAE paging: CR0.PG and CR4.PAE, outside IA-32e mode. */
export function usesPdptes(cpu: Cpu): boolean {
  const { registers } = cpu;
  return registers.get32(State.cr0) < 0 && (registers.get32(State.cr4) & CR4_PAE) !== 0 && (registers.get32(State.efer) & 0x400) === 0;
}

/** RFLAGS.RF in the saved image (28.3.3 "Saving RIP, RSP, RFLAGS, and SSP"). */
export const ResumeFlag = { CLEAR: 0, SET: 1, KEEP: 2 } as const;
export type ResumeFlag = (typeof ResumeFlag)[keyof typeof ResumeFlag];

/** 28.3: only what differs is written, so that the checks of the next entry ask only for that. */
export function saveGuestState(op: VmxOperation, region: Region, resume: ResumeFlag, keepsPendingDebug: boolean): void {
  const { cpu, controls } = op;
  const { registers } = cpu;
  const { i32, u16 } = cpu.memory;
  const s = cpu.state >>> 2;
  const v = region.word;
  const { vmcs } = region;

  for (let i = 0; i < WIDE.state.length; i++) {
    const low = i32[s + WIDE.state[i]!]!;
    const high = i32[s + WIDE.state[i]! + 1]!;
    const at = v + WIDE.vmcs[i]!;
    if (i32[at] !== low || i32[at + 1] !== high) vmcs.set(WIDE.encodings[i]!, low, high);
  }
  for (let i = 0; i < NARROW.state.length; i++) {
    const value = i32[s + NARROW.state[i]!]!;
    if (i32[v + NARROW.vmcs[i]!] !== value) vmcs.set(NARROW.encodings[i]!, value);
  }
  update64(region, i32, W_GUEST_CR0, GUEST_CR0, registers.get32(State.cr0), 0);
  update64(region, i32, W_GUEST_CR4, GUEST_CR4, registers.get32(State.cr4), 0);
  for (const places of SEGMENTS) saveSegment(cpu, places, region, i32, u16);
  let flags = readEflags(registers);
  if (resume !== ResumeFlag.KEEP) flags = resume === ResumeFlag.SET ? flags | RF : flags & ~RF;
  update64(region, i32, W_GUEST_RFLAGS, GUEST_RFLAGS, flags, 0);

  if (controls.hasExit(ExitControl.saveDebugControls)) {
    update64(region, i32, W_GUEST_DR7, GUEST_DR7, registers.get32(State.dr7), 0);
    update64(region, i32, W_GUEST_IA32_DEBUGCTL, GUEST_IA32_DEBUGCTL, cpu.msrs.debugCtl, 0);
  }
  if (controls.hasExit(ExitControl.saveIa32Pat))
    update64(region, i32, W_GUEST_IA32_PAT, GUEST_IA32_PAT, registers.get32(State.pat), registers.get32(State.pat + 4));
  if (controls.hasExit(ExitControl.saveIa32Efer)) update64(region, i32, W_GUEST_IA32_EFER, GUEST_IA32_EFER, registers.get32(State.efer), 0);
  // 28.2: bit 9 of the VM-entry controls follows IA32_EFER.LMA (IA32_VMX_MISC[5]).
  if (op.storesEferLma) {
    const long = (registers.get32(State.efer) & 0x400) !== 0;
    const entry = long ? controls.entry | EntryControl.ia32eModeGuest : controls.entry & ~EntryControl.ia32eModeGuest;
    update32(region, i32, W_VM_ENTRY_CONTROLS, VM_ENTRY_CONTROLS, entry);
  }
  if (controls.hasSecondary(Secondary.enableEpt)) savePdptes(op, region);
  saveNonRegisterState(op, region, keepsPendingDebug);
}

function saveSegment(cpu: Cpu, p: SegmentPlaces, region: Region, i32: Int32Array, u16: Uint16Array): void {
  const from = (cpu.state >>> 2) + p.stateBase;
  const { vmcs, segments } = region;
  const at = p.imageWord;
  let attributes = i32[from + ATTRIBUTES]!;
  // CPL is SS.DPL (25.4.1).
  if (p.segment === Segment.SS) attributes = (attributes & ~0x60) | (i32[(cpu.state + State.cpl) >>> 2]! << 5);
  // As the entry loaded it from the VMCS, which nobody has written since.
  if (
    segments[at + ATTRIBUTES] === attributes &&
    segments[at + SELECTOR] === i32[from + SELECTOR] &&
    segments[at + LIMIT] === i32[from + LIMIT] &&
    segments[at] === i32[from] &&
    segments[at + 1] === i32[from + 1]
  )
    return;
  for (let n = 0; n < SEGMENT_WORDS; n++) segments[at + n] = i32[from + n]!;
  segments[at + ATTRIBUTES] = attributes;
  const selector = segments[p.imageWord + SELECTOR]! & 0xffff;
  if (u16[region.half + p.selectorHalf] !== selector) vmcs.set(p.selector, selector);
  update32(region, i32, p.limitWord, p.limit, segments[p.imageWord + LIMIT]!);
  update32(region, i32, p.attributesWord, p.attributes, segments[p.imageWord + ATTRIBUTES]!);
  update64(region, i32, p.baseWord, p.base, segments[p.imageWord]!, segments[p.imageWord + 1]!);
}

/** 28.3.4: with EPT, the PDPTEs in use; undefined where there are none. */
function savePdptes(op: VmxOperation, region: Region): void {
  if (!usesPdptes(op.cpu)) return;
  const { i32 } = op.cpu.memory;
  const s = op.cpu.state >>> 2;
  for (let i = 0; i < 4; i++) region.vmcs.set(PDPTES.encodings[i]!, i32[s + PDPTES.state[i]!]!, i32[s + PDPTES.state[i]! + 1]!);
}

/** 28.3.4 "Saving Non-Register State". */
function saveNonRegisterState(op: VmxOperation, region: Region, keepsPendingDebug: boolean): void {
  const { cpu, controls } = op;
  const { vmcs } = region;
  const { i32 } = cpu.memory;
  const shadow = cpu.interruptShadow;
  const blocking =
    (shadow === InterruptShadow.STI ? Interruptibility.STI : shadow === InterruptShadow.MOV_SS ? Interruptibility.MOV_SS : 0) |
    (cpu.nmiBlocked ? Interruptibility.NMI : 0);
  update32(region, i32, W_GUEST_INTERRUPTIBILITY_INFO, GUEST_INTERRUPTIBILITY_INFO, blocking);
  update32(region, i32, W_GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_STATE, cpu.activity);
  let pending = 0;
  if (keepsPendingDebug || shadow === InterruptShadow.MOV_SS) {
    pending = cpu.pendingDebug & (PendingDebug.BREAKPOINTS | PendingDebug.BS);
    if ((pending & PendingDebug.BREAKPOINTS) !== 0) pending |= PendingDebug.ENABLED;
  }
  update64(region, i32, W_GUEST_PENDING_DBG_EXCEPTIONS, GUEST_PENDING_DBG_EXCEPTIONS, pending, 0);
  if (controls.hasPinBased(PinBased.activateVmxPreemptionTimer) && controls.hasExit(ExitControl.saveVmxPreemptionTimerValue))
    vmcs.set(VMX_PREEMPTION_TIMER_VALUE, op.timer.value);
}

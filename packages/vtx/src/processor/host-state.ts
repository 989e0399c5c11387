import {
  Activity,
  ALL_FLAGS,
  Dr7,
  Gpr,
  guestFault,
  InterruptShadow,
  loadPdptes,
  Segment,
  State,
  setNullSegment,
  setSegment,
  writeEflags,
} from '@minusone/x86';
import { FIELD, type VmcsFieldName } from '../vmcs/fields.ts';
import { fieldOffset } from '../vmcs/layout.ts';
import { ExitControl } from './controls.ts';
import { CR0_KEPT, usesPdptes } from './guest-state.ts';
import type { VmxOperation } from './operation.ts';
import type { Region } from './region.ts';
import { wordOf } from './words.ts';

/** Loading the host's state (SDM Vol. 3C, 28.5 "Loading Host State"). */

const copies: readonly (readonly [VmcsFieldName, number])[] = [
  ['HOST_RSP', State.gpr + Gpr.RSP * 8],
  ['HOST_CR3', State.cr3],
  ['HOST_GDTR_BASE', State.gdtrBase],
  ['HOST_IDTR_BASE', State.idtrBase],
  ['HOST_IA32_SYSENTER_ESP', State.sysenterEsp],
  ['HOST_IA32_SYSENTER_EIP', State.sysenterEip],
];
const FROM: Uint16Array = Uint16Array.from(copies, ([field]) => fieldOffset(FIELD[field]) >>> 2);
const TO: Uint16Array = Uint16Array.from(copies, ([, state]) => state >>> 2);
const DATA_SEGMENTS = (['SS', 'DS', 'ES', 'FS', 'GS'] as const).map((name) => ({
  segment: Segment[name],
  selector: FIELD[`HOST_${name}_SELECTOR`],
  base: name === 'FS' || name === 'GS' ? FIELD[`HOST_${name}_BASE`] : undefined,
}));
const { HOST_IA32_PAT, HOST_CS_SELECTOR, HOST_TR_SELECTOR, HOST_TR_BASE } = FIELD;
const W_HOST_RIP = wordOf('HOST_RIP');
const W_HOST_CR0 = wordOf('HOST_CR0');
const W_HOST_CR4 = wordOf('HOST_CR4');
const W_HOST_IA32_EFER = wordOf('HOST_IA32_EFER');
const W_HOST_IA32_SYSENTER_CS = wordOf('HOST_IA32_SYSENTER_CS');

/** The words that hold the selectors (two in each: 16-bit fields stand in pairs) and the bases. */
const SOURCES: Uint16Array = Uint16Array.from(
  new Set([
    ...(['CS', 'SS', 'DS', 'ES', 'FS', 'GS', 'TR'] as const).map((name) => fieldOffset(FIELD[`HOST_${name}_SELECTOR`]) >>> 2),
    ...(['FS', 'GS', 'TR'] as const).flatMap((name) => [wordOf(`HOST_${name}_BASE`), wordOf(`HOST_${name}_BASE`) + 1]),
  ]),
);

/** Access rights that 28.5.2 prescribes: code 64-bit or 32-bit, data, busy TSS. */
const CODE64 = 0xa09b;
const CODE32 = 0xc09b;
const DATA = 0xc093;
const TSS = 0x8b;
const CR4_PAE = 0x20;
const CR4_PCIDE = 0x2_0000;
const EFER_LONG = 0x500;

/**
 * 28.5.1 to 28.5.5. The layer is no longer the CPU's; paging and mode follow. Returns false where the PDPTEs of a host with PAE paging are refused (a VMX abort follows).
 *
 * @param nmiBlocked blocking by NMI after it
 */
export function loadHostState(op: VmxOperation, region: Region, nmiBlocked: boolean): boolean {
  const { cpu, controls } = op;
  const { registers } = cpu;
  const { i32 } = cpu.memory;
  const { vmcs } = region;
  const s = cpu.state >>> 2;
  const v = region.word;
  const is64Bit = controls.hasExit(ExitControl.hostAddressSpaceSize);

  for (let i = 0; i < TO.length; i++) {
    i32[s + TO[i]!] = i32[v + FROM[i]!]!;
    i32[s + TO[i]! + 1] = i32[v + FROM[i]! + 1]!;
  }
  registers.set32(State.sysenterCs, i32[v + W_HOST_IA32_SYSENTER_CS]!);
  registers.set32(State.sysenterCs + 4, 0);
  const oldCr4 = registers.get32(State.cr4);
  registers.set32(State.cr0, (registers.get32(State.cr0) & CR0_KEPT) | (i32[v + W_HOST_CR0]! & ~CR0_KEPT));
  const cr4 = i32[v + W_HOST_CR4]!;
  registers.set32(State.cr4, is64Bit ? cr4 | CR4_PAE : cr4 & ~CR4_PCIDE);
  cpu.msrs.debugCtl = 0;
  if (controls.hasExit(ExitControl.loadIa32Pat)) {
    registers.set32(State.pat, vmcs.low(HOST_IA32_PAT));
    registers.set32(State.pat + 4, vmcs.high(HOST_IA32_PAT));
  }
  const efer = controls.hasExit(ExitControl.loadIa32Efer) ? i32[v + W_HOST_IA32_EFER]! : registers.get32(State.efer);
  registers.set32(State.efer, is64Bit ? efer | EFER_LONG : efer & ~EFER_LONG);
  cpu.debug.loadControl(Dr7.FIXED, oldCr4 ^ registers.get32(State.cr4));

  loadSegments(op, region, is64Bit);
  registers.set32(State.gdtrLimit, 0xffff);
  registers.set32(State.idtrLimit, 0xffff);
  registers.set32(State.cpl, 0);
  writeEflags(registers, 2, ALL_FLAGS);

  cpu.activity = Activity.ACTIVE;
  cpu.interruptShadow = InterruptShadow.NONE;
  cpu.pendingDebug = 0;
  cpu.nmiBlocked = nmiBlocked;
  cpu.monitorArmed = false;
  cpu.jumpTo(i32[v + W_HOST_RIP]!, i32[v + W_HOST_RIP + 1]!);

  cpu.layer = undefined;
  if (usesPdptes(cpu) && !loadHostPdptes(op)) return false;
  if (op.hostPaging.apply(cpu)) cpu.engine.flushTag(0);
  cpu.updateMode();
  return true;
}

/** 28.5.2. The same registers as at the last exit are copied whole; anything else is made from its parts. */
function loadSegments(op: VmxOperation, region: Region, is64Bit: boolean): void {
  const { cpu } = op;
  const { i32 } = cpu.memory;
  const v = region.word;
  const { hostSegments, hostSegmentSources } = region;
  const to = (cpu.state + State.segments) >>> 2;
  let same = hostSegmentSources[SOURCES.length] === (is64Bit ? 1 : 0);
  for (let n = 0; same && n < SOURCES.length; n++) same = hostSegmentSources[n] === i32[v + SOURCES[n]!];
  if (same) {
    i32.set(hostSegments, to);
    return;
  }
  makeSegments(op, region, is64Bit);
  for (let n = 0; n < SOURCES.length; n++) hostSegmentSources[n] = i32[v + SOURCES[n]!]!;
  hostSegmentSources[SOURCES.length] = is64Bit ? 1 : 0;
  for (let n = 0; n < hostSegments.length; n++) hostSegments[n] = i32[to + n]!;
}

function makeSegments(op: VmxOperation, region: Region, is64Bit: boolean): void {
  const { registers } = op.cpu;
  const { vmcs } = region;
  setSegment(registers, Segment.CS, vmcs.low(HOST_CS_SELECTOR), is64Bit ? CODE64 : CODE32, -1, 0);
  for (const { segment, selector, base } of DATA_SEGMENTS) {
    const value = vmcs.low(selector);
    const low = base === undefined ? 0 : vmcs.low(base);
    const high = base === undefined ? 0 : vmcs.high(base);
    // An unusable FS or GS has its base all the same: in 64-bit mode it counts.
    setSegment(registers, segment, value, value === 0 ? UNUSABLE_DATA : DATA, -1, low, high);
  }
  setSegment(registers, Segment.TR, vmcs.low(HOST_TR_SELECTOR), TSS, 0x67, vmcs.low(HOST_TR_BASE), vmcs.high(HOST_TR_BASE));
  setNullSegment(registers, Segment.LDTR, 0);
}

/** DATA, unusable. */
const UNUSABLE_DATA = 0x1_c093;

/** 28.5.4 "Checking and Loading Host Page-Directory-Pointer-Table Entries". */
function loadHostPdptes(op: VmxOperation): boolean {
  try {
    loadPdptes(op.cpu, op.cpu.registers.get32(State.cr3));
    return true;
  } catch (thrown) {
    if (thrown !== guestFault) throw thrown;
    return false;
  }
}

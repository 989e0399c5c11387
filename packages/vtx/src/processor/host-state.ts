import {
  Activity,
  ALL_FLAGS,
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
import { CR0_KEPT, debugRegistersLoaded, usesPdptes } from './guest-state.ts';
import type { VmxOperation } from './operation.ts';
import type { Region } from './region.ts';

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
const {
  HOST_RIP,
  HOST_CR0,
  HOST_CR4,
  HOST_IA32_EFER,
  HOST_IA32_PAT,
  HOST_IA32_SYSENTER_CS,
  HOST_CS_SELECTOR,
  HOST_TR_SELECTOR,
  HOST_TR_BASE,
} = FIELD;

/** Access rights that 28.5.2 prescribes: code 64-bit or 32-bit, data, busy TSS. */
const CODE64 = 0xa09b;
const CODE32 = 0xc09b;
const DATA = 0xc093;
const TSS = 0x8b;
const CR4_PAE = 0x20;
const CR4_PCIDE = 0x2_0000;
const EFER_LONG = 0x500;
const DR7_INITIAL = 0x400;

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
  registers.set32(State.sysenterCs, vmcs.low(HOST_IA32_SYSENTER_CS));
  registers.set32(State.sysenterCs + 4, 0);
  const oldDr7 = registers.get32(State.dr7);
  const oldCr4 = registers.get32(State.cr4);
  registers.set32(State.cr0, (registers.get32(State.cr0) & CR0_KEPT) | (vmcs.low(HOST_CR0) & ~CR0_KEPT));
  const cr4 = vmcs.low(HOST_CR4);
  registers.set32(State.cr4, is64Bit ? cr4 | CR4_PAE : cr4 & ~CR4_PCIDE);
  registers.set32(State.dr7, DR7_INITIAL);
  cpu.msrs.debugCtl = 0;
  if (controls.hasExit(ExitControl.loadIa32Pat)) {
    registers.set32(State.pat, vmcs.low(HOST_IA32_PAT));
    registers.set32(State.pat + 4, vmcs.high(HOST_IA32_PAT));
  }
  const efer = controls.hasExit(ExitControl.loadIa32Efer) ? vmcs.low(HOST_IA32_EFER) : registers.get32(State.efer);
  registers.set32(State.efer, is64Bit ? efer | EFER_LONG : efer & ~EFER_LONG);
  debugRegistersLoaded(cpu, oldDr7, oldCr4);

  setSegment(registers, Segment.CS, vmcs.low(HOST_CS_SELECTOR), is64Bit ? CODE64 : CODE32, -1, 0);
  for (const { segment, selector, base } of DATA_SEGMENTS) {
    const value = vmcs.low(selector);
    const low = base === undefined ? 0 : vmcs.low(base);
    const high = base === undefined ? 0 : vmcs.high(base);
    // An unusable FS or GS has its base all the same: in 64-bit mode it counts (28.5.2).
    if (value === 0) setSegment(registers, segment, 0, UNUSABLE_DATA, -1, low, high);
    else setSegment(registers, segment, value, DATA, -1, low, high);
  }
  setSegment(registers, Segment.TR, vmcs.low(HOST_TR_SELECTOR), TSS, 0x67, vmcs.low(HOST_TR_BASE), vmcs.high(HOST_TR_BASE));
  setNullSegment(registers, Segment.LDTR, 0);
  registers.set32(State.gdtrLimit, 0xffff);
  registers.set32(State.idtrLimit, 0xffff);
  registers.set32(State.cpl, 0);
  writeEflags(registers, 2, ALL_FLAGS);

  cpu.activity = Activity.ACTIVE;
  cpu.interruptShadow = InterruptShadow.NONE;
  cpu.pendingDebug = 0;
  cpu.nmiBlocked = nmiBlocked;
  cpu.monitorArmed = false;
  cpu.jumpTo(vmcs.low(HOST_RIP) | 0, vmcs.high(HOST_RIP) | 0);

  cpu.layer = undefined;
  if (usesPdptes(cpu) && !loadHostPdptes(op)) return false;
  if (op.hostPaging.apply(cpu)) cpu.engine.flushTag(0);
  cpu.updateMode();
  return true;
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

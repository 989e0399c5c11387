import { Access, PagingControls, type PagingKind, pdpteHasReservedBits, StageResult, WalkFault } from '@minusone/mmu';
import { Segment, State } from '../state/layout.ts';
import { Cr0, Cr4, Efer } from './control-bits.ts';
import type { Cpu } from './cpu.ts';
import { guestFault, raise, SECOND_STAGE_FAULT, Vector } from './fault.ts';
import { Attribute } from './segments/descriptor.ts';
import { attributesOf, baseLowOf, limitOf, selectorOf, setSegment } from './segments/segment-register.ts';

/** Moves to CR0, CR3, CR4 and CR8, with every condition of #GP (SDM Vol. 2B, "MOV: Move to/from Control Registers"; Vol. 3A, 2.5). */

const CR0_DEFINED = Cr0.PE | Cr0.MP | Cr0.EM | Cr0.TS | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.AM | Cr0.NW | Cr0.CD | Cr0.PG;
/** Bits of CR0 and CR4 that the meaning of cached translations depends on. */
const CR0_TRANSLATION = Cr0.PG | Cr0.WP | Cr0.PE;
const CR4_TRANSLATION = Cr4.PSE | Cr4.PAE | Cr4.PGE | Cr4.PCIDE | Cr4.SMEP | Cr4.SMAP | Cr4.LA57 | Cr4.PKE;

/** CR4 bits by the feature that brings them; others are reserved. */
const CR4_FEATURES: readonly (readonly [feature: string, bits: number])[] = [
  ['VME', Cr4.VME | Cr4.PVI],
  ['TSC', Cr4.TSD],
  ['DE', Cr4.DE],
  ['PSE', Cr4.PSE],
  ['PAE', Cr4.PAE],
  ['MCE', Cr4.MCE],
  ['PGE', Cr4.PGE],
  ['FXSR', Cr4.OSFXSR],
  ['SSE', Cr4.OSXMMEXCPT],
  ['UMIP', Cr4.UMIP],
  ['LA57', Cr4.LA57],
  ['FSGSBASE', Cr4.FSGSBASE],
  ['PCID', Cr4.PCIDE],
  ['XSAVE', Cr4.OSXSAVE],
  ['SMEP', Cr4.SMEP],
  ['SMAP', Cr4.SMAP],
];

/** The bits of CR4 that software may set on this CPU. CR4.PCE exists on all. */
export function cr4Allowed(cpu: Cpu): number {
  let allowed: number = Cr4.PCE;
  for (const [feature, bits] of CR4_FEATURES) if (cpu.model.has(feature)) allowed |= bits;
  for (const extension of cpu.extensions) allowed |= extension.cr4Bits ?? 0;
  return allowed;
}

/** The conditions of #GP(0) of MOV CR0 that need no memory. `high`: bits 63:32 of the value. */
function refusesCr0(cpu: Cpu, value: number, high: number): boolean {
  const { registers } = cpu;
  if (high !== 0) return true;
  if ((value & Cr0.PG) !== 0 && (value & Cr0.PE) === 0) return true;
  if ((value & Cr0.NW) !== 0 && (value & Cr0.CD) === 0) return true;
  const next = (value & CR0_DEFINED) | Cr0.ET;
  if (cpu.extensions.some((extension) => extension.refusesControlRegister?.(cpu, 0, next))) return true;
  if (((registers.get32(State.cr0) ^ next) & Cr0.PG) === 0) return false;
  const cr4 = registers.get32(State.cr4);
  if ((next & Cr0.PG) === 0) return cpu.is64Bit || (cr4 & Cr4.PCIDE) !== 0;
  // SDM Vol. 3A, 9.8.5: PAE must be on, and CS.L off (16-bit TSS too is refused).
  if ((registers.get32(State.efer) & Efer.LME) === 0) return false;
  return (cr4 & Cr4.PAE) === 0 || (attributesOf(registers, Segment.CS) & Attribute.L) !== 0;
}

/** MOV CR0 and LMSW. `high`: bits 63:32 of the value. */
export function writeCr0(cpu: Cpu, value: number, high = 0): void {
  if (refusesCr0(cpu, value, high)) raise(Vector.GP, 0);
  const { registers } = cpu;
  const old = registers.get32(State.cr0);
  const cr4 = registers.get32(State.cr4);
  const efer = registers.get32(State.efer);
  const next = (value & CR0_DEFINED) | Cr0.ET;

  if (((old ^ next) & Cr0.PG) !== 0) {
    if ((next & Cr0.PG) !== 0 && (efer & Efer.LME) === 0 && (cr4 & Cr4.PAE) !== 0) loadPdptes(cpu, registers.get32(State.cr3));
  } else if ((next & Cr0.PG) !== 0 && (cr4 & Cr4.PAE) !== 0 && (efer & Efer.LMA) === 0 && ((old ^ next) & (Cr0.CD | Cr0.NW)) !== 0) {
    // SDM Vol. 3A, 4.4.1: changes of CD, NW or PG load the PDPTEs.
    loadPdptes(cpu, registers.get32(State.cr3));
  }

  registers.set32(State.cr0, next);
  if (((old ^ next) & Cr0.PG) !== 0) {
    const active = (next & Cr0.PG) !== 0 && (efer & Efer.LME) !== 0;
    registers.set32(State.efer, active ? efer | Efer.LMA : efer & ~Efer.LMA);
  }
  if ((next & Cr0.PE) === 0 && (old & Cr0.PE) !== 0) enterRealMode(cpu);
  if (((old ^ next) & CR0_TRANSLATION) !== 0) {
    cpu.updatePaging();
    cpu.engine.flushAll();
  }
  cpu.updateMode();
}

/** Leaving protected mode: CPL is 0; CS can be written through as in real-address mode. */
function enterRealMode(cpu: Cpu): void {
  const { registers } = cpu;
  registers.set32(State.cpl, 0);
  const kept = attributesOf(registers, Segment.CS) & (Attribute.DB | Attribute.G);
  const limit = limitOf(registers, Segment.CS);
  setSegment(registers, Segment.CS, selectorOf(registers, Segment.CS), kept | 0x93, limit, baseLowOf(registers, Segment.CS));
}

/** The condition of #GP(0) of MOV CR3 in long mode. Bit 63 with PCIDE is none of the address. */
function refusesCr3(cpu: Cpu, value: bigint): boolean {
  const pcide = (cpu.registers.get32(State.cr4) & Cr4.PCIDE) !== 0;
  return (pcide ? BigInt.asUintN(63, value) : value) >> BigInt(cpu.model.physicalBits) !== 0n;
}

/** MOV CR3. Bit 63 with PCIDE: translations of the new PCID stay. */
export function writeCr3(cpu: Cpu, value: bigint): void {
  const { registers } = cpu;
  const cr4 = registers.get32(State.cr4);
  const pcide = (cr4 & Cr4.PCIDE) !== 0;
  let next = value;
  if (cpu.isLongMode) {
    if (refusesCr3(cpu, value)) raise(Vector.GP, 0);
    if (pcide) next &= ~(1n << 63n);
  } else {
    next &= 0xffffffffn;
    if (cpu.isPaging && (cr4 & Cr4.PAE) !== 0) loadPdptes(cpu, Number(next));
  }
  registers.set64(State.cr3, next);
  cpu.updatePaging();
  cpu.engine.addressSpaceChanged(true);
}

/** CR3 from a TSS: no fault but for the PDPTEs. */
export function loadCr3ForTask(cpu: Cpu, value: number): void {
  if (!cpu.isPaging) {
    cpu.registers.set64(State.cr3, BigInt(value >>> 0));
    return;
  }
  writeCr3(cpu, BigInt(value >>> 0));
}

/** The conditions of #GP(0) of MOV CR4 that need no memory. */
function refusesCr4(cpu: Cpu, value: number, high: number): boolean {
  const { registers } = cpu;
  const old = registers.get32(State.cr4);
  const long = cpu.isLongMode;
  if (high !== 0 || (value & ~cr4Allowed(cpu)) !== 0) return true;
  // SDM Vol. 2B, MOV CR: PAE cannot be cleared, nor LA57 changed, in IA-32e mode.
  if (long && ((value & Cr4.PAE) === 0 || ((old ^ value) & Cr4.LA57) !== 0)) return true;
  // SDM Vol. 3A, 4.10.1: PCIDE only in IA-32e mode, and set only with CR3[11:0] = 0.
  if ((value & Cr4.PCIDE) !== 0 && (old & Cr4.PCIDE) === 0 && (!long || (registers.get32(State.cr3) & 0xfff) !== 0)) return true;
  return cpu.extensions.some((extension) => extension.refusesControlRegister?.(cpu, 4, value) === true);
}

/** Whether MOV to a control register is #GP(0) for its value alone: exceptions that AMD's intercepts come behind (APM Vol. 2, 15.9 "Instruction Intercepts"). */
export function refusesControlRegister(cpu: Cpu, register: number, value: bigint): boolean {
  const low = Number(BigInt.asIntN(32, value));
  const high = Number(BigInt.asIntN(32, value >> 32n));
  switch (register) {
    case 0:
      return refusesCr0(cpu, low, high);
    case 3:
      return cpu.isLongMode && refusesCr3(cpu, value);
    case 4:
      return refusesCr4(cpu, low, high);
    case 8:
      return value > 15n;
    default:
      return false;
  }
}

/** MOV CR4. */
export function writeCr4(cpu: Cpu, value: number, high = 0): void {
  if (refusesCr4(cpu, value, high)) raise(Vector.GP, 0);
  const { registers } = cpu;
  const old = registers.get32(State.cr4);
  const long = cpu.isLongMode;
  const changed = old ^ value;
  if (cpu.isPaging && !long && (value & Cr4.PAE) !== 0 && (changed & (Cr4.PAE | Cr4.PGE | Cr4.PSE | Cr4.SMEP)) !== 0) {
    loadPdptes(cpu, registers.get32(State.cr3));
  }
  registers.set32(State.cr4, value);
  if ((changed & CR4_TRANSLATION) !== 0) {
    cpu.updatePaging();
    cpu.engine.flushAll();
  }
  if ((changed & Cr4.DE) !== 0) cpu.debug.changed();
  cpu.updateMode();
}

const stageResult = new StageResult();

/** Eight bytes at a guest-physical address of the layer that runs: through its second stage (SDM Vol. 3C, 29.3.1), whose fault is the layer's to exit with. */
function readGuestPhysical64(cpu: Cpu, gpa: number): bigint {
  const { stage } = cpu;
  if (stage === null) return cpu.physical.read64(gpa);
  if (stage.translate(gpa, Access.READ | Access.NO_LINEAR, stageResult, null)) return cpu.physical.read64(stageResult.pa);
  const result = cpu.engine.walkResult;
  Object.assign(result.stage, stageResult);
  result.fault = WalkFault.SECOND_STAGE;
  result.stageOnTable = true;
  guestFault.addressLow = guestFault.addressHigh = 0;
  return raise(SECOND_STAGE_FAULT);
}

/** PAE paging: the four PDPTEs, checked (SDM Vol. 3A, 4.4.1). #GP(0) for a reserved bit of a present one. */
export function loadPdptes(cpu: Cpu, cr3: number): void {
  const base = (cr3 & ~0x1f) >>> 0;
  const entries = [0, 1, 2, 3].map((i) => readGuestPhysical64(cpu, base + i * 8));
  const refused = entries.some((entry) =>
    pdpteHasReservedBits(Number(BigInt.asIntN(32, entry)), Number(BigInt.asIntN(32, entry >> 32n)), cpu.model.physicalBits),
  );
  // With AMD's nested paging the entries are looked at when a walk uses them (APM Vol. 2, 15.25.10 "Legacy PAE Mode").
  const checkedAtUse = cpu.stage !== null && cpu.model.vendor === 'amd';
  if (refused && !checkedAtUse) raise(Vector.GP, 0);
  entries.forEach((entry, i) => {
    cpu.registers.set64(State.pdptes + i * 8, entry);
  });
}

/** WRMSR to IA32_EFER (SDM Vol. 3A, 2.2.1; 9.8.5: LME may not change while paging). */
export function writeEfer(cpu: Cpu, value: bigint): void {
  const { registers, model } = cpu;
  let allowed = Efer.LMA;
  if (model.has('SYSCALL')) allowed |= Efer.SCE;
  if (model.has('LM')) allowed |= Efer.LME;
  if (model.has('NX')) allowed |= Efer.NXE;
  if (model.has('FFXSR')) allowed |= Efer.FFXSR;
  for (const extension of cpu.extensions) allowed |= extension.eferBits ?? 0;
  const low = Number(BigInt.asIntN(32, value));
  const old = registers.get32(State.efer);
  if (value >> 32n !== 0n || (low & ~allowed) !== 0) raise(Vector.GP, 0);
  if (((low ^ old) & Efer.LME) !== 0 && cpu.isPaging) raise(Vector.GP, 0);
  registers.set32(State.efer, (low & ~Efer.LMA) | (old & Efer.LMA));
  if (((low ^ old) & (Efer.NXE | Efer.LME)) !== 0) {
    cpu.updatePaging();
    cpu.engine.flushAll();
  }
  cpu.updateMode();
}

/** CR8 is the task priority of the local APIC (SDM Vol. 3A, 10.8.6.1). */
export function readCr8(cpu: Cpu): number {
  const virtual = cpu.layer?.readCr8?.();
  if (virtual !== undefined) return virtual;
  return cpu.apic === undefined ? cpu.registers.get32(State.cr8) : cpu.apic.taskPriority >>> 4;
}

export function writeCr8(cpu: Cpu, value: bigint): void {
  if (value > 15n) raise(Vector.GP, 0);
  const priority = Number(value);
  if (cpu.layer?.writeCr8?.(priority)) return;
  cpu.registers.set32(State.cr8, priority);
  if (cpu.apic !== undefined) cpu.apic.taskPriority = priority << 4;
}

/** Paging as the registers say: what the engine and the MMU go by. */
export function pagingControls(cpu: Cpu): PagingControls {
  const { registers, model } = cpu;
  const cr0 = registers.get32(State.cr0);
  const cr4 = registers.get32(State.cr4);
  const efer = registers.get32(State.efer);
  const cr3 = registers.get64(State.cr3);
  const kind = pagingKind(cr0, cr4, efer);
  const wide = kind === '4-level' || kind === '5-level';
  return new PagingControls({
    kind,
    root: Number(cr3 & (wide ? 0xffffffffff000n : 0xfffff000n)),
    pdptes: [0, 1, 2, 3].map((i) => registers.get64(State.pdptes + i * 8)) as [bigint, bigint, bigint, bigint],
    wp: (cr0 & Cr0.WP) !== 0,
    smep: (cr4 & Cr4.SMEP) !== 0,
    smap: (cr4 & Cr4.SMAP) !== 0,
    nxe: (efer & Efer.NXE) !== 0,
    pse: (cr4 & Cr4.PSE) !== 0,
    pge: (cr4 & Cr4.PGE) !== 0,
    pse36: model.has('PSE36'),
    gbPages: model.has('PDPE1GB'),
    maxPhyAddr: model.physicalBits,
    tableGlobalReserved: model.vendor === 'amd',
  });
}

/** SDM Vol. 3A, 4.1.1 "Four Paging Modes". */
function pagingKind(cr0: number, cr4: number, efer: number): PagingKind {
  if ((cr0 & Cr0.PG) === 0) return 'none';
  if ((cr4 & Cr4.PAE) === 0) return '32-bit';
  if ((efer & Efer.LMA) === 0) return 'pae';
  return (cr4 & Cr4.LA57) !== 0 ? '5-level' : '4-level';
}

import { State } from '../../state/layout.ts';
import type { Cpu } from '../cpu.ts';
import { raise, Vector } from '../fault.ts';
import { Msr, msrTable } from './msr-table.ts';
import type { MsrRow } from './row.ts';

/** MSRs that are plain storage and have a field in the state. */
const IN_STATE: ReadonlyMap<number, number> = new Map([
  [Msr.PAT, State.pat],
  [Msr.SYSENTER_CS, State.sysenterCs],
  [Msr.SYSENTER_ESP, State.sysenterEsp],
  [Msr.SYSENTER_EIP, State.sysenterEip],
  [Msr.STAR, State.star],
  [Msr.LSTAR, State.lstar],
  [Msr.CSTAR, State.cstar],
  [Msr.FMASK, State.fmask],
  [Msr.KERNEL_GS_BASE, State.kernelGsBase],
]);

/** The MSRs of one CPU: which there are by model and extensions, and the values of those that are plain storage. */
export class MsrFile {
  readonly #cpu: Cpu;
  readonly #rows: ReadonlyMap<number, MsrRow>;
  readonly #values = new Map<number, bigint>();
  /** IA32_DEBUGCTL's LBR and BTF. */
  debugCtl = 0;
  tscAdjust = 0n;
  /** What a virtualization layer adds to its guest's time-stamp counter; part of `tscOffset`. */
  #layerOffsetLow = 0;
  #layerOffsetHigh = 0;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
    const rows = new Map<number, MsrRow>();
    const all = [...msrTable, ...cpu.extensions.flatMap((extension) => extension.msrs)];
    for (const row of all) {
      if (row.vendor !== undefined && row.vendor !== cpu.model.vendor) continue;
      if (row.feature !== undefined && !cpu.model.has(row.feature)) continue;
      for (let i = 0; i < (row.count ?? 1); i++) rows.set(row.index + i, row);
    }
    this.#rows = rows;
  }

  /** Every row in force, for the coverage page. */
  get rows(): readonly MsrRow[] {
    return [...new Set(this.#rows.values())];
  }

  /** RDMSR. #GP(0) for an MSR that is not there. */
  read(index: number): bigint {
    const row = this.#rows.get(index >>> 0);
    if (row === undefined) raise(Vector.GP, 0);
    return row.read(this.#cpu, index >>> 0);
  }

  /** WRMSR. #GP(0) for an MSR that is not there, cannot be written, or not with this value. */
  write(index: number, value: bigint): void {
    const row = this.#rows.get(index >>> 0);
    if (row?.write === undefined) raise(Vector.GP, 0);
    row.write(this.#cpu, value, index >>> 0);
  }

  /** Value of a register that is plain storage. */
  stored(index: number): bigint {
    const offset = IN_STATE.get(index);
    return offset === undefined ? (this.#values.get(index) ?? 0n) : this.#cpu.registers.get64(offset);
  }
  store(index: number, value: bigint): void {
    const offset = IN_STATE.get(index);
    if (offset === undefined) this.#values.set(index, value);
    else this.#cpu.registers.set64(offset, value);
  }

  reset(): void {
    this.#values.clear();
    this.debugCtl = 0;
    this.tscAdjust = 0n;
    this.tscOffset = 0n;
    this.#layerOffsetLow = this.#layerOffsetHigh = 0;
    this.#cpu.registers.set32(State.tscAux, 0);
    for (const offset of IN_STATE.values()) this.#cpu.registers.set64(offset, 0n);
    for (const [index, row] of this.#rows) if (row.reset !== undefined) this.store(index, row.reset);
  }

  /** TSC = the machine's ticks + this, modulo 2^64, so that all processors of a machine agree (IA32_TIME_STAMP_COUNTER and IA32_TSC_ADJUST move it). */
  get tscOffset(): bigint {
    return this.#cpu.registers.get64(State.tscOffset);
  }
  set tscOffset(ticks: bigint) {
    this.#cpu.registers.set64(State.tscOffset, ticks);
  }
  /** The offset of a layer's guest (VT-x "TSC offset", VMCB TSC_OFFSET), which RDTSC and the MSR's reads then add; 0 takes it away. No BigInt. */
  setLayerTscOffset(low: number, high: number): void {
    const { registers } = this.#cpu;
    // The difference to the offset in force, added to the sum.
    const lowChange = (low >>> 0) - (this.#layerOffsetLow >>> 0);
    const sum = (registers.get32(State.tscOffset) >>> 0) + lowChange;
    registers.set32(State.tscOffset, sum | 0);
    registers.set32(
      State.tscOffset + 4,
      (registers.get32(State.tscOffset + 4) + high - this.#layerOffsetHigh + Math.floor(sum / 2 ** 32)) | 0,
    );
    this.#layerOffsetLow = low | 0;
    this.#layerOffsetHigh = high | 0;
  }
  /** The time-stamp counter without a layer's offset: what timers go by. */
  get machineTimeStamp(): bigint {
    const layer = (BigInt(this.#layerOffsetHigh) << 32n) | BigInt(this.#layerOffsetLow >>> 0);
    return BigInt.asUintN(64, this.timeStamp - layer);
  }
  get isBootstrap(): boolean {
    return this.#cpu.index === 0;
  }
  /** CPUID.1:EDX.APIC follows IA32_APIC_BASE's enable bit. */
  get apicEnabled(): boolean {
    return this.#cpu.apic?.isEnabled ?? false;
  }

  /** RDTSC's value now. */
  get timeStamp(): bigint {
    return BigInt.asUintN(64, BigInt(this.#cpu.timeStamp.ticks()) + this.tscOffset);
  }
}

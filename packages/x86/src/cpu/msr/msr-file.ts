import { State } from '../../state/layout.ts';
import type { Cpu } from '../cpu.ts';
import { raise, Vector } from '../fault.ts';
import { msrTable } from './msr-table.ts';
import type { MsrRow } from './row.ts';

/** The MSRs of one CPU: which there are by model and extensions, and the values of those that are plain storage. */
export class MsrFile {
  readonly #cpu: Cpu;
  readonly #rows: ReadonlyMap<number, MsrRow>;
  readonly #values = new Map<number, bigint>();
  /** IA32_DEBUGCTL's LBR and BTF. */
  debugCtl = 0;
  tscAdjust = 0n;

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
    return this.#values.get(index) ?? 0n;
  }
  store(index: number, value: bigint): void {
    this.#values.set(index, value);
  }

  reset(): void {
    this.#values.clear();
    this.debugCtl = 0;
    this.tscAdjust = 0n;
    this.tscOffset = 0n;
    this.#cpu.registers.set32(State.tscAux, 0);
    for (const [index, row] of this.#rows) if (row.reset !== undefined) this.#values.set(index, row.reset);
  }

  /** TSC = the machine's ticks + this, modulo 2^64, so that all processors of a machine agree (IA32_TIME_STAMP_COUNTER and IA32_TSC_ADJUST move it). */
  get tscOffset(): bigint {
    return this.#cpu.registers.get64(State.tscOffset);
  }
  set tscOffset(ticks: bigint) {
    this.#cpu.registers.set64(State.tscOffset, ticks);
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

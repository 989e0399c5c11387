import { InvalidArgumentError } from '@minusone/core';
import { CPUID_FAULTING, MISC_FEATURES_ENABLES, PLATFORM_INFO } from './common-msrs.ts';
import type { GuestMsrRow, GuestMsrState } from './guest-msr-row.ts';
import { MCE_BANKS, MCG_CAP, MCG_CAP_SUPPORTED } from './machine-check-msrs.ts';
import type { MsrHost } from './msr-host.ts';
import { rowsByIndex, X2APIC_FIRST } from './msr-table.ts';

export type { MsrHost } from './msr-host.ts';

const ICR = 0x830;
const rows = { intel: rowsByIndex('intel'), amd: rowsByIndex('amd') } as const;

/** The MSRs of one virtual CPU as its guest sees them, and as KVM_GET_MSRS and KVM_SET_MSRS (api.rst) do: `hostInitiated`. */
export class GuestMsrs implements GuestMsrState {
  readonly host: MsrHost;
  readonly #rows: ReadonlyMap<number, GuestMsrRow>;
  readonly #values = new Map<number, bigint>();
  /** A value and its halves. */
  readonly #value = new BigUint64Array(1);
  readonly #halves = new Int32Array(this.#value.buffer);
  /** Halves of the last `readHalves`, signed. */
  low = 0;
  high = 0;
  enforcesPvFeatures = false;
  /** KVM_CAP_MSR_PLATFORM_INFO: a guest may read MSR_PLATFORM_INFO. */
  guestReadsPlatformInfo = true;

  constructor(host: MsrHost) {
    this.host = host;
    this.#rows = rows[host.vendor];
    this.reset(false);
  }

  stored(index: number): bigint {
    return this.#values.get(index) ?? 0n;
  }
  store(index: number, value: bigint): void {
    this.#values.set(index, value);
  }

  /** undefined: #GP(0), or not one that KVM_GET_MSRS knows. */
  read(index: number, hostInitiated: boolean): bigint | undefined {
    if (index === PLATFORM_INFO && !hostInitiated && !this.guestReadsPlatformInfo) return undefined;
    return this.#rows.get(index)?.read(this, index, hostInitiated);
  }

  /** false: #GP(0). */
  write(index: number, value: bigint, hostInitiated: boolean): boolean {
    return this.#rows.get(index)?.write?.(this, value, index, hostInitiated) ?? false;
  }

  /** RDMSR of a guest: fills `low` and `high`, for x2APIC registers without a BigInt. false: #GP(0). */
  readHalves(index: number): boolean {
    const { lapic } = this.host;
    if (index >>> 8 === X2APIC_FIRST >>> 8) {
      const low = lapic?.readMsrLow(index);
      if (lapic === undefined || low === undefined) return false;
      this.low = low | 0;
      this.high = index === ICR ? lapic.interruptDestination | 0 : 0;
      return true;
    }
    const value = this.read(index >>> 0, false);
    if (value === undefined) return false;
    this.#value[0] = value;
    this.low = this.#halves[0] as number;
    this.high = this.#halves[1] as number;
    return true;
  }

  /** WRMSR of a guest, in halves: for x2APIC registers without a BigInt, for IA32_TSC_DEADLINE with one. false: #GP(0). */
  writeHalves(index: number, low: number, high: number): boolean {
    const { lapic } = this.host;
    if (index >>> 8 === X2APIC_FIRST >>> 8) return lapic?.writeMsrHalves(index, low, high | 0) ?? false;
    this.#halves[0] = low;
    this.#halves[1] = high;
    return this.write(index >>> 0, this.#value[0] as bigint, false);
  }

  /** Whether KVM has the MSR at all, whatever it refuses: tells the reason `unknown` of KVM_EXIT_X86_RDMSR and KVM_EXIT_X86_WRMSR from `invalid`. */
  has(index: number): boolean {
    return this.#rows.has(index >>> 0);
  }

  /** CPUID at CPL 3 is #GP(0) (MISC_FEATURES_ENABLES bit 0; SDM Vol. 3A, "CPUID Faulting"). */
  get cpuidFaults(): boolean {
    return (this.stored(MISC_FEATURES_ENABLES) & 1n) !== 0n && (this.stored(PLATFORM_INFO) & CPUID_FAULTING) !== 0n;
  }

  /**
   * KVM_X86_SETUP_MCE (api.rst): IA32_MCG_CAP, and every bank enabled.
   * @throws {InvalidArgumentError} more than 32 banks, none, or a capability that is not supported
   */
  setupMce(mcgCap: bigint): void {
    const banks = Number(mcgCap & 0xffn);
    if (banks === 0 || banks > MCE_BANKS || (mcgCap & ~0xffn & ~MCG_CAP_SUPPORTED) !== 0n) {
      throw new InvalidArgumentError('This IA32_MCG_CAP cannot be.', `1 to ${MCE_BANKS} banks, MCG_CTL_P (bit 8) and MCG_SER_P (bit 24).`, {
        mcgCap,
      });
    }
    this.store(MCG_CAP, mcgCap);
    if ((mcgCap & (1n << 8n)) !== 0n) this.store(0x17b, (1n << 64n) - 1n);
    for (let bank = 0; bank < banks; bank++) this.store(0x400 + 4 * bank, (1n << 64n) - 1n);
  }

  /** RESET. INIT leaves MSRs as they are (SDM Vol. 3A, Table 9-1). What the control block and the processor hold is theirs to reset. */
  reset(init: boolean): void {
    if (init) return;
    this.#values.clear();
    for (const [index, row] of this.#rows) if (row.reset !== undefined && row.reset !== 0n) this.#values.set(index, row.reset);
  }
}

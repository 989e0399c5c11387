import type { Cpu, Layer } from '@minusone/x86';
import type { VmxCapabilities } from '../capabilities/capabilities.ts';
import { Controls, Primary, Secondary } from './controls.ts';
import { pageModificationLog } from './page-modification-log.ts';
import { PagingCache } from './paging-cache.ts';
import { PreemptionTimer } from './preemption-timer.ts';
import { type Region, Regions } from './region.ts';
import { ResidentGuest } from './resident-guest.ts';
import { Tags } from './tags.ts';

/** VMX operation of one logical processor (SDM Vol. 3C, 24.3 "Introduction to VMX Operation"); `VmxLayer` is what its guest runs under. */
export class VmxOperation {
  readonly cpu: Cpu;
  readonly capabilities: VmxCapabilities;
  readonly regions: Regions = new Regions();
  readonly tags: Tags;
  readonly timer: PreemptionTimer;
  readonly controls: Controls = new Controls();
  /** The host's paging while the guest runs. */
  readonly hostPaging: PagingCache = new PagingCache();
  readonly resident: ResidentGuest;
  /** What the guest runs under. */
  layer: Layer | undefined;
  /** False: the host is TypeScript alone, and its state is not loaded. */
  readonly hostExecutes: boolean;
  /** Exits by basic reason. */
  readonly exitCounts: Float64Array = new Float64Array(128);
  /** IA32_VMX_MISC[5]. */
  readonly storesEferLma: boolean;

  /** IA32_FEATURE_CONTROL. */
  featureControl: number = 0;
  on = false;
  /** Physical addresses, bytes. */
  vmxonPointer = -1;
  current: Region | undefined;
  nonRoot = false;
  /** The entry was made by TypeScript: its exit stops the CPU. */
  enteredByFace = false;
  /** `Cpu.instructions` at which a monitor trap flag exit is due; infinite: none. */
  monitorTrapAt: number = Number.POSITIVE_INFINITY;
  /** A TPR-below-threshold exit is due. */
  tprBelowThreshold = false;
  /** What the exit under way says of the event that caused it (28.2.3); consumed by `vmExit`. */
  interruptionInfo = 0;
  interruptionError = 0;
  /** Halves of a 64-bit value that a helper hands back. */
  low = 0;
  high = 0;
  /** Bits 31:0 of the CR0 values that must be 1, and may be 1; likewise CR4. */
  readonly #cr0Fixed0: number;
  readonly #cr0Fixed1: number;
  readonly #cr4Fixed0: number;
  readonly #cr4Fixed1: number;

  constructor(cpu: Cpu, capabilities: VmxCapabilities, hostExecutes: boolean) {
    this.cpu = cpu;
    this.hostExecutes = hostExecutes;
    this.resident = new ResidentGuest(cpu);
    this.capabilities = capabilities;
    this.tags = new Tags(
      cpu,
      capabilities,
      pageModificationLog(cpu, () => this.current as Region),
    );
    const misc = Number((capabilities.msrs.IA32_VMX_MISC ?? 0n) & 0xffff_ffffn);
    this.timer = new PreemptionTimer(cpu, misc & 31);
    this.storesEferLma = (misc & 32) !== 0;
    const low = (value: bigint | undefined): number => Number(BigInt.asIntN(32, value ?? 0n));
    this.#cr0Fixed0 = low(capabilities.msrs.IA32_VMX_CR0_FIXED0);
    this.#cr0Fixed1 = low(capabilities.msrs.IA32_VMX_CR0_FIXED1);
    this.#cr4Fixed0 = low(capabilities.msrs.IA32_VMX_CR4_FIXED0);
    this.#cr4Fixed1 = low(capabilities.msrs.IA32_VMX_CR4_FIXED1);
  }

  /** Leaves VMX operation, or forgets it at a reset. */
  leave(): void {
    this.on = false;
    this.resident.drop();
    this.vmxonPointer = -1;
    this.current = undefined;
    this.nonRoot = false;
    this.enteredByFace = false;
    this.timer.stop();
    this.monitorTrapAt = Number.POSITIVE_INFINITY;
    this.tprBelowThreshold = false;
  }

  /** Whether VMXON may be executed with these values of CR0 and CR4 (24.8). */
  hasFixedBits(cr0: number, cr4: number): boolean {
    const hasCr0 = (cr0 & this.#cr0Fixed0) === this.#cr0Fixed0 && (cr0 & ~this.#cr0Fixed1) === 0;
    return hasCr0 && (cr4 & this.#cr4Fixed0) === this.#cr4Fixed0 && (cr4 & ~this.#cr4Fixed1) === 0;
  }

  /** Whether the guest's control registers are under the rules of VMX operation with "unrestricted guest" (24.8). */
  get isUnrestricted(): boolean {
    return (
      this.nonRoot && this.controls.hasSecondary(Secondary.unrestrictedGuest) && this.controls.hasPrimary(Primary.activateSecondaryControls)
    );
  }

  /** SDM Vol. 3C, 24.8 "Restrictions on VMX Operation": bits of CR0 and CR4 that are fixed; an unrestricted guest is free of CR0.PE and PG. */
  refusesControlRegister(register: 0 | 4, value: number): boolean {
    if (!this.on) return false;
    if (register === 4) return (value & this.#cr4Fixed0) !== this.#cr4Fixed0 || (value & ~this.#cr4Fixed1) !== 0;
    const fixed0 = this.isUnrestricted ? this.#cr0Fixed0 & 0x7fff_fffe : this.#cr0Fixed0;
    return (value & fixed0) !== fixed0 || (value & ~this.#cr0Fixed1) !== 0;
  }
}

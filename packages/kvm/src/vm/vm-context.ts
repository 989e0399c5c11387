import type { MachineClock } from '@minusone/x86';
import type { TscSync } from '../clock/tsc-sync.ts';
import type { Emulator } from '../emulation/emulator.ts';
import type { Host } from '../host/host.ts';
import type { EventFds } from '../irqchip/event-fds.ts';
import type { Irqchip } from '../irqchip/irqchip.ts';
import type { MsrFilter } from '../msrs/msr-filter.ts';
import type { EnabledCapabilities } from './enabled-capabilities.ts';
import type { GuestPhysical } from './guest-physical.ts';
import type { KernelPorts } from './kernel-ports.ts';

/** What became of an access that the second stage refused. */
export const FaultAnswer = {
  /** It is mapped now: the guest goes on. */
  MAPPED: 0,
  /** No memory, a device, or a write to read-only memory: the instruction is to be emulated. */
  DEVICE: 1,
  /** An instruction was to be fetched where no memory is. */
  NO_CODE: 2,
} as const;
export type FaultAnswer = (typeof FaultAnswer)[keyof typeof FaultAnswer];

/** A VM as its virtual CPUs see it. */
export interface VmContext {
  readonly host: Host;
  /** The VM's time. */
  readonly clock: MachineClock;
  /** Keeps time-stamp counters in step that user space sets. */
  readonly tscSync: TscSync;
  readonly physical: GuestPhysical;
  readonly kernelPorts: KernelPorts;
  readonly eventFds: EventFds;
  readonly irqchip: Irqchip | undefined;
  readonly emulator: Emulator;
  readonly msrFilter: MsrFilter;
  readonly capabilities: EnabledCapabilities;
  /** An access (`Access` flags of @minusone/mmu) that the second stage refused. */
  resolveFault(gpa: number, access: number): FaultAnswer;
  /** Somebody may have something to do now who waited. */
  wake(): void;
}

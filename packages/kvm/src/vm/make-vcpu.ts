import type { TimeStampSource } from '@minusone/x86';
import type { KvmClock } from '../clock/kvm-clock.ts';
import { supportedCpuid } from '../cpuid/supported-cpuid.ts';
import { OwnedPages } from '../host/owned-pages.ts';
import { GuestMsrs } from '../msrs/guest-msrs.ts';
import type { MsrFilter } from '../msrs/msr-filter.ts';
import { VcpuCore } from '../vcpu/core.ts';
import { CoreMsrHost } from '../vcpu/msr-host.ts';
import { GUEST_OWN_MSRS } from '../vendor/guest-own-msrs.ts';
import type { VendorVcpu } from '../vendor/vendor.ts';
import type { InterruptControllers } from './interrupt-controllers.ts';
import type { VmContext } from './vm-context.ts';

/** What a virtual CPU is made of, besides its id. */
export interface VcpuParts {
  readonly context: VmContext;
  readonly timeStamp: TimeStampSource;
  readonly kvmClock: KvmClock;
  readonly controllers: InterruptControllers;
  /** Host-physical address of the root of the second stage. */
  readonly root: number;
  readonly isBootstrap: boolean;
}

/** A virtual CPU after RESET: an emulated processor that serves it, its control block, clock, MSRs and, with an irqchip, local APIC. */
export function makeVcpu(id: number, parts: VcpuParts): VcpuCore {
  const { context, timeStamp, kvmClock, controllers, root, isBootstrap } = parts;
  const { host, capabilities } = context;
  const { cpu, extension } = host.createCpu(timeStamp);
  const pages = new OwnedPages(host.pages);
  const vendor = host.vendor.createVcpu({ cpu, extension, pages, root, id, tag: host.nextTag() });
  const core = new VcpuCore({ id, vm: context, vendor, pages, isBootstrap });
  core.clock = kvmClock.createVcpu({ at: (ns) => core.tscAt(ns), hz: core.tscHz });
  core.msrs = new GuestMsrs(new CoreMsrHost(core));
  core.msrs.guestReadsPlatformInfo = capabilities.guestReadsPlatformInfo;
  core.cpuid.set(supportedCpuid(host.model));
  core.lapic = controllers.createLapic(core);
  if (core.lapic !== undefined) core.mpState = isBootstrap ? 'runnable' : 'uninitialized';
  // Virtual CPUs take turns by instructions executed: one that spins costs the others nothing, so PAUSE need not exit.
  vendor.intercepts.idle({ hlt: !capabilities.guestHalts, pause: false, mwait: !capabilities.guestMonitors });
  interceptByFilter(vendor, context.msrFilter);
  core.reset(false);
  // The guest's TSC begins at 0 when its virtual CPU is made, and the VM's clock with it.
  vendor.state.setTscOffset(core.tscOffset);
  return core;
}

/** MSRs that the hardware would let through exit where the filter denies them. */
export function interceptByFilter(vendor: VendorVcpu, filter: MsrFilter): void {
  for (const index of GUEST_OWN_MSRS) vendor.msrIntercepts.set(index, !filter.allows(index, false), !filter.allows(index, true));
}

import { KvmMsr } from '../clock/vcpu-clock.ts';
import { KvmFeature } from '../cpuid/cpuid-entry.ts';
import type { GuestMsrRow, GuestMsrState } from './guest-msr-row.ts';

/** The guest's TSC is to show another value from now on. */
function moveTsc({ host }: GuestMsrState, offset: bigint): void {
  host.setTscOffset(BigInt.asUintN(64, offset));
  host.lapic?.timeStampChanged();
  host.clock.update();
}

const TSC_ADJUST = 0x3b;

function clockRow(index: number, name: string, feature: number): GuestMsrRow {
  const isShown = (state: GuestMsrState): boolean => !state.enforcesPvFeatures || state.host.cpuid.hasKvmFeature(feature);
  return {
    index,
    name,
    section: 'Documentation/virt/kvm/x86/msr.rst',
    list: 'state',
    read: (state, at, isHost) => (isHost || isShown(state) ? state.host.clock.readMsr(at) : undefined),
    write: (state, value, at, isHost) => (isHost || isShown(state)) && state.host.clock.writeMsr(at, value),
  };
}

/** Time-stamp counter and kvmclock. IA32_TSC_DEADLINE is the local APIC's (see `GuestMsrs`). */
export const timeMsrs: readonly GuestMsrRow[] = [
  {
    index: 0x10,
    name: 'IA32_TIME_STAMP_COUNTER',
    section: 'Vol. 3B 17.17',
    list: 'state',
    read: ({ host }) => host.tsc(),
    write: (state, value, _index, isHost) => {
      const { host } = state;
      const offset = host.tscOffset();
      if (isHost) {
        const hostTicks = BigInt.asUintN(64, host.tsc() - offset);
        moveTsc(state, host.tscSync?.offsetFor(value, hostTicks, host.tscHz) ?? value - hostTicks);
        return true;
      }
      // 17.17.3: a write moves IA32_TSC_ADJUST by the same amount.
      const change = value - host.tsc();
      state.store(TSC_ADJUST, BigInt.asUintN(64, state.stored(TSC_ADJUST) + change));
      moveTsc(state, offset + change);
      return true;
    },
  },
  {
    index: TSC_ADJUST,
    name: 'IA32_TSC_ADJUST',
    section: 'Vol. 3B 17.17.3',
    list: 'state',
    reset: 0n,
    read: (state, index, isHost) => (isHost || state.host.cpuid.has('TSC_ADJUST') ? state.stored(index) : undefined),
    write: (state, value, index, isHost) => {
      if (!isHost && !state.host.cpuid.has('TSC_ADJUST')) return false;
      // User space restores the register; the counter is restored by its own.
      if (!isHost) moveTsc(state, state.host.tscOffset() + value - state.stored(index));
      state.store(index, value);
      return true;
    },
  },
  clockRow(KvmMsr.WALL_CLOCK, 'MSR_KVM_WALL_CLOCK', KvmFeature.CLOCKSOURCE),
  clockRow(KvmMsr.SYSTEM_TIME, 'MSR_KVM_SYSTEM_TIME', KvmFeature.CLOCKSOURCE),
  clockRow(KvmMsr.WALL_CLOCK_NEW, 'MSR_KVM_WALL_CLOCK_NEW', KvmFeature.CLOCKSOURCE2),
  clockRow(KvmMsr.SYSTEM_TIME_NEW, 'MSR_KVM_SYSTEM_TIME_NEW', KvmFeature.CLOCKSOURCE2),
];

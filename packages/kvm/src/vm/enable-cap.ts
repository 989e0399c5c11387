import { UnknownCapabilityError, WrongOrderError } from '../errors.ts';
import type { Irqchip } from '../irqchip/irqchip.ts';
import type { EnabledCapabilities } from './enabled-capabilities.ts';

/** What enabling a capability needs of a VM. */
export interface CapabilityHost {
  readonly capabilities: EnabledCapabilities;
  readonly irqchip: Irqchip | undefined;
  readonly vcpuCount: number;
  setIrqchip(kind: 'split'): void;
}

type Enable = (vm: CapabilityHost, args: readonly bigint[]) => void;

function bits(name: string, allowed: bigint, value: bigint): number {
  if ((value & ~allowed) !== 0n)
    throw new UnknownCapabilityError(name, `its argument has bits that are not there, 0x${(value & ~allowed).toString(16)}`);
  return Number(value);
}

/** KVM_ENABLE_CAP on a VM (api.rst, 4.37; 7), by name without `KVM_CAP_`. */
const ENABLE: Readonly<Record<string, Enable>> = {
  // 7.5
  SPLIT_IRQCHIP: (vm) => {
    if (vm.vcpuCount > 0) throw new WrongOrderError('A virtual CPU exists already.', 'Make the irqchip before the virtual CPUs.');
    if (vm.irqchip !== undefined) throw new WrongOrderError('This VM has an irqchip already.', 'Make one only.');
    vm.setIrqchip('split');
  },
  // 7.7
  X2APIC_API: (vm, [flags = 0n]) => {
    const value = bits('KVM_CAP_X2APIC_API', 3n, flags);
    if (vm.irqchip === undefined) throw new WrongOrderError('This VM has no irqchip.', 'Call createIrqchip first.');
    vm.irqchip.enableX2apicApi({ use32BitIds: (value & 1) !== 0, disableBroadcastQuirk: (value & 2) !== 0 });
  },
  // 7.13: bits KVM_X86_DISABLE_EXITS_MWAIT, _HLT, _PAUSE (which never exits here)
  X86_DISABLE_EXITS: (vm, [flags = 0n]) => {
    const value = bits('KVM_CAP_X86_DISABLE_EXITS', 7n, flags);
    if (vm.vcpuCount > 0) throw new WrongOrderError('A virtual CPU exists already.', 'Disable exits before the virtual CPUs are made.');
    if ((value & 1) !== 0) vm.capabilities.guestMonitors = true;
    if ((value & 2) !== 0) vm.capabilities.guestHalts = true;
  },
  // 7.15
  EXCEPTION_PAYLOAD: (vm, [on = 1n]) => {
    vm.capabilities.exceptionPayload = on !== 0n;
  },
  // 7.18
  MANUAL_DIRTY_LOG_PROTECT2: (vm, [flags = 0n]) => {
    vm.capabilities.manualDirtyLog = (bits('KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2', 1n, flags) & 1) !== 0;
  },
  // 7.21
  X86_USER_SPACE_MSR: (vm, [mask = 0n]) => {
    vm.capabilities.userSpaceMsr = bits('KVM_CAP_X86_USER_SPACE_MSR', 7n, mask);
  },
  // 8.33: KVM_HC_MAP_GPA_RANGE (12)
  EXIT_HYPERCALL: (vm, [mask = 0n]) => {
    vm.capabilities.exitHypercall = bits('KVM_CAP_EXIT_HYPERCALL', 1n << 12n, mask);
  },
  // 7.31
  MAX_VCPU_ID: (vm, [most = 0n]) => {
    if (vm.vcpuCount > 0)
      throw new WrongOrderError('A virtual CPU exists already.', 'Say the highest id before the virtual CPUs are made.');
    vm.capabilities.maxVcpuId = Number(most);
  },
};

/** Names that can be enabled on a VM, without `KVM_CAP_`. */
export const ENABLED_BY_VM: readonly string[] = Object.keys(ENABLE);

/** @throws {UnknownCapabilityError} it is not there, or not with these arguments; {WrongOrderError} it is too late, or too early */
export function enableCap(vm: CapabilityHost, name: string, args: readonly bigint[]): void {
  const enable = ENABLE[name.replace(/^KVM_CAP_/, '')];
  if (enable === undefined) throw new UnknownCapabilityError(name, 'it is none of those that are enabled on a VM');
  enable(vm, args);
}

import { capability } from '../capabilities/capabilities.ts';
import { UnknownCapabilityError, WrongOrderError } from '../errors.ts';
import type { Irqchip } from '../irqchip/irqchip.ts';
import {
  DIRTY_LOG_FLAGS,
  DISABLE_EXITS,
  type EnabledCapabilities,
  EXIT_HYPERCALLS,
  MAX_VCPU_IDS,
  USER_SPACE_MSR_REASONS,
  X2APIC_API_FLAGS,
} from './enabled-capabilities.ts';

/** What enabling a capability needs of a VM. */
export interface CapabilityHost {
  readonly capabilities: EnabledCapabilities;
  readonly irqchip: Irqchip | undefined;
  readonly vcpuCount: number;
  setIrqchip(kind: 'split'): void;
  /** Virtual CPUs that are there follow what has changed. */
  applyToVcpus(): void;
}

type Enable = (vm: CapabilityHost, args: readonly bigint[]) => void;

function bits(name: string, allowed: number, value: bigint): number {
  const unknown = value & ~BigInt(allowed);
  if (unknown !== 0n)
    throw new UnknownCapabilityError(`KVM_CAP_${name}`, `its argument has bits that are not there, 0x${unknown.toString(16)}`);
  return Number(value);
}
function beforeVcpus(vm: CapabilityHost, hint: string): void {
  if (vm.vcpuCount > 0) throw new WrongOrderError('A virtual CPU exists already.', hint);
}

/** KVM_ENABLE_CAP on a VM (api.rst, 4.37; 7), by name without `KVM_CAP_`. */
const ENABLE: Readonly<Record<string, Enable>> = {
  // 7.5
  SPLIT_IRQCHIP: (vm) => {
    beforeVcpus(vm, 'Make the irqchip before the virtual CPUs.');
    vm.setIrqchip('split');
  },
  // 7.7
  X2APIC_API: (vm, [flags = 0n]) => {
    const value = bits('X2APIC_API', X2APIC_API_FLAGS, flags);
    if (vm.irqchip === undefined) throw new WrongOrderError('This VM has no irqchip.', 'Call createIrqchip first.');
    vm.irqchip.enableX2apicApi({ use32BitIds: (value & 1) !== 0, disableBroadcastQuirk: (value & 2) !== 0 });
  },
  // 7.13. PAUSE never exits: virtual CPUs take turns by instructions executed
  X86_DISABLE_EXITS: (vm, [flags = 0n]) => {
    const value = bits('X86_DISABLE_EXITS', DISABLE_EXITS, flags);
    beforeVcpus(vm, 'Disable exits before the virtual CPUs are made.');
    if ((value & 1) !== 0) vm.capabilities.guestMonitors = true;
    if ((value & 2) !== 0) vm.capabilities.guestHalts = true;
  },
  // 7.15
  MSR_PLATFORM_INFO: (vm, [on = 1n]) => {
    vm.capabilities.guestReadsPlatformInfo = on !== 0n;
    vm.applyToVcpus();
  },
  // 7.17
  EXCEPTION_PAYLOAD: (vm, [on = 1n]) => {
    vm.capabilities.exceptionPayload = on !== 0n;
  },
  // 7.18
  MANUAL_DIRTY_LOG_PROTECT2: (vm, [flags = 0n]) => {
    vm.capabilities.manualDirtyLog = bits('MANUAL_DIRTY_LOG_PROTECT2', DIRTY_LOG_FLAGS, flags) !== 0;
  },
  // 7.21
  X86_USER_SPACE_MSR: (vm, [mask = 0n]) => {
    vm.capabilities.userSpaceMsr = bits('X86_USER_SPACE_MSR', USER_SPACE_MSR_REASONS, mask);
  },
  // 7.32
  MAX_VCPU_ID: (vm, [most = 0n]) => {
    beforeVcpus(vm, 'Say the highest id before the virtual CPUs are made.');
    if (most < 1n || most > BigInt(MAX_VCPU_IDS)) {
      throw new UnknownCapabilityError('KVM_CAP_MAX_VCPU_ID', `its argument is 1 to ${MAX_VCPU_IDS}, not ${most}`);
    }
    vm.capabilities.maxVcpuId = Number(most);
  },
  // 4.31, KVM_VCPUEVENT_VALID_TRIPLE_FAULT
  X86_TRIPLE_FAULT_EVENT: (vm, [on = 1n]) => {
    vm.capabilities.tripleFaultEvent = on !== 0n;
  },
  // 8.34
  EXIT_HYPERCALL: (vm, [mask = 0n]) => {
    vm.capabilities.exitHypercall = bits('EXIT_HYPERCALL', EXIT_HYPERCALLS, mask);
  },
};

/** Names that can be enabled on a VM, without `KVM_CAP_`. */
export const ENABLED_BY_VM: readonly string[] = Object.keys(ENABLE);

/** @throws {UnknownCapabilityError} it is not there, or not with these arguments; {WrongOrderError} it is too late, or too early */
export function enableCap(vm: CapabilityHost, name: string, args: readonly bigint[]): void {
  const enable = ENABLE[name.replace(/^KVM_CAP_/, '')];
  if (enable === undefined) throw cannotBeEnabled(name, 'vm');
  enable(vm, args);
}

/** Why a capability cannot be enabled on this target: what the table says of it. */
export function cannotBeEnabled(name: string, target: 'vm' | 'vcpu'): UnknownCapabilityError {
  const row = capability(name);
  const on = target === 'vm' ? 'a VM' : 'a virtual CPU';
  if (row === undefined) return new UnknownCapabilityError(name, 'KVM has none of that name');
  if (row.enabledOn === undefined) return new UnknownCapabilityError(name, 'it is there or not, and never enabled');
  if (row.enabledOn !== target) return new UnknownCapabilityError(name, `it is not enabled on ${on}`);
  return new UnknownCapabilityError(name, `it is not there: ${row.note}`);
}

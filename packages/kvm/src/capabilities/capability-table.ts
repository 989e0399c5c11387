import type { CpuModel } from '@minusone/x86';
import { MAX_IRQ_ROUTES } from '../irqchip/routing.ts';
import { MCE_BANKS } from '../msrs/machine-check-msrs.ts';
import { XSAVE_BYTES } from '../vcpu/state/fpu.ts';
import {
  DIRTY_LOG_FLAGS,
  DISABLE_EXITS,
  EXIT_HYPERCALLS,
  MAX_VCPU_IDS,
  USER_SPACE_MSR_REASONS,
  X2APIC_API_FLAGS,
} from '../vm/enabled-capabilities.ts';
import { MEMORY_SLOTS } from '../vm/memory-slots.ts';

/** What the value of a capability hangs on. */
export interface CapabilityContext {
  readonly model: CpuModel;
}

/** One KVM_CAP_* of x86 (api.rst, 4.4 KVM_CHECK_EXTENSION; 6, 7, 8 for those that are enabled). */
export interface CapabilityRow {
  /** Without `KVM_CAP_`. */
  readonly name: string;
  /** What KVM_CHECK_EXTENSION answers; 0: not there. */
  readonly value: number | ((context: CapabilityContext) => number);
  /** KVM_ENABLE_CAP on this one enables it. */
  readonly enabledOn?: 'vm' | 'vcpu';
  /** Where it is in our API, or why it is not. */
  readonly note: string;
}

type Row = readonly [name: string, value: CapabilityRow['value'], note: string, enabledOn?: 'vm' | 'vcpu'];

/** KVM_CLOCK_TSC_STABLE, KVM_CLOCK_REALTIME. */
const CLOCK_FLAGS = 2 | 4;
/** KVM_GUESTDBG_ENABLE, _SINGLESTEP, _USE_SW_BP, _USE_HW_BP, _INJECT_DB, _INJECT_BP. */
const GUESTDBG = 1 | 2 | 0x1_0000 | 0x2_0000 | 0x4_0000 | 0x8_0000;
/** KVM_X86_DEFAULT_VM. */
const DEFAULT_VM = 1;
/** Virtual CPUs that KVM advises to have at most: processors of a host have room for more, but take turns on one thread. */
const ADVISED_VCPUS = 64;

const HYPERV = "Hyper-V's interface is not offered";
const XEN = 'no Xen guests';
const ENCRYPTION = 'no memory encryption';
const DEVICES = 'no devices but the irqchip and the PIT';
const RING = 'dirty pages are logged in bitmaps';
const PMU = 'no performance counters';
const HIDDEN = 'no memory is hidden from the VMM';

const there: readonly Row[] = [
  ['ADJUST_CLOCK', CLOCK_FLAGS, '`Vm.setClock`, `Vm.getClock`: flags KVM_CLOCK_TSC_STABLE and KVM_CLOCK_REALTIME'],
  ['CHECK_EXTENSION_VM', 1, '`Vm.checkExtension`'],
  ['CLOCKSOURCE', 1, 'kvmclock'],
  ['DEBUGREGS', 1, '`Vcpu.getDebugRegs`'],
  ['DESTROY_MEMORY_REGION_WORKS', 1, '`Vm.setUserMemoryRegion` with size 0'],
  ['ENABLE_CAP', 1, '`Vcpu.enableCap`'],
  ['ENABLE_CAP_VM', 1, '`Vm.enableCap`'],
  ['ENFORCE_PV_FEATURE_CPUID', 1, "MSRs of kvmclock are there only where the guest's CPUID says so", 'vcpu'],
  ['EXCEPTION_PAYLOAD', 1, '`Vcpu.getVcpuEvents` shows pending exceptions apart, with CR2 or DR6 bits', 'vm'],
  ['EXIT_HYPERCALL', EXIT_HYPERCALLS, 'exit `hypercall`, for KVM_HC_MAP_GPA_RANGE', 'vm'],
  ['EXT_CPUID', 1, '`Kvm.getSupportedCpuid`'],
  ['GET_MSR_FEATURES', 1, '`Kvm.getMsrs`'],
  ['GET_TSC_KHZ', 1, '`Vcpu.getTscKhz`'],
  ['HLT', 1, 'exit `hlt`, or `idle` with an irqchip'],
  ['IMMEDIATE_EXIT', 1, '`Vcpu.immediateExit`'],
  ['IOAPIC_POLARITY_IGNORED', 1, 'a level of 1 asserts, whatever the polarity bit says'],
  ['IOEVENTFD', 1, '`Vm.ioeventfd`'],
  ['IOEVENTFD_ANY_LENGTH', 1, '`len` 0'],
  ['IOEVENTFD_NO_LENGTH', 1, '`len` 0'],
  ['IRQCHIP', 1, '`Vm.createIrqchip`'],
  ['IRQFD', 1, '`Vm.irqfd`'],
  ['IRQFD_RESAMPLE', 1, '`resampleFd`'],
  ['IRQ_INJECT_STATUS', 1, '`Vm.irqLineStatus`'],
  ['IRQ_ROUTING', MAX_IRQ_ROUTES, '`Vm.setGsiRouting`: so many GSIs'],
  ['JOIN_MEMORY_REGIONS_WORKS', 1, 'deleting and making slots anew'],
  ['KVMCLOCK_CTRL', 1, '`Vcpu.kvmclockCtrl`'],
  ['MANUAL_DIRTY_LOG_PROTECT2', DIRTY_LOG_FLAGS, '`Vm.clearDirtyLog`', 'vm'],
  ['MAX_VCPUS', MAX_VCPU_IDS, '`Vm.createVcpu`: as far as the host has room'],
  ['MAX_VCPU_ID', MAX_VCPU_IDS, '`Vm.createVcpu`: ids are below it', 'vm'],
  ['MCE', MCE_BANKS, '`Vcpu.setupMce`: so many banks, without errors'],
  ['MP_STATE', 1, '`Vcpu.getMpState`'],
  ['MSR_PLATFORM_INFO', 1, 'a guest may read MSR_PLATFORM_INFO; it may by default', 'vm'],
  ['MULTI_ADDRESS_SPACE', 1, 'one: there is no system-management mode'],
  ['NOP_IO_DELAY', 1, 'CPUID 40000001H says that port writes need no delay'],
  ['NR_MEMSLOTS', MEMORY_SLOTS, '`Vm.setUserMemoryRegion`: slots are below it'],
  ['NR_VCPUS', ADVISED_VCPUS, '`Vm.createVcpu`: as many as are reasonable'],
  ['PIT2', 1, '`Vm.createPit2`'],
  ['PIT_STATE2', 1, '`Vm.getPit2`'],
  ['READONLY_MEM', 1, 'slots with `readOnly`'],
  ['REINJECT_CONTROL', 1, '`Vm.reinjectControl`'],
  ['SET_BOOT_CPU_ID', 1, '`Vm.setBootCpuId`'],
  ['SET_GUEST_DEBUG', 1, '`Vcpu.setGuestDebug`'],
  ['SET_GUEST_DEBUG2', GUESTDBG, '`Vcpu.setGuestDebug`: single step, breakpoints of both kinds, injection'],
  ['SET_IDENTITY_MAP_ADDR', 1, '`Vm.setIdentityMapAddr`'],
  ['SET_TSS_ADDR', 1, '`Vm.setTssAddr`'],
  ['SIGNAL_MSI', 1, '`Vm.signalMsi`'],
  ['SPLIT_IRQCHIP', 1, 'local APICs in KVM, the rest in the VMM', 'vm'],
  ['SREGS2', 1, '`Vcpu.getSregs2`'],
  ['SYNC_MMU', 1, 'memory of a slot may be written while guests run'],
  ['TSC_DEADLINE_TIMER', ({ model }) => (model.has('TSC_DEADLINE') ? 1 : 0), "with an irqchip, where the processor's model has it"],
  ['USER_MEMORY', 1, '`Vm.setUserMemoryRegion`'],
  ['USER_NMI', 1, '`Vcpu.nmi`'],
  ['VCPU_EVENTS', 1, '`Vcpu.getVcpuEvents`'],
  ['VM_TYPES', DEFAULT_VM, '`Kvm.createVm` makes ordinary VMs'],
  ['X2APIC_API', X2APIC_API_FLAGS, '32-bit ids, no broadcast quirk', 'vm'],
  ['X86_DISABLE_EXITS', DISABLE_EXITS, 'MWAIT, HLT, PAUSE', 'vm'],
  ['X86_MSR_FILTER', 1, '`Vm.setMsrFilter`'],
  ['X86_TRIPLE_FAULT_EVENT', 1, '`Vcpu.getVcpuEvents` shows a triple fault, `setVcpuEvents` takes one', 'vm'],
  ['X86_USER_SPACE_MSR', USER_SPACE_MSR_REASONS, 'exit `msr`', 'vm'],
  ['XCRS', ({ model }) => (model.has('XSAVE') ? 1 : 0), "`Vcpu.getXcrs`; where the processor's model has XSAVE"],
  ['XSAVE', 1, '`Vcpu.getXsave`'],
  ['XSAVE2', XSAVE_BYTES, '`Vcpu.getXsave2`: so many bytes'],
];

type Absent = readonly [name: string, note: string, enabledOn?: 'vm' | 'vcpu'];

const absent: readonly Absent[] = [
  ['ASYNC_PF', 'no page of a guest is ever away'],
  ['ASYNC_PF_INT', 'no page of a guest is ever away'],
  ['BINARY_STATS_FD', '`Vcpu.statistics` has exits by name'],
  ['COALESCED_MMIO', 'every write exits'],
  ['COALESCED_PIO', 'every write exits'],
  ['DEVICE_CTRL', DEVICES],
  ['DIRTY_LOG_RING', RING, 'vm'],
  ['DIRTY_LOG_RING_ACQ_REL', RING, 'vm'],
  ['DIRTY_LOG_RING_WITH_BITMAP', RING, 'vm'],
  ['DISABLE_QUIRKS', "KVM's quirks are there, and cannot be turned off", 'vm'],
  ['DISABLE_QUIRKS2', "KVM's quirks are there, and cannot be turned off", 'vm'],
  ['EXIT_ON_EMULATION_FAILURE', 'the emulator knows every instruction: it has nothing to give up on', 'vm'],
  ['EXT_EMUL_CPUID', 'every instruction that a guest is offered is in hardware'],
  ['GUEST_MEMFD', HIDDEN],
  ['HALT_POLL', 'a halted virtual CPU costs nothing', 'vm'],
  ['HYPERV', HYPERV],
  ['HYPERV_CPUID', HYPERV],
  ['HYPERV_DIRECT_TLBFLUSH', HYPERV, 'vcpu'],
  ['HYPERV_ENFORCE_CPUID', HYPERV, 'vcpu'],
  ['HYPERV_ENLIGHTENED_VMCS', HYPERV, 'vcpu'],
  ['HYPERV_EVENTFD', HYPERV],
  ['HYPERV_SEND_IPI', HYPERV],
  ['HYPERV_SPIN', HYPERV],
  ['HYPERV_SYNIC', HYPERV, 'vcpu'],
  ['HYPERV_SYNIC2', HYPERV, 'vcpu'],
  ['HYPERV_TIME', HYPERV],
  ['HYPERV_TLBFLUSH', HYPERV],
  ['HYPERV_VAPIC', HYPERV],
  ['HYPERV_VP_INDEX', HYPERV],
  ['INTERNAL_ERROR_DATA', '`internalError` has its explanation as text instead'],
  ['LAST_CPU', 'a virtual CPU has a processor to itself'],
  ['MEMORY_ATTRIBUTES', HIDDEN],
  ['MEMORY_FAULT_INFO', HIDDEN],
  ['MMU_SHADOW_CACHE_CONTROL', 'tables of the second stage are never thrown away for want of room'],
  ['NESTED_STATE', 'a guest is not offered VT-x or AMD-V itself'],
  ['PCI_SEGMENT', 'no PCI devices are handed through'],
  ['PIT', 'superseded by PIT2'],
  ['PMU_CAPABILITY', PMU, 'vm'],
  ['PMU_EVENT_FILTER', PMU],
  ['PMU_EVENT_MASKED_EVENTS', PMU],
  ['PRE_FAULT_MEMORY', 'pages are mapped when the guest touches them'],
  ['PV_MMU', 'no longer in Linux either'],
  ['SGX_ATTRIBUTE', 'no SGX', 'vm'],
  ['SMALLER_MAXPHYADDR', 'guests are to be told the width of addresses that the processor has'],
  ['STEAL_TIME', 'nobody steals time: virtual CPUs take turns by instructions'],
  ['SYNC_REGS', 'registers are got and set by calls'],
  ['SYSTEM_EVENT_DATA', 'no system events: on x86 they are those of Hyper-V and of memory encryption'],
  ['SYS_ATTRIBUTES', DEVICES],
  ['SYS_HYPERV_CPUID', HYPERV],
  ['TSC_CONTROL', 'the TSC is not scaled'],
  ['USER_MEMORY2', HIDDEN],
  ['VAPIC', 'CR8 and the TPR are in hardware'],
  ['VCPU_ATTRIBUTES', DEVICES],
  ['VM_COPY_ENC_CONTEXT_FROM', ENCRYPTION, 'vm'],
  ['VM_DISABLE_NX_HUGE_PAGES', 'no such mitigation is needed', 'vm'],
  ['VM_MOVE_ENC_CONTEXT_FROM', ENCRYPTION, 'vm'],
  ['VM_TSC_CONTROL', 'the TSC is not scaled'],
  ['X86_APIC_BUS_CYCLES_NS', 'the APIC timer counts at 1 GHz, as in KVM by default', 'vm'],
  ['X86_BUS_LOCK_EXIT', 'the processor does not tell of bus locks', 'vm'],
  ['X86_GUEST_MODE', 'a guest is not offered VT-x or AMD-V itself'],
  ['X86_NOTIFY_VMEXIT', 'the processor has no such exit', 'vm'],
  ['X86_ROBUST_SINGLESTEP', 'the vendor module keeps TF from the guest no better than the extension does'],
  ['X86_SMM', 'no system-management mode'],
  ['XEN_HVM', XEN],
];

/** Every capability of KVM on x86 (Linux 6.12): those that are there first. */
export const capabilities: readonly CapabilityRow[] = [
  ...there.map(([name, value, note, enabledOn]) => row(name, value, note, enabledOn)),
  ...absent.map(([name, note, enabledOn]) => row(name, 0, note, enabledOn)),
];

function row(name: string, value: CapabilityRow['value'], note: string, enabledOn: 'vm' | 'vcpu' | undefined): CapabilityRow {
  return { name, value, note, ...(enabledOn === undefined ? {} : { enabledOn }) };
}

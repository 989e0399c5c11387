/** What a call is made on: `/dev/kvm`, a virtual machine, a virtual CPU, a device of KVM_CREATE_DEVICE. */
export type IoctlTarget = 'system' | 'vm' | 'vcpu' | 'device';

/** One ioctl of KVM on x86 (Linux 6.12), and where it is in our API. */
export interface IoctlRow {
  /** Without `KVM_`. */
  readonly name: string;
  readonly on: readonly IoctlTarget[];
  /** Section of Documentation/virt/kvm/api.rst as Linux 6.1 numbers them; later calls by the capability's name. */
  readonly section: string;
  /** How many of Firecracker, kvmtool, crosvm and QEMU use it: 0 all four, 1 three ... 4 none. */
  readonly tier: 0 | 1 | 2 | 3 | 4;
  /** `Kvm.createVm`, `Vm.irqLine`, `Vcpu.run` ...; several where it is for several targets. Empty: it is not there. */
  readonly at: readonly string[];
  /** Of one that is there: what differs from Linux. Of one that is not: why, and what a caller finds instead. */
  readonly note?: string;
}

type Missing = readonly [name: string, on: readonly IoctlTarget[], section: string, tier: IoctlRow['tier'], note: string];
type Present = readonly [
  name: string,
  on: readonly IoctlTarget[],
  section: string,
  tier: IoctlRow['tier'],
  at: string | readonly string[],
  note?: string,
];

const present: readonly Present[] = [
  ['GET_API_VERSION', ['system'], '4.1', 0, 'Kvm.getApiVersion'],
  ['CREATE_VM', ['system'], '4.2', 0, 'Kvm.createVm'],
  [
    'CHECK_EXTENSION',
    ['system', 'vm'],
    '4.4',
    0,
    ['Kvm.checkExtension', 'Vm.checkExtension'],
    'a name that nobody knows is 0, as in Linux',
  ],
  ['GET_VCPU_MMAP_SIZE', ['system'], '4.5', 0, 'Kvm.getVcpuMmapSize', '`struct kvm_run` is no mapping: exits are what `Vcpu.run` returns'],
  ['GET_MSR_INDEX_LIST', ['system'], '4.3', 1, 'Kvm.getMsrIndexList'],
  ['GET_MSR_FEATURE_INDEX_LIST', ['system'], '4.3', 3, 'Kvm.getMsrFeatureIndexList'],
  ['GET_SUPPORTED_CPUID', ['system'], '4.46', 0, 'Kvm.getSupportedCpuid'],
  ['X86_GET_MCE_CAP_SUPPORTED', ['system'], '4.104', 3, 'Kvm.getMceCapSupported'],
  ['GET_MSRS', ['system', 'vcpu'], '4.18', 1, ['Kvm.getMsrs', 'Vcpu.getMsrs']],

  ['CREATE_VCPU', ['vm'], '4.7', 0, 'Vm.createVcpu', 'comes with the CPUID of `getSupportedCpuid`'],
  ['SET_USER_MEMORY_REGION', ['vm'], '4.35', 0, 'Vm.setUserMemoryRegion', 'backed by `HostMemory` instead of an address of the process'],
  ['GET_DIRTY_LOG', ['vm'], '4.8', 1, 'Vm.getDirtyLog'],
  ['CLEAR_DIRTY_LOG', ['vm'], '4.117', 3, 'Vm.clearDirtyLog'],
  ['ENABLE_CAP', ['vm', 'vcpu'], '4.37', 2, ['Vm.enableCap', 'Vcpu.enableCap'], 'UnknownCapabilityError for what is not there'],
  ['CREATE_IRQCHIP', ['vm'], '4.24', 0, 'Vm.createIrqchip'],
  ['CREATE_PIT2', ['vm'], '4.71', 0, 'Vm.createPit2'],
  ['IOEVENTFD', ['vm'], '4.59', 0, 'Vm.ioeventfd', 'an `EventFd` instead of a file descriptor'],
  ['IRQFD', ['vm'], '4.75', 0, 'Vm.irqfd', 'an `EventFd` instead of a file descriptor'],
  ['SET_GSI_ROUTING', ['vm'], '4.52', 0, 'Vm.setGsiRouting'],
  ['IRQ_LINE', ['vm'], '4.25', 1, 'Vm.irqLine'],
  ['IRQ_LINE_STATUS', ['vm'], '4.25', 3, 'Vm.irqLineStatus'],
  ['SIGNAL_MSI', ['vm'], '4.71', 2, 'Vm.signalMsi'],
  ['GET_IRQCHIP', ['vm'], '4.26', 1, 'Vm.getIrqchip'],
  ['SET_IRQCHIP', ['vm'], '4.27', 1, 'Vm.setIrqchip'],
  ['GET_PIT2', ['vm'], '4.72', 1, 'Vm.getPit2'],
  ['SET_PIT2', ['vm'], '4.73', 1, 'Vm.setPit2'],
  ['REINJECT_CONTROL', ['vm'], '4.99', 3, 'Vm.reinjectControl'],
  ['GET_CLOCK', ['vm'], '4.29', 1, 'Vm.getClock'],
  ['SET_CLOCK', ['vm'], '4.30', 1, 'Vm.setClock'],
  ['SET_TSS_ADDR', ['vm'], '4.36', 0, 'Vm.setTssAddr', 'nothing is put there: the hardware runs real mode by itself'],
  ['SET_IDENTITY_MAP_ADDR', ['vm'], '4.40', 2, 'Vm.setIdentityMapAddr', 'nothing is put there: the hardware runs unpaged mode by itself'],
  ['SET_BOOT_CPU_ID', ['vm'], '4.41', 4, 'Vm.setBootCpuId'],
  ['X86_SET_MSR_FILTER', ['vm'], '4.97', 3, 'Vm.setMsrFilter'],

  [
    'RUN',
    ['vcpu'],
    '4.10',
    0,
    ['Vcpu.run', 'Vcpu.runAsync', 'Vcpu.exits', 'Vm.run', 'Vm.runAsync'],
    'takes a budget of instructions; `Vm.run` lets all virtual CPUs run in turns',
  ],
  ['GET_REGS', ['vcpu'], '4.11', 0, 'Vcpu.getRegs'],
  ['SET_REGS', ['vcpu'], '4.12', 0, 'Vcpu.setRegs'],
  ['GET_SREGS', ['vcpu'], '4.13', 0, 'Vcpu.getSregs'],
  ['SET_SREGS', ['vcpu'], '4.14', 0, 'Vcpu.setSregs'],
  ['GET_SREGS2', ['vcpu'], '4.131', 3, 'Vcpu.getSregs2'],
  ['SET_SREGS2', ['vcpu'], '4.132', 3, 'Vcpu.setSregs2'],
  ['GET_FPU', ['vcpu'], '4.22', 2, 'Vcpu.getFpu'],
  ['SET_FPU', ['vcpu'], '4.23', 1, 'Vcpu.setFpu'],
  ['GET_XSAVE', ['vcpu'], '4.42', 1, 'Vcpu.getXsave'],
  ['GET_XSAVE2', ['vcpu'], '4.134', 1, 'Vcpu.getXsave2'],
  ['SET_XSAVE', ['vcpu'], '4.43', 1, 'Vcpu.setXsave'],
  ['GET_XCRS', ['vcpu'], '4.44', 1, 'Vcpu.getXcrs'],
  ['SET_XCRS', ['vcpu'], '4.45', 1, 'Vcpu.setXcrs'],
  ['GET_DEBUGREGS', ['vcpu'], '4.33', 1, 'Vcpu.getDebugRegs'],
  ['SET_DEBUGREGS', ['vcpu'], '4.34', 1, 'Vcpu.setDebugRegs'],
  ['GET_VCPU_EVENTS', ['vcpu'], '4.31', 1, 'Vcpu.getVcpuEvents'],
  ['SET_VCPU_EVENTS', ['vcpu'], '4.32', 1, 'Vcpu.setVcpuEvents'],
  ['GET_MP_STATE', ['vcpu'], '4.38', 1, 'Vcpu.getMpState'],
  ['SET_MP_STATE', ['vcpu'], '4.39', 1, 'Vcpu.setMpState'],
  ['SET_MSRS', ['vcpu'], '4.19', 0, 'Vcpu.setMsrs'],
  ['SET_CPUID2', ['vcpu'], '4.20', 0, 'Vcpu.setCpuid2'],
  ['GET_CPUID2', ['vcpu'], '4.20', 3, 'Vcpu.getCpuid2'],
  ['INTERRUPT', ['vcpu'], '4.16', 2, 'Vcpu.interrupt'],
  ['NMI', ['vcpu'], '4.64', 1, 'Vcpu.nmi'],
  ['GET_LAPIC', ['vcpu'], '4.57', 0, 'Vcpu.getLapic'],
  ['SET_LAPIC', ['vcpu'], '4.58', 0, 'Vcpu.setLapic'],
  ['TRANSLATE', ['vcpu'], '4.15', 2, 'Vcpu.translate'],
  ['SET_GUEST_DEBUG', ['vcpu'], '4.87', 0, 'Vcpu.setGuestDebug'],
  [
    'SET_TSC_KHZ',
    ['vm', 'vcpu'],
    '4.55',
    2,
    'Vcpu.setTscKhz',
    "on a virtual CPU; at the host's frequency only, as on hardware that does not scale the TSC",
  ],
  ['GET_TSC_KHZ', ['vm', 'vcpu'], '4.56', 2, 'Vcpu.getTscKhz', 'on a virtual CPU'],
  ['KVMCLOCK_CTRL', ['vcpu'], '4.70', 0, 'Vcpu.kvmclockCtrl'],
  ['X86_SETUP_MCE', ['vcpu'], '4.105', 3, 'Vcpu.setupMce'],
];

const SUPERSEDED = 'superseded';
const NO_XEN = 'a Xen guest finds no KVM that speaks Xen: KVM_CAP_XEN_HVM is 0';
const NO_SEV = 'memory encryption is no feature of this processor: KVM_CAP_VM_COPY_ENC_CONTEXT_FROM is 0';
const NO_DEVICES = 'there are no devices but the irqchip and the PIT: KVM_CAP_DEVICE_CTRL is 0';

const missing: readonly Missing[] = [
  ['GET_EMULATED_CPUID', ['system'], '4.88', 4, 'every instruction that a guest is offered is in hardware: KVM_CAP_EXT_EMUL_CPUID is 0'],
  ['GET_SUPPORTED_HV_CPUID', ['system', 'vcpu'], '4.118', 3, "Hyper-V's interface is not offered: KVM_CAP_HYPERV_CPUID is 0"],
  ['HYPERV_EVENTFD', ['vm'], '4.113', 4, "Hyper-V's interface is not offered: KVM_CAP_HYPERV_EVENTFD is 0"],
  ['SET_CPUID', ['vcpu'], '4.20', 4, `${SUPERSEDED} by KVM_SET_CPUID2`],
  ['CREATE_PIT', ['vm'], '4.71', 4, `${SUPERSEDED} by KVM_CREATE_PIT2: KVM_CAP_PIT is 0`],
  ['GET_PIT', ['vm'], '4.72', 4, `${SUPERSEDED} by KVM_GET_PIT2`],
  ['SET_PIT', ['vm'], '4.73', 4, `${SUPERSEDED} by KVM_SET_PIT2`],
  [
    'SET_USER_MEMORY_REGION2',
    ['vm'],
    '8, KVM_CAP_USER_MEMORY2',
    2,
    'differs from KVM_SET_USER_MEMORY_REGION by guest_memfd alone: KVM_CAP_USER_MEMORY2 is 0',
  ],
  ['CREATE_GUEST_MEMFD', ['vm'], '8, KVM_CAP_GUEST_MEMFD', 3, 'no memory is hidden from the VMM: KVM_CAP_GUEST_MEMFD is 0'],
  ['SET_MEMORY_ATTRIBUTES', ['vm'], '8, KVM_CAP_MEMORY_ATTRIBUTES', 3, 'no memory is hidden from the VMM: KVM_CAP_MEMORY_ATTRIBUTES is 0'],
  [
    'PRE_FAULT_MEMORY',
    ['vcpu'],
    '8, KVM_CAP_PRE_FAULT_MEMORY',
    3,
    'pages are mapped when the guest touches them: KVM_CAP_PRE_FAULT_MEMORY is 0',
  ],
  ['RESET_DIRTY_RINGS', ['vm'], '8.29', 3, 'dirty pages are logged in bitmaps: KVM_CAP_DIRTY_LOG_RING is 0'],
  [
    'SET_NR_MMU_PAGES',
    ['vm'],
    '4',
    3,
    'tables of the second stage are never thrown away for want of room: KVM_CAP_MMU_SHADOW_CACHE_CONTROL is 0',
  ],
  ['GET_STATS_FD', ['vm', 'vcpu'], '4.133', 3, '`Vcpu.statistics` has exits by name: KVM_CAP_BINARY_STATS_FD is 0'],
  ['CREATE_DEVICE', ['vm'], '4.79', 2, NO_DEVICES],
  ['SET_DEVICE_ATTR', ['vcpu', 'device'], '4.80', 2, NO_DEVICES],
  ['GET_DEVICE_ATTR', ['system', 'vcpu', 'device'], '4.80', 3, NO_DEVICES],
  ['HAS_DEVICE_ATTR', ['system', 'vcpu', 'device'], '4.81', 2, NO_DEVICES],
  ['XEN_HVM_CONFIG', ['vm'], '4.28', 3, NO_XEN],
  ['XEN_HVM_SET_ATTR', ['vm'], '4.126', 3, NO_XEN],
  ['XEN_HVM_GET_ATTR', ['vm'], '4.127', 3, NO_XEN],
  ['XEN_VCPU_SET_ATTR', ['vcpu'], '4.128', 3, NO_XEN],
  ['XEN_VCPU_GET_ATTR', ['vcpu'], '4.129', 3, NO_XEN],
  ['XEN_HVM_EVTCHN_SEND', ['vm'], '4.135', 3, NO_XEN],
  ['MEMORY_ENCRYPT_OP', ['vm'], '4.110', 3, NO_SEV],
  ['MEMORY_ENCRYPT_REG_REGION', ['vm'], '4.111', 3, NO_SEV],
  ['MEMORY_ENCRYPT_UNREG_REGION', ['vm'], '4.112', 3, NO_SEV],
  ['SET_PMU_EVENT_FILTER', ['vm'], '4.120', 4, 'guests are shown no performance counters: KVM_CAP_PMU_EVENT_FILTER is 0'],
  ['SET_SIGNAL_MASK', ['vcpu'], '4.21', 3, 'there are no signals: `Vcpu.immediateExit`, `Vm.stop` and an AbortSignal end a run'],
  ['SMI', ['vcpu'], '4.96', 3, 'there is no system-management mode: KVM_CAP_X86_SMM is 0, and RSM is #UD'],
  ['TPR_ACCESS_REPORTING', ['vcpu'], '4', 3, 'CR8 and the TPR are in hardware: KVM_CAP_VAPIC is 0'],
  ['SET_VAPIC_ADDR', ['vcpu'], '4', 3, 'CR8 and the TPR are in hardware: KVM_CAP_VAPIC is 0'],
  ['X86_SET_MCE', ['vcpu'], '4.106', 4, 'machine checks are not injected: the banks of KVM_X86_SETUP_MCE stay without errors'],
  ['GET_NESTED_STATE', ['vcpu'], '4.114', 2, 'a guest is not offered VT-x or AMD-V itself: KVM_CAP_NESTED_STATE is 0'],
  ['SET_NESTED_STATE', ['vcpu'], '4.115', 2, 'a guest is not offered VT-x or AMD-V itself: KVM_CAP_NESTED_STATE is 0'],
];

/** Every ioctl of KVM on x86: those that are there first, each in the order of the targets. */
export const ioctls: readonly IoctlRow[] = [
  ...present.map(
    ([name, on, section, tier, at, note]): IoctlRow => ({
      name,
      on,
      section,
      tier,
      at: typeof at === 'string' ? [at] : at,
      ...(note === undefined ? {} : { note }),
    }),
  ),
  ...missing.map(([name, on, section, tier, note]): IoctlRow => ({ name, on, section, tier, at: [], note })),
];

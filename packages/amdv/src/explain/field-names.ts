import { isVmcbFieldName, VMCB_FIELD, VMCB_FIELD_NAMES, type VmcbField, type VmcbFieldName } from '../vmcb/fields.ts';

/** Names that others use for fields, besides `GUEST_` before a name of the state-save area. */
const OTHER_NAMES: Readonly<Record<string, VmcbFieldName>> = {
  CONTROL32_INTERCEPT_EXCEPTIONS: 'INTERCEPT_EXCEPTIONS',
  CONTROL32_INTERCEPT1: 'INTERCEPT_3',
  CONTROL32_INTERCEPT2: 'INTERCEPT_4',
  CONTROL32_INTERCEPT3: 'INTERCEPT_5',
  CONTROL16_PAUSE_FILTER_THRESHOLD: 'PAUSE_FILTER_THRESHOLD',
  CONTROL16_PAUSE_FILTER_COUNT: 'PAUSE_FILTER_COUNT',
  CONTROL64_IOPM_BASE_PHY_ADDR: 'IOPM_BASE_PA',
  CONTROL64_MSRPM_BASE_PHY_ADDR: 'MSRPM_BASE_PA',
  CONTROL64_TSC_OFFSET: 'TSC_OFFSET',
  CONTROL32_GUEST_ASID: 'GUEST_ASID',
  CONTROL_VTPR: 'V_TPR',
  CONTROL_VINTR_VECTOR: 'V_INTR_VECTOR',
  CONTROL_INTERRUPT_SHADOW: 'INTERRUPT_SHADOW',
  CONTROL64_EXITCODE: 'EXITCODE',
  CONTROL64_EXITINFO1: 'EXITINFO1',
  CONTROL64_EXITINFO2: 'EXITINFO2',
  CONTROL64_NESTED_PAGING_HOST_CR3: 'N_CR3',
  CONTROL32_VMCB_CLEAN_BITS: 'VMCB_CLEAN',
  CONTROL64_NRIP: 'NRIP',
  GUEST_EFER_MSR: 'EFER',
  GUEST_STAR_MSR: 'STAR',
  GUEST_LSTAR_MSR: 'LSTAR',
  GUEST_CSTAR_MSR: 'CSTAR',
  GUEST_FMASK_MSR: 'SFMASK',
  GUEST_KERNEL_GSBASE_MSR: 'KERNEL_GS_BASE',
  GUEST_SYSENTER_CS_MSR: 'SYSENTER_CS',
  GUEST_SYSENTER_ESP_MSR: 'SYSENTER_ESP',
  GUEST_SYSENTER_EIP_MSR: 'SYSENTER_EIP',
  GUEST_PAT: 'G_PAT',
  GUEST_DBGCTL_MSR: 'DBGCTL',
  GUEST_BR_FROM_MSR: 'BR_FROM',
  GUEST_BR_TO_MSR: 'BR_TO',
  GUEST_LAST_EXCEPTION_FROM_MSR: 'LASTEXCPFROM',
  GUEST_LAST_EXCEPTION_TO_MSR: 'LASTEXCPTO',
};

/** Bytes and words that others name though they are parts of a field, or several: offset, first bit, width. */
const place = (offset: number, bits: number): VmcbField => (offset & ~3) | ((offset & 3) << 15) | (bits << 17);
const OTHER_PLACES: Readonly<Record<string, VmcbField>> = {
  CONTROL16_INTERCEPT_CR_READ: place(0x000, 16),
  CONTROL16_INTERCEPT_CR_WRITE: place(0x002, 16),
  CONTROL16_INTERCEPT_DR_READ: place(0x004, 16),
  CONTROL16_INTERCEPT_DR_WRITE: place(0x006, 16),
  CONTROL32_TLB_CONTROL: place(0x05c, 32),
  CONTROL_VIRQ: place(0x061, 8),
  CONTROL_VINTR_PRIO_IGN_TPR: place(0x062, 8),
  CONTROL_VINTR_MASKING: place(0x063, 8),
  CONTROL32_EXITINTINFO: place(0x088, 32),
  CONTROL32_EXITINTINFO_ERROR_CODE: place(0x08c, 32),
  CONTROL_NESTED_PAGING_ENABLE: place(0x090, 8),
  CONTROL32_EVENT_INJECTION: place(0x0a8, 32),
  CONTROL32_EVENT_INJECTION_ERRORCODE: place(0x0ac, 32),
  CONTROL_LBR_VIRTUALIZATION_ENABLE: place(0x0b8, 8),
};

/** The place that a name means: a field of the APM, or what others call it; undefined where there is none. */
export function vmcbPlace(name: string): VmcbField | undefined {
  if (isVmcbFieldName(name)) return VMCB_FIELD[name];
  if (Object.hasOwn(OTHER_PLACES, name)) return OTHER_PLACES[name];
  if (Object.hasOwn(OTHER_NAMES, name)) return VMCB_FIELD[OTHER_NAMES[name] as VmcbFieldName];
  if (name.endsWith('_HI')) {
    const whole = vmcbPlace(name.slice(0, -3));
    return whole === undefined || whole >>> 17 !== 64 ? undefined : place((whole & 0xfff) + 4, 32);
  }
  const rest = name.startsWith('GUEST_') ? name.slice(6).replace(/_ATTR$/, '_ATTRIBUTES') : name;
  return isVmcbFieldName(rest) ? VMCB_FIELD[rest] : undefined;
}

/** Whether a name means a field or a part of one: the APM's names, and those that other programs use. */
export function namesVmcbField(name: string): boolean {
  return vmcbPlace(name) !== undefined;
}

/** The names that resemble a wrong one: those that share most of its parts. */
export function resemblingFields(name: string): readonly VmcbFieldName[] {
  const parts = name.toUpperCase().split(/[^A-Z0-9]+/);
  const score = (candidate: string): number => candidate.split('_').filter((part) => parts.includes(part)).length;
  return VMCB_FIELD_NAMES.filter((candidate) => score(candidate) > 0)
    .sort((a, b) => score(b) - score(a) || a.length - b.length)
    .slice(0, 3);
}

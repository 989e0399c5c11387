/** Which part of the VMCB a field belongs to. */
export type VmcbArea = 'control' | 'state';

/** A field of the VMCB. */
export interface VmcbFieldRow {
  readonly area: VmcbArea;
  /** Bytes from the start of the VMCB. */
  readonly offset: number;
  /** The first bit, counted from `offset`; 0 unless the field is a part of a doubleword. */
  readonly bit: number;
  /** Width in bits, 1 to 64. */
  readonly bits: number;
  readonly title: string;
  /** Section of APM Vol. 2. */
  readonly section: string;
}

/** Control area: APM Vol. 2, Appendix B, Table B-1 "VMCB Layout, Control Area". */
const CONTROL_FIELDS = {
  INTERCEPT_CR: [0x000, 0, 32, 'intercept reads (15:0) and writes (31:16) of CR0 to CR15', '15.9'],
  INTERCEPT_DR: [0x004, 0, 32, 'intercept reads (15:0) and writes (31:16) of DR0 to DR15', '15.9'],
  INTERCEPT_EXCEPTIONS: [0x008, 0, 32, 'intercept exception vectors 0 to 31', '15.12'],
  INTERCEPT_3: [0x00c, 0, 32, 'intercept vector 3: events and instructions', '15.9'],
  INTERCEPT_4: [0x010, 0, 32, 'intercept vector 4: instructions and write traps', '15.9'],
  INTERCEPT_5: [0x014, 0, 32, 'intercept vector 5: instructions', '15.9'],
  PAUSE_FILTER_THRESHOLD: [0x03c, 0, 16, 'PAUSE filter threshold', '15.14.4'],
  PAUSE_FILTER_COUNT: [0x03c, 16, 16, 'PAUSE filter count', '15.14.4'],
  IOPM_BASE_PA: [0x040, 0, 64, 'physical base address of the I/O permissions map', '15.10.1'],
  MSRPM_BASE_PA: [0x048, 0, 64, 'physical base address of the MSR permissions map', '15.11'],
  TSC_OFFSET: [0x050, 0, 64, 'to be added to the time-stamp counter in the guest', '15.30.5'],
  GUEST_ASID: [0x058, 0, 32, 'address space identifier of the guest', '15.16'],
  TLB_CONTROL: [0x05c, 0, 8, 'TLB control: 0 nothing, 1 flush all, 3 flush this ASID, 7 flush this ASID but global pages', '15.16.1'],
  V_TPR: [0x060, 0, 8, 'virtual task priority', '15.21.2'],
  V_IRQ: [0x060, 8, 1, 'a virtual interrupt is pending', '15.21.4'],
  V_GIF: [0x060, 9, 1, 'virtual global interrupt flag', '15.33.2'],
  V_NMI: [0x060, 11, 1, 'a virtual NMI is pending', '15.21.10'],
  V_NMI_MASK: [0x060, 12, 1, 'virtual NMIs are masked', '15.21.10'],
  V_INTR_PRIO: [0x060, 16, 4, 'priority of the virtual interrupt', '15.21.4'],
  V_IGN_TPR: [0x060, 20, 1, 'the virtual interrupt ignores V_TPR', '15.21.4'],
  V_INTR_MASKING: [0x060, 24, 1, "RFLAGS.IF and CR8 of the guest are virtual, the host's RFLAGS.IF masks physical interrupts", '15.21.1'],
  V_GIF_ENABLE: [0x060, 25, 1, 'virtual GIF is enabled', '15.33.2'],
  V_NMI_ENABLE: [0x060, 26, 1, 'NMI virtualization is enabled', '15.21.10'],
  X2AVIC_ENABLE: [0x060, 30, 1, 'x2APIC mode of AVIC is enabled', '15.29'],
  AVIC_ENABLE: [0x060, 31, 1, 'AVIC is enabled', '15.29'],
  V_INTR_VECTOR: [0x064, 0, 8, 'vector of the virtual interrupt', '15.21.4'],
  INTERRUPT_SHADOW: [0x068, 0, 1, 'the guest is in an interrupt shadow', '15.21.5'],
  GUEST_INTERRUPT_MASK: [0x068, 1, 1, 'value of the RFLAGS.IF of a guest with encrypted state', '15.36'],
  EXITCODE: [0x070, 0, 64, 'why the guest was left', '15.6'],
  EXITINFO1: [0x078, 0, 64, 'information about the exit', '15.6'],
  EXITINFO2: [0x080, 0, 64, 'information about the exit', '15.6'],
  EXITINTINFO: [0x088, 0, 64, 'the event that was being delivered, and its error code in bits 63:32', '15.7.2'],
  NP_ENABLE: [0x090, 0, 1, 'nested paging is enabled', '15.25.3'],
  SEV_ENABLE: [0x090, 1, 1, 'secure encrypted virtualization is enabled', '15.34'],
  SEV_ES_ENABLE: [0x090, 2, 1, 'encrypted state is enabled', '15.35'],
  AVIC_APIC_BAR: [0x098, 0, 64, "physical address of the guest's APIC", '15.29'],
  GHCB_PA: [0x0a0, 0, 64, 'guest physical address of the GHCB', '15.35'],
  EVENTINJ: [0x0a8, 0, 64, 'an event to inject, and its error code in bits 63:32', '15.20'],
  N_CR3: [0x0b0, 0, 64, 'nested page table CR3', '15.25.3'],
  LBR_VIRTUALIZATION_ENABLE: [0x0b8, 0, 1, 'the last-branch registers are virtual', '15.23'],
  VIRTUAL_VMLOAD_VMSAVE: [0x0b8, 1, 1, 'VMLOAD and VMSAVE of the guest are virtual', '15.33.1'],
  VMCB_CLEAN: [0x0c0, 0, 32, 'fields that software has not changed', '15.15.3'],
  NRIP: [0x0c8, 0, 64, 'address of the next instruction', '15.7.1'],
  GUEST_INSTRUCTION_COUNT: [0x0d0, 0, 8, 'number of guest instruction bytes fetched', '15.8.4'],
  AVIC_BACKING_PAGE: [0x0e0, 0, 64, 'physical address of the APIC backing page', '15.29'],
  AVIC_LOGICAL_TABLE: [0x0f0, 0, 64, 'physical address of the logical APIC ID table', '15.29'],
  AVIC_PHYSICAL_TABLE: [0x0f8, 0, 64, 'physical address of the physical APIC ID table', '15.29'],
} as const;

/** State-save area: APM Vol. 2, Appendix B, Table B-2 "VMCB Layout, State Save Area". */
const STATE_FIELDS = {
  GDTR_LIMIT: [0x464, 0, 32, 'GDTR limit', '15.5.1'],
  GDTR_BASE: [0x468, 0, 64, 'GDTR base', '15.5.1'],
  IDTR_LIMIT: [0x484, 0, 32, 'IDTR limit', '15.5.1'],
  IDTR_BASE: [0x488, 0, 64, 'IDTR base', '15.5.1'],
  CPL: [0x4c8, 24, 8, 'current privilege level', '15.5.1'],
  EFER: [0x4d0, 0, 64, 'EFER', '15.5.1'],
  CR4: [0x548, 0, 64, 'CR4', '15.5.1'],
  CR3: [0x550, 0, 64, 'CR3', '15.5.1'],
  CR0: [0x558, 0, 64, 'CR0', '15.5.1'],
  DR7: [0x560, 0, 64, 'DR7', '15.5.1'],
  DR6: [0x568, 0, 64, 'DR6', '15.5.1'],
  RFLAGS: [0x570, 0, 64, 'RFLAGS', '15.5.1'],
  RIP: [0x578, 0, 64, 'RIP', '15.5.1'],
  RSP: [0x5d8, 0, 64, 'RSP', '15.5.1'],
  S_CET: [0x5e0, 0, 64, 'supervisor shadow-stack controls', '15.5.1'],
  SSP: [0x5e8, 0, 64, 'shadow-stack pointer', '15.5.1'],
  ISST_ADDR: [0x5f0, 0, 64, 'interrupt shadow-stack table', '15.5.1'],
  RAX: [0x5f8, 0, 64, 'RAX', '15.5.1'],
  STAR: [0x600, 0, 64, 'STAR', '15.5.2'],
  LSTAR: [0x608, 0, 64, 'LSTAR', '15.5.2'],
  CSTAR: [0x610, 0, 64, 'CSTAR', '15.5.2'],
  SFMASK: [0x618, 0, 64, 'SFMASK', '15.5.2'],
  KERNEL_GS_BASE: [0x620, 0, 64, 'KernelGsBase', '15.5.2'],
  SYSENTER_CS: [0x628, 0, 64, 'SYSENTER_CS', '15.5.2'],
  SYSENTER_ESP: [0x630, 0, 64, 'SYSENTER_ESP', '15.5.2'],
  SYSENTER_EIP: [0x638, 0, 64, 'SYSENTER_EIP', '15.5.2'],
  CR2: [0x640, 0, 64, 'CR2', '15.5.1'],
  G_PAT: [0x668, 0, 64, 'PAT of the guest, with nested paging', '15.25.4'],
  DBGCTL: [0x670, 0, 64, 'DebugCtl, with LBR virtualization', '15.23'],
  BR_FROM: [0x678, 0, 64, 'LastBranchFromIP, with LBR virtualization', '15.23'],
  BR_TO: [0x680, 0, 64, 'LastBranchToIP, with LBR virtualization', '15.23'],
  LASTEXCPFROM: [0x688, 0, 64, 'LastIntFromIP, with LBR virtualization', '15.23'],
  LASTEXCPTO: [0x690, 0, 64, 'LastIntToIP, with LBR virtualization', '15.23'],
  SPEC_CTRL: [0x6e0, 0, 64, 'SPEC_CTRL, virtualized', '15.37'],
} as const;

/** Where the segment registers stand, 16 bytes each. */
const SEGMENTS = { ES: 0x400, CS: 0x410, SS: 0x420, DS: 0x430, FS: 0x440, GS: 0x450, LDTR: 0x470, TR: 0x490 } as const;
const SEGMENT_PARTS = {
  SELECTOR: [0, 0, 16, 'selector'],
  ATTRIBUTES: [0, 16, 16, 'attributes: bits 55:52 and 47:40 of the descriptor'],
  LIMIT: [4, 0, 32, 'limit'],
  BASE: [8, 0, 64, 'base'],
} as const;

/** A field's name in APM Vol. 2, Appendix B (with `_` for what names cannot hold). */
export type VmcbFieldName =
  | keyof typeof CONTROL_FIELDS
  | keyof typeof STATE_FIELDS
  | `${keyof typeof SEGMENTS}_${keyof typeof SEGMENT_PARTS}`;

type Columns = readonly [offset: number, bit: number, bits: number, title: string, section: string];
const rowOf = (area: VmcbArea, [offset, bit, bits, title, section]: Columns): VmcbFieldRow => ({ area, offset, bit, bits, title, section });
const segmentRows: readonly (readonly [string, Columns])[] = Object.entries(SEGMENTS).flatMap(([segment, at]) =>
  Object.entries(SEGMENT_PARTS).map(
    ([part, [offset, bit, bits, title]]) => [`${segment}_${part}`, [at + offset, bit, bits, `${segment} ${title}`, '15.5.1']] as const,
  ),
);

/** Every field of the VMCB by its name, in the order of the VMCB. */
export const VMCB_FIELDS: Readonly<Record<VmcbFieldName, VmcbFieldRow>> = Object.fromEntries(
  [
    ...Object.entries(CONTROL_FIELDS).map(([name, columns]) => [name, rowOf('control', columns)] as const),
    ...[...segmentRows, ...Object.entries(STATE_FIELDS)].map(([name, columns]) => [name, rowOf('state', columns)] as const),
  ].sort(([, a], [, b]) => a.offset - b.offset || a.bit - b.bit),
) as Record<VmcbFieldName, VmcbFieldRow>;

/** All names, in the order of the VMCB. */
export const VMCB_FIELD_NAMES: readonly VmcbFieldName[] = Object.keys(VMCB_FIELDS) as VmcbFieldName[];

/** A field as a number: bits 11:0 its offset in bytes (of the doubleword that holds it), 16:12 its first bit in there, 23:17 its width in bits. */
export type VmcbField = number;

const descriptor = ({ offset, bit, bits }: VmcbFieldRow): VmcbField => offset | (bit << 12) | (bits << 17);

/** The fields as numbers, for `Vmcb.low` and its kin. */
export const VMCB_FIELD: Readonly<Record<VmcbFieldName, VmcbField>> = Object.fromEntries(
  VMCB_FIELD_NAMES.map((name) => [name, descriptor(VMCB_FIELDS[name])]),
) as Record<VmcbFieldName, VmcbField>;

/** Whether a text names a field. */
export function isVmcbFieldName(name: string): name is VmcbFieldName {
  return Object.hasOwn(VMCB_FIELDS, name);
}

/** The number of the doubleword that holds a field (its low half). */
export function wordOf(name: VmcbFieldName): number {
  return VMCB_FIELDS[name].offset >>> 2;
}

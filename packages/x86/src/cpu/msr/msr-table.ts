import { Segment, State, segmentOffset } from '../../state/layout.ts';
import { isCanonical64 } from '../address.ts';
import { DebugCtl } from '../control-bits.ts';
import { writeEfer } from '../control-registers.ts';
import type { Cpu } from '../cpu.ts';
import { raise, Vector } from '../fault.ts';
import { setBase } from '../segments/segment-register.ts';
import { mtrrRows } from './mtrr.ts';
import type { MsrRow } from './row.ts';

type Check = (cpu: Cpu, value: bigint) => boolean;

/**
 * IA32_ARCH_CAPABILITIES. Nothing is executed speculatively: RDCL_NO, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO,
 * PBRSB_NO, GDS_NO, RFDS_NO.
 */
export const ARCH_CAPABILITIES = 0xd10_e179n;

/** A register that keeps what is written, if `holds` says that it may be; reserved bits are #GP(0). */
export function storage(
  index: number,
  name: string,
  section: string,
  options: { reset?: bigint; writable?: bigint; holds?: Check; count?: number; vendor?: 'intel' | 'amd'; feature?: string } = {},
): MsrRow {
  const { writable, holds, reset = 0n, ...rest } = options;
  return {
    index,
    name,
    section,
    reset,
    ...rest,
    read: (cpu, at) => cpu.msrs.stored(at),
    write: (cpu, value, at) => {
      if (writable !== undefined && (value & ~writable) !== 0n) raise(Vector.GP, 0);
      if (holds !== undefined && !holds(cpu, value)) raise(Vector.GP, 0);
      cpu.msrs.store(at, value);
    },
  };
}

/** A register that always reads the same. `ignoresWrites`: writes do nothing (where the manual says so), instead of #GP(0). */
export function constant(
  index: number,
  name: string,
  section: string,
  value: bigint,
  options: { vendor?: 'intel' | 'amd'; ignoresWrites?: boolean; feature?: string } = {},
): MsrRow {
  const { ignoresWrites, ...rest } = options;
  return { index, name, section, read: () => value, ...rest, ...(ignoresWrites === true ? { write: () => undefined } : {}) };
}

function segmentBase(index: number, name: string, segment: number): MsrRow {
  return {
    index,
    name,
    section: 'Vol. 3A 3.4.4',
    feature: 'LM',
    read: (cpu) => cpu.registers.get64(segmentOffset(segment, 'base')),
    write: (cpu, value) => {
      requireCanonical(cpu, value);
      setBase(cpu.registers, segment, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
    },
  };
}

function requireCanonical(cpu: Cpu, value: bigint): void {
  if (!isCanonical64(cpu, value)) raise(Vector.GP, 0);
}

const canonical: Check = (cpu, value) => isCanonical64(cpu, value);
/** Memory types of a PAT entry: 2 and 3 are reserved (SDM Vol. 3A, Table 11-10). */
const patHolds: Check = (_cpu, value) => {
  for (let i = 0n; i < 8n; i++) {
    const type = (value >> (i * 8n)) & 0xffn;
    if (type > 7n || type === 2n || type === 3n) return false;
  }
  return true;
};

/** Registers by index. What is not here is #GP(0). */
export const Msr = {
  TSC: 0x10,
  APIC_BASE: 0x1b,
  TSC_ADJUST: 0x3b,
  SYSENTER_CS: 0x174,
  SYSENTER_ESP: 0x175,
  SYSENTER_EIP: 0x176,
  DEBUGCTL: 0x1d9,
  PAT: 0x277,
  TSC_DEADLINE: 0x6e0,
  X2APIC_FIRST: 0x800,
  EFER: 0xc0000080,
  STAR: 0xc0000081,
  LSTAR: 0xc0000082,
  CSTAR: 0xc0000083,
  FMASK: 0xc0000084,
  FS_BASE: 0xc0000100,
  GS_BASE: 0xc0000101,
  KERNEL_GS_BASE: 0xc0000102,
  TSC_AUX: 0xc0000103,
} as const;

export const msrTable: readonly MsrRow[] = [
  constant(0x00, 'IA32_P5_MC_ADDR', 'Vol. 4, Table 2-2', 0n, { vendor: 'intel' }),
  constant(0x01, 'IA32_P5_MC_TYPE', 'Vol. 4, Table 2-2', 0n, { vendor: 'intel' }),
  {
    index: Msr.TSC,
    name: 'IA32_TIME_STAMP_COUNTER',
    section: 'Vol. 3B 17.17',
    feature: 'TSC',
    read: (cpu) => cpu.msrs.timeStamp,
    write: (cpu, value) => {
      // 17.17.3: a write moves IA32_TSC_ADJUST by the same amount.
      const change = value - cpu.msrs.timeStamp;
      cpu.msrs.tscOffset += change;
      cpu.msrs.tscAdjust = BigInt.asUintN(64, cpu.msrs.tscAdjust + change);
      cpu.apic?.timeStampChanged();
    },
  },
  constant(0x17, 'IA32_PLATFORM_ID', 'Vol. 4, Table 2-2', 0n, { vendor: 'intel' }),
  {
    index: Msr.APIC_BASE,
    name: 'IA32_APIC_BASE',
    section: 'Vol. 3A 10.4.4',
    feature: 'APIC',
    read: (cpu) => cpu.apic?.baseMsr ?? raise(Vector.GP, 0),
    write: (cpu, value) => {
      if (value >> BigInt(cpu.model.physicalBits) !== 0n || !(cpu.apic?.writeBaseMsr(value) ?? false)) raise(Vector.GP, 0);
    },
  },
  // Locked, VMX outside and inside SMX off: an extension brings its own.
  {
    index: Msr.TSC_ADJUST,
    name: 'IA32_TSC_ADJUST',
    section: 'Vol. 3B 17.17.3',
    feature: 'TSC_ADJUST',
    read: (cpu) => cpu.msrs.tscAdjust,
    write: (cpu, value) => {
      cpu.msrs.tscOffset += value - cpu.msrs.tscAdjust;
      cpu.msrs.tscAdjust = value;
      cpu.apic?.timeStampChanged();
    },
  },
  // Loading microcode does nothing, as under a hypervisor.
  {
    index: 0x79,
    name: 'IA32_BIOS_UPDT_TRIG',
    section: 'Vol. 3A 9.11.6',
    vendor: 'intel',
    read: () => raise(Vector.GP, 0),
    write: () => undefined,
  },
  {
    index: 0x8b,
    name: 'IA32_BIOS_SIGN_ID',
    section: 'Vol. 3A 9.11.7.1',
    // A revision that no operating system knows an erratum of; software writes 0 before CPUID.
    read: (cpu) => (cpu.model.vendor === 'intel' ? 0x0200_7006n << 32n : 0x0830_107cn),
    write: () => undefined,
  },
  constant(0x10a, 'IA32_ARCH_CAPABILITIES', 'Vol. 4, Table 2-2', ARCH_CAPABILITIES, { feature: 'ARCH_CAPABILITIES' }),
  constant(0xfe, 'IA32_MTRRCAP', 'Vol. 3A 11.11.1', 0x508n, { feature: 'MTRR' }),
  storage(Msr.SYSENTER_CS, 'IA32_SYSENTER_CS', 'Vol. 3A 5.8.7', { feature: 'SEP', writable: 0xffffffffn }),
  storage(Msr.SYSENTER_ESP, 'IA32_SYSENTER_ESP', 'Vol. 3A 5.8.7', { feature: 'SEP', holds: canonical }),
  storage(Msr.SYSENTER_EIP, 'IA32_SYSENTER_EIP', 'Vol. 3A 5.8.7', { feature: 'SEP', holds: canonical }),
  // No banks: nothing can be reported.
  constant(0x179, 'IA32_MCG_CAP', 'Vol. 3B 15.3.1.1', 0n, { feature: 'MCA' }),
  storage(0x17a, 'IA32_MCG_STATUS', 'Vol. 3B 15.3.1.2', { feature: 'MCA', writable: 7n }),
  constant(0x186, 'IA32_PERFEVTSEL0', 'Vol. 4, Table 2-2', 0n, { vendor: 'intel', ignoresWrites: true }),
  constant(0x187, 'IA32_PERFEVTSEL1', 'Vol. 4, Table 2-2', 0n, { vendor: 'intel', ignoresWrites: true }),
  storage(0x1a0, 'IA32_MISC_ENABLE', 'Vol. 4, Table 2-2', {
    vendor: 'intel',
    // Fast strings on; BTS and PEBS unavailable.
    reset: 0x1801n,
    writable: 0x4_0044_1d89n | 0x1801n,
  }),
  {
    index: Msr.DEBUGCTL,
    name: 'IA32_DEBUGCTL',
    section: 'Vol. 3B 17.4.1',
    read: (cpu) => BigInt(cpu.msrs.debugCtl),
    write: (cpu, value) => {
      if ((value & ~BigInt(DebugCtl.LBR | DebugCtl.BTF)) !== 0n) raise(Vector.GP, 0);
      cpu.msrs.debugCtl = Number(value);
    },
  },
  ...mtrrRows,
  storage(Msr.PAT, 'IA32_PAT', 'Vol. 3A 11.12.2', { feature: 'PAT', reset: 0x0007_0406_0007_0406n, holds: patHolds }),
  {
    index: Msr.TSC_DEADLINE,
    name: 'IA32_TSC_DEADLINE',
    section: 'Vol. 3A 10.5.4.1',
    feature: 'TSC_DEADLINE',
    read: (cpu) => cpu.apic?.readTscDeadline() ?? 0n,
    write: (cpu, value) => cpu.apic?.writeTscDeadline(value),
  },
  {
    index: Msr.X2APIC_FIRST,
    count: 0x40,
    name: 'x2APIC registers',
    section: 'Vol. 3A 10.12.1.2, Table 10-6',
    feature: 'X2APIC',
    read: (cpu, index) => cpu.apic?.readMsr(index) ?? raise(Vector.GP, 0),
    write: (cpu, value, index) => {
      if (!(cpu.apic?.writeMsr(index, value) ?? false)) raise(Vector.GP, 0);
    },
  },
  {
    index: Msr.EFER,
    name: 'IA32_EFER',
    section: 'Vol. 3A 2.2.1',
    read: (cpu) => cpu.registers.get64(State.efer),
    write: writeEfer,
  },
  storage(Msr.STAR, 'IA32_STAR', 'Vol. 3A 5.8.8', { feature: 'SYSCALL' }),
  storage(Msr.LSTAR, 'IA32_LSTAR', 'Vol. 3A 5.8.8', { feature: 'SYSCALL', holds: canonical }),
  storage(Msr.CSTAR, 'IA32_CSTAR', 'Vol. 3A 5.8.8', { feature: 'SYSCALL', holds: canonical }),
  storage(Msr.FMASK, 'IA32_FMASK', 'Vol. 3A 5.8.8', { feature: 'SYSCALL', writable: 0xffffffffn }),
  segmentBase(Msr.FS_BASE, 'IA32_FS_BASE', Segment.FS),
  segmentBase(Msr.GS_BASE, 'IA32_GS_BASE', Segment.GS),
  storage(Msr.KERNEL_GS_BASE, 'IA32_KERNEL_GS_BASE', 'Vol. 3A 3.4.4', { feature: 'LM', holds: canonical }),
  {
    index: Msr.TSC_AUX,
    name: 'IA32_TSC_AUX',
    section: 'Vol. 4, Table 2-2',
    feature: 'RDTSCP',
    read: (cpu) => BigInt(cpu.registers.get32(State.tscAux) >>> 0),
    write: (cpu, value) => {
      if (value >> 32n !== 0n) raise(Vector.GP, 0);
      cpu.registers.set32(State.tscAux, Number(BigInt.asIntN(32, value)));
    },
  },

  // AMD's own (APM Vol. 2, Appendix A; PPR for Family 17h)
  storage(0xc0010010, 'SYSCFG', 'APM Vol. 2 3.2.1', { vendor: 'amd', writable: 0x1fc0000n }),
  // Bit 24: TscFreqSel, the TSC runs at the P0 frequency.
  storage(0xc0010015, 'HWCR', 'APM Vol. 2 3.2.10', { vendor: 'amd', reset: 0x01000000n, writable: 0x7fffffffn }),
  storage(0xc001001a, 'TOP_MEM', 'APM Vol. 2 7.9.4', { vendor: 'amd' }),
  storage(0xc001001d, 'TOM2', 'APM Vol. 2 7.9.4', { vendor: 'amd' }),
  // Bit 46: the initial APIC ID counts cores in its low bits.
  storage(0xc001001f, 'NB_CFG', 'APM Vol. 2, Appendix A', { vendor: 'amd' }),
  {
    index: 0xc0010020,
    name: 'PATCH_LOADER',
    section: 'APM Vol. 2, Appendix A',
    vendor: 'amd',
    read: () => raise(Vector.GP, 0),
    write: () => undefined,
  },
  // LFENCE is always serializing (bit 1).
  storage(0xc0011029, 'DE_CFG', 'APM Vol. 2, Appendix A', { vendor: 'amd', reset: 2n }),
  constant(0xc0010055, 'INT_PENDING', 'APM Vol. 2, Appendix A', 0n, { vendor: 'amd', ignoresWrites: true }),
  storage(0xc0011020, 'LS_CFG', 'PPR Family 17h', { vendor: 'amd' }),
  storage(0xc0011022, 'DC_CFG', 'PPR Family 17h', { vendor: 'amd' }),
];

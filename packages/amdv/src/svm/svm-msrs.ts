import { Efer, type MsrRow, raise, State, Vector } from '@minusone/x86';

/** Bits of VM_CR (APM Vol. 2, 15.30.1 "VM_CR MSR"). DPD, R_INIT and DIS_A20M are not offered: they cannot be set. */
export const VmCr = { LOCK: 8n, SVMDIS: 16n } as const;
/** SVM's model-specific registers. */
export const SvmMsr = { VM_CR: 0xc001_0114, IGNNE: 0xc001_0115, VM_HSAVE_PA: 0xc001_0117 } as const;

export const svmMsrs: readonly MsrRow[] = [
  {
    index: SvmMsr.VM_CR,
    name: 'VM_CR',
    section: 'APM Vol. 2 15.30.1',
    read: (cpu) => cpu.msrs.stored(SvmMsr.VM_CR),
    write: (cpu, value) => {
      if ((value & ~(VmCr.LOCK | VmCr.SVMDIS)) !== 0n) raise(Vector.GP, 0);
      const old = cpu.msrs.stored(SvmMsr.VM_CR);
      // Locked: both bits are read-only. SVMDIS cannot be set while EFER.SVME is 1.
      if ((old & VmCr.LOCK) !== 0n) return;
      if ((value & VmCr.SVMDIS) !== 0n && (cpu.registers.get32(State.efer) & Efer.SVME) !== 0) raise(Vector.GP, 0);
      cpu.msrs.store(SvmMsr.VM_CR, value);
    },
  },
  {
    index: SvmMsr.IGNNE,
    name: 'IGNNE',
    section: 'APM Vol. 2 15.30.2',
    read: (cpu) => cpu.msrs.stored(SvmMsr.IGNNE),
    write: (cpu, value) => {
      if (value > 1n) raise(Vector.GP, 0);
      cpu.msrs.store(SvmMsr.IGNNE, value);
    },
  },
  {
    index: SvmMsr.VM_HSAVE_PA,
    name: 'VM_HSAVE_PA',
    section: 'APM Vol. 2 15.30.4',
    read: (cpu) => cpu.msrs.stored(SvmMsr.VM_HSAVE_PA),
    write: (cpu, value) => {
      if ((value & 0xfffn) !== 0n || value >> BigInt(cpu.model.physicalBits) !== 0n) raise(Vector.GP, 0);
      cpu.msrs.store(SvmMsr.VM_HSAVE_PA, value);
    },
  },
];

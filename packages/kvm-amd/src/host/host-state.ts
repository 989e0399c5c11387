import type { HostPages } from '@minusone/kvm';
import { type Cpu, Cr0, Cr4, Efer, Eflags, Segment, setSegment, writeCr0, writeCr3, writeCr4, writeEflags } from '@minusone/x86';

/** VM_HSAVE_PA (APM Vol. 2 15.30.4): the page in which VMRUN keeps the host. */
const VM_HSAVE_PA = 0xc001_0117;
const EFER = 0xc000_0080;

/**
 * Puts the processor where a hypervisor runs: 64-bit mode at CPL 0, SVM enabled, a host save area. Interrupts are enabled, as V_INTR_MASKING makes RFLAGS.IF at VMRUN
 * the mask of physical interrupts while the guest runs (APM Vol. 2 15.21.1); GIF keeps them off in between. What runs in the host is TypeScript: its page tables map nothing.
 *
 * NPT tables are walked in this paging mode, four levels with EFER.NXE (APM Vol. 2 15.25.3).
 */
export function enterHostMode(cpu: Cpu, pages: HostPages): void {
  const { registers } = cpu;
  cpu.msrs.write(EFER, BigInt(Efer.SVME | Efer.LME | Efer.NXE | Efer.SCE));
  writeCr4(cpu, Cr4.PAE);
  writeCr3(cpu, BigInt(pages.allocate()));
  writeCr0(cpu, Cr0.PE | Cr0.PG | Cr0.NE | Cr0.WP);
  setSegment(registers, Segment.CS, 0x08, 0xa09b, 0xffff_ffff, 0);
  setSegment(registers, Segment.SS, 0x10, 0xc093, 0xffff_ffff, 0);
  writeEflags(registers, Eflags.IF, Eflags.IF);
  cpu.updateMode();
  cpu.msrs.write(VM_HSAVE_PA, BigInt(pages.allocate()));
}

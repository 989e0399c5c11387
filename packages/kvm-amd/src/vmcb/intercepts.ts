import { VMCB_FIELD } from '@minusone/amdv';
import { Clean, type ControlBlock } from './control-block.ts';

/** Intercept vectors 3 and 4 of the VMCB (APM Vol. 2, Appendix B, Table B-1), by bit. */
export const Intercept3 = {
  INTR: 1 << 0,
  NMI: 1 << 1,
  SMI: 1 << 2,
  INIT: 1 << 3,
  VINTR: 1 << 4,
  RDPMC: 1 << 15,
  CPUID: 1 << 18,
  RSM: 1 << 19,
  IRET: 1 << 20,
  INVD: 1 << 22,
  PAUSE: 1 << 23,
  HLT: 1 << 24,
  INVLPGA: 1 << 26,
  IOIO_PROT: 1 << 27,
  MSR_PROT: 1 << 28,
  TASK_SWITCH: 1 << 29,
  SHUTDOWN: 1 << 31,
} as const;
export const Intercept4 = {
  VMRUN: 1 << 0,
  VMMCALL: 1 << 1,
  VMLOAD: 1 << 2,
  VMSAVE: 1 << 3,
  STGI: 1 << 4,
  CLGI: 1 << 5,
  SKINIT: 1 << 6,
  WBINVD: 1 << 9,
  MONITOR: 1 << 10,
  MWAIT: 1 << 11,
  MWAIT_COND: 1 << 12,
  XSETBV: 1 << 13,
} as const;
/** CR8 in the upper half (writes) of the first vector. */
const CR8_WRITE = 1 << 24;
const MACHINE_CHECK = 18;
const ALIGNMENT_CHECK = 17;

/**
 * What a guest of KVM exits for: everything that the host must keep to itself (physical events, the extension's instructions), what KVM answers (CPUID, ports, MSRs, HLT),
 * and nothing that nested paging and V_INTR_MASKING make the guest's own: CR0, CR2, CR3, CR4, CR8, INVLPG, RDTSC, page faults.
 */
export class Intercepts {
  readonly #block: ControlBlock;

  constructor(block: ControlBlock) {
    this.#block = block;
    const { INTR, NMI, SMI, INIT, RDPMC, CPUID, RSM, INVD, PAUSE, HLT, INVLPGA, IOIO_PROT, MSR_PROT, TASK_SWITCH, SHUTDOWN } = Intercept3;
    this.#set3(
      INTR | NMI | SMI | INIT | RDPMC | CPUID | RSM | INVD | PAUSE | HLT | INVLPGA | IOIO_PROT | MSR_PROT | TASK_SWITCH | SHUTDOWN,
      true,
    );
    const { VMRUN, VMMCALL, VMLOAD, VMSAVE, STGI, CLGI, SKINIT, WBINVD, MONITOR, MWAIT, MWAIT_COND, XSETBV } = Intercept4;
    this.#set4(
      VMRUN | VMMCALL | VMLOAD | VMSAVE | STGI | CLGI | SKINIT | WBINVD | MONITOR | MWAIT | MWAIT_COND | XSETBV,
      true,
    );
    this.exception(MACHINE_CHECK, true);
    this.exception(ALIGNMENT_CHECK, true);
  }

  #set3(bits: number, on: boolean): void {
    this.#block.setBits(VMCB_FIELD.INTERCEPT_3, Clean.I, bits, on ? bits : 0);
  }
  #set4(bits: number, on: boolean): void {
    this.#block.setBits(VMCB_FIELD.INTERCEPT_4, Clean.I, bits, on ? bits : 0);
  }

  exception(vector: number, on: boolean): void {
    const bit = 1 << vector;
    this.#block.setBits(VMCB_FIELD.INTERCEPT_EXCEPTIONS, Clean.I, bit, on ? bit : 0);
  }
  virtualInterrupt(on: boolean): void {
    this.#set3(Intercept3.VINTR, on);
  }
  iret(on: boolean): void {
    this.#set3(Intercept3.IRET, on);
  }
  cr8Writes(on: boolean): void {
    this.#block.setBits(VMCB_FIELD.INTERCEPT_CR, Clean.I, CR8_WRITE, on ? CR8_WRITE : 0);
  }
  /** All reads and writes of debug registers. */
  debugRegisters(on: boolean): void {
    this.#block.set(VMCB_FIELD.INTERCEPT_DR, Clean.I, on ? 0x00ff_00ff : 0);
  }
  idle(exits: { readonly hlt: boolean; readonly pause: boolean; readonly mwait: boolean }): void {
    this.#set3(Intercept3.HLT, exits.hlt);
    this.#set3(Intercept3.PAUSE, exits.pause);
    this.#set4(Intercept4.MONITOR | Intercept4.MWAIT | Intercept4.MWAIT_COND, exits.mwait);
  }
}

import { Intercept, VMCB_FIELD } from '@minusone/amdv';
import type { VendorIntercepts } from '@minusone/kvm';
import { Clean, type ControlBlock } from './control-block.ts';

/** CR8 in the upper half (writes) of the first vector. */
const CR8_WRITE = 1 << 24;
const MACHINE_CHECK = 18;
const ALIGNMENT_CHECK = 17;

/** Physical events, and what would end the machine. */
const EVENTS = Intercept.INTR | Intercept.NMI | Intercept.SMI | Intercept.INIT | Intercept.SHUTDOWN;
const ANSWERED_BY_KVM =
  Intercept.CPUID |
  Intercept.IOIO_PROT |
  Intercept.MSR_PROT |
  Intercept.RDPMC |
  Intercept.TASK_SWITCH |
  Intercept.INVD |
  Intercept.RSM |
  // Of the extension, but in vector 3.
  Intercept.INVLPGA;
const EXTENSION = Intercept.VMRUN | Intercept.VMLOAD | Intercept.VMSAVE | Intercept.STGI | Intercept.CLGI | Intercept.SKINIT;
const MONITOR_AND_MWAIT = Intercept.MONITOR | Intercept.MWAIT | Intercept.MWAIT_CONDITIONAL;

/**
 * What a guest of KVM exits for: everything that the host must keep to itself (physical events, the extension's instructions), what KVM answers (CPUID, ports, MSRs, HLT),
 * and nothing that nested paging and V_INTR_MASKING make the guest's own: CR0, CR2, CR3, CR4, CR8, INVLPG, RDTSC, page faults.
 */
export class Intercepts implements VendorIntercepts {
  readonly #block: ControlBlock;

  constructor(block: ControlBlock) {
    this.#block = block;
    this.#set3(EVENTS | ANSWERED_BY_KVM | Intercept.HLT | Intercept.PAUSE, true);
    this.#set4(EXTENSION | Intercept.VMMCALL | Intercept.WBINVD | Intercept.XSETBV | MONITOR_AND_MWAIT, true);
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
    this.#set3(Intercept.VINTR, on);
  }
  iret(on: boolean): void {
    this.#set3(Intercept.IRET, on);
  }
  cr8Writes(on: boolean): void {
    this.#block.setBits(VMCB_FIELD.INTERCEPT_CR, Clean.I, CR8_WRITE, on ? CR8_WRITE : 0);
  }
  /** All reads and writes of debug registers. */
  debugRegisters(on: boolean): void {
    this.#block.set(VMCB_FIELD.INTERCEPT_DR, Clean.I, on ? 0x00ff_00ff : 0);
  }
  idle(exits: { readonly hlt: boolean; readonly pause: boolean; readonly mwait: boolean }): void {
    this.#set3(Intercept.HLT, exits.hlt);
    this.#set3(Intercept.PAUSE, exits.pause);
    this.#set4(MONITOR_AND_MWAIT, exits.mwait);
  }
}

import { VMCB_FIELD, Vmcb } from '@minusone/amdv';
import { type HostPages, pageBytes } from '@minusone/kvm';

/** VMCB clean bits (APM Vol. 2 15.15.3): what of a VMCB software has not touched since the last exit. */
export const Clean = {
  /** Intercepts, TSC offset, pause filter. */
  I: 0x1,
  IOPM: 0x2,
  ASID: 0x4,
  /** V_TPR, V_IRQ, V_INTR_PRIO, V_IGN_TPR, V_INTR_MASKING, V_INTR_VECTOR. */
  TPR: 0x8,
  /** Nested paging: nCR3, G_PAT. */
  NP: 0x10,
  /** CR0, CR3, CR4, EFER. */
  CRX: 0x20,
  /** DR6, DR7. */
  DRX: 0x40,
  /** GDT, IDT. */
  DT: 0x80,
  /** CS, DS, SS, ES, CPL. */
  SEG: 0x100,
  CR2: 0x200,
  LBR: 0x400,
  /** Fields that are loaded at every entry. */
  NONE: 0,
} as const;
const ALL_CLEAN = 0x7ff;

/** A VMCB in a page of the host's memory, with its clean bits kept as what is written through it demands. A field that has the value already is not written. */
export class ControlBlock {
  readonly hpa: number;
  readonly vmcb: Vmcb;
  #clean = 0;

  constructor(pages: HostPages) {
    this.hpa = pages.allocate();
    this.vmcb = new Vmcb(pageBytes(pages.memory, this.hpa));
  }

  /** Bits 31:0, signed. */
  low(field: number): number {
    return this.vmcb.low(field) | 0;
  }
  /** Bits 63:32, signed. */
  high(field: number): number {
    return this.vmcb.high(field) | 0;
  }
  /** @param clean the bit of `Clean` that covers the field */
  set(field: number, clean: number, low: number, high = 0): void {
    const { vmcb } = this;
    if ((vmcb.low(field) | 0) === (low | 0) && (vmcb.high(field) | 0) === (high | 0)) return;
    vmcb.set(field, low, high);
    this.#clean &= ~clean;
  }
  /** Changes the bits of `mask` in a field of at most 32 bits. */
  setBits(field: number, clean: number, mask: number, bits: number): void {
    this.set(field, clean, (this.low(field) & ~mask) | (bits & mask));
  }
  read(field: number): bigint {
    return this.vmcb.read(field);
  }
  write(field: number, clean: number, value: bigint): void {
    this.set(field, clean, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
  }

  /** To be called right before VMRUN. */
  beforeEntry(): void {
    this.vmcb.set(VMCB_FIELD.VMCB_CLEAN, this.#clean, 0);
    this.#clean = ALL_CLEAN;
  }
  /** After an entry that failed nothing is known to be cached. */
  forget(): void {
    this.#clean = 0;
  }
}

import { type HostPages, pageBytes } from '@minusone/kvm';
import { FIELD, Vmcs, type Vmx } from '@minusone/vtx';

const NO_LINK = -1;

/** The VMCS of a virtual CPU, current on its processor from the start: fields by number halves, signed. A field that has the value already is not written. */
export class ControlStructure {
  readonly hpa: number;
  readonly vmcs: Vmcs;

  /** Makes the VMCS current (SDM Vol. 3C, 25.11.1 "Software Use of Virtual-Machine Control Structures"). The processor is in VMX operation. */
  constructor(pages: HostPages, vmx: Vmx) {
    this.hpa = vmxRegion(pages, vmx);
    vmx.vmclear(this.hpa);
    vmx.vmptrld(this.hpa);
    this.vmcs = vmx.current as Vmcs;
    this.vmcs.set(FIELD.VMCS_LINK_POINTER, NO_LINK, NO_LINK);
  }

  /** Bits 31:0, signed. */
  low(field: number): number {
    return this.vmcs.low(field) | 0;
  }
  /** Bits 63:32, signed. */
  high(field: number): number {
    return this.vmcs.high(field) | 0;
  }
  set(field: number, low: number, high = 0): void {
    this.vmcs.set(field, low, high);
  }
  /** Changes the bits of `mask` in a field of at most 32 bits. */
  setBits(field: number, mask: number, bits: number): void {
    this.vmcs.set(field, (this.vmcs.low(field) & ~mask) | (bits & mask));
  }
  read(field: number): bigint {
    return this.vmcs.read(field);
  }
  write(field: number, value: bigint): void {
    this.vmcs.set(field, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
  }
}

/** A page for VMXON or for a VMCS: software writes the revision identifier before either (SDM Vol. 3C, 25.2 "Format of the VMCS Region", 25.11.5 "VMXON Region"). */
export function vmxRegion(pages: HostPages, vmx: Vmx): number {
  const hpa = pages.allocate();
  new Vmcs(pageBytes(pages.memory, hpa)).revisionId = vmx.capabilities.revisionId;
  return hpa;
}

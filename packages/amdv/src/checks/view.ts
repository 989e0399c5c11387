import { Cr0, Cr4, Efer } from '@minusone/x86';
import type { SvmCapabilities } from '../capabilities/capabilities.ts';
import { EventInformation } from '../events/event-information.ts';
import { VMCB_FIELD, type VmcbFieldName } from '../vmcb/fields.ts';
import type { Vmcb } from '../vmcb/vmcb.ts';
import { DEFAULT_ENVIRONMENT, type VmrunEnvironment } from './environment.ts';

/** Bits of a segment's attributes in the VMCB. */
export const VmcbAttribute = { L: 0x200, D: 0x400 } as const;

/** A VMCB as the checks of VMRUN see it. It reads the VMCB anew each time, so that one view serves any number of entries. */
export class VmrunView {
  readonly vmcb: Vmcb;
  readonly capabilities: SvmCapabilities;
  environment: VmrunEnvironment;

  constructor(vmcb: Vmcb, capabilities: SvmCapabilities, environment: VmrunEnvironment = DEFAULT_ENVIRONMENT) {
    this.vmcb = vmcb;
    this.capabilities = capabilities;
    this.environment = environment;
  }

  /** Bits 31:0 of a field, unsigned. */
  low(name: VmcbFieldName): number {
    return this.vmcb.low(VMCB_FIELD[name]);
  }
  /** Bits 63:32. */
  high(name: VmcbFieldName): number {
    return this.vmcb.high(VMCB_FIELD[name]);
  }
  /** The whole field. */
  value(name: VmcbFieldName): bigint {
    return this.vmcb.read(VMCB_FIELD[name]);
  }
  /** `NAME is 0x...`. */
  text(name: VmcbFieldName): string {
    return `${name} is 0x${this.value(name).toString(16)}`;
  }

  /** Whether a field sets no bit beyond the processor's physical-address width. */
  isPhysical(name: VmcbFieldName): boolean {
    const width = this.capabilities.processor.physicalAddressWidth;
    return this.high(name) >>> (width - 32) === 0;
  }
  /** The address in a field without the bits that a page's address lacks, and those beyond the physical-address width. */
  physicalPage(name: VmcbFieldName): bigint {
    const width = BigInt(this.capabilities.processor.physicalAddressWidth);
    return this.value(name) & ((1n << width) - 4096n);
  }
  /** Whether a table of so many bytes, whose address has its bits 11:0 ignored, ends at or below the physical limit. */
  fitsPhysical(name: VmcbFieldName, bytes: number): boolean {
    const low = this.low(name);
    const base = this.high(name) * 2 ** 32 + low - (low & 0xfff);
    return base + bytes <= 2 ** this.capabilities.processor.physicalAddressWidth;
  }

  /** EFER.LME and CR0.PG: the guest will be in long mode. */
  get isLong(): boolean {
    return (this.low('EFER') & Efer.LME) !== 0 && (this.low('CR0') & Cr0.PG) !== 0;
  }
  /** The guest will be in 64-bit mode. */
  get is64Bit(): boolean {
    return this.isLong && (this.low('CS_ATTRIBUTES') & VmcbAttribute.L) !== 0;
  }
  get hasPae(): boolean {
    return (this.low('CR4') & Cr4.PAE) !== 0;
  }
  /** NP_ENABLE, where there is nested paging: otherwise it is ignored. */
  get isNested(): boolean {
    return this.low('NP_ENABLE') !== 0 && this.capabilities.has('NP');
  }
  /** EVENTINJ.V. */
  get injects(): boolean {
    return (this.low('EVENTINJ') & EventInformation.VALID) !== 0;
  }
  get injectedType(): number {
    return (this.low('EVENTINJ') & EventInformation.TYPE_MASK) >>> EventInformation.TYPE_SHIFT;
  }
  get injectedVector(): number {
    return this.low('EVENTINJ') & EventInformation.VECTOR;
  }
}

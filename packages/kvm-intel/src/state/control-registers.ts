import type { VendorControlRegisters } from '@minusone/kvm';
import { FIELD, type VmxCapabilities } from '@minusone/vtx';
import { Cr0, Efer } from '@minusone/x86';
import type { ControlStructure } from '../vmcs/control-structure.ts';
import { controlBit } from '../vmcs/controls.ts';

const IA32E_MODE_GUEST = controlBit('entry', 'ia32eModeGuest');
/** Entries and exits leave these as they are (SDM Vol. 3C, 27.3.2.1, 28.5.1): the guest's are in the read shadow alone. */
const CACHING = Cr0.CD | Cr0.NW;

/**
 * CR0, CR3, CR4 and IA32_EFER of the guest. Most bits of CR0 and CR4 are its own, and its writes to them do not exit. The host's are those that VMX operation fixes
 * (SDM Vol. 3C, 24.8 "Restrictions on VMX Operation"; "unrestricted guest" frees PE and PG) and the caches': the guest reads them from the read shadow, and exits to change
 * them.
 */
export class ControlRegisters implements VendorControlRegisters {
  readonly #structure: ControlStructure;
  readonly #cr0Ones: number;
  readonly #cr4Ones: number;
  readonly #cr0Mask: number;

  constructor(structure: ControlStructure, capabilities: VmxCapabilities) {
    this.#structure = structure;
    const ones = (bits: bigint | undefined): number => Number(BigInt.asIntN(32, bits ?? 0n));
    this.#cr0Ones = ones(capabilities.msrs.IA32_VMX_CR0_FIXED0) & ~(Cr0.PE | Cr0.PG);
    this.#cr4Ones = ones(capabilities.msrs.IA32_VMX_CR4_FIXED0);
    this.#cr0Mask = this.#cr0Ones | CACHING;
    structure.set(FIELD.CR0_GUEST_HOST_MASK, this.#cr0Mask);
    structure.set(FIELD.CR4_GUEST_HOST_MASK, this.#cr4Ones);
  }

  cr0(): number {
    const mask = this.#cr0Mask;
    return (this.#structure.low(FIELD.GUEST_CR0) & ~mask) | (this.#structure.low(FIELD.CR0_READ_SHADOW) & mask);
  }
  setCr0(value: number): void {
    this.#structure.set(FIELD.GUEST_CR0, (value & ~CACHING) | this.#cr0Ones);
    this.#structure.set(FIELD.CR0_READ_SHADOW, value);
  }

  cr3(): bigint {
    return this.#structure.read(FIELD.GUEST_CR3);
  }
  setCr3(value: bigint): void {
    this.#structure.write(FIELD.GUEST_CR3, value);
  }

  cr4(): number {
    const mask = this.#cr4Ones;
    return (this.#structure.low(FIELD.GUEST_CR4) & ~mask) | (this.#structure.low(FIELD.CR4_READ_SHADOW) & mask);
  }
  setCr4(value: number): void {
    this.#structure.set(FIELD.GUEST_CR4, value | this.#cr4Ones);
    this.#structure.set(FIELD.CR4_READ_SHADOW, value);
  }

  efer(): number {
    return this.#structure.low(FIELD.GUEST_IA32_EFER);
  }
  /** "IA-32e mode guest" is IA32_EFER.LMA; exits keep the two together when the guest changes its mode. */
  setEfer(value: number): void {
    this.#structure.set(FIELD.GUEST_IA32_EFER, value);
    this.#structure.setBits(FIELD.VM_ENTRY_CONTROLS, IA32E_MODE_GUEST, (value & Efer.LMA) !== 0 ? IA32E_MODE_GUEST : 0);
  }

  /** SDM Vol. 3A, Table 9-1: INIT leaves the caches' bits of CR0. */
  reset(init: boolean): void {
    this.setCr0((init ? this.cr0() & CACHING : CACHING) | Cr0.ET);
    this.setCr3(0n);
    this.setCr4(0);
    this.setEfer(0);
  }
}

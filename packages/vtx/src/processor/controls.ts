import type { EptStage } from '@minusone/mmu';
import { bitsSet } from '../controls/bits.ts';
import { ENTRY_CONTROLS, EXIT_CONTROLS, PIN_BASED_CONTROLS, PRIMARY_CONTROLS, SECONDARY_CONTROLS } from '../controls/tables.ts';
import { FIELD } from '../vmcs/fields.ts';
import type { Vmcs } from '../vmcs/vmcs.ts';

const {
  CPU_BASED_VM_EXEC_CONTROL,
  CR0_GUEST_HOST_MASK,
  CR0_READ_SHADOW,
  CR4_GUEST_HOST_MASK,
  CR4_READ_SHADOW,
  EPT_POINTER,
  EXCEPTION_BITMAP,
  IO_BITMAP_A,
  IO_BITMAP_B,
  MSR_BITMAP,
  PAGE_FAULT_ERROR_CODE_MASK,
  PAGE_FAULT_ERROR_CODE_MATCH,
  PIN_BASED_VM_EXEC_CONTROL,
  SECONDARY_VM_EXEC_CONTROL,
  TPR_THRESHOLD,
  VIRTUAL_APIC_PAGE_ADDR,
  VIRTUAL_PROCESSOR_ID,
  VM_ENTRY_CONTROLS,
  VM_EXIT_CONTROLS,
} = FIELD;

/** Masks of the controls by key: `Primary.hltExiting`. */
function masks<const Table extends Readonly<Record<string, { readonly bit: number }>>>(
  table: Table,
): { readonly [Key in keyof Table]: number } {
  return Object.fromEntries(
    Object.keys(table).map((key) => [key, Number(BigInt.asIntN(32, bitsSet(table as never, [key as never])))]),
  ) as never;
}
export const PinBased: { readonly [Key in keyof typeof PIN_BASED_CONTROLS]: number } = masks(PIN_BASED_CONTROLS);
export const Primary: { readonly [Key in keyof typeof PRIMARY_CONTROLS]: number } = masks(PRIMARY_CONTROLS);
export const Secondary: { readonly [Key in keyof typeof SECONDARY_CONTROLS]: number } = masks(SECONDARY_CONTROLS);
export const ExitControl: { readonly [Key in keyof typeof EXIT_CONTROLS]: number } = masks(EXIT_CONTROLS);
export const EntryControl: { readonly [Key in keyof typeof ENTRY_CONTROLS]: number } = masks(ENTRY_CONTROLS);

/** The controls of the VMCS that was entered: read once at VM entry, as plain numbers. */
export class Controls {
  pinBased = 0;
  primary = 0;
  /** 0 where "activate secondary controls" is 0. */
  secondary = 0;
  exit = 0;
  entry = 0;
  exceptionBitmap = 0;
  pageFaultMask = 0;
  pageFaultMatch = 0;
  cr0Mask = 0;
  cr0MaskHigh = 0;
  cr0Shadow = 0;
  cr0ShadowHigh = 0;
  cr4Mask = 0;
  cr4MaskHigh = 0;
  cr4Shadow = 0;
  cr4ShadowHigh = 0;
  vpid = 0;
  /** EPTP; 0 without EPT. */
  eptpLow = 0;
  eptpHigh = 0;
  stage: EptStage | null = null;
  tag = 0;
  /** Physical addresses, bytes. */
  ioBitmapA = 0;
  ioBitmapB = 0;
  msrBitmap = 0;
  virtualApicPage = 0;
  tprThreshold = 0;

  read(vmcs: Vmcs): void {
    this.pinBased = vmcs.low(PIN_BASED_VM_EXEC_CONTROL);
    this.primary = vmcs.low(CPU_BASED_VM_EXEC_CONTROL);
    this.secondary = (this.primary & Primary.activateSecondaryControls) !== 0 ? vmcs.low(SECONDARY_VM_EXEC_CONTROL) : 0;
    this.exit = vmcs.low(VM_EXIT_CONTROLS);
    this.entry = vmcs.low(VM_ENTRY_CONTROLS);
    this.exceptionBitmap = vmcs.low(EXCEPTION_BITMAP);
    this.pageFaultMask = vmcs.low(PAGE_FAULT_ERROR_CODE_MASK);
    this.pageFaultMatch = vmcs.low(PAGE_FAULT_ERROR_CODE_MATCH);
    this.cr0Mask = vmcs.low(CR0_GUEST_HOST_MASK);
    this.cr0MaskHigh = vmcs.high(CR0_GUEST_HOST_MASK);
    this.cr0Shadow = vmcs.low(CR0_READ_SHADOW);
    this.cr0ShadowHigh = vmcs.high(CR0_READ_SHADOW);
    this.cr4Mask = vmcs.low(CR4_GUEST_HOST_MASK);
    this.cr4MaskHigh = vmcs.high(CR4_GUEST_HOST_MASK);
    this.cr4Shadow = vmcs.low(CR4_READ_SHADOW);
    this.cr4ShadowHigh = vmcs.high(CR4_READ_SHADOW);
    this.vpid = (this.secondary & Secondary.enableVpid) !== 0 ? vmcs.low(VIRTUAL_PROCESSOR_ID) : 0;
    const hasEpt = (this.secondary & Secondary.enableEpt) !== 0;
    this.eptpLow = hasEpt ? vmcs.low(EPT_POINTER) : 0;
    this.eptpHigh = hasEpt ? vmcs.high(EPT_POINTER) : 0;
    this.ioBitmapA = addressOf(vmcs, IO_BITMAP_A);
    this.ioBitmapB = addressOf(vmcs, IO_BITMAP_B);
    this.msrBitmap = addressOf(vmcs, MSR_BITMAP);
    this.virtualApicPage = addressOf(vmcs, VIRTUAL_APIC_PAGE_ADDR);
    this.tprThreshold = vmcs.low(TPR_THRESHOLD) & 15;
  }

  hasPinBased(mask: number): boolean {
    return (this.pinBased & mask) !== 0;
  }
  hasPrimary(mask: number): boolean {
    return (this.primary & mask) !== 0;
  }
  hasSecondary(mask: number): boolean {
    return (this.secondary & mask) !== 0;
  }
  hasExit(mask: number): boolean {
    return (this.exit & mask) !== 0;
  }
  hasEntry(mask: number): boolean {
    return (this.entry & mask) !== 0;
  }
}

/** A physical address that a field holds, as a Number of bytes. */
export function addressOf(vmcs: Vmcs, field: number): number {
  return vmcs.high(field) * 0x1_0000_0000 + vmcs.low(field);
}

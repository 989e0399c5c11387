import type { MachineMemory } from '@minusone/memory';
import type { EptStage } from '@minusone/mmu';
import { bitsSet } from '../controls/bits.ts';
import { ENTRY_CONTROLS, EXIT_CONTROLS, PIN_BASED_CONTROLS, PRIMARY_CONTROLS, SECONDARY_CONTROLS } from '../controls/tables.ts';
import { FIELD } from '../vmcs/fields.ts';
import { fieldOffset } from '../vmcs/layout.ts';
import type { Vmcs } from '../vmcs/vmcs.ts';
import type { Region } from './region.ts';
import { wordOf } from './words.ts';

/** Where the fields stand in a region, in words of 4 bytes. */
const W = {
  CPU_BASED_VM_EXEC_CONTROL: wordOf('CPU_BASED_VM_EXEC_CONTROL'),
  CR0_GUEST_HOST_MASK: wordOf('CR0_GUEST_HOST_MASK'),
  CR0_READ_SHADOW: wordOf('CR0_READ_SHADOW'),
  CR4_GUEST_HOST_MASK: wordOf('CR4_GUEST_HOST_MASK'),
  CR4_READ_SHADOW: wordOf('CR4_READ_SHADOW'),
  EPT_POINTER: wordOf('EPT_POINTER'),
  EXCEPTION_BITMAP: wordOf('EXCEPTION_BITMAP'),
  IO_BITMAP_A: wordOf('IO_BITMAP_A'),
  IO_BITMAP_B: wordOf('IO_BITMAP_B'),
  MSR_BITMAP: wordOf('MSR_BITMAP'),
  PAGE_FAULT_ERROR_CODE_MASK: wordOf('PAGE_FAULT_ERROR_CODE_MASK'),
  PAGE_FAULT_ERROR_CODE_MATCH: wordOf('PAGE_FAULT_ERROR_CODE_MATCH'),
  PIN_BASED_VM_EXEC_CONTROL: wordOf('PIN_BASED_VM_EXEC_CONTROL'),
  SECONDARY_VM_EXEC_CONTROL: wordOf('SECONDARY_VM_EXEC_CONTROL'),
  TPR_THRESHOLD: wordOf('TPR_THRESHOLD'),
  VIRTUAL_APIC_PAGE_ADDR: wordOf('VIRTUAL_APIC_PAGE_ADDR'),
  VM_ENTRY_CONTROLS: wordOf('VM_ENTRY_CONTROLS'),
  VM_EXIT_CONTROLS: wordOf('VM_EXIT_CONTROLS'),
} as const;
/** The one field of 16 bits: in units of 2 bytes. */
const VPID_HALF = fieldOffset(FIELD.VIRTUAL_PROCESSOR_ID) >>> 1;

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

  /** Takes them from a region by its words: this is done at every entry. */
  read({ word: v, half }: Region, { i32, u16 }: MachineMemory): void {
    this.pinBased = i32[v + W.PIN_BASED_VM_EXEC_CONTROL]!;
    this.primary = i32[v + W.CPU_BASED_VM_EXEC_CONTROL]!;
    this.secondary = (this.primary & Primary.activateSecondaryControls) !== 0 ? i32[v + W.SECONDARY_VM_EXEC_CONTROL]! : 0;
    this.exit = i32[v + W.VM_EXIT_CONTROLS]!;
    this.entry = i32[v + W.VM_ENTRY_CONTROLS]!;
    this.exceptionBitmap = i32[v + W.EXCEPTION_BITMAP]!;
    this.pageFaultMask = i32[v + W.PAGE_FAULT_ERROR_CODE_MASK]!;
    this.pageFaultMatch = i32[v + W.PAGE_FAULT_ERROR_CODE_MATCH]!;
    this.cr0Mask = i32[v + W.CR0_GUEST_HOST_MASK]!;
    this.cr0MaskHigh = i32[v + W.CR0_GUEST_HOST_MASK + 1]!;
    this.cr0Shadow = i32[v + W.CR0_READ_SHADOW]!;
    this.cr0ShadowHigh = i32[v + W.CR0_READ_SHADOW + 1]!;
    this.cr4Mask = i32[v + W.CR4_GUEST_HOST_MASK]!;
    this.cr4MaskHigh = i32[v + W.CR4_GUEST_HOST_MASK + 1]!;
    this.cr4Shadow = i32[v + W.CR4_READ_SHADOW]!;
    this.cr4ShadowHigh = i32[v + W.CR4_READ_SHADOW + 1]!;
    this.vpid = (this.secondary & Secondary.enableVpid) !== 0 ? u16[half + VPID_HALF]! : 0;
    const hasEpt = (this.secondary & Secondary.enableEpt) !== 0;
    this.eptpLow = hasEpt ? i32[v + W.EPT_POINTER]! : 0;
    this.eptpHigh = hasEpt ? i32[v + W.EPT_POINTER + 1]! : 0;
    this.ioBitmapA = address(i32, v + W.IO_BITMAP_A);
    this.ioBitmapB = address(i32, v + W.IO_BITMAP_B);
    this.msrBitmap = address(i32, v + W.MSR_BITMAP);
    this.virtualApicPage = address(i32, v + W.VIRTUAL_APIC_PAGE_ADDR);
    this.tprThreshold = i32[v + W.TPR_THRESHOLD]! & 15;
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

/** A physical address in two words, as a Number of bytes. */
function address(i32: Int32Array, at: number): number {
  return (i32[at + 1]! >>> 0) * 0x1_0000_0000 + (i32[at]! >>> 0);
}

/** A physical address that a field holds, as a Number of bytes. */
export function addressOf(vmcs: Vmcs, field: number): number {
  return vmcs.high(field) * 0x1_0000_0000 + vmcs.low(field);
}

import type { HostPages } from '@minusone/kvm';
import { FIELD, type Vmx } from '@minusone/vtx';
import { Cr0, Efer, Segment, SegmentField, State, segmentOffset, writeCr0 } from '@minusone/x86';
import { type ControlStructure, vmxRegion } from '../vmcs/control-structure.ts';

/** TR must not be null (SDM Vol. 3C, 27.2.3 "Checks on Host Segment and Descriptor-Table Registers"). */
const TR_SELECTOR = 0x18;

/** Brings a processor that has run nothing to where a hypervisor executes VMXON (64-bit mode, CR4.VMXE), turns VMX operation on, and enables caching. */
export function enterVmxOperation(vmx: Vmx, pages: HostPages): void {
  vmx.vmxon(vmxRegion(pages, vmx));
  const { cpu } = vmx;
  writeCr0(cpu, cpu.registers.get32(State.cr0) & ~(Cr0.CD | Cr0.NW));
}

/**
 * What exits load (SDM Vol. 3C, 25.5 "Host-State Area"): the processor as it is now. What runs in the host is TypeScript: its page tables map nothing, its RIP and RSP
 * lead nowhere.
 */
export function writeHostState(structure: ControlStructure, vmx: Vmx, pages: HostPages): void {
  const { registers } = vmx.cpu;
  structure.set(FIELD.HOST_CR0, registers.get32(State.cr0));
  structure.write(FIELD.HOST_CR3, BigInt(pages.allocate()));
  structure.set(FIELD.HOST_CR4, registers.get32(State.cr4));
  structure.set(FIELD.HOST_IA32_EFER, registers.get32(State.efer) | Efer.NXE | Efer.SCE);
  structure.set(FIELD.HOST_IA32_PAT, registers.get32(State.pat), registers.get32(State.pat + 4));
  for (const name of ['CS', 'SS', 'DS', 'ES', 'FS', 'GS'] as const) {
    structure.set(FIELD[`HOST_${name}_SELECTOR`], registers.get32(segmentOffset(Segment[name], 'base') + SegmentField.selector) & 0xfff8);
  }
  structure.set(FIELD.HOST_TR_SELECTOR, TR_SELECTOR);
}

import { FIELD, type VmcsFieldName } from '@minusone/vtx';
import { MemoryMap } from '../../prelude/memory-map.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../prelude/vtx-attempt.ts';
import { EPTP, VtxMemory } from '../../prelude/vtx-memory.ts';
import { OPERAND, root } from '../../prelude/vtx-root.ts';
import type { Rom } from '../../rom.ts';
import { vtxRom } from './vtx-rom.ts';

/** RAX: 2 to the power of the physical-address width that CPUID reports, or of one less. Clobbers RBX, RCX, RDX. */
const power = (less: 0 | 1): string => `
    mov eax, 0x80000008
    cpuid
    movzx ecx, al
    ${less === 1 ? 'dec ecx' : ''}
    mov eax, 1
    shl rax, cl`;
/** A field gets such an address, and so much more. */
const field = (name: VmcsFieldName, less: 0 | 1, more: number): string =>
  `${power(less)}\nmov edx, ${more >>> 0}\n${more < 0 ? 'movsxd rdx, edx\n' : ''}add rax, rdx\nmov ecx, ${FIELD[name]}\nvmwrite rcx, rax`;
const beyond = (label: string, name: VmcsFieldName, more = 0, options: GuestOptions = {}): VtxAttempt =>
  vt(`${label}, beyond`, '', { ...options, before: field(name, 0, more) });
const within = (label: string, name: VmcsFieldName, more = 0, options: GuestOptions = {}): VtxAttempt =>
  vt(`${label}, within`, '', { ...options, before: field(name, 1, more) });
const pointer = (less: 0 | 1, more: number): { readonly setup: string } => ({
  setup: `${power(less)}\nadd rax, ${more}\nmov [${OPERAND}], rax`,
});

const IO: GuestOptions = { controls: { primary: ['useIoBitmaps'] } };
const MSRS: GuestOptions = { controls: { primary: ['useMsrBitmaps'] } };
const EPT: GuestOptions = { controls: { secondary: ['enableEpt'] } };
const PAE: GuestOptions = { mode: 'pae', controls: { secondary: ['enableEpt'] } };
const INVEPT = `mov eax, 1\ninvept rax, [${OPERAND}]\nmov eax, 0`;

export const vtxAddressWidthRoms: readonly Rom[] = [
  vtxRom(
    'vtx-address-width',
    'Physical addresses may have no bit beyond the physical-address width (SDM Vol. 3C 27.2.1, 27.2.2, 27.3.1, 31.3)',
    [
      beyond('I/O bitmap A', 'IO_BITMAP_A', 0, IO),
      within('I/O bitmap A', 'IO_BITMAP_A', 0, IO),
      beyond('I/O bitmap B', 'IO_BITMAP_B', 0, IO),
      beyond('MSR bitmaps', 'MSR_BITMAP', 0, MSRS),
      within('MSR bitmaps', 'MSR_BITMAP', 0, MSRS),
      beyond('EPTP', 'EPT_POINTER', EPTP, EPT),
      beyond('VM-exit MSR-store area', 'VM_EXIT_MSR_STORE_ADDR', 0, { fields: { VM_EXIT_MSR_STORE_COUNT: 1 } }),
      beyond('the last entry of the VM-exit MSR-store area', 'VM_EXIT_MSR_STORE_ADDR', -16, { fields: { VM_EXIT_MSR_STORE_COUNT: 2 } }),
      beyond('the last entry of the VM-exit MSR-load area', 'VM_EXIT_MSR_LOAD_ADDR', -16, { fields: { VM_EXIT_MSR_LOAD_COUNT: 2 } }),
      beyond('the last entry of the VM-entry MSR-load area', 'VM_ENTRY_MSR_LOAD_ADDR', -16, { fields: { VM_ENTRY_MSR_LOAD_COUNT: 2 } }),
      beyond('the 16th entry of the VM-entry MSR-load area', 'VM_ENTRY_MSR_LOAD_ADDR', -240, { fields: { VM_ENTRY_MSR_LOAD_COUNT: 16 } }),
      beyond('HOST_CR3', 'HOST_CR3', MemoryMap.pml4),
      beyond('GUEST_CR3', 'GUEST_CR3', MemoryMap.pml4),
      beyond('VMCS link pointer', 'VMCS_LINK_POINTER', VtxMemory.otherVmcs),
      beyond('PDPTE 0', 'GUEST_PDPTR0', MemoryMap.paeDirectories + 1, PAE),
      within('PDPTE 3', 'GUEST_PDPTR3', MemoryMap.paeDirectories + 0x3001, PAE),
      root('VMCLEAR, beyond', `vmclear qword [${OPERAND}]`, pointer(0, VtxMemory.otherVmcs)),
      root('VMPTRLD, beyond', `vmptrld qword [${OPERAND}]`, pointer(0, VtxMemory.otherVmcs)),
      root('INVEPT, beyond', INVEPT, pointer(0, EPTP)),
      root('INVEPT, within', INVEPT, pointer(1, EPTP)),
    ],
  ),
];

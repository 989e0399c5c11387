import { MemoryMap } from '../../prelude/memory-map.ts';
import { Msr, wrmsr } from '../../prelude/modes.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../prelude/vtx-attempt.ts';
import { note, RESUME, SKIP, vmwrite } from '../../prelude/vtx-host.ts';
import { VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Rom } from '../../rom.ts';
import { EXIT_KEEPS_EFER, LONG_EFER, showFields, WIDE_ADDRESS } from './entries.ts';
import { vtxRom } from './vtx-rom.ts';

/** Where an exit's host code keeps what it found. */
const FOUND = VtxMemory.free + 0x2000;
const PAT_OF_HOST = 0x0007_0406_0007_0401n;
const PAT_AFTER_RESET = 0x0007_0406_0007_0406n;

/** What can be asked of the host's state. */
const ASKED = {
  cr0: 'mov rax, cr0',
  cr2: 'mov rax, cr2',
  cr3: 'mov rax, cr3',
  cr4: 'mov rax, cr4',
  dr0: 'mov rax, dr0',
  dr6: 'mov rax, dr6',
  dr7: 'mov rax, dr7',
  flags: 'pushfq\npop rax',
  rsp: 'mov rax, rsp',
  ...Object.fromEntries(['cs', 'ss', 'ds', 'es', 'fs', 'gs'].map((name) => [name, `xor eax, eax\nmov ax, ${name}`])),
  tr: 'xor eax, eax\nstr ax',
  ldtr: 'xor eax, eax\nsldt ax',
  gdtlimit: `sgdt [${FOUND - 16}]\nmovzx eax, word [${FOUND - 16}]`,
  idtlimit: `sidt [${FOUND - 16}]\nmovzx eax, word [${FOUND - 16}]`,
  ...Object.fromEntries(
    (['efer', 'pat', 'fsBase', 'gsBase', 'sysenterCs', 'sysenterEsp', 'sysenterEip', 'kernelGsBase'] as const).map((name) => [
      name,
      `mov ecx, ${Msr[name]}\nrdmsr\nshl rdx, 32\nor rax, rdx`,
    ]),
  ),
} as Readonly<Record<string, string>>;

/** After the guest's exit, what the host finds first of all. */
function finds(label: string, code: string, names: string, options: GuestOptions = {}): VtxAttempt {
  const asked = names.split(' ');
  return vt(label, code, {
    ...options,
    hide: ['registers'],
    fields: { HOST_RIP: '.found', ...options.fields },
    afterwards: `
    ${note(Object.fromEntries(asked.map((name, n) => [name, `[${FOUND + 8 * n}]`])))}
    ${options.afterwards ?? ''}
    jmp .end
  .found:
    ${asked.map((name, n) => `${ASKED[name]}\nmov [${FOUND + 8 * n}], rax`).join('\n')}
    jmp vtx_exit`,
  });
}
const CONTROL_REGISTERS = 'cr0 cr3 cr4 efer dr7 flags';
const SEGMENTS = 'cs ss ds es fs gs tr ldtr fsBase gsBase gdtlimit idtlimit';
const SYSENTER = 'sysenterCs sysenterEsp sysenterEip';
/** What an entry that failed leaves in fields. */
const KEPT = [
  'GUEST_RIP',
  'GUEST_CR0',
  'VM_ENTRY_INTR_INFO_FIELD',
  'VM_EXIT_INTR_INFO',
  'IDT_VECTORING_INFO_FIELD',
  'VM_EXIT_INSTRUCTION_LEN',
] as const;

/** An entry that fails, and the fields of another exit that it leaves alone. `event`: what it should have injected. */
function keeps(label: string, failure: string, event: number, options: GuestOptions): VtxAttempt {
  const stale = { VM_EXIT_INTR_INFO: 0x1234, IDT_VECTORING_INFO_FIELD: 0x5678, VM_EXIT_INSTRUCTION_LEN: 7 };
  return vt(label, '', {
    ...options,
    fields: { ...stale, GUEST_RIP: 0x1234, VM_ENTRY_INTR_INFO_FIELD: event | 0, ...options.fields },
    afterwards: showFields(...KEPT),
    bochs: 'writes more than the exit reason and qualification; SDM Vol. 3C 27.8.',
    manual:
      `entry failure, ${failure}\n GUEST_RIP=1234 GUEST_CR0=80000031 VM_ENTRY_INTR_INFO_FIELD=${event.toString(16)}` +
      ' VM_EXIT_INTR_INFO=1234 IDT_VECTORING_INFO_FIELD=5678 VM_EXIT_INSTRUCTION_LEN=7',
  });
}

/** The other VMCS becomes the one that attempts use, and back. */
const SWAP = 'mov rax, [vtx_vmcs_pointer]\nxchg [vtx_other_pointer], rax\nmov [vtx_vmcs_pointer], rax';
/** A second guest in the other VMCS, entered at `.second`, with its own launch state. */
const OTHER_GUEST = `
  ${SWAP}
  call vtx_begin
  mov esi, vtx_mode_long
  call vtx_set
  mov esi, .fields
  call vtx_set
  ${vmwrite('GUEST_RIP', '.second')}`;
const current = (pointer: 'vtx_vmcs_pointer' | 'vtx_other_pointer', launched: 0 | 1 = 1): string =>
  `vmptrld qword [${pointer}]\nmov byte [vtx_launched], ${launched}`;

export const vtxHostStateRoms: readonly Rom[] = [
  vtxRom('vtx-host-registers', 'Control registers, DR7, RFLAGS and EFER of the host after an exit (SDM Vol. 3C 28.5.1, 28.5.3)', [
    finds('64-bit guest', '', CONTROL_REGISTERS),
    finds('compatibility mode', '', CONTROL_REGISTERS, { mode: 'compatibility' }),
    finds('32-bit paging', '', CONTROL_REGISTERS, { mode: 'paging32' }),
    finds('PAE paging', '', CONTROL_REGISTERS, { mode: 'pae' }),
    finds('real mode', '', CONTROL_REGISTERS, { mode: 'real' }),
    finds('v86 mode', '', CONTROL_REGISTERS, { mode: 'v86' }),
    finds('the guest has other bits', 'std\nstc', CONTROL_REGISTERS, {
      fields: { GUEST_CR0: 0x8005_003b, GUEST_CR4: 0x26a8, GUEST_DR7: 0x455 },
    }),
    finds('the host has other bits', '', CONTROL_REGISTERS, {
      fields: { HOST_CR0: 0x8001_0033, HOST_CR4: 0x26a0 },
      afterwards: 'mov rax, cr0\nbtr rax, 16\nmov cr0, rax',
    }),
    finds('CD, NW and ET of HOST_CR0 are ignored', '', 'cr0', { fields: { HOST_CR0: 0xe000_0021 } }),
    finds('DR0, DR6 and CR2 stay', 'mov eax, 0x1234\nmov dr0, rax\nmov cr2, rax\nmov eax, 0xffff4ff2\nmov dr6, rax', 'dr0 dr6 cr2', {
      afterwards: 'mov eax, 0xffff0ff0\nmov dr6, rax\nmov eax, 0\nmov dr0, rax',
    }),
    finds('CR3', '', 'cr3', { fields: { HOST_CR3: MemoryMap.pml4 + 0x18 }, afterwards: `mov eax, ${MemoryMap.pml4}\nmov cr3, rax` }),
    finds('EFER is not loaded, the guest has no SCE', '', 'efer', {
      fields: { GUEST_IA32_EFER: LONG_EFER - 1 },
      raw: EXIT_KEEPS_EFER,
      afterwards: wrmsr(Msr.efer, LONG_EFER),
    }),
    finds('EFER is not loaded, real mode', '', 'efer', { mode: 'real', raw: EXIT_KEEPS_EFER, afterwards: wrmsr(Msr.efer, LONG_EFER) }),
    finds('EFER without NXE', '', 'efer', { fields: { HOST_IA32_EFER: LONG_EFER - 0x800 }, afterwards: wrmsr(Msr.efer, LONG_EFER) }),
  ]),
  vtxRom('vtx-host-segments', 'Segment and descriptor-table registers of the host after an exit (SDM Vol. 3C 28.5.2)', [
    finds('64-bit guest', '', SEGMENTS),
    finds('real mode', '', SEGMENTS, { mode: 'real' }),
    finds('v86 mode', '', SEGMENTS, { mode: 'v86' }),
    finds('null selectors', '', SEGMENTS, {
      fields: Object.fromEntries(['SS', 'DS', 'ES', 'FS', 'GS'].map((name) => [`HOST_${name}_SELECTOR`, 0])),
    }),
    finds('FS and GS bases', '', SEGMENTS, { fields: { HOST_FS_BASE: WIDE_ADDRESS, HOST_GS_BASE: 0xffff_8000_0000_1000n } }),
    finds('FS and GS bases with null selectors', '', SEGMENTS, {
      fields: { HOST_FS_BASE: WIDE_ADDRESS, HOST_GS_BASE: 0x1000, HOST_FS_SELECTOR: 0, HOST_GS_SELECTOR: 0 },
    }),
    finds('selectors that no descriptor backs', '', SEGMENTS, { fields: { HOST_DS_SELECTOR: 0xfff0, HOST_FS_SELECTOR: 0xfff8 } }),
    finds("the guest's LDTR is gone", '', 'ldtr tr', {
      fields: { GUEST_LDTR_SELECTOR: 0x68, GUEST_LDTR_LIMIT: 0x3f, GUEST_LDTR_AR_BYTES: 0x82 },
    }),
    finds('the FS base changes between two exits', 'vmcall\nnop', 'fsBase', {
      fields: { HOST_FS_BASE: 0x1000 },
      afterwards: `${vmwrite('HOST_FS_BASE', WIDE_ADDRESS)}\n${SKIP}\n${RESUME}\n${note({ fsBase: `[${FOUND}]` })}`,
    }),
    finds('the stack', '', 'ss rsp', { before: 'mov rsp, 0xeff0', afterwards: 'mov rsp, 0xf000' }),
  ]),
  vtxRom('vtx-host-msrs', "SYSENTER MSRs and PAT of the host after an exit; what stays the guest's (SDM Vol. 3C 28.5.1)", [
    finds('zeros', '', SYSENTER, { fields: { GUEST_SYSENTER_CS: 8, GUEST_SYSENTER_ESP: 0x1000, GUEST_SYSENTER_EIP: 0x2000 } }),
    finds('values', '', SYSENTER, {
      fields: { HOST_IA32_SYSENTER_CS: 0x12345678, HOST_IA32_SYSENTER_ESP: WIDE_ADDRESS, HOST_IA32_SYSENTER_EIP: 0xffff_8000_0000_1000n },
      bochs: 'loads 16 bits of SYSENTER_CS; SDM Vol. 3C 28.5.1.',
      manual: 'VMCALL len=3 at 38:+0 sp=10:d000 fl=2\n sysenterCs=12345678 sysenterEsp=700012345000 sysenterEip=ffff800000001000',
    }),
    finds('PAT is loaded', '', 'pat', {
      controls: { exit: ['loadIa32Pat'] },
      fields: { HOST_IA32_PAT: PAT_OF_HOST },
      afterwards: wrmsr(Msr.pat, 0x0007_0406, 0x0007_0406),
    }),
    finds("the guest's PAT stays", '', 'pat', {
      controls: { entry: ['loadIa32Pat'] },
      fields: { GUEST_IA32_PAT: PAT_OF_HOST, HOST_IA32_PAT: PAT_AFTER_RESET },
      afterwards: wrmsr(Msr.pat, 0x0007_0406, 0x0007_0406),
    }),
    finds('PAT is saved', '', 'pat', {
      controls: { entry: ['loadIa32Pat'], exit: ['saveIa32Pat', 'loadIa32Pat'] },
      fields: { GUEST_IA32_PAT: PAT_OF_HOST, HOST_IA32_PAT: PAT_AFTER_RESET },
      afterwards: `${vmwrite('GUEST_DR7', 0x400)}\n${showFields('GUEST_IA32_PAT')}`,
    }),
    finds("KERNEL_GS_BASE stays the guest's", wrmsr(Msr.kernelGsBase, 0x1234, 0), 'kernelGsBase', {
      controls: { primary: ['useMsrBitmaps'] },
      fields: { MSR_BITMAP: VtxMemory.msrBitmap },
    }),
    finds('EFER is saved', '', 'efer', { fields: { GUEST_IA32_EFER: LONG_EFER - 1 }, afterwards: showFields('GUEST_IA32_EFER') }),
  ]),
  vtxRom('vtx-failed-entry', 'An entry that fails on its guest: the host is loaded, nothing of the guest is saved (SDM Vol. 3C 27.8)', [
    finds('the host', '', `${CONTROL_REGISTERS} fs gs fsBase gsBase gdtlimit`, {
      fields: { GUEST_RFLAGS: 0, HOST_FS_BASE: WIDE_ADDRESS, HOST_CR4: 0x26a0 },
    }),
    finds("the host's SYSENTER MSRs", '', SYSENTER, {
      fields: { GUEST_RFLAGS: 0, HOST_IA32_SYSENTER_CS: 0x1234, HOST_IA32_SYSENTER_EIP: WIDE_ADDRESS },
    }),
    keeps('fields that stay', 'INVALID_STATE', 0, { fields: { GUEST_RFLAGS: 0 } }),
    keeps('an event stays valid', 'INVALID_STATE', 0x8000_0306, { fields: { GUEST_RFLAGS: 0 } }),
    keeps('MSR loading, fields that stay', 'MSR_LOAD_FAIL q=1', 0, {
      fields: { VM_ENTRY_MSR_LOAD_COUNT: 1, VM_ENTRY_MSR_LOAD_ADDR: VtxMemory.entryMsrLoad },
      before: `mov dword [${VtxMemory.entryMsrLoad}], ${Msr.fsBase}`,
    }),
    finds('MSR loading, the host', '', `${CONTROL_REGISTERS} fsBase gsBase ${SYSENTER}`, {
      mode: 'paging32',
      fields: {
        GUEST_FS_BASE: 0x5000,
        GUEST_SYSENTER_CS: 0x77,
        VM_ENTRY_MSR_LOAD_COUNT: 1,
        VM_ENTRY_MSR_LOAD_ADDR: VtxMemory.entryMsrLoad,
      },
      before: `mov dword [${VtxMemory.entryMsrLoad}], ${Msr.fsBase}`,
    }),
    vt('mended, it is entered', 'mov ebx, 1', { fields: { GUEST_RFLAGS: 0 }, afterwards: `${vmwrite('GUEST_RFLAGS', 2)}\n${RESUME}` }),
    vt('VMfail changes no exit reason', '', {
      fields: { CR3_TARGET_COUNT: 9, VM_EXIT_REASON: 0x55, EXIT_QUALIFICATION: 0x66 },
      afterwards: showFields('VM_EXIT_REASON', 'EXIT_QUALIFICATION', 'VM_INSTRUCTION_ERROR'),
    }),
    vt('an exit leaves the instruction error', '', {
      fields: { VM_INSTRUCTION_ERROR: 0x77 },
      afterwards: showFields('VM_INSTRUCTION_ERROR'),
    }),
  ]),
  vtxRom('vtx-two-vmcs', 'VMCSs keep their fields and launch states while others are current (SDM Vol. 3C 25.1, 25.11.3)', [
    vt('two guests in turn', 'mov ebx, 1\nvmcall\nmov ebx, 2\nvmcall\nmov ebx, 3\nvmcall\n.second:\nmov ebp, 1\nvmcall\nmov ebp, 2', {
      afterwards: `
      ${OTHER_GUEST}
      ${RESUME}
      ${current('vtx_other_pointer')}
      ${SKIP}
      ${RESUME}
      ${current('vtx_vmcs_pointer')}
      ${SKIP}
      ${RESUME}
      ${current('vtx_other_pointer')}
      ${SKIP}
      ${RESUME}
      ${SWAP}`,
    }),
    vt('VMCLEAR and VMPTRLD keep the fields', 'mov ebx, 1\nvmcall\nmov ebx, 2', {
      afterwards: `
      ${SKIP}
      vmclear qword [vtx_vmcs_pointer]
      ${current('vtx_vmcs_pointer', 0)}
      ${showFields('GUEST_RSP', 'VM_EXIT_REASON', 'HOST_CR4')}
      ${RESUME}`,
    }),
    vt('VMCLEAR of the one makes no other clear', 'mov ebx, 1\nvmcall\nmov ebx, 2', {
      afterwards: `${SKIP}\nvmclear qword [vtx_other_pointer]\n${RESUME}`,
    }),
    vt('each has its own error', '', {
      fields: { CR3_TARGET_COUNT: 9 },
      afterwards: `
      ${OTHER_GUEST}
      mov byte [vtx_launched], 1
      ${vmwrite('CR3_TARGET_COUNT', 0)}
      ${RESUME}
      ${showFields('VM_INSTRUCTION_ERROR')}
      ${current('vtx_other_pointer')}
      ${showFields('VM_INSTRUCTION_ERROR')}
      ${SWAP}
      jmp .end
      .second:`,
    }),
    vt('with EPT and without, in turn', 'mov ebx, 1\nvmcall\nmov ebx, 2\nvmcall\n.second:\nmov ebp, [0x100000]\nvmcall', {
      controls: { secondary: ['enableEpt'] },
      before: 'mov dword [0x100000], 0x55',
      afterwards: `
      ${OTHER_GUEST}
      ${vmwrite('SECONDARY_VM_EXEC_CONTROL', 0)}
      ${RESUME}
      ${current('vtx_other_pointer')}
      ${SKIP}
      ${RESUME}
      ${SWAP}`,
    }),
  ]),
];

import { Access, segment, setGdt } from '../../prelude/descriptor.ts';
import { MemoryMap, Selector } from '../../prelude/memory-map.ts';
import { Msr, wrmsr } from '../../prelude/modes.ts';
import { vt } from '../../prelude/vtx-attempt.ts';
import { STATE } from '../../prelude/vtx-host.ts';
import type { Fields } from '../../prelude/vtx-modes.ts';
import type { Rom } from '../../rom.ts';
import { ENTRY_KEEPS_DEBUG, ENTRY_KEEPS_EFER, ENTRY_KEEPS_EFER_32, LONG_EFER, MSRS_PASS, showFields, WIDE_ADDRESS } from './entries.ts';
import { RING_3 } from './instructions.ts';
import { vtxRom } from './vtx-rom.ts';

const { test } = MemoryMap;
const UNUSABLE = 0x1_0000;
const PAT_OF_GUEST = 0x0007_0406_0007_0401n;
const RESTORE_PAT = wrmsr(Msr.pat, 0x0007_0406, 0x0007_0406);
/** VM-exit controls that save neither debug controls nor EFER. */
const SAVES_LITTLE: Fields = { VM_EXIT_CONTROLS: 0x0023_6ffb };

const selector = (name: string, value: number, rights: number, base: number | bigint = 0, limit = -1): Fields => ({
  [`GUEST_${name}_SELECTOR`]: value,
  [`GUEST_${name}_AR_BYTES`]: rights,
  [`GUEST_${name}_BASE`]: base,
  [`GUEST_${name}_LIMIT`]: limit,
});
const OWN_SEGMENT = setGdt(Selector.free, segment({ base: 0x10_0000, limit: 0x1234, access: Access.data }));
const LDT: Fields = selector('LDTR', Selector.ldt, 0x82, 0, 0x1ff);

export const vtxGuestStateRoms: readonly Rom[] = [
  vtxRom('vtx-entry-loads', 'What VM entry loads of registers and MSRs, and what stays as it was (SDM Vol. 3C 27.3.2.1, 27.3.2.3)', [
    vt('CR0 and CR4', 'mov rax, cr0\nmov rbx, cr4', { fields: { GUEST_CR0: 0x8005_0033, GUEST_CR4: 0x26a8 } }),
    vt('CD and NW of GUEST_CR0 are ignored', 'mov rax, cr0', { fields: { GUEST_CR0: 0xc000_0031 } }),
    vt('DR7', 'mov rax, dr7', {
      fields: { GUEST_DR7: 0xd055 },
      bochs: 'loads bit 12 of DR7; SDM Vol. 3C 27.3.2.1.',
      manual: 'VMCALL len=3 at 38:+3 sp=10:d000 fl=2 rax=455',
    }),
    vt('DR7 of 0', 'mov rax, dr7', { fields: { GUEST_DR7: 0 } }),
    vt('DR7 is not loaded', 'mov rax, dr7', {
      fields: { GUEST_DR7: 0x455 },
      raw: ENTRY_KEEPS_DEBUG,
      before: 'mov eax, 0x20700\nmov dr7, rax',
    }),
    vt("DR0, DR6 and CR2 are the host's", 'mov rax, dr0\nmov rbx, dr6\nmov rdx, cr2', {
      before: 'mov eax, 0x1234\nmov dr0, rax\nmov cr2, rax\nmov eax, 0xffff4ff2\nmov dr6, rax',
      afterwards: 'mov eax, 0xffff0ff0\nmov dr6, rax\nmov eax, 0\nmov dr0, rax',
    }),
    vt('SYSENTER MSRs', 'mov ecx, 0x174\nrdmsr\nmov ebx, eax\nmov ecx, 0x175\nrdmsr\nmov esi, eax\nmov ecx, 0x176\nrdmsr', {
      ...MSRS_PASS,
      fields: { ...MSRS_PASS.fields, GUEST_SYSENTER_CS: 0x1234, GUEST_SYSENTER_ESP: WIDE_ADDRESS, GUEST_SYSENTER_EIP: 0x5678 },
    }),
    vt('PAT', `mov ecx, ${Msr.pat}\nrdmsr`, {
      controls: { primary: ['useMsrBitmaps'], entry: ['loadIa32Pat'] },
      fields: { ...MSRS_PASS.fields, GUEST_IA32_PAT: PAT_OF_GUEST },
      afterwards: RESTORE_PAT,
    }),
    vt('PAT is not loaded', `mov ecx, ${Msr.pat}\nrdmsr`, { ...MSRS_PASS, fields: { ...MSRS_PASS.fields, GUEST_IA32_PAT: PAT_OF_GUEST } }),
    vt('EFER', `mov ecx, ${Msr.efer}\nrdmsr`, { ...MSRS_PASS, fields: { ...MSRS_PASS.fields, GUEST_IA32_EFER: LONG_EFER - 1 } }),
    vt('EFER is not loaded', `mov ecx, ${Msr.efer}\nrdmsr`, {
      ...MSRS_PASS,
      fields: { ...MSRS_PASS.fields, GUEST_IA32_EFER: 0x500 },
      raw: ENTRY_KEEPS_EFER,
    }),
    vt('EFER is not loaded, 32-bit paging', '', { mode: 'paging32', raw: ENTRY_KEEPS_EFER_32, afterwards: STATE }),
    vt('EFER is not loaded, without paging', '', { mode: 'protected', raw: ENTRY_KEEPS_EFER_32, afterwards: STATE }),
    vt('FS and GS bases', `mov ecx, ${Msr.fsBase}\nrdmsr\nmov ebx, edx\nmov ecx, ${Msr.gsBase}\nrdmsr`, {
      ...MSRS_PASS,
      fields: { ...MSRS_PASS.fields, GUEST_FS_BASE: WIDE_ADDRESS, GUEST_GS_BASE: 0x5678 },
    }),
    vt("KERNEL_GS_BASE is the host's", `mov ecx, ${Msr.kernelGsBase}\nrdmsr`, { ...MSRS_PASS, before: wrmsr(Msr.kernelGsBase, 0x1234) }),
    vt('RFLAGS', 'pushfq\npop rax', { fields: { GUEST_RFLAGS: 0x24_4ed7 } }),
    vt('RSP and RIP', 'mov rax, rsp\nlea rbx, [rel .here]\n.here:\nsub rbx, .here', { fields: { GUEST_RSP: WIDE_ADDRESS } }),
  ]),
  vtxRom('vtx-entry-segments', 'Segment and descriptor-table registers that VM entry loads are used as they are (SDM Vol. 3C 27.3.2.2)', [
    vt('a base of DS', 'mov eax, [0x10]', {
      mode: 'paging32',
      fields: selector('DS', Selector.data0, 0xc093, test),
      before: `mov dword [${test + 0x10}], 0x55`,
    }),
    vt('a limit of DS', 'mov eax, [0x1000]', { mode: 'paging32', fields: selector('DS', Selector.data0, 0x4093, 0, 0xfff) }),
    vt('the last bytes of DS', 'mov eax, [0xffc]\nmov eax, 0', {
      mode: 'paging32',
      fields: selector('DS', Selector.data0, 0x4093, 0, 0xfff),
    }),
    vt('DS may not be written', 'mov dword [0x100000], 1', { mode: 'paging32', fields: selector('DS', Selector.data0, 0xc091) }),
    vt('DS unusable', 'mov eax, [0x100000]', { mode: 'paging32', fields: selector('DS', 0, UNUSABLE) }),
    vt('DS unusable, 64-bit mode', `mov eax, [${test}]\nmov eax, 0`, { fields: selector('DS', 0, UNUSABLE, 0x1000) }),
    vt('FS unusable, 64-bit mode', 'mov eax, [fs:0x10]', {
      fields: selector('FS', 0, UNUSABLE, test),
      before: `mov dword [${test + 0x10}], 0x66`,
    }),
    vt('DS expands down', 'mov eax, [0x100000]\nmov eax, 0\nmov ebx, [0xffff]', {
      mode: 'paging32',
      fields: selector('DS', Selector.data0, 0x4097, 0, 0xffff),
    }),
    vt('SS of 16 bits', 'mov ebx, esp\npush eax\nmov ecx, esp', {
      mode: 'paging32',
      fields: { ...selector('SS', Selector.data0, 0x0093, 0, 0xffff), GUEST_RSP: 0x12_d000 },
    }),
    vt('CS of 16 bits', 'bits 16\nmov ax, 0x1234\nbits 32', { mode: 'paging32', fields: { GUEST_CS_AR_BYTES: 0x809b } }),
    vt('CS may not be read', 'mov eax, [cs:0x100000]', { mode: 'paging32', fields: { GUEST_CS_AR_BYTES: 0xc099 } }),
    vt('a selector that no descriptor backs', 'mov eax, ds\nmov ebx, [ds:0x100000]\nmov ebx, 0', {
      mode: 'paging32',
      fields: selector('DS', 0xfff0, 0xc093),
    }),
    vt('unreal mode', 'mov eax, [0x100020]', {
      mode: 'real',
      fields: selector('DS', 0, 0xc093),
      before: `mov dword [${test + 0x20}], 0x77`,
    }),
    vt('LDTR', `mov ax, 4\nmov ds, ax\nmov eax, ds`, {
      mode: 'paging32',
      fields: { ...LDT, GUEST_LDTR_BASE: test },
      before: `mov dword [${test}], 0xffff\nmov dword [${test + 4}], 0xcf9200`,
      afterwards: STATE,
    }),
    vt('LDTR, limit', 'mov ax, 0x44\nmov ds, ax', { mode: 'paging32', fields: { ...LDT, GUEST_LDTR_LIMIT: 0x3f } }),
    vt('LDTR unusable', 'mov ax, 4\nmov ds, ax', { mode: 'paging32' }),
    vt('GDTR and IDTR', `sgdt [${test}]\nsidt [${test + 16}]\nmov rax, [${test}]\nmov rbx, [${test + 16}]`, {
      fields: { GUEST_GDTR_LIMIT: 0x1234, GUEST_GDTR_BASE: 0x1000, GUEST_IDTR_LIMIT: 0x5678, GUEST_IDTR_BASE: 0x2000 },
    }),
    vt('TR and LDTR', 'str eax\nsldt ebx', { fields: { GUEST_TR_SELECTOR: 0x1230, ...LDT } }),
  ]),
  vtxRom('vtx-exit-saves', 'What a VM exit saves of registers and MSRs, and by which controls (SDM Vol. 3C 28.3.1, 28.3.3)', [
    vt(
      'CR0, CR3 and CR4',
      `mov eax, 0x80050033\nmov cr0, rax\nmov eax, 0x26a0\nmov cr4, rax\nmov eax, ${MemoryMap.pml4 + 8}\nmov cr3, rax`,
      {
        afterwards: STATE,
      },
    ),
    vt('DR7', 'mov eax, 0x700\nmov dr7, rax', { afterwards: showFields('GUEST_DR7') }),
    vt('DR7 is not saved', 'mov eax, 0x700\nmov dr7, rax', { raw: SAVES_LITTLE, afterwards: showFields('GUEST_DR7') }),
    vt('EFER', wrmsr(Msr.efer, LONG_EFER - 1), { ...MSRS_PASS, afterwards: showFields('GUEST_IA32_EFER') }),
    vt('EFER is not saved', wrmsr(Msr.efer, LONG_EFER - 1), { ...MSRS_PASS, raw: SAVES_LITTLE, afterwards: showFields('GUEST_IA32_EFER') }),
    vt('PAT', wrmsr(Msr.pat, 0x0406, 0), {
      controls: { primary: ['useMsrBitmaps'], exit: ['saveIa32Pat'] },
      fields: MSRS_PASS.fields ?? {},
      afterwards: `${showFields('GUEST_IA32_PAT')}\n${RESTORE_PAT}`,
    }),
    vt('PAT is not saved', wrmsr(Msr.pat, 0x0406, 0), { ...MSRS_PASS, afterwards: `${showFields('GUEST_IA32_PAT')}\n${RESTORE_PAT}` }),
    vt(
      'SYSENTER MSRs',
      [Msr.sysenterCs, Msr.sysenterEsp, Msr.sysenterEip].map((msr) => wrmsr(msr, 0x1230 + (msr & 15), msr & 1 ? 0x7000 : 0)).join('\n'),
      {
        ...MSRS_PASS,
        afterwards: showFields('GUEST_SYSENTER_CS', 'GUEST_SYSENTER_ESP', 'GUEST_SYSENTER_EIP'),
      },
    ),
    vt('RSP and RFLAGS', 'mov rsp, 0x700012345678\nstc\nstd\nsti\nnop'),
    vt('RSP in 32-bit code', 'mov esp, 0xfffffff0\nadd esp, 0x20', { mode: 'paging32' }),
    vt('RSP in 16-bit code', 'mov sp, 0x10\nsub sp, 0x20', { mode: 'real', fields: { GUEST_RSP: 0x12_d000 } }),
    vt('IA-32e mode guest stays', '', { afterwards: showFields('VM_ENTRY_CONTROLS') }),
    vt(
      'IA-32e mode guest is set',
      `
      mov eax, 0x2020
      mov cr4, eax
      mov eax, ${MemoryMap.pml4}
      mov cr3, eax
      mov ecx, ${Msr.efer}
      mov eax, 0x900
      mov edx, 0
      wrmsr
      mov eax, 0x80000031
      mov cr0, eax`,
      { mode: 'protected', ...MSRS_PASS, afterwards: `${showFields('VM_ENTRY_CONTROLS', 'GUEST_IA32_EFER')}` },
    ),
    vt('blocking by MOV SS', 'mov ax, ss\nmov ss, ax'),
    vt('blocking by STI', 'sti'),
  ]),
  vtxRom('vtx-exit-saves-segments', 'What a VM exit saves of segment and descriptor-table registers (SDM Vol. 3C 28.3.2)', [
    vt('as they were', '', { afterwards: STATE }),
    vt('data segments of 64-bit mode', `mov ax, ${Selector.free}\nmov ds, ax\nmov es, ax\nmov fs, ax\nxor eax, eax\nmov gs, ax`, {
      before: OWN_SEGMENT,
      afterwards: STATE,
    }),
    vt('data segments of 32-bit code', `mov ax, ${Selector.free}\nmov ds, ax\nmov fs, ax\nxor eax, eax\nmov gs, ax\nmov es, ax`, {
      mode: 'paging32',
      before: OWN_SEGMENT,
      afterwards: STATE,
    }),
    vt('real mode', 'mov ax, 0x1234\nmov ds, ax\nmov ax, 0xffff\nmov fs, ax', { mode: 'real', afterwards: STATE }),
    vt('v86 mode', 'mov ax, 0x1234\nmov ds, ax\nmov gs, ax', { mode: 'v86', afterwards: STATE }),
    vt('from real mode to protected mode', 'mov eax, 0x31\nmov cr0, eax', { mode: 'real', afterwards: STATE }),
    vt('CS of another selector', `jmpf ${Selector.code0}:.there\n.there:`, { mode: 'protected', afterwards: STATE }),
    vt('LDTR', `mov ax, ${Selector.ldt}\nlldt ax`, { afterwards: STATE }),
    vt('LDTR of 0', 'xor eax, eax\nlldt ax', { fields: LDT, afterwards: STATE }),
    vt('null DS that was usable', 'xor eax, eax\nmov ds, ax', {
      mode: 'paging32',
      fields: selector('DS', Selector.data0, 0xc093, test),
      afterwards: STATE,
    }),
    vt('CPL is the DPL of SS', '', { fields: { ...RING_3, ...selector('SS', Selector.data64Ring3, 0xc0f3) }, afterwards: STATE }),
    vt('FS base by WRMSR', wrmsr(Msr.fsBase, 0x1234, 0x7000), { ...MSRS_PASS, afterwards: STATE }),
    vt('GS base by SWAPGS', 'swapgs', { before: wrmsr(Msr.kernelGsBase, 0x4321), fields: { GUEST_GS_BASE: 0x5678 }, afterwards: STATE }),
    vt('GDTR and IDTR', `mov word [${test}], 0x1fe\nmov qword [${test + 2}], 0x1230\nlidt [${test}]\nlgdt [${test}]`, {
      afterwards: showFields('GUEST_GDTR_LIMIT', 'GUEST_GDTR_BASE', 'GUEST_IDTR_LIMIT', 'GUEST_IDTR_BASE'),
    }),
  ]),
];

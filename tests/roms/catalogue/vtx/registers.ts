import { setGdt } from '../../prelude/descriptor.ts';
import { MemoryMap, Selector } from '../../prelude/memory-map.ts';
import { say } from '../../prelude/print.ts';
import { type GuestOptions, vt } from '../../prelude/vtx-attempt.ts';
import { note, RESUME, SKIP, STATE, vmread } from '../../prelude/vtx-host.ts';
import { VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Fields } from '../../prelude/vtx-modes.ts';
import type { Rom } from '../../rom.ts';
import { RING_3 } from './instructions.ts';
import { vtxRom } from './vtx-rom.ts';

const LONG_CR0 = 0x8000_0031;
const LONG_CR4 = 0x2020;
const TS = 8;
const VMXE = 0x2000;
const writeCr0 = (value: number): string => `mov eax, ${value}\nmov cr0, rax`;
const writeCr4 = (value: number): string => `mov eax, ${value}\nmov cr4, rax`;
/** Bits that the host owns, and what the guest reads of them. */
const cr0 = (mask: number, shadow: number, more: Fields = {}): GuestOptions => ({
  fields: { CR0_GUEST_HOST_MASK: mask, CR0_READ_SHADOW: shadow, ...more },
});
const cr4 = (mask: number, shadow: number, more: Fields = {}): GuestOptions => ({
  fields: { CR4_GUEST_HOST_MASK: mask, CR4_READ_SHADOW: shadow, ...more },
});
const TARGETS: Fields = { CR3_TARGET_COUNT: 2, CR3_TARGET_VALUE0: MemoryMap.pml4, CR3_TARGET_VALUE1: MemoryMap.pml4 + 8 };
const loadCr3 = (value: number): string => `mov eax, ${value}\nmov cr3, rax`;

/** The virtual-APIC page with a TPR. */
const virtualTpr = (priority: number): string => `mov dword [${VtxMemory.virtualApic + 0x80}], ${priority}`;
const TPR_SHADOW: GuestOptions = { controls: { primary: ['useTprShadow'] }, fields: { VIRTUAL_APIC_PAGE_ADDR: VtxMemory.virtualApic } };
const threshold = (value: number, tpr: number, more: Fields = {}): GuestOptions => ({
  ...TPR_SHADOW,
  fields: { ...TPR_SHADOW.fields, TPR_THRESHOLD: value, ...more },
  before: virtualTpr(tpr),
  afterwards: note({ vtpr: `[${VtxMemory.virtualApic + 0x80}]` }),
});

/** Host code that faults: the default handlers print it and end the attempt. */
const hostFault = (code: string): string => `
    ${say(64, ' ')}
    mov qword [resume_ip], .end
    mov [resume_sp], rsp
    call clear64
    ${code}`;

const DR: GuestOptions = { controls: { primary: ['movDrExiting'] } };
const TABLES: GuestOptions = { controls: { secondary: ['descriptorTableExiting'] } };

const LEAVES_PG = 'lets any guest clear PE and PG, since it has unrestricted guests; SDM Vol. 3C 24.8, 26.3.';

export const vtxRegisterRoms: readonly Rom[] = [
  vtxRom('vtx-cr0-mask', 'MOV to CR0 exits where a bit of the guest/host mask differs from the read shadow (SDM Vol. 3C 25.6.6, 26.1.3)', [
    vt('no bit is masked', `${writeCr0(LONG_CR0 + TS)}\nmov rbx, cr0`),
    vt('equal to the shadow', writeCr0(LONG_CR0), cr0(TS, 0)),
    vt('differs from the shadow', writeCr0(LONG_CR0 + TS), cr0(TS, 0)),
    vt('equal to the register, not to the shadow', writeCr0(LONG_CR0 + TS), cr0(TS, 0, { GUEST_CR0: LONG_CR0 + TS })),
    vt('equal to the shadow, not to the register', `${writeCr0(LONG_CR0 + TS)}\nmov rbx, cr0`, { ...cr0(TS, TS), afterwards: STATE }),
    vt('a bit that is not masked changes', `${writeCr0(LONG_CR0 + 2)}\nmov rbx, cr0`, { ...cr0(TS, TS), afterwards: STATE }),
    vt('by R9', `mov r9d, ${LONG_CR0 + TS}\nmov cr0, r9`, cr0(TS, 0)),
    vt('all bits are masked', writeCr0(LONG_CR0), cr0(-1, LONG_CR0)),
    vt('all masked, PG differs', writeCr0(0x31), cr0(-1, LONG_CR0)),
    vt('ring 3', writeCr0(LONG_CR0 + TS), cr0(TS, 0, RING_3)),
    vt('32-bit', 'mov ecx, 0x80000039\nmov cr0, ecx', { ...cr0(TS, 0), mode: 'paging32' }),
    vt('real mode', 'mov ecx, 0x38\nmov cr0, ecx', { ...cr0(TS, 0), mode: 'real' }),
  ]),
  vtxRom('vtx-cr0-read', 'MOV from CR0 and SMSW: masked bits come from the read shadow; they never exit (SDM Vol. 3C 26.3)', [
    vt('MOV', 'mov rax, cr0', cr0(0xe, 0xa)),
    vt('MOV, nothing masked', 'mov rax, cr0', cr0(0, 0xa)),
    vt('MOV, all masked', 'mov r10, cr0', cr0(-1, 0x12345678)),
    vt('SMSW to a register', 'smsw eax', cr0(0xe, 0xa)),
    vt('SMSW to 16 bits', 'mov eax, -1\nsmsw ax', cr0(0x3e, 0x0a)),
    vt('SMSW to memory', `smsw word [${MemoryMap.test}]\nmov eax, [${MemoryMap.test}]`, cr0(0x3e, 0x0a)),
    vt('SMSW in ring 3', 'smsw eax', cr0(0xe, 0xa, RING_3)),
    vt('SMSW in real mode', 'smsw eax', { ...cr0(1, 1), mode: 'real' }),
  ]),
  vtxRom('vtx-clts-lmsw', 'CLTS and LMSW with masked bits of CR0 (SDM Vol. 3C 26.1.3, 26.3, Table 28-3)', [
    vt('CLTS, TS not masked', 'clts', { fields: { GUEST_CR0: LONG_CR0 + TS }, afterwards: STATE }),
    vt('CLTS, TS masked and set in the shadow', 'clts', cr0(TS, TS, { GUEST_CR0: LONG_CR0 + TS })),
    vt('CLTS, TS masked and clear in the shadow', 'clts', { ...cr0(TS, 0, { GUEST_CR0: LONG_CR0 + TS }), afterwards: STATE }),
    vt('CLTS in ring 3', 'clts', cr0(TS, TS, RING_3)),
    vt('LMSW, nothing masked', 'mov eax, 0x0b\nlmsw ax', { afterwards: STATE }),
    vt('LMSW sets a masked bit', 'mov eax, 0x1009\nlmsw ax', cr0(TS, 0)),
    vt('LMSW as the shadow', 'mov eax, 9\nlmsw ax', { ...cr0(TS, TS), afterwards: STATE }),
    vt('LMSW clears a masked bit', 'mov eax, 1\nlmsw ax', cr0(TS, TS)),
    vt('LMSW sets a masked PE', 'mov ax, 1\nlmsw ax', { ...cr0(1, 0), mode: 'real' }),
    vt('LMSW does not clear PE', 'mov eax, 0\nlmsw ax', { ...cr0(1, 1), afterwards: STATE }),
    vt('LMSW leaves bits above 3 alone', 'mov eax, 0xffe1\nlmsw ax', cr0(-1, 1)),
    vt('LMSW from memory', `mov word [${MemoryMap.test}], 0x1239\nlmsw word [${MemoryMap.test}]`, {
      ...cr0(TS, 0),
      afterwards: `${vmread('GUEST_LINEAR_ADDRESS', 'rdx')}\n${note({ gla: 'rdx' })}`,
    }),
    vt('LMSW in ring 3', 'mov eax, 9\nlmsw ax', cr0(TS, 0, RING_3)),
  ]),
  vtxRom('vtx-cr3', 'CR3-load and CR3-store exiting, and CR3-target values (SDM Vol. 3C 25.6.7, 26.1.3)', [
    vt('load does not exit', loadCr3(MemoryMap.pml4)),
    vt('load exits', loadCr3(MemoryMap.pml4), { controls: { primary: ['cr3LoadExiting'] } }),
    vt('load by R15', `mov r15d, ${MemoryMap.pml4}\nmov cr3, r15`, { controls: { primary: ['cr3LoadExiting'] } }),
    vt('a target value', loadCr3(MemoryMap.pml4), { controls: { primary: ['cr3LoadExiting'] }, fields: TARGETS }),
    vt('the second target value', `${loadCr3(MemoryMap.pml4 + 8)}\nmov rbx, cr3`, {
      controls: { primary: ['cr3LoadExiting'] },
      fields: TARGETS,
    }),
    vt('no target value', loadCr3(MemoryMap.pml4 + 16), { controls: { primary: ['cr3LoadExiting'] }, fields: TARGETS }),
    vt('a target value beyond the count', loadCr3(MemoryMap.pml4 + 8), {
      controls: { primary: ['cr3LoadExiting'] },
      fields: { ...TARGETS, CR3_TARGET_COUNT: 1 },
    }),
    vt('store does not exit', 'mov rax, cr3'),
    vt('store exits', 'mov rax, cr3', { controls: { primary: ['cr3StoreExiting'] } }),
    vt('store to R8', 'mov r8, cr3', { controls: { primary: ['cr3StoreExiting'] } }),
    vt('load in ring 3', loadCr3(0), { controls: { primary: ['cr3LoadExiting'] }, fields: RING_3 }),
    vt('32-bit', 'mov edx, cr3', { controls: { primary: ['cr3StoreExiting'] }, mode: 'pae' }),
    vt('the host makes up for it', `${loadCr3(MemoryMap.pml4)}\nmov rbx, cr3`, {
      controls: { primary: ['cr3LoadExiting', 'cr3StoreExiting'] },
      afterwards: `${SKIP}\n${RESUME}`,
    }),
  ]),
  vtxRom('vtx-cr4-mask', 'MOV to and from CR4 with the guest/host mask and read shadow (SDM Vol. 3C 25.6.6, 26.1.3, 26.3)', [
    vt('no bit is masked', `${writeCr4(LONG_CR4 + 4)}\nmov rbx, cr4`),
    vt('equal to the shadow', writeCr4(LONG_CR4), cr4(0x10, 0)),
    vt('differs from the shadow', writeCr4(LONG_CR4 + 0x10), cr4(0x10, 0)),
    vt('VMXE hidden', `mov rcx, cr4\n${writeCr4(0x24)}\nmov rbx, cr4`, { ...cr4(VMXE, 0), afterwards: STATE }),
    vt('VMXE hidden, the guest sets it', writeCr4(LONG_CR4), cr4(VMXE, 0)),
    vt('PAE masked, the guest clears it', writeCr4(VMXE), cr4(0x20, 0x20)),
    vt('reading', 'mov rdx, cr4', cr4(0x7f0, 0x5a5)),
    vt('a reserved bit that is not masked', writeCr4(LONG_CR4 + 0x8000_0000), cr4(0x10, 0)),
    vt('a reserved bit, and one that differs', writeCr4(0x8000_0010 + LONG_CR4), cr4(0x10, 0)),
    vt('by R11', `mov r11d, ${LONG_CR4 + 0x10}\nmov cr4, r11`, cr4(0x10, 0)),
    vt('ring 3', writeCr4(LONG_CR4 + 0x10), cr4(0x10, 0, RING_3)),
    vt('32-bit', 'mov esi, 0x2030\nmov cr4, esi', { ...cr4(0x20, 0), mode: 'paging32' }),
  ]),
  vtxRom('vtx-fixed-bits', 'Bits of CR0 and CR4 that are fixed in VMX operation (SDM Vol. 3C 24.8)', [
    vt('guest clears CR0.NE', writeCr0(LONG_CR0 - 0x20)),
    vt('guest clears CR0.PG in 64-bit mode', writeCr0(0x31)),
    vt('guest clears CR0.PG', 'mov eax, 0x31\nmov cr0, eax', {
      mode: 'paging32',
      bochs: LEAVES_PG,
      manual: 'EXCEPTION_NMI info=80000b0d:0 at 8:+5 sp=10:d000 fl=2 rax=31',
    }),
    vt('guest clears CR0.PE and PG', 'mov eax, 0x30\nmov cr0, eax', {
      mode: 'paging32',
      bochs: LEAVES_PG,
      manual: 'EXCEPTION_NMI info=80000b0d:0 at 8:+5 sp=10:d000 fl=2 rax=30',
    }),
    vt('unrestricted guest clears CR0.PG', 'mov eax, 0x31\nmov cr0, eax', { mode: 'paging32', unrestricted: true, afterwards: STATE }),
    vt('unrestricted guest clears CR0.NE', 'mov eax, 0x11\nmov cr0, eax', { mode: 'protected' }),
    vt('guest clears CR4.VMXE', writeCr4(0x20)),
    vt('guest sets CR4.SMXE', writeCr4(LONG_CR4 + 0x4000)),
    vt('host clears CR0.NE', 'nop', { afterwards: hostFault('mov rax, cr0\nand al, 0xdf\nmov cr0, rax') }),
    vt('host clears CR0.PG', 'nop', { afterwards: hostFault('mov rax, cr0\nbtr rax, 31\nmov cr0, rax') }),
    vt('host clears CR4.VMXE', 'nop', { afterwards: hostFault('mov rax, cr4\nand ah, 0xdf\nmov cr4, rax') }),
  ]),
  vtxRom('vtx-cr8', 'CR8-load and CR8-store exiting (SDM Vol. 3C 26.1.3)', [
    vt('load exits', 'mov eax, 5\nmov cr8, rax', { controls: { primary: ['cr8LoadExiting'] } }),
    vt('load by R12', 'mov r12d, 5\nmov cr8, r12', { controls: { primary: ['cr8LoadExiting'] } }),
    vt('store exits', 'mov rax, cr8', { controls: { primary: ['cr8StoreExiting'] } }),
    vt('store to R13', 'mov r13, cr8', { controls: { primary: ['cr8StoreExiting'] } }),
    vt('load does not exit', 'mov eax, 5\nmov cr8, rax\nmov rbx, cr8\nxor eax, eax\nmov cr8, rax'),
    vt('reserved bits', 'mov eax, 0x10\nmov cr8, rax'),
    vt('ring 3', 'mov rax, cr8', { controls: { primary: ['cr8StoreExiting'] }, fields: RING_3 }),
    vt('exits before the shadow', 'mov eax, 5\nmov cr8, rax', {
      ...TPR_SHADOW,
      controls: { primary: ['cr8LoadExiting', 'useTprShadow'] },
    }),
  ]),
  vtxRom('vtx-tpr-shadow', 'CR8 by way of the virtual-APIC page; TPR below threshold (SDM Vol. 3C 30.1.2, 30.3, 27.7.7)', [
    vt('load', 'mov eax, 7\nmov cr8, rax', threshold(0, 0)),
    vt('store', 'mov rax, cr8', threshold(0, 0x3a)),
    vt('load at the threshold', 'mov eax, 4\nmov cr8, rax\nmov ebx, 1', threshold(4, 0x50)),
    vt('load below the threshold', 'mov eax, 3\nmov cr8, rax\nmov ebx, 1', threshold(4, 0x50)),
    vt('load of 0 with threshold 1', 'xor eax, eax\nmov cr8, rax\nmov ebx, 1', threshold(1, 0x50)),
    vt('reserved bits', 'mov eax, 0x10\nmov cr8, rax', threshold(0, 0x50)),
    vt('VTPR below the threshold at entry', 'mov ebx, 1', threshold(5, 0x40)),
    vt('a threshold with bits above 3', 'mov ebx, 1', threshold(0x12, 0x50)),
    vt('single step comes after', 'mov eax, 3\nmov cr8, rax\nmov ebx, 1', {
      ...threshold(4, 0x50, { GUEST_RFLAGS: 0x102 }),
      afterwards: `${note({ vtpr: `[${VtxMemory.virtualApic + 0x80}]` })}`,
    }),
    vt('ring 3', 'mov cr8, rax', threshold(4, 0x50, RING_3)),
  ]),
  vtxRom('vtx-mov-dr', 'MOV-DR exiting, and what comes first (SDM Vol. 3C 26.1.3, Table 28-4)', [
    vt('to DR0', 'mov dr0, rax', DR),
    vt('from DR3 to R9', 'mov r9, dr3', DR),
    vt('to DR7 from RDI', 'mov dr7, rdi', DR),
    vt('from DR6', 'mov rax, dr6', DR),
    vt('DR4 without CR4.DE', 'mov rax, dr4', DR),
    vt('DR5 with CR4.DE', 'mov rax, dr5', { ...DR, fields: { GUEST_CR4: LONG_CR4 + 8 } }),
    vt('ring 3', 'mov rax, dr1', { ...DR, fields: RING_3 }),
    vt('general detect', 'mov rax, dr1', { ...DR, fields: { GUEST_DR7: 0x2400 } }),
    vt('without the control', 'mov eax, 0x1234\nmov dr2, rax\nmov rbx, dr2'),
    vt('32-bit', 'mov dr1, esi', { ...DR, mode: 'paging32' }),
    vt('real mode', 'mov ebx, dr2', { ...DR, mode: 'real' }),
  ]),
  vtxRom(
    'vtx-descriptor-tables',
    'Descriptor-table exiting: LGDT, LIDT, LLDT, LTR, SGDT, SIDT, SLDT, STR (SDM Vol. 3C 26.1.3, Tables 28-10, 28-11)',
    [
      vt('SGDT', 'sgdt [rax + rcx*2 + 0x1234]', TABLES),
      vt('SIDT', 'sidt [r8]', TABLES),
      vt('LGDT', 'lgdt [gs:rdx - 1]', TABLES),
      vt('LIDT', 'lidt [rsp + 8]', TABLES),
      vt('SLDT to a register', 'sldt r12d', TABLES),
      vt('STR to memory', 'str word [rbp + 4]', TABLES),
      vt('LLDT from a register', 'lldt cx', TABLES),
      vt('LTR from memory', 'ltr word [rsi*8 + 0x20]', TABLES),
      vt('SGDT, 32-bit', 'sgdt [eax + 0x10]', {
        ...TABLES,
        mode: 'paging32',
        bochs: 'gives SGDT an operand size of 16 bits; SDM Vol. 3C Table 28-10.',
        manual: 'GDTR_IDTR q=10 len=4 insn=418880 at 8:+0 sp=10:d000 fl=2',
      }),
      vt('LIDT, 16-bit operand', 'db 0x66\nlidt [eax + 0x10]', { ...TABLES, mode: 'paging32' }),
      vt('LGDT, real mode', 'lgdt [bx + di - 2]', { ...TABLES, mode: 'real' }),
      vt('SLDT in real mode', 'sldt ax', { ...TABLES, mode: 'real' }),
      vt('SGDT in ring 3', 'sgdt [rax]', { ...TABLES, fields: RING_3 }),
      vt('LGDT in ring 3', 'lgdt [rax]', { ...TABLES, fields: RING_3 }),
      vt('STR in ring 3', 'str eax', { ...TABLES, fields: RING_3 }),
      vt('without the control', `str eax\nsgdt [${MemoryMap.test}]\nmov bx, [${MemoryMap.test}]`),
      vt('LTR without the control', `mov eax, ${Selector.free}\nltr ax`, {
        before: setGdt(Selector.free, [String(0x67), String(0x8900)]),
        afterwards: STATE,
      }),
    ],
  ),
];

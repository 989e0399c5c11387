import { Access, gate, segment, setGdt, setIdt } from '../../prelude/descriptor.ts';
import { MemoryMap, Selector } from '../../prelude/memory-map.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../prelude/vtx-attempt.ts';
import { note, STATE } from '../../prelude/vtx-host.ts';
import { showField } from '../../prelude/vtx-print.ts';
import type { Rom } from '../../rom.ts';
import { exits } from './exceptions.ts';
import { APIC_ON, BlockedBy, EOI, IF, ipi } from './interrupts.ts';
import { vtxRom } from './vtx-rom.ts';

const SECOND = Selector.free;
const GATE = SECOND + 8;
const tssDescriptor = (access: number, limit = 0x67): string => setGdt(SECOND, segment({ base: MemoryMap.tasks, limit, access }));
const TSS = tssDescriptor(Access.tss32);
const NOT_PRESENT = 0x80;
/** The current task's descriptor, which its hypervisor has loaded as a busy one, is busy in memory, too. */
const CURRENT_BUSY = `mov byte [gdt + ${Selector.tss + 5}], 0x8b`;
const setGate = setGdt(GATE, gate(SECOND, 0, Access.taskGate));

const CODE32: GuestOptions = { mode: 'paging32' };
const task = (label: string, code: string, options: GuestOptions = {}): VtxAttempt =>
  vt(label, code, { ...CODE32, ...options, before: `${TSS}\n${CURRENT_BUSY}\n${options.before ?? ''}` });
/** An event that goes through a task gate in the IDT. */
const byGate = (label: string, code: string, vector: number, options: GuestOptions = {}): VtxAttempt =>
  task(label, code, {
    fields: { EXCEPTION_BITMAP: 0 },
    ...options,
    before: `${setIdt(vector, gate(SECOND, 0, Access.taskGate | (3 << 5)))}\n${options.before ?? ''}`,
    afterwards: `
      ${setIdt(vector, gate(Selector.code0, `protected_${vector}`, Access.interruptGate32 | (3 << 5)))}
      ${options.afterwards ?? ''}`,
  });
const JMP = `jmpf ${SECOND}:0`;
const CALL = `callf ${SECOND}:0`;
const NMI = 'mov dword [0xfee00300], 0x4400';
const RING_3_32 = {
  GUEST_CS_SELECTOR: Selector.code3,
  GUEST_CS_AR_BYTES: 0xc0fb,
  GUEST_SS_SELECTOR: Selector.data3,
  GUEST_SS_AR_BYTES: 0xc0f3,
};

export const vtxTaskRoms: readonly Rom[] = [
  vtxRom(
    'vtx-task-switch',
    'A task switch exits: selector and source are the qualification; checks come first (SDM Vol. 3C 26.4.2, Table 28-2)',
    [
      task('JMP', JMP),
      task('CALL', CALL),
      task('JMP by a gate', `jmpf ${GATE}:0`, { before: setGate }),
      task('CALL by a gate', `callf ${GATE}:0`, { before: setGate }),
      task('CALL by memory', 'callf fword [esp - 0x20]', { before: `mov dword [0xcfe0], 0\nmov word [0xcfe4], ${SECOND}` }),
      task('IRET', 'iretd', { fields: { GUEST_RFLAGS: 0x4002 }, before: `mov word [tss], ${SECOND}\n${tssDescriptor(Access.tss32 | 2)}` }),
      ...(['virtual NMIs', 'no NMI exiting'] as const).map((name) =>
        task(`IRET, blocking by NMI, ${name}`, 'iretd', {
          controls: { pin: name === 'virtual NMIs' ? ['nmiExiting', 'virtualNmis'] : [] },
          fields: { GUEST_RFLAGS: 0x4002, GUEST_INTERRUPTIBILITY_INFO: BlockedBy.nmi },
          before: `mov word [tss], ${SECOND}\n${tssDescriptor(Access.tss32 | 2)}`,
        }),
      ),
      task('16-bit TSS', JMP, { before: tssDescriptor(Access.tss16, 0x2b) }),
      task('nothing has changed', JMP, {
        fields: { GUEST_DR7: 0x455 },
        afterwards: `${showField('dr7', 'GUEST_DR7')}\n${note({ old: `[gdt + ${Selector.tss + 5}]`, tss: `[gdt + ${SECOND + 5}]` })}\n${STATE}`,
      }),
      task('busy', JMP, { before: tssDescriptor(Access.tss32 | 2) }),
      task('not present', JMP, { ...CODE32, ...exits([11]), before: tssDescriptor(Access.tss32 - NOT_PRESENT) }),
      task('too short', JMP, { ...CODE32, ...exits([10]), before: tssDescriptor(Access.tss32, 0x66) }),
      task('IRET to a TSS that is not busy', 'iretd', {
        ...CODE32,
        ...exits([10]),
        fields: { EXCEPTION_BITMAP: 1 << 10, GUEST_RFLAGS: 0x4002 },
        before: `mov word [tss], ${SECOND}`,
      }),
      task('DPL', JMP, { fields: RING_3_32 }),
      task('virtual-8086 mode has real-mode JMP', `mov ax, 1\njmpf 0:.there\n.there:`, { mode: 'v86' }),
      task('64-bit mode, JMP', `jmpf fword [rsp - 0x20]`, { mode: 'long', before: `mov dword [0xcfe0], 0\nmov word [0xcfe4], ${SECOND}` }),
      task('compatibility mode, JMP', JMP, { mode: 'compatibility' }),
      task('compatibility mode, IRET', 'iretd', { mode: 'compatibility', fields: { GUEST_RFLAGS: 0x4002 } }),
      task('protected mode', JMP, { mode: 'protected' }),
    ],
  ),
  vtxRom(
    'vtx-task-gate',
    'A task gate in the IDT: source 3, and the event as IDT-vectoring information (SDM Vol. 3C 26.4.2, 28.2.1, 28.2.4)',
    [
      byGate('INT 31', 'int 0x31', 0x31),
      byGate('INT3', 'int3', 3),
      byGate('INTO', 'into', 4, { fields: { EXCEPTION_BITMAP: 0, GUEST_RFLAGS: 0x802 } }),
      byGate('#UD', 'ud2', 6),
      byGate('#GP with an error code', 'mov ax, 0x1fb\nmov ds, ax', 13),
      byGate('a single step', 'nop\nnop', 1, { fields: { EXCEPTION_BITMAP: 0, GUEST_RFLAGS: 0x102 }, afterwards: note({ dr6: 'dr6' }) }),
      byGate('an interrupt', 'nop', 0x31, { fields: IF, before: ipi(0x31), afterwards: EOI }),
      byGate('an NMI', NMI, 2, { before: APIC_ON }),
      byGate('an NMI, virtual NMIs, injected', 'nop', 2, {
        controls: { pin: ['nmiExiting', 'virtualNmis'] },
        fields: { VM_ENTRY_INTR_INFO_FIELD: 0x8000_0202 },
      }),
      byGate('an injected interrupt', 'nop', 0x31, { fields: { ...IF, VM_ENTRY_INTR_INFO_FIELD: 0x8000_0031 } }),
      byGate('#UD that exits', 'ud2', 6, { fields: { EXCEPTION_BITMAP: 1 << 6 } }),
      byGate('a double fault', 'mov ax, 0x1fb\nmov ds, ax', 8, {
        fields: { EXCEPTION_BITMAP: 0 },
        before: `mov byte [idt32 + 13*8 + 5], 0x0e`,
        afterwards: `mov byte [idt32 + 13*8 + 5], 0x8e`,
      }),
      byGate('a TSS that is busy', 'int 0x31', 0x31, { fields: { EXCEPTION_BITMAP: 1 << 13 }, before: tssDescriptor(Access.tss32 | 2) }),
      byGate('a TSS that is not present', 'int 0x31', 0x31, {
        fields: { EXCEPTION_BITMAP: 1 << 11 },
        before: tssDescriptor(Access.tss32 - NOT_PRESENT),
      }),
      byGate('behind STI', 'sti\nint 0x31', 0x31),
      byGate('#UD behind MOV SS', 'mov ss, ax\nud2', 6, { registers: { rax: Selector.data0 } }),
      byGate('blocking by NMI stays', 'int 0x31', 0x31, { fields: { EXCEPTION_BITMAP: 0, GUEST_INTERRUPTIBILITY_INFO: BlockedBy.nmi } }),
      byGate('ring 3', 'int 0x31', 0x31, { fields: RING_3_32 }),
      byGate('virtual-8086 mode', 'int 0x31', 0x31, { mode: 'v86' }),
    ],
  ),
];

import { policy } from '../../prelude/attempt.ts';
import { Policy, Selector } from '../../prelude/memory-map.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../prelude/vtx-attempt.ts';
import { note, RESUME, SKIP, vmwrite } from '../../prelude/vtx-host.ts';
import { VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Fields } from '../../prelude/vtx-modes.ts';
import { showField, showFieldUnlessZero } from '../../prelude/vtx-print.ts';
import type { Rom } from '../../rom.ts';
import { absent, present, TEST } from './exceptions.ts';
import { ENDS_BLOCKING } from './interrupts.ts';
import { vtxRom } from './vtx-rom.ts';

const FREE = VtxMemory.free;
const DR6_INITIAL = 0xffff_0ff0;
/** DR7 with breakpoint `index`: type (0 execute, 1 write, 2 I/O, 3 read or write), length code. */
const dr7 = (index: number, type: number, length: number): number =>
  0x400 | (2 << (index * 2)) | (type << (16 + index * 4)) | (length << (18 + index * 4));
export const setDr = (index: number, value: number | string): string => `mov eax, ${value}\nmov dr${index}, rax`;
/** DR6 as the guest finds it, and what the exit has left. */
const FRESH = setDr(6, DR6_INITIAL);
const LEFT = `${note({ dr6: 'dr6' })}\n${FRESH}`;
/** The line also has DR7 and IA32_DEBUGCTL of the guest. */
const DEBUG_STATE = `${showField('dr7', 'GUEST_DR7')}\n${showFieldUnlessZero('debugctl', 'GUEST_IA32_DEBUGCTL')}\n${LEFT}`;
const STEP: Fields = { GUEST_RFLAGS: 0x102 };

/** An attempt in which #DB exits. */
const trap = (label: string, code: string, options: GuestOptions = {}): VtxAttempt =>
  vt(label, code, {
    ...options,
    fields: { EXCEPTION_BITMAP: 2, ...options.fields },
    before: `${FRESH}\n${options.before ?? ''}`,
    afterwards: `${options.afterwards ?? ''}\n${DEBUG_STATE}`,
  });
/** One in which the guest's handler prints it. */
const given = (label: string, code: string, options: GuestOptions = {}): VtxAttempt =>
  vt(label, code, { ...options, before: `${FRESH}\n${options.before ?? ''}` });
const WRITE_FREE = `mov dword [${FREE}], 1`;
const watch = (more: Fields = {}, type = 1): GuestOptions => ({
  fields: { GUEST_DR7: dr7(0, type, 3), ...more },
  before: setDr(0, FREE),
});
/** MOV SS from memory under a breakpoint. */
const MOV_SS = `mov ss, [${FREE}]`;
const movSs = (more: Fields = {}, bits = 0): GuestOptions => ({
  fields: { EXCEPTION_BITMAP: 2 | bits, GUEST_DR7: dr7(0, 3, 1), ...more },
  before: `${FRESH}\n${setDr(0, FREE)}\nmov word [${FREE}], ${Selector.data0}`,
});

export const vtxDebugRoms: readonly Rom[] = [
  vtxRom(
    'vtx-debug-exceptions',
    '#DB that exits: its causes are the qualification, DR6, DR7 and IA32_DEBUGCTL stay as they are (SDM Vol. 3C 28.1, 28.2.1, Table 28-1)',
    [
      trap('single step', 'nop\nnop', { fields: STEP }),
      trap('instruction breakpoint', 'nop\n.here:\nnop', { fields: { GUEST_DR7: dr7(1, 0, 0) }, before: setDr(1, '.here') }),
      trap('data breakpoint, write', `${WRITE_FREE}\nnop`, watch()),
      trap('data breakpoint, read', `mov eax, [${FREE}]\nxor eax, eax`, watch({}, 3)),
      trap('a read is no write', `mov eax, [${FREE}]\nxor eax, eax`, watch()),
      trap('two breakpoints', `${WRITE_FREE}\nnop`, {
        fields: { GUEST_DR7: dr7(0, 1, 3) | dr7(3, 3, 0) },
        before: `${setDr(0, FREE)}\n${setDr(3, FREE + 3)}`,
      }),
      trap('single step and a breakpoint', `${WRITE_FREE}\nnop`, watch(STEP)),
      trap('I/O breakpoint', 'out 0x80, al\nnop', { fields: { GUEST_DR7: dr7(2, 2, 0), GUEST_CR4: 0x2028 }, before: setDr(2, 0x80) }),
      trap('general detect', 'mov rax, dr1', { fields: { GUEST_DR7: 0x2400 } }),
      trap('single step in REP', `mov edi, ${FREE}\nmov ecx, 2\nrep stosb`, { fields: STEP, afterwards: `${RESUME}\n${RESUME}` }),
      trap('branches alone', 'nop\njmp .there\nnop\n.there:\nnop', {
        fields: { ...STEP, GUEST_IA32_DEBUGCTL: 2 },
        bochs: 'traps every instruction, whatever BTF; SDM Vol. 3B 17.4.3.',
        manual: 'EXCEPTION_NMI q=4000 info=80000301 at 38:+4 sp=10:d000 fl=102\n dr7=400 debugctl=2 dr6=ffff0ff0',
      }),
      trap('32-bit', 'nop\nnop', { mode: 'paging32', fields: STEP }),
      trap('real mode', 'nop\nnop', { mode: 'real', fields: STEP }),
      trap('virtual-8086 mode', 'nop\nnop', { mode: 'v86', fields: { GUEST_RFLAGS: 0x23102 } }),
      given('delivered', 'nop\nnop', { fields: STEP }),
      given('delivered, general detect', 'mov rax, dr1', {
        fields: { GUEST_DR7: 0x2400 },
        afterwards: DEBUG_STATE,
      }),
      trap('delivered, #PF on the way', 'nop\nnop', {
        fields: { ...STEP, EXCEPTION_BITMAP: 1 << 14, GUEST_RSP: TEST + 0x800 },
        before: absent,
        afterwards: present,
      }),
      trap('delivered, #PF on the way, general detect', 'mov rax, dr1', {
        fields: { EXCEPTION_BITMAP: 1 << 14, GUEST_RSP: TEST + 0x800, GUEST_DR7: 0x2400 },
        before: absent,
        afterwards: present,
      }),
    ],
  ),
  vtxRom(
    'vtx-pending-debug',
    'Pending debug exceptions: exits behind MOV SS save what it has earned; others save none (SDM Vol. 3C 28.3.4, 27.7.3)',
    [
      vt('MOV SS, then an exit', `${MOV_SS}\ncpuid`, movSs()),
      vt('MOV SS without a breakpoint', `${MOV_SS}\ncpuid`, { ...movSs(), fields: {} }),
      vt('MOV SS, then another instruction', `${MOV_SS}\nnop\nnop`, { ...movSs(), afterwards: LEFT }),
      vt('MOV SS, another, then an exit', `${MOV_SS}\nnop\ncpuid`, movSs({ EXCEPTION_BITMAP: 0 })),
      vt('it comes at the next entry', `${MOV_SS}\ncpuid\nnop\nnop`, { ...movSs(), afterwards: `${SKIP}\n${RESUME}\n${LEFT}` }),
      vt('the host ends the blocking', `${MOV_SS}\ncpuid\nnop\nnop`, {
        ...movSs(),
        afterwards: `${SKIP}\n${vmwrite('GUEST_INTERRUPTIBILITY_INFO', 0)}\n${RESUME}\n${LEFT}`,
      }),
      vt('the host clears it', `${MOV_SS}\ncpuid\nnop\nnop`, {
        ...movSs(),
        afterwards: `${SKIP}\n${vmwrite('GUEST_PENDING_DBG_EXCEPTIONS', 0)}\n${RESUME}`,
      }),
      vt('MOV SS, then #UD', `${MOV_SS}\nud2`, {
        ...movSs({}, 1 << 6),
        bochs: ENDS_BLOCKING,
        manual: 'EXCEPTION_NMI info=80000306 at 38:+7 sp=10:d000 fl=2 blocking=2 pending=1001',
      }),
      vt('MOV SS, then #UD that is delivered', `${MOV_SS}\nud2`, movSs()),
      vt('MOV SS, then INT3', `${MOV_SS}\nint3`, {
        ...movSs({}, 1 << 3),
        bochs: ENDS_BLOCKING,
        manual: 'EXCEPTION_NMI info=80000603 len=1 at 38:+7 sp=10:d000 fl=2 blocking=2 pending=1001',
      }),
      vt('MOV SS with TF, then an exit', `${MOV_SS}\ncpuid`, movSs(STEP)),
      vt('loaded, then #UD', 'ud2', {
        fields: { EXCEPTION_BITMAP: 0x42, GUEST_INTERRUPTIBILITY_INFO: 2, GUEST_PENDING_DBG_EXCEPTIONS: 0x1005 },
        bochs: ENDS_BLOCKING,
        manual: 'EXCEPTION_NMI info=80000306 at 38:+0 sp=10:d000 fl=2 blocking=2 pending=1005',
      }),
      vt('loaded, an exit at once', 'cpuid', {
        fields: { EXCEPTION_BITMAP: 2, GUEST_INTERRUPTIBILITY_INFO: 2, GUEST_PENDING_DBG_EXCEPTIONS: 0x1005 },
      }),
      vt('loaded, not enabled', 'mov ebx, 1', {
        fields: { EXCEPTION_BITMAP: 2, GUEST_INTERRUPTIBILITY_INFO: 2, GUEST_PENDING_DBG_EXCEPTIONS: 5 },
      }),
      vt('loaded, then one instruction', 'mov ebx, 1\nmov ebx, 2', {
        fields: { EXCEPTION_BITMAP: 2, GUEST_INTERRUPTIBILITY_INFO: 2, GUEST_PENDING_DBG_EXCEPTIONS: 0x1008 },
      }),
      vt('a trap that has been delivered is none', 'nop\ncpuid', {
        fields: STEP,
        before: policy(1, Policy.iret | Policy.clearTf | Policy.brief),
        afterwards: policy(1, 0),
      }),
    ],
  ),
];

import { svm } from '../../prelude/svm-attempt.ts';
import { SvmMemory } from '../../prelude/svm-memory.ts';
import type { Rom } from '../../rom.ts';
import { svmRom } from './svm-rom.ts';

const FREE = SvmMemory.free;
const CR0 = 0x80000031;
/** What decode assists say of MOV CR: the general register. */
const mov = (gpr: number): string => `i1=${(0x8000000000000000n | BigInt(gpr)).toString(16)}`;
const dr = (gpr: number): string => `i1=${gpr.toString(16)}`;
const NONE = 'i1=0';
const VALUE_LATE = 'checks the value behind the intercept; table 15-7.';
const LMSW = 'takes LMSW as MOV; it is to be intercepted whatever it writes, table 15-7.';
const NO_DR6 = 'does not write DR6 and DR7 before the intercept; 15.12.2.';
const NO_BREAKPOINTS = 'TCG arms no breakpoints by VMRUN; 15.5.1.';

export const svmRegisterRoms: readonly Rom[] = [
  svmRom('svm-cr-read', 'Reads of control registers: MOV and SMSW; #GP and #UD first (APM Vol. 2 15.8.1, 15.9)', [
    svm('MOV from CR0', 'mov rbx, cr0', { intercepts: ['CR0_READ'], assists: mov(3) }),
    svm('MOV from CR2', 'mov rsi, cr2', { intercepts: ['CR2_READ'], assists: mov(6) }),
    svm('MOV from CR3', 'mov r9, cr3', { intercepts: ['CR3_READ'], assists: mov(9) }),
    svm('MOV from CR4', 'mov rdx, cr4', { intercepts: ['CR4_READ'], assists: mov(2) }),
    svm('MOV from CR8', 'mov r15, cr8', { intercepts: ['CR8_READ'], assists: mov(15) }),
    svm('SMSW', 'smsw ax', { intercepts: ['CR0_READ'], assists: NONE }),
    svm('SMSW to memory', `smsw [${FREE}]`, { intercepts: ['CR0_READ'], assists: NONE }),
    svm('SMSW in ring 3', 'smsw ax', { mode: 'ring3', intercepts: ['CR0_READ'], assists: NONE }),
    svm('32-bit', 'mov edi, cr3', { mode: 'paging32', intercepts: ['CR3_READ'], assists: mov(7) }),
    svm('real mode', 'mov ecx, cr0', { mode: 'real', intercepts: ['CR0_READ'], assists: mov(1) }),
    svm('ring 3', 'mov rax, cr0', { mode: 'ring3', intercepts: ['CR0_READ', 'EXCP13'] }),
    svm('CR1 is undefined', 'db 0x0f, 0x20, 0xc8', { intercepts: ['CR1_READ', 'EXCP6'] }),
    svm('writes are not reads', `mov eax, ${CR0}\nmov cr0, rax`, { intercepts: ['CR0_READ'] }),
  ]),
  svmRom('svm-cr-write', 'Writes of control registers: MOV, LMSW, CLTS; #GP first, nothing is written (APM Vol. 2 15.8.1, 15.9)', [
    svm('MOV to CR0', 'mov ebp, 0x80000033\nmov cr0, rbp', { intercepts: ['CR0_WRITE'], assists: mov(5) }),
    svm('CLTS', 'clts', { intercepts: ['CR0_WRITE'], assists: NONE }),
    svm('LMSW', 'lmsw ax', { intercepts: ['CR0_WRITE'], assists: NONE }),
    svm('LMSW from memory', `lmsw [${FREE}]`, { intercepts: ['CR0_WRITE'], assists: NONE }),
    svm('MOV to CR2', 'mov cr2, rbx', { intercepts: ['CR2_WRITE'], assists: mov(3) }),
    svm('MOV to CR3', 'mov cr3, r14', { intercepts: ['CR3_WRITE'], assists: mov(14) }),
    svm('MOV to CR4', 'mov ecx, 0x24\nmov cr4, rcx', { intercepts: ['CR4_WRITE'], assists: mov(1) }),
    svm('MOV to CR8', 'mov cr8, rsi', { intercepts: ['CR8_WRITE'], assists: mov(6) }),
    svm('ring 3', 'mov cr3, rax', { mode: 'ring3', intercepts: ['CR3_WRITE', 'EXCP13'] }),
    svm('CLTS in ring 3', 'clts', { mode: 'ring3', intercepts: ['CR0_WRITE', 'EXCP13'] }),
    svm('PG without PE is #GP first', 'mov eax, 0x80000000\nmov cr0, rax', {
      intercepts: ['CR0_WRITE', 'EXCP13'],
      qemu: VALUE_LATE,
      bochs: VALUE_LATE,
      manual: 'EXCP13 at 38:+5 sp=10:d000 fl=2 rax=80000000',
    }),
    svm('a reserved bit of CR4 is #GP first', 'mov eax, 0x80000020\nmov cr4, rax', {
      intercepts: ['CR4_WRITE', 'EXCP13'],
      qemu: VALUE_LATE,
    }),
    svm('reads are not writes', 'mov rax, cr3\nxor eax, eax', { intercepts: ['CR3_WRITE'] }),
    svm('CR3 not intercepted', 'mov rax, cr3\nmov cr3, rax', {
      intercepts: ['CR0_WRITE', 'CR4_WRITE', 'CR8_WRITE', 'CR3_READ'],
      assists: mov(0),
    }),
  ]),
  svmRom('svm-cr0-selective', 'Selective CR0 writes: MOV exits unless TS and MP alone change, LMSW always, CLTS never (APM Vol. 2 15.9)', [
    svm('MOV that changes nothing', `mov eax, ${CR0}\nmov cr0, rax\nxor eax, eax`, { intercepts: ['CR0_SEL_WRITE'] }),
    svm('MOV that changes TS and MP', `mov eax, ${CR0 | 10}\nmov cr0, rax\nxor eax, eax`, { intercepts: ['CR0_SEL_WRITE'] }),
    svm('MOV that changes EM', `mov eax, ${(CR0 | 4) >>> 0}\nmov cr0, rax`, { intercepts: ['CR0_SEL_WRITE'], assists: mov(0) }),
    svm('MOV that changes WP', `mov r8d, ${(CR0 | 0x10000) >>> 0}\nmov cr0, r8`, { intercepts: ['CR0_SEL_WRITE'], assists: mov(8) }),
    svm('MOV that changes PG', 'mov eax, 0x31\nmov cr0, eax', { mode: 'paging32', intercepts: ['CR0_SEL_WRITE'], assists: mov(0) }),
    svm('LMSW that changes TS', 'mov ax, 0x39\nlmsw ax', {
      intercepts: ['CR0_SEL_WRITE'],
      assists: NONE,
      bochs: LMSW,
      qemu: LMSW,
      manual: 'CR0_SEL_WRITE at 38:+4 sp=10:d000 fl=2 rax=39\n  nrip=+7\n  assists: i1=0',
    }),
    svm('LMSW that changes nothing', 'mov ax, 0x31\nlmsw ax', {
      intercepts: ['CR0_SEL_WRITE'],
      assists: NONE,
      bochs: LMSW,
      qemu: LMSW,
      manual: 'CR0_SEL_WRITE at 38:+4 sp=10:d000 fl=2 rax=31\n  nrip=+7\n  assists: i1=0',
    }),
    svm('CLTS', 'clts', { intercepts: ['CR0_SEL_WRITE'], fields: { CR0: CR0 + 8 } }),
    svm('both, of which the plain one', `mov eax, ${(CR0 | 4) >>> 0}\nmov cr0, rax`, {
      intercepts: ['CR0_SEL_WRITE', 'CR0_WRITE'],
      assists: mov(0),
    }),
    svm('real mode', 'mov eax, 0x10\nmov cr0, eax', { mode: 'real', intercepts: ['CR0_SEL_WRITE'], assists: mov(0) }),
  ]),
  svmRom('svm-dr', 'Debug registers: each by its number; #UD and #GP first (APM Vol. 2 15.8.1, 15.9)', [
    ...[0, 1, 2, 3, 6, 7].flatMap((i) => [
      svm(`read of DR${i}`, `mov rbx, dr${i}`, { intercepts: [`DR${i}_READ`], assists: dr(3) }),
      svm(`write of DR${i}`, `mov dr${i}, r12`, { intercepts: [`DR${i}_WRITE`], assists: dr(12) }),
    ]),
    svm('DR4 is DR4', 'mov rax, dr4', { intercepts: ['DR4_READ'], assists: dr(0) }),
    svm('DR4 is #UD with CR4.DE', 'mov rax, dr4', {
      intercepts: ['DR4_READ', 'EXCP6'],
      fields: { CR4: 0x28 },
      qemu: 'checks the intercept before CR4.DE; table 15-7.',
    }),
    svm('ring 3', 'mov rax, dr0', { mode: 'ring3', intercepts: ['DR0_READ', 'EXCP13'] }),
    svm('DR7.GD makes #DB come first', 'mov rax, dr0', {
      intercepts: ['DR0_READ', 'EXCP1'],
      fields: { DR7: 0x2400 },
      bochs: NO_DR6,
      qemu: 'TCG has no DR7.GD.',
      manual: 'EXCP1 at 38:+0 sp=10:d000 fl=2 dr6=ffff2ff0 dr7=400',
    }),
    svm('32-bit', 'mov dr1, edi', { mode: 'paging32', intercepts: ['DR1_WRITE'], assists: dr(7) }),
    svm('none of the others', 'mov rax, dr0\nmov dr1, rax', { intercepts: ['DR1_READ', 'DR0_WRITE', 'DR7_READ'] }),
  ]),
  svmRom('svm-debug-state', 'DR6 and DR7 are loaded and saved; breakpoints, TF and RF of the guest (APM Vol. 2 15.5.1, 15.12.2)', [
    svm('the registers', 'mov rax, dr6\nmov rbx, dr7', { fields: { DR6: 0xffff4ff1, DR7: 0x700 } }),
    svm('written', 'mov eax, 0x755\nmov dr7, rax\nxor eax, eax\nmov dr6, rax'),
    svm('TF traps after the first instruction', 'mov ebx, 1\nmov ebx, 2', {
      intercepts: ['EXCP1'],
      fields: { RFLAGS: 0x102 },
      bochs: NO_DR6,
    }),
    svm('a breakpoint on the first instruction', 'mov ebx, 1', {
      intercepts: ['EXCP1'],
      fields: { DR7: 0x402 },
      before: 'mov eax, .guest\nmov dr0, rax',
      bochs: NO_DR6,
      qemu: NO_BREAKPOINTS,
      manual: 'EXCP1 at 38:+0 sp=10:d000 fl=2 dr6=ffff0ff1',
    }),
    svm('RF holds it', 'mov ebx, 1', {
      intercepts: ['EXCP1'],
      fields: { DR7: 0x402, RFLAGS: 0x10002 },
      before: 'mov eax, .guest\nmov dr0, rax',
    }),
    svm('a data breakpoint is a trap', `mov [${FREE}], eax\nmov ebx, 2`, {
      intercepts: ['EXCP1'],
      fields: { DR7: 0xd0402 },
      before: `mov eax, ${FREE}\nmov dr0, rax`,
      bochs: NO_DR6,
      qemu: NO_BREAKPOINTS,
      manual: 'EXCP1 at 38:+7 sp=10:d000 fl=2 dr6=ffff0ff1',
    }),
    svm('not intercepted', 'mov ebx, 1\nmov ebx, 2', { fields: { RFLAGS: 0x102 } }),
    svm("the host's breakpoints are off", 'mov ebx, 1', {
      after:
        'mov rbp, dr7\nmov [svm_rbp], rbp\nmov rax, rbp\nmov rsi, .no\ncall svm_text\njmp .shown\n.no: db "  dr7=", 0\n.shown:\nmov rax, dr7\ncall svm_hex\ncall newline64',
      before: 'mov eax, 0x7ff\nmov dr7, rax',
      qemu: 'leaves DR7 of the host as it was; 15.6.',
    }),
  ]),
];

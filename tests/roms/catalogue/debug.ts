import { attempt16, attempt32, attempt64, policy, user32, v86 } from '../prelude/attempt.ts';

import { Policy, Selector } from '../prelude/memory-map.ts';
import { departs, type Rom } from '../rom.ts';

/** Goes on after each #DB; `stop` ends single-stepping. */
const TRACE = policy(1, Policy.iret);
const step = (code: string): string => `push 0x102\npopfd\n${code}\npush 2\npopfd`;
const dr = (index: number, value: string, bits = 32): string =>
  bits === 64 ? `mov rax, ${value}\nmov dr${index}, rax\nxor eax, eax` : `mov eax, ${value}\nmov dr${index}, eax\nxor eax, eax`;
/** DR7 for breakpoint `index`: type (0 execute, 1 write, 2 I/O, 3 read or write), length code. */
const dr7 = (index: number, type: number, length: number): number =>
  0x400 | (2 << (index * 2)) | (type << (16 + index * 4)) | (length << (18 + index * 4));
const clear = dr(7, '0x400');
const ICEBP = 'raises #UD for INT1; SDM Vol. 2A INT n.';

/** RF is 1 between the two iterations alone. */
const STEPS_IN_REP = [
  '#DB 0008:000041ac fl=00000102 dr6=ffff4ff0 edi=00000600',
  ' #DB 0008:000041b1 fl=00000102 dr6=ffff4ff0 ecx=00000002 edi=00000600',
  ' #DB 0008:000041b1 fl=00010102 dr6=ffff4ff0 ecx=00000001 edi=00000601',
  ' #DB 0008:000041b3 fl=00000102 dr6=ffff4ff0 edi=00000602',
  ' #DB 0008:000041b5 fl=00000102 dr6=ffff4ff0 edi=00000602',
  ' #DB 0008:000041b6 fl=00000002 dr6=ffff4ff0 edi=00000602',
  ' ok fl=00000002 edi=00000602',
].join('\n');

export const debugRoms: readonly Rom[] = [
  {
    name: 'single-step',
    rule: 'TF traps after each instruction (SDM Vol. 3A 17.3.1.4)',
    mode: 'protected',
    source: `
      ${TRACE}
      ${attempt32('NOPs', step('nop\nmov eax, 1\nnop'))}
      ${attempt32('REP traps after each iteration', step('mov ecx, 3\nmov esi, 0x600\nmov edi, 0x700\nrep movsb'))}
      ${attempt32('REP with ECX 0', step('rep movsb'))}
      ${attempt32('MOV SS holds the trap', step(`mov ax, ${Selector.data0}\nmov ss, ax\nnop\nnop`))}
      ${attempt32('POP SS holds the trap', step(`push ${Selector.data0}\npop ss\nnop\nnop`))}
      ${attempt32('STI does not', step('sti\nnop\ncli'))}
      ${attempt32('PUSHFD shows TF', step('pushfd\npop eax'))}
      ${attempt32('INT clears TF in the handler', `${policy(0x40, Policy.iret)}\n${step('int 0x40\nnop')}`)}
      ${attempt32('a fault is reported without a trap', step('nop\nud2'))}
      ${attempt32('jumps and calls', step('jmp .a\nnop\n.a:\ncall .b\n.b:\npop ecx'))}
      ${attempt32('IRET that sets TF traps after the next instruction', `push 0x102\npush ${Selector.code0}\npush .to\niretd\n.to:\nnop\nnop\npush 2\npopfd`)}
      ${attempt32('POPFD that clears TF is trapped no more', 'push 0x102\npopfd\npush 2\npopfd\nnop')}
      ${attempt32('HLT-free system instructions', step('smsw ax\nmov ebx, cr0\nxor eax, eax\nxor ebx, ebx\nxor ecx, ecx\nxor edx, edx'))}`,
    departures: departs('qemu', ['STI does not'], 'holds the trap after STI; SDM Vol. 2B STI, Vol. 3A 6.8.3: MOV SS and POP SS alone do.'),
  },
  {
    name: 'single-step-real',
    rule: 'TF in real mode (SDM Vol. 3A 17.3.1.4)',
    mode: 'real',
    source: `
      ${policy(1, Policy.iret)}
      ${attempt16('NOPs', 'push 0x102\npopf\nnop\nmov ax, 1\npush 2\npopf')}
      ${attempt16('MOV SS', 'push 0x102\npopf\nmov ss, ax\nnop\nnop\npush 2\npopf')}
      ${attempt16('REP STOSW', 'push 0x102\npopf\nmov cx, 2\nmov di, 0x600\nrep stosw\npush 2\npopf')}
      ${attempt16('INT', `${policy(0x40, Policy.iret)}\npush 0x102\npopf\nint 0x40\nnop\npush 2\npopf`)}
      ${attempt16('to ring 0 and back by far jump', 'push 0x102\npopf\njmpf 0:.to\n.to:\npush 2\npopf')}`,
  },
  {
    name: 'single-step-rings',
    rule: 'A trap in ring 3 and in virtual-8086 mode shows that state (SDM Vol. 3A 17.3.1.4)',
    mode: 'protected',
    source: `
      ${TRACE}
      ${user32('ring 3', 'mov eax, 1\nmov ebx, 2', { flags: 0x102 })}
      ${user32('INT 30 in ring 3 while stepping', 'nop', { flags: 0x102 })}
      ${v86('virtual-8086', 'mov ax, 1\nmov bx, 2', { flags: 0x3102 })}
      ${user32('POPFD can set TF in ring 3', 'push 0x102\npopfd\nnop\npush 2\npopfd')}`,
  },
  {
    name: 'instruction-breakpoints',
    rule: 'Instruction breakpoints are faults; RF lets the instruction run (SDM Vol. 3A 17.3.1.1)',
    mode: 'protected',
    source: `
      ${policy(1, Policy.iret | Policy.setRf)}
      mov dword [flags_shown], 0xffffffff
      ${attempt32('before the instruction', `${dr(0, '.at')}\n${dr(7, String(dr7(0, 0, 0)))}\nmov ebx, 1\n.at:\nmov ebx, 2\n${clear}`)}
      ${attempt32('local enable', `${dr(1, '.at')}\n${dr(7, String(0x404))}\n.at:\nmov ebx, 2\n${clear}`)}
      ${attempt32('disabled', `${dr(1, '.at')}\n${dr(7, String(0x400))}\n.at:\nmov ebx, 2\n${clear}`)}
      ${attempt32('in the middle of an instruction', `${dr(0, '.at + 1')}\n${dr(7, String(dr7(0, 0, 0)))}\n.at:\nmov ebx, 2\n${clear}`)}
      ${attempt32('in a loop each time', `mov ecx, 3\n${dr(0, '.at')}\n${dr(7, String(dr7(0, 0, 0)))}\n.at:\nloop .at\n${clear}`)}
      ${attempt32('two at once', `${dr(0, '.at')}\n${dr(3, '.at')}\n${dr(7, String(dr7(0, 0, 0) | dr7(3, 0, 0)))}\n.at:\nnop\n${clear}`)}
      ${attempt32('POPFD cannot set RF', `${dr(0, '.at')}\n${dr(7, String(dr7(0, 0, 0)))}\npush 0x10002\npopfd\n.at:\nnop\n${clear}`)}
      ${attempt32('IRET can', `${dr(0, '.at')}\n${dr(7, String(dr7(0, 0, 0)))}\npush 0x10002\npush ${Selector.code0}\npush .at\niretd\n.at:\nnop\n${clear}`)}
      ${attempt32('before a fault of the instruction itself', `${dr(0, '.at')}\n${dr(7, String(dr7(0, 0, 0)))}\n.at:\nud2`)}
      ${attempt32('clear', clear)}`,
  },
  {
    name: 'resume-flag',
    rule: 'RF in the frame: set for faults and between iterations of REP, not for traps and software interrupts (SDM Vol. 3A 17.3.1.1)',
    mode: 'protected',
    source: `
      mov dword [flags_shown], 0xffffffff
      ${attempt32('UD', 'ud2')}
      ${attempt32('GP', 'mov ax, 0xfff8\nmov ds, ax')}
      ${attempt32('DE', 'div cl')}
      ${attempt32('INT3', 'int3')}
      ${attempt32('INT 40', 'int 0x40')}
      ${attempt32('INTO', 'mov al, 0x7f\ninc al\ninto')}
      ${TRACE}
      ${attempt32('single step', step('nop'))}
      ${attempt32('single step in REP', step('mov edi, 0x600\nmov ecx, 2\nrep stosb'))}`,
    departures: [
      ...departs('qemu', ['UD', 'GP', 'DE'], 'does not set RF in the frame of a fault; SDM Vol. 3A 17.3.1.1.'),
      ...(['bochs', 'qemu'] as const).map((peer) => ({
        peer,
        label: 'single step in REP',
        why: 'does not set RF in the frame of a trap between iterations, where processors do; SDM Vol. 3A 17.3.1.1.',
        manual: STEPS_IN_REP,
      })),
    ],
  },
  {
    name: 'data-breakpoints',
    rule: 'Data breakpoints are traps, by address, length and type (SDM Vol. 3A 17.3.1.2, 17.2.5)',
    mode: 'protected',
    source: `
      ${TRACE}
      ${attempt32('write', `${dr(0, '0x600')}\n${dr(7, String(dr7(0, 1, 3)))}\nmov dword [0x600], 1\nmov ebx, [0x600]\n${clear}\nxor ebx, ebx`)}
      ${attempt32('read or write', `${dr(0, '0x600')}\n${dr(7, String(dr7(0, 3, 3)))}\nmov ebx, [0x600]\nmov dword [0x600], 3\n${clear}`)}
      ${attempt32('a byte within a dword', `${dr(2, '0x602')}\n${dr(7, String(dr7(2, 1, 0)))}\nmov dword [0x600], 1\nmov byte [0x601], 1\nmov byte [0x602], 1\nmov byte [0x603], 1\n${clear}`)}
      ${attempt32('length 2 is aligned', `${dr(0, '0x601')}\n${dr(7, String(dr7(0, 1, 1)))}\nmov byte [0x600], 1\nmov byte [0x602], 1\n${clear}`)}
      ${attempt32('REP STOSB traps after the iteration', `${dr(0, '0x602')}\n${dr(7, String(dr7(0, 1, 0)))}\nmov edi, 0x600\nmov ecx, 4\nrep stosb\n${clear}`)}
      ${attempt32('a read is no write', `${dr(0, '0x600')}\n${dr(7, String(dr7(0, 1, 3)))}\nmov ebx, [0x600]\n${clear}\nxor ebx, ebx`)}
      ${attempt32('read-modify-write', `${dr(0, '0x600')}\n${dr(7, String(dr7(0, 1, 3)))}\nadd dword [0x600], 1\n${clear}`)}
      ${attempt32('PUSH', `mov ecx, esp\nsub ecx, 4\nmov dr0, ecx\n${dr(7, String(dr7(0, 1, 3)))}\npush eax\n${clear}\npop eax\nxor ecx, ecx`)}
      ${attempt32('MOV SS holds it', `${dr(0, '0x600')}\n${dr(7, String(dr7(0, 3, 1)))}\nmov word [0x600], ${Selector.data0}\nmov ss, [0x600]\nnop\nnop\n${clear}`)}
      ${attempt32('a fault takes none', `${dr(0, '0x600')}\n${dr(7, String(dr7(0, 3, 3)))}\nmov word [0x602], 0\nmov ds, [0x7fffffff]\n${clear}`).replace('mov ds, [0x7fffffff]', 'mov ax, 0xfff8\nmov ds, ax')}
      ${attempt32('enabled nowhere, a match may still show', `${dr(0, '0x600')}\n${clear}\nmov dword [0x600], 1`)}`,
    departures: [
      ...departs('qemu', ['length 2 is aligned'], 'does not align the address to the length; SDM Vol. 3A 17.2.5.'),
      ...departs('qemu', ['MOV SS holds it'], 'traps right after MOV SS; SDM Vol. 3A 6.8.3.'),
    ],
  },
  {
    name: 'io-breakpoints',
    rule: 'I/O breakpoints, with CR4.DE, are traps by port, length and whatever the direction (SDM Vol. 3A 17.2.4, 17.3.1.3)',
    mode: 'protected',
    source: `
      ${TRACE}
      mov eax, cr4
      or al, 8
      mov cr4, eax
      ${attempt32('OUT', `${dr(0, '0x80')}\n${dr(7, String(dr7(0, 2, 0)))}\nout 0x80, al\nmov ebx, 1\n${clear}`)}
      mov al, 0xff
      out 0x21, al
      ${attempt32('IN', `${dr(0, '0x21')}\n${dr(7, String(dr7(0, 2, 0)))}\nin al, 0x21\nxor eax, eax\n${clear}`)}
      ${attempt32('another port', `${dr(0, '0x80')}\n${dr(7, String(dr7(0, 2, 0)))}\nout 0x84, al\nnop\n${clear}`)}
      ${attempt32('a byte of a wide access', `${dr(0, '0x86')}\n${dr(7, String(dr7(0, 2, 0)))}\nout 0x84, eax\nmov ebx, 1\n${clear}`)}
      ${attempt32('a byte before it', `${dr(0, '0x83')}\n${dr(7, String(dr7(0, 2, 0)))}\nout 0x84, ax\nmov ebx, 1\n${clear}`)}
      ${attempt32('four ports', `${dr(1, '0x84')}\n${dr(7, String(dr7(1, 2, 3)))}\nout 0x87, al\nmov ebx, 1\nout 0x88, al\n${clear}`)}
      ${attempt32('by DX', `${dr(0, '0x80')}\n${dr(7, String(dr7(0, 2, 0)))}\nmov edx, 0x80\nout dx, al\nmov ebx, 1\n${clear}`)}
      ${attempt32('memory at that address is none', `${dr(0, '0x600')}\n${dr(7, String(dr7(0, 2, 0)))}\nmov al, [0x600]\nmov [0x600], al\nxor eax, eax\n${clear}`)}
      ${attempt32('OUTSB', `${dr(0, '0x80')}\n${dr(7, String(dr7(0, 2, 0)))}\nmov edx, 0x80\nmov esi, 0x600\noutsb\nmov ebx, 1\n${clear}`)}
      ${attempt32('REP OUTSB traps after each iteration', `${dr(0, '0x80')}\n${dr(7, String(dr7(0, 2, 0)))}\nmov edx, 0x80\nmov esi, 0x600\nmov ecx, 3\nrep outsb\nmov ebx, 1\n${clear}`)}
      ${attempt32('with a write to memory at once', `${dr(0, '0x80')}\n${dr(1, '0x600')}\n${dr(7, String(dr7(0, 2, 0) | dr7(1, 1, 0)))}\nmov edx, 0x80\nmov edi, 0x600\ninsb\nmov ebx, 1\n${clear}`)}`,
    departures: [
      ...departs('qemu', ['REP OUTSB traps after each iteration'], 'ends the REP at its first trap; SDM Vol. 3A 17.3.1.3.'),
      ...departs(
        'qemu',
        ['with a write to memory at once'],
        'reports two breakpoints of one instruction one after the other; SDM Vol. 3A 17.2.3.',
      ),
    ],
  },
  {
    name: 'debug-registers',
    rule: 'DR4, DR5, DR6, DR7, CR4.DE and DR7.GD (SDM Vol. 3A 17.2)',
    mode: 'protected',
    source: `
      ${policy(1, 0)}
      ${attempt32('reserved bits of DR6 and DR7', 'mov eax, 0\nmov dr6, eax\nmov ebx, dr6\nmov dr7, eax\nmov ecx, dr7\nmov eax, 0xffffcfff\nmov dr6, eax\nmov edx, dr6\nmov eax, 0xffff0ff0\nmov dr6, eax')}
      ${attempt32('all of DR7', `mov eax, 0xffffd7ff\nmov dr7, eax\nmov ebx, dr7\nmov eax, 0x400\nmov dr7, eax`)}
      ${attempt32('DR4 and DR5 are DR6 and DR7', 'mov eax, 0x12345678\nmov dr0, eax\nmov ebx, dr0\nmov ecx, dr4\nmov edx, dr5')}
      ${attempt32('CR4.DE takes them away', 'mov eax, cr4\nor al, 8\nmov cr4, eax\nmov ecx, dr4')}
      ${attempt32('DR5 too', 'mov dr5, eax')}
      ${attempt32('GD', 'mov eax, 0x2400\nmov dr7, eax\nmov ebx, 5\nmov ecx, dr0')}
      ${attempt32('GD was cleared by the delivery', 'mov eax, dr7')}
      ${attempt32('GD on a write', 'mov eax, 0x2400\nmov dr7, eax\nmov dr6, eax')}
      ${attempt32('INT1', 'db 0xf1')}
      ${user32('MOV DR in ring 3', 'mov eax, dr0')}`,
    departures: [
      ...departs('qemu', ['INT1'], ICEBP),
      ...departs('qemu', ['all of DR7'], 'keeps reserved bits; SDM Vol. 3A 17.2.4.'),
      ...departs('qemu', ['GD', 'GD was cleared by the delivery', 'GD on a write'], 'TCG has no general detect; SDM Vol. 3A 17.2.4.'),
    ],
  },
  {
    name: 'debug-long',
    rule: 'Debug registers have 64 bits; upper bits of DR6 and DR7 must be 0 (SDM Vol. 3A 17.2.6)',
    mode: 'long',
    source: `
      ${TRACE}
      ${attempt64('write of 8 bytes', `${dr(0, '0x600', 64)}\n${dr(7, String(dr7(0, 1, 2)), 64)}\nmov byte [0x607], 1\nmov byte [0x608], 1\nmov qword [0x5fc], 1\n${dr(7, '0x400', 64)}`)}
      ${attempt64('DR7 upper bits', 'mov rax, 0x100000400\nmov dr7, rax')}
      ${attempt64('DR6 upper bits', 'mov rax, 0x1ffff0ff0\nmov dr6, rax')}
      ${attempt64('DR0 takes any address', 'mov rax, 0x800000000000\nmov dr0, rax\nmov rbx, dr0')}
      ${attempt64('single step', 'push 0x102\npopfq\nnop\nmov eax, 1\npush 2\npopfq')}
      ${attempt64('SYSCALL is not there without SCE', 'mov ecx, 0xc0000080\nrdmsr\nand al, 0xfe\nwrmsr\nxor eax, eax\nxor ecx, ecx\nsyscall')}`,
  },
];

import { attempt16, attempt32, attempt64, policy, user32, user64 } from '../prelude/attempt.ts';
import { Access, Flag, gate, segment, setGdt, setIdt, setIdt64 } from '../prelude/descriptor.ts';
import { MemoryMap, Policy, Selector } from '../prelude/memory-map.ts';
import { show } from '../prelude/print.ts';
import { departs, type Rom, TCG_CHECKS_NO_LIMITS } from '../rom.ts';

/** CR0.NE; CR4.OSFXSR and OSXMMEXCPT. */
const X87_AND_SSE = (register: string): string =>
  `mov ${register}, cr0\nor ${register}, 0x20\nmov cr0, ${register}\nmov ${register}, cr4\nor ${register}, 0x600\nmov cr4, ${register}`;
const NOT_PRESENT = segment({ limit: 0xfffff, access: Access.data & 0x7f, flags: Flag.big | Flag.granular });
const ABSENT_CODE = segment({ limit: 0xfffff, access: Access.code & 0x7f, flags: Flag.big | Flag.granular });
const ICEBP = 'raises #UD for INT1; SDM Vol. 2A INT n.';
const SSE_UNMASKED = 'TCG never raises #XM, nor checks MXCSR; SDM Vol. 1 11.5.2, 11.6.4.';
const { free } = Selector;

export const exceptionRoms: readonly Rom[] = [
  {
    name: 'faults-real',
    rule: 'Exceptions in real-address mode push FLAGS, CS, IP and no error code (SDM Vol. 3A 21.1.4)',
    mode: 'real',
    source: `
      ${attempt16('divide by zero', 'mov ax, 5\nmov bl, 0\nstc\ndiv bl')}
      ${attempt16('quotient too large', 'mov ax, 0x1000\nmov bl, 1\ndiv bl')}
      ${attempt16('IDIV of the least number', 'mov ax, 0x8000\nmov bl, 0xff\nidiv bl')}
      ${attempt16('AAM by zero', 'mov al, 5\nclc\naam 0')}
      ${attempt16('INT3', 'int3')}
      ${attempt16('INTO without overflow', 'into')}
      ${attempt16('INTO with overflow', 'mov al, 0x7f\ninc al\ninto')}
      ${attempt16('BOUND inside', 'mov dword [0x600], 0x00050001\nmov ax, 5\nbound ax, [0x600]')}
      ${attempt16('BOUND above', 'mov dword [0x600], 0x00050001\nmov ax, 6\nbound ax, [0x600]')}
      ${attempt16('BOUND below', 'mov dword [0x600], 0x0005fff0\nmov ax, 0x8000\nbound ax, [0x600]')}
      ${attempt16('UD2', 'ud2')}
      ${attempt16('device not available', 'mov eax, cr0\nor al, 8\nmov cr0, eax\nfnop')}
      ${attempt16('WAIT needs MP too', 'fwait')}
      ${attempt16('WAIT with MP and TS', 'mov eax, cr0\nor al, 2\nmov cr0, eax\nfwait')}
      clts
      ${attempt16('ARPL is not for real mode', 'arpl ax, bx')}
      ${attempt16('LAR is not for real mode', 'lar ax, bx')}
      ${attempt16('software interrupt', 'stc\nint 0x21')}
      ${attempt16('instruction of 16 bytes', 'db 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90')}
      ${attempt16('instruction of 15 bytes', 'db 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90')}`,
  },
  {
    name: 'real-limits',
    rule: 'Offsets beyond 64 KiB raise #GP, or #SS in the stack segment (SDM Vol. 3A 21.1.1, Vol. 2 PUSH)',
    mode: 'real',
    source: `
      ${attempt16('word at FFFF', 'mov ax, [0xffff]')}
      ${attempt16('byte at FFFF', 'mov byte [0xffff], 0x5a\nmov al, [0xffff]')}
      ${attempt16('dword at FFFD', 'mov eax, [0xfffd]')}
      ${attempt16('word at FFFF of SS', 'mov bp, 0xffff\nmov ax, [bp]')}
      ${attempt16('16-bit addresses wrap around', 'mov byte [0x0], 0x77\nmov bx, 0xffff\nmov al, [bx + 1]')}
      ${attempt16('32-bit addresses do not', 'mov ebx, 0xffff\nmov al, [ebx + 1]')}
      ${attempt16('string at the end', 'mov si, 0xffff\nmov di, 0x600\nmovsw')}
      ${attempt16('string byte wraps around', 'mov si, 0xffff\nmov di, 0x600\nmov cx, 2\nrep movsb')}`,
    departures: departs(
      'qemu',
      ['word at FFFF', 'dword at FFFD', 'word at FFFF of SS', '32-bit addresses do not', 'string at the end'],
      TCG_CHECKS_NO_LIMITS,
    ),
  },
  {
    name: 'shutdown-push',
    rule: 'PUSH with SP = 1 in real mode has no stack for its #SS: shutdown (SDM Vol. 2B PUSH)',
    mode: 'real',
    source: `
      ${attempt16('before', 'mov ax, 1')}
      mov sp, 1
      push ax`,
    departures: departs('qemu', ['end'], TCG_CHECKS_NO_LIMITS),
  },
  {
    name: 'faults-protected',
    rule: 'Exceptions and their error codes in protected mode, ring 0 (SDM Vol. 3A 6.15)',
    mode: 'protected',
    source: `
      ${X87_AND_SSE('eax')}
      ${attempt32('DE', 'mov eax, 5\nxor ecx, ecx\nstc\ndiv ecx')}
      ${attempt32('DB by INT1', 'db 0xf1')}
      ${attempt32('BP', 'int3')}
      ${attempt32('BP by INT 3', 'db 0xcd, 3')}
      ${attempt32('OF', 'mov al, 0x7f\ninc al\ninto')}
      ${attempt32('BR', 'mov dword [0x600], 1\nmov dword [0x604], 5\nmov eax, 6\nbound eax, [0x600]')}
      ${attempt32('UD', 'ud2')}
      ${attempt32('LOCK on a register', 'db 0xf0, 0x01, 0xd8')}
      ${attempt32('LOCK on a load', 'db 0xf0, 0x8b, 0x05, 0, 6, 0, 0')}
      ${attempt32('LOCK on CMP', 'db 0xf0, 0x39, 0x05, 0, 6, 0, 0')}
      ${attempt32('LOCK on ADD to memory', 'mov dword [0x600], 3\nmov eax, 4\nlock add [0x600], eax\nmov ebx, [0x600]')}
      ${attempt32('NM', 'mov eax, cr0\nor al, 8\nmov cr0, eax\nxor eax, eax\nfldz')}
      ${attempt32('NM for SSE', 'addps xmm0, xmm1')}
      clts
      ${attempt32('UD by EM for SSE', 'mov eax, cr0\nor al, 4\nmov cr0, eax\nxor eax, eax\naddps xmm0, xmm1')}
      ${attempt32('NM by EM for x87', 'fldz')}
      mov eax, cr0
      and al, 0xfb
      mov cr0, eax
      ${setGdt(free, NOT_PRESENT)}
      ${attempt32('NP', `mov ax, ${free}\nmov ds, ax`)}
      ${attempt32('SS', `mov ax, ${free}\nmov ss, ax`)}
      ${attempt32('GP by selector', `mov ax, ${Selector.tss}\nmov ds, ax`)}
      ${attempt32('GP by LDT selector', `mov ax, 0x14\nmov ds, ax`)}
      ${attempt32('GP beyond the GDT', `mov ax, 0xfff8\nmov es, ax`)}
      ${attempt32('GP by INT', 'int 0x80')}
      ${attempt32('MF is held to the next x87 instruction', 'fninit\nmov word [0x600], 0x037b\nfldcw [0x600]\nfld1\nfldz\nfdivp st1, st0\nmov eax, 1\nfnstsw [0x604]\nmov bx, [0x604]\nfwait')}
      ${attempt32('FNINIT clears it', 'fninit\nfwait')}
      ${attempt32('XM', 'mov dword [0x600], 0x1d80\nldmxcsr [0x600]\nxorps xmm0, xmm0\nmov dword [0x604], 0x3f800000\nmovss xmm1, [0x604]\ndivss xmm1, xmm0')}
      ${attempt32('MXCSR after', 'stmxcsr [0x600]\nmov eax, [0x600]')}
      ${attempt32('UD by OSXMMEXCPT 0', 'mov eax, cr4\nand ax, 0xfbff\nmov cr4, eax\nxor eax, eax\ndivss xmm1, xmm0')}
      ${attempt32('MOVAPS misaligned', 'movaps xmm0, [0x601]')}
      ${attempt32('LDMXCSR with reserved bits', 'mov dword [0x600], 0x80001f80\nldmxcsr [0x600]')}`,
    departures: [
      ...departs('qemu', ['DB by INT1'], ICEBP),
      ...departs('qemu', ['LOCK on a load'], 'ignores LOCK there; SDM Vol. 2A LOCK.'),
      ...departs('qemu', ['MF is held to the next x87 instruction'], 'pops the stack though the exception is unmasked; SDM Vol. 1 8.5.3.'),
      ...departs('qemu', ['XM', 'UD by OSXMMEXCPT 0', 'LDMXCSR with reserved bits'], SSE_UNMASKED),
    ],
  },
  {
    name: 'faults-ring3',
    rule: 'Exceptions from ring 3 switch the stack and push SS:ESP (SDM Vol. 3A 6.12.1)',
    mode: 'protected',
    source: `
      ${X87_AND_SSE('eax')}
      ${user32('DE', 'mov eax, 5\nxor ecx, ecx\ndiv ecx')}
      ${user32('BP', 'int3')}
      ${user32('OF', 'mov al, 0x7f\ninc al\ninto')}
      ${user32('INT of a ring 0 gate', 'int 0x0d')}
      ${user32('INT 1 of a ring 0 gate', 'db 0xcd, 1')}
      ${user32('INT1 asks no privilege', 'db 0xf1')}
      ${user32('UD', 'ud2')}
      ${user32('CLI', 'cli')}
      ${user32('IN', 'in al, 0x60')}
      ${user32('HLT', 'hlt')}
      ${user32('MOV CR0', 'mov eax, cr0')}
      ${user32('LGDT', 'lgdt [0x600]')}
      ${user32('SGDT is allowed', 'sgdt [0x600]\nmov ax, [0x600]')}
      ${user32('SMSW is allowed', 'smsw ax')}
      ${user32('RDMSR', 'mov ecx, 0x10\nrdmsr')}
      ${user32('INVLPG', 'invlpg [0x600]')}
      ${user32('WBINVD', 'wbinvd')}
      ${user32('CLTS', 'clts')}
      ${user32('LTR', 'ltr ax')}
      ${user32('LLDT', 'lldt ax')}
      ${user32('MOV DR', 'mov eax, dr7')}
      ${attempt32('set TSD', 'mov eax, cr4\nor al, 4\nmov cr4, eax')}
      ${user32('RDTSC under TSD', 'rdtsc')}`,
    departures: departs('qemu', ['INT1 asks no privilege'], ICEBP),
  },
  {
    name: 'alignment-check',
    rule: '#AC needs CR0.AM, EFLAGS.AC and ring 3; error code 0 (SDM Vol. 3A 6.15, Interrupt 17)',
    mode: 'protected',
    source: `
      ${user32('without AM', 'mov eax, [0x601]', { flags: 0x40002 })}
      mov eax, cr0
      or eax, 0x40000
      mov cr0, eax
      ${attempt32('ring 0', 'push 0x40002\npopfd\nmov eax, [0x601]\npush 2\npopfd\nxor eax, eax')}
      ${user32('without AC', 'mov eax, [0x601]\nxor eax, eax')}
      ${user32('byte', 'mov al, [0x601]\nxor eax, eax', { flags: 0x40002 })}
      ${user32('word', 'mov ax, [0x601]', { flags: 0x40002 })}
      ${user32('dword', 'mov eax, [0x602]', { flags: 0x40002 })}
      ${user32('dword aligned', 'mov eax, [0x604]\nxor eax, eax', { flags: 0x40002 })}
      ${user32('store', 'mov dword [0x603], eax', { flags: 0x40002 })}
      ${user32('push', 'push eax', { flags: 0x40002, sp: MemoryMap.ring3Stack - 2 })}
      ${user32('qword of x87 needs 8', 'fld qword [0x604]', { flags: 0x40002 })}
      ${user32('far pointer needs its operand size', 'les eax, [0x602]', { flags: 0x40002 })}
      ${user32('the handler runs with AC still set', 'mov ax, [0x601]', { flags: 0x40002 })}`,
    departures: departs(
      'qemu',
      [
        'word',
        'dword',
        'store',
        'push',
        'qword of x87 needs 8',
        'far pointer needs its operand size',
        'the handler runs with AC still set',
      ],
      'TCG has no alignment check; SDM Vol. 3A 6.15, Interrupt 17.',
    ),
  },
  {
    name: 'faults-long',
    rule: 'Exceptions in 64-bit mode push SS:RSP always and align the stack to 16 bytes (SDM Vol. 3A 6.14.2)',
    mode: 'long',
    source: `
      ${X87_AND_SSE('rax')}
      ${attempt64('DE', 'mov eax, 5\nxor ecx, ecx\ndiv rcx')}
      ${attempt64('BP', 'int3')}
      ${attempt64('INTO is gone', 'db 0xce')}
      ${attempt64('BOUND is gone', 'db 0x62, 0x00')}
      ${attempt64('PUSH CS is gone', 'db 0x0e')}
      ${attempt64('PUSHA is gone', 'db 0x60')}
      ${attempt64('AAM is gone', 'db 0xd4, 0x0a')}
      ${attempt64('far JMP with immediate is gone', 'db 0xea, 0, 0, 0, 0, 0, 0')}
      ${attempt64('ring 0 stack is aligned first', 'sub rsp, 3\nint3')}
      ${attempt64('where the frame is', `${setIdt64(0x40, gate(Selector.code64, '.handler', Access.interruptGate32))}\nmov rdi, rsp\nsub rsp, 3\nint 0x40\n.handler:\nmov eax, esp\nand eax, 15\nmov rbx, rdi\nsub rbx, rsp\nmov rsp, rdi\nxor edi, edi`)}
      ${attempt64('non-canonical load', 'mov rbx, 0x800000000000\nmov rax, [rbx]')}
      ${attempt64('non-canonical load at its other end', 'mov rbx, 0xffff7fffffffffff\nmov al, [rbx]')}
      ${user64('non-canonical by RSP', 'mov rsp, 0x800000000000\npush rax')}
      ${attempt64('non-canonical by RBP', 'mov rbp, 0x800000000000\nmov rax, [rbp]')}
      ${attempt64('non-canonical by FS and RBP', 'mov rbp, 0x800000000000\nmov rax, [fs:rbp]')}
      ${attempt64('non-canonical jump', 'mov rbx, 0x800000000000\njmp rbx')}
      ${attempt64('across the hole', 'mov rbx, 0x7ffffffffffd\nmov eax, [rbx]')}
      ${attempt64('null SS in ring 0 is fine', 'xor eax, eax\nmov ss, ax\npush rbx\npop rbx\nmov cx, ss')}
      ${attempt64('GP by selector', `mov ax, ${Selector.tss}\nmov ds, ax`)}
      ${attempt64('MOV to CS', 'db 0x8e, 0xc8')}
      ${user64('DE in ring 3', 'xor ecx, ecx\ndiv rcx')}
      ${user64('INT of a ring 0 gate', 'int 0x0d')}
      ${user64('null SS in ring 3', 'xor eax, eax\nmov ss, ax')}
      ${user64('HLT in ring 3', 'hlt')}
      ${attempt64('MOVAPS misaligned', 'movaps xmm0, [0x601]')}
      ${attempt64('XM', 'mov dword [0x600], 0x1d80\nldmxcsr [0x600]\nxorps xmm0, xmm0\nmov dword [0x604], 0x3f800000\nmovss xmm1, [0x604]\ndivss xmm1, xmm0')}`,
    departures: [
      ...departs('qemu', ['XM'], SSE_UNMASKED),
      ...departs('qemu', ['non-canonical by RBP'], 'raises #GP where SS is the segment; SDM Vol. 3A 6.15, Interrupt 12.'),
      ...departs('qemu', ['non-canonical jump'], 'faults at the target; SDM Vol. 2A JMP: #GP(0) of the jump.'),
      ...departs('qemu', ['across the hole'], 'checks the first byte alone; SDM Vol. 1 3.3.7.1.'),
      ...departs('qemu', ['INT of a ring 0 gate'], 'error code counts 16 bytes a gate; SDM Vol. 3A 6.13: the index is the vector.'),
    ],
  },
  {
    name: 'double-fault',
    rule: 'Contributory exceptions make a double fault with error code 0 (SDM Vol. 3A, Table 6-5)',
    mode: 'protected',
    source: `
      ${setGdt(free, ABSENT_CODE)}
      ${setIdt(13, gate(free, 'protected_13', Access.interruptGate32))}
      ${attempt32('GP then NP', 'mov ax, 0x4c\nmov ds, ax')}
      ${attempt32('NP alone is delivered', `jmpf ${free}:0`)}
      ${setIdt(13, gate(0, 'protected_13', Access.interruptGate32))}
      ${attempt32('GP then GP', 'mov ax, 0x4c\nmov ds, ax')}
      ${setIdt(13, gate(Selector.code0, 'protected_13', Access.interruptGate32))}
      ${setIdt(0, gate(free, 'protected_0', Access.interruptGate32))}
      ${attempt32('DE then NP', 'xor ecx, ecx\nmov ax, 1\ndiv cl')}
      ${setIdt(6, gate(free, 'protected_6', Access.interruptGate32))}
      ${attempt32('UD then NP is benign then contributory', 'ud2')}
      ${setIdt(0x41, gate(free, 'protected_0', Access.interruptGate32))}
      ${attempt32('INT then NP', 'int 0x41')}
      ${setIdt(0x41, gate(Selector.code0, 'protected_0', Access.interruptGate32 & 0x7f))}
      ${attempt32('INT by an absent gate', 'int 0x41')}
      ${setIdt(0x41, gate(Selector.code0, 'protected_0', Access.data))}
      ${attempt32('INT by what is no gate', 'int 0x41')}
      ${setIdt(3, gate(free, 'protected_0', Access.interruptGate32))}
      ${attempt32('INT3 then NP has EXT clear', 'int3')}
      ${attempt32('INT1 then NP has EXT set', `${setIdt(1, gate(free, 'protected_0', Access.interruptGate32))}\ndb 0xf1`)}`,
    departures: departs(
      'qemu',
      ['UD then NP is benign then contributory', 'INT1 then NP has EXT set'],
      'leaves EXT clear; SDM Vol. 3A 6.13.',
    ),
  },
  {
    name: 'triple-fault-stack',
    rule: 'Faults of a page fault make a double fault; with no stack for it, a triple fault (SDM Vol. 3A, Table 6-5)',
    mode: 'paging32',
    source: `
      mov dword [${MemoryMap.paging32Table + 4 * 0x100}], 0
      mov eax, cr3
      mov cr3, eax
      ${setIdt(14, gate(Selector.tss, 'protected_14', Access.interruptGate32))}
      ${attempt32('PF then GP', 'mov eax, [0x100000]')}
      ${setIdt(14, gate(Selector.code0, 'protected_14', Access.interruptGate32))}
      mov dword [tss + 4], 0x100ff0
      ${user32('ring 0 stack unmapped', 'ud2')}`,
  },
  {
    name: 'double-fault-task',
    rule: 'A double fault through a task gate saves the state at the fault (SDM Vol. 3A 6.12.2)',
    mode: 'paging32',
    source: `
      mov dword [${MemoryMap.paging32Table + 4 * 0x100}], 0
      mov eax, cr3
      mov cr3, eax
      mov edi, ${MemoryMap.tasks}
      mov ecx, 26
      xor eax, eax
      cld
      rep stosd
      mov dword [${MemoryMap.tasks + 0x1c}], ${MemoryMap.paging32Directory}
      mov dword [${MemoryMap.tasks + 0x20}], .handler
      mov dword [${MemoryMap.tasks + 0x24}], 2
      mov dword [${MemoryMap.tasks + 0x38}], ${MemoryMap.ring0Stack}
      mov dword [${MemoryMap.tasks + 0x4c}], ${Selector.code0}
      mov dword [${MemoryMap.tasks + 0x50}], ${Selector.data0}
      mov dword [${MemoryMap.tasks + 0x54}], ${Selector.data0}
      mov dword [${MemoryMap.tasks + 0x48}], ${Selector.data0}
      ${setGdt(free, segment({ base: MemoryMap.tasks, limit: 0x67, access: Access.tss32 }))}
      ${setIdt(8, gate(free, 0, Access.taskGate))}
      mov esp, 0x100ff0
      mov eax, 0x11111111
      mov ebx, 0x22222222
      ud2
    .handler:
      pop edx
      call say32
      db "double fault:", 0
      ${show(32, 'error', 'edx')}
      ${show(32, 'esp', 'esp')}
      str ax
      movzx eax, ax
      ${show(32, 'tr', 'eax')}
      ${show(32, 'link', `[${MemoryMap.tasks}]`, 4)}
      ${show(32, 'eip', '[tss + 0x20]')}
      ${show(32, 'esp', '[tss + 0x38]')}
      ${show(32, 'eax', '[tss + 0x28]')}
      ${show(32, 'ebx', '[tss + 0x34]')}
      pushfd
      pop eax
      ${show(32, 'flags', 'eax')}
      ${show(32, 'cr2', 'cr2')}
      mov eax, cr0
      ${show(32, 'cr0', 'eax')}
      call newline32
      clts`,
  },
  {
    name: 'triple-fault',
    rule: 'A fault while delivering a double fault shuts the processor down (SDM Vol. 3A 6.15, Interrupt 8)',
    mode: 'protected',
    source: `
      ${attempt32('before', 'mov eax, 1')}
      lidt [.nothing]
      ud2
    .nothing: dw 0, 0, 0`,
  },
  {
    name: 'triple-fault-real',
    rule: 'An interrupt table without room shuts the processor down in real mode too (SDM Vol. 3A 21.1.4)',
    mode: 'real',
    source: `
      mov word [0x600], ${13 * 4 + 3}
      mov dword [0x602], 0
      lidt [0x600]
      ${attempt16('beyond the limit raises GP', 'int 0x20')}
      mov word [0x600], ${8 * 4 + 3}
      lidt [0x600]
      ${attempt16('beyond the limit with GP out of reach raises DF', 'int 0x20')}
      mov word [0x600], 3
      lidt [0x600]
      int 0x20`,
  },
  {
    name: 'triple-fault-long',
    rule: 'Triple fault in 64-bit mode (SDM Vol. 3A 6.15, Interrupt 8)',
    mode: 'long',
    source: `
      ${setIdt64(8, gate(Selector.code64, 'long_8', Access.interruptGate32 & 0x7f))}
      ${setIdt64(13, gate(Selector.code0, 'long_13', Access.interruptGate32))}
      ${attempt64('UD is delivered', 'ud2')}
      ${policy(6, Policy.brief)}
      ${attempt64('GP by a 32-bit code segment in the gate', 'mov rbx, 0x800000000000\nmov rax, [rbx]')}`,
  },
];

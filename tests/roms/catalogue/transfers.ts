import { attempt16, attempt32, attempt64, compatibility, user32, user64 } from '../prelude/attempt.ts';
import { Access, Flag, gate, segment, setGdt, setIdt, setIdt64 } from '../prelude/descriptor.ts';
import { MemoryMap, Selector } from '../prelude/memory-map.ts';
import { show } from '../prelude/print.ts';
import { departs, type Rom, TCG_CHECKS_NO_LIMITS } from '../rom.ts';

const { free, code0, code1, code3, code16, code64, conforming, data0, data1 } = Selector;
const { big, granular, long } = Flag;
const RING_3 = 0x60;
const wide = (access: number, flags = big | granular): [string, string] => segment({ limit: 0xfffff, access, flags });

/** Prints so many words of the stack, with CS, SS and ESP, then gives up the attempt. */
const stackDump = (words: number, bytes: 2 | 4 = 4): string => `
    ${show(32, 'cs', 'cs', 4)}
    ${show(32, 'ss', 'ss', 4)}
    ${show(32, 'esp', 'esp')}
    mov ebp, esp
    ${Array.from({ length: words }, (_, i) => show(32, `w${i}`, `[ebp + ${i * bytes}]`, bytes * 2)).join('\n')}
    ${show(32, 'ds', 'ds', 4)}
    ${show(32, 'fs', 'fs', 4)}
    mov ax, ${data0}
    mov ds, ax
    call newline32
    jmp resume32`;

const stackDump64 = (words: number): string => `
    ${show(64, 'cs', 'cs', 4)}
    ${show(64, 'ss', 'ss', 4)}
    ${show(64, 'rsp', 'rsp')}
    mov rbp, rsp
    ${Array.from({ length: words }, (_, i) => show(64, `w${i}`, `[rbp + ${i * 8}]`)).join('\n')}
    call newline64
    jmp resume64`;

export const transferRoms: readonly Rom[] = [
  {
    name: 'far-jump-call-return',
    rule: 'Far JMP, CALL and RET in the same ring, both operand sizes (SDM Vol. 3A 5.8.1)',
    mode: 'protected',
    source: `
      ${setGdt(free, wide(Access.code & 0x7f))}
      ${setGdt(free + 8, wide(Access.code | RING_3))}
      ${attempt32('CALL far 32', `callf ${code0}:.to\n.to:\npop eax\npop ebx`)}
      ${attempt32('CALL far 16', `mov ecx, esp\no16 callf ${code0}:.to\n.to:\nsub ecx, esp\npop ax\npop bx`)}
      ${attempt32('RETF 32', `push 0x1234\npush ${code0}\npush .to\nretf 4\n.to:\nmov eax, esp`)}
      ${attempt32('RETF 16', `mov ecx, esp\npush word ${code0}\npush word .to\no16 retf\n.to:\nsub ecx, esp`)}
      ${attempt32('JMP to conforming code keeps CPL', `jmpf ${conforming}:.to\n.to:\nmov eax, cs\njmpf ${code0}:.back\n.back:`)}
      ${attempt32('JMP to absent code', `jmpf ${free}:.to\n.to:`)}
      ${attempt32('JMP to an outer ring', `jmpf ${free + 8}:.to\n.to:`)}
      ${attempt32('JMP to data', `jmpf ${data0}:.to\n.to:`)}
      ${attempt32('JMP to null', 'jmpf 0:.to\n.to:')}
      ${attempt32('JMP beyond the table', 'jmpf 0xfff8:.to\n.to:')}
      ${attempt32('JMP beyond the limit', `jmpf ${code16}:0x10000`)}
      ${attempt32('RPL is ignored inwards', `jmpf ${code0}:.to\n.to:\nmov eax, cs`)}
      ${attempt32('RPL outside of CPL', `jmpf ${code0 | 3}:.to\n.to:`)}
      ${attempt32('RETF to null', 'push 0\npush .to\nretf\n.to:')}
      ${attempt32('RETF to data', `push ${data0}\npush .to\nretf\n.to:`)}
      ${attempt32('RETF to absent code', `push ${free}\npush .to\nretf\n.to:`)}
      ${attempt32('CALL through memory', `mov dword [0x600], .to\nmov word [0x604], ${code0}\no32 callf [0x600]\n.to:\npop eax\npop ebx`)}
      ${user32('JMP to ring 0 from ring 3', `jmpf ${code0}:.to\n.to:`)}
      ${user32('JMP to conforming ring 0 code', `jmpf ${conforming | 3}:.to\n.to:\nmov eax, cs`)}
      ${user32('RETF inwards', `push ${code0}\npush .to\nretf\n.to:`)}`,
  },
  {
    name: 'far-real',
    rule: 'Far transfers in real mode (SDM Vol. 2)',
    mode: 'real',
    source: `
      ${attempt16('CALL far', 'callf 0:.to\n.to:\npop ax\npop bx')}
      ${attempt16('CALL far 32', 'mov cx, sp\no32 callf 0:.to\n.to:\nsub cx, sp\npop eax\npop ebx')}
      ${attempt16('RETF n', 'push 0x1111\npush 0\npush .to\nretf 2\n.to:\nmov ax, sp')}
      ${attempt16('another base', 'push 0x0100\nmov ax, .to - 0x1000\npush ax\nretf\n.to:\nmov bx, cs\njmpf 0:.back\n.back:\nmov cx, cs')}
      ${attempt16('indirect', 'mov word [0x600], .to\nmov word [0x602], 0\no16 jmpf [0x600]\n.to:\nmov ax, 1')}
      ${attempt16('target beyond 64 KiB', 'o32 jmpf 0:0x12345')}
      ${attempt16('IRET', 'push 0x0ad5\npush 0\npush .to\niret\n.to:\npushf\npop ax')}
      ${attempt16('IRETD', 'push dword 0x00240ad5\npush dword 0\npush dword .to\niretd\n.to:\npushfd\npop eax\ncld\ncli')}
      ${attempt16('ENTER with levels', 'mov bp, 0x8800\nmov word [0x87fe], 0x1111\nmov word [0x87fc], 0x2222\nenter 8, 3\nmov ax, sp\nmov bx, bp\nmov cx, [bp - 2]\nmov dx, [bp - 4]\nmov si, [bp - 6]\nleave\nmov di, bp')}
      ${attempt16('PUSHF and POPF', 'push 0xffff\npopf\npushf\npop ax\ncld\ncli')}
      ${attempt16('POPFD keeps VM and RF', 'mov eax, 0xffffffff\npush eax\npopfd\npushfd\npop ebx\ncld\ncli')}`,
    departures: departs('qemu', ['target beyond 64 KiB'], TCG_CHECKS_NO_LIMITS),
  },
  {
    name: 'call-gate-same-ring',
    rule: 'Call gates without a change of privilege (SDM Vol. 3A 5.8.3)',
    mode: 'protected',
    source: `
      ${setGdt(free, gate(code0, 'target32', Access.callGate32, 3))}
      ${setGdt(free + 8, gate(code0, 'target16', Access.callGate16))}
      ${setGdt(free + 16, gate(code0, 'target32', Access.callGate32 & 0x7f))}
      ${setGdt(free + 24, gate(data0, 'target32', Access.callGate32))}
      ${setGdt(free + 32, gate(0, 'target32', Access.callGate32))}
      jmp start
    target32:
      ${stackDump(2)}
    target16:
      ${stackDump(2, 2)}
    start:
      ${attempt32('CALL 32', `callf ${free}:0`)}
      ${attempt32('CALL 16', `callf ${free + 8}:0`)}
      ${attempt32('JMP', `push 7\npush 8\njmpf ${free}:0`)}
      ${attempt32('absent gate', `callf ${free + 16}:0`)}
      ${attempt32('gate to data', `callf ${free + 24}:0`)}
      ${attempt32('gate to null', `callf ${free + 32}:0`)}
      ${user32('gate of DPL 0 from ring 3', `callf ${free}:0`)}`,
  },
  {
    name: 'call-gate-inner',
    rule: 'Call gates to an inner ring switch stacks and copy parameters (SDM Vol. 3A 5.8.5)',
    mode: 'protected',
    source: `
      ${setGdt(free, gate(code0, 'target32', Access.callGate32 | RING_3, 3))}
      ${setGdt(free + 8, gate(code0, 'target16', Access.callGate16 | RING_3, 2))}
      ${setGdt(free + 16, gate(code1, 'target1', Access.callGate32 | RING_3, 0))}
      ${setGdt(free + 24, gate(conforming, 'target3', Access.callGate32 | RING_3, 2))}
      ${setGdt(free + 32, gate(code0, 'back', Access.callGate32 | RING_3, 2))}
      jmp start
    target32:
      ${stackDump(7)}
    target16:
      ${stackDump(6, 2)}
    target1:
      mov ax, ${data1}
      mov ds, ax
      mov eax, cs
      mov ebx, ss
      mov ecx, esp
      mov edx, [esp]
      mov esi, [esp + 12]
      int 0x30
    target3:
      mov eax, cs
      mov ebx, esp
      int 0x30
    back:
      mov ax, ${data0}
      mov ds, ax
      mov eax, cs
      mov ebx, ss
      mov ecx, esp
      retf 8
    start:
      ${user32('CALL 32 with 3 parameters', `push 0x11111111\npush 0x22222222\npush 0x33333333\ncallf ${free}:0`)}
      ${user32('CALL 16 with 2 parameters', `push 0x11111111\npush word 0x2222\ncallf ${free + 8}:0`)}
      ${user32('CALL to ring 1', `callf ${free + 16 + 3}:0`)}
      ${user32('JMP cannot go inwards', `jmpf ${free}:0`)}
      ${user32('CALL to conforming code keeps the ring', `push 1\npush 2\ncallf ${free + 24}:0`)}
      ${user32('RETF n drops the parameters of both stacks', `push 0x11\npush 0x22\ncallf ${free + 32}:0\nmov edx, ds\nmov esi, cs\nmov edi, esp`)}
      mov word [tss + 16], 0
      ${user32('null SS in the TSS', `callf ${free + 16 + 3}:0`)}
      mov word [tss + 16], ${Selector.data3}
      ${user32('SS of the wrong ring in the TSS', `callf ${free + 16 + 3}:0`)}
      mov word [tss + 16], ${code1}
      ${user32('SS in the TSS is code', `callf ${free + 16 + 3}:0`)}
      mov word [tss + 16], 0x1f9
      ${user32('SS in the TSS is no segment', `callf ${free + 16 + 3}:0`)}
      mov word [tss + 16], 0x201
      ${user32('SS in the TSS is beyond the table', `callf ${free + 16 + 3}:0`)}`,
    departures: departs('qemu', ['CALL to conforming code keeps the ring'], 'leaves RPL 0 in CS; SDM Vol. 2A CALL: CS(RPL) := CPL.'),
  },
  {
    name: 'gates-interrupt-trap',
    rule: 'Interrupt gates clear IF, trap gates do not; both clear TF, NT, RF, VM (SDM Vol. 3A 6.12.1.3)',
    mode: 'protected',
    source: `
      ${setIdt(0x40, gate(code0, 'handler32', Access.interruptGate32))}
      ${setIdt(0x41, gate(code0, 'handler32', Access.trapGate32))}
      ${setIdt(0x42, gate(code0, 'handler16', Access.interruptGate16))}
      ${setIdt(0x43, gate(code0, 'handler16', Access.trapGate16))}
      ${setIdt(0x44, gate(code0, 'handler32', Access.trapGate32 | RING_3))}
      ${setIdt(0x45, gate(conforming, 'user_handler', Access.trapGate32 | RING_3))}
      ${setIdt(0x46, gate(Selector.code3, 'handler32', Access.trapGate32 | RING_3))}
      ${setIdt(0x47, gate(code1, 'ring1_handler', Access.trapGate32 | RING_3))}
      jmp start
    handler32:
      pushfd
      pop eax
      ${show(32, 'flags', 'eax')}
      ${stackDump(3)}
    handler16:
      pushfd
      pop eax
      ${show(32, 'flags', 'eax')}
      ${stackDump(3, 2)}
    user_handler:
      mov eax, cs
      mov ebx, [esp]
      mov ecx, esp
      int 0x30
    ring1_handler:
      mov eax, cs
      mov ebx, ss
      mov ecx, esp
      int 0x30
    start:
      ${[0x40, 0x41, 0x42, 0x43].map((vector) => attempt32(`INT ${vector.toString(16)}`, `push 0x4ad7\npopfd\nint ${vector}`)).join('\n')}
      ${user32('INT 44 from ring 3', 'int 0x44', { flags: 0x4ad7 })}
      ${user32('INT 45 to conforming code', 'int 0x45', { flags: 0x202 })}
      ${user32('INT 46 to ring 3 from ring 3', 'int 0x46')}
      ${attempt32('INT 46 to an outer ring', 'int 0x46')}
      ${user32('INT 47 to ring 1', 'int 0x47')}`,
  },
  {
    name: 'iret-protected',
    rule: 'IRET to the same ring, to outer rings, and its checks (SDM Vol. 2A IRET)',
    mode: 'protected',
    source: `
      ${setGdt(free, wide((Access.code | RING_3) & 0x7f))}
      ${attempt32('same ring', `push 0x247ed7\npush ${code0}\npush .to\niretd\n.to:\npushfd\npop eax\npush 2\npopfd`)}
      ${attempt32('16-bit', `mov ecx, esp\npush word 0x0ad7\npush word ${code0}\npush word .to\ndb 0x66, 0xcf\n.to:\nsub ecx, esp\npushfd\npop eax\npush 2\npopfd`)}
      ${attempt32('to ring 1', `push ${data1}\npush ${MemoryMap.ring1Stack}\npush 0x3202\npush ${code1}\npush .to\niretd\n.to:\nmov eax, cs\nmov ebx, ss\nmov ecx, ds\nmov edx, es\nint 0x30`)}
      ${attempt32('to ring 3 clears data segments', `push ${Selector.data3}\npush ${MemoryMap.ring3Stack}\npush 2\npush ${code3}\npush .to\niretd\n.to:\nmov ecx, ds\nmov edx, es\nint 0x30`)}
      ${attempt32('inwards', `push 2\npush ${code0}\npush .to\niretd\n.to:`)}
      ${attempt32('to null CS', 'push 2\npush 0\npush .to\niretd\n.to:')}
      ${attempt32('to data', `push 2\npush ${data0}\npush .to\niretd\n.to:`)}
      ${attempt32('to absent code', `push 2\npush ${free | 3}\npush .to\niretd\n.to:`)}
      ${attempt32('to ring 3 with null SS', `push 0\npush 0x1000\npush 2\npush ${code3}\npush .to\niretd\n.to:`)}
      ${attempt32('to ring 3 with SS of ring 0', `push ${data0}\npush 0x1000\npush 2\npush ${code3}\npush .to\niretd\n.to:`)}
      ${attempt32('beyond the limit', `push 2\npush ${code16}\npush 0x12345\niretd`)}
      ${user32('ring 3 cannot change IOPL and IF', `push 0x3202\npush ${code3}\npush .to\niretd\n.to:\npushfd\npop eax`)}
      ${user32('inwards from ring 3', `push 2\npush ${code0}\npush .to\niretd\n.to:`)}
      ${user32('with IOPL 3 it can change IF', `push 0x1202\npush ${code3}\npush .to\niretd\n.to:\npushfd\npop eax\ncli`, { flags: 0x3002 })}`,
    departures: departs('qemu', ['beyond the limit'], TCG_CHECKS_NO_LIMITS),
  },
  {
    name: 'conforming-code',
    rule: 'Conforming code runs in the ring of its caller (SDM Vol. 3A 5.8.1.2)',
    mode: 'protected',
    source: `
      ${setGdt(free, wide(Access.conforming | RING_3))}
      ${user32('CALL from ring 3', `callf ${conforming}:.to\n.to:\nmov eax, cs\npop ebx\npop ecx`)}
      ${user32('privileged there', `callf ${conforming}:.to\n.to:\ncli`)}
      ${attempt32('ring 0 to conforming code of ring 3', `jmpf ${free}:.to\n.to:`)}
      ${user32('RETF to conforming code', `push ${conforming | 3}\npush .to\nretf\n.to:\nmov eax, cs`)}
      ${attempt32('RETF outwards to conforming code', `push ${Selector.data3}\npush ${MemoryMap.ring3Stack}\npush ${conforming | 3}\npush .to\nretf\n.to:\nmov eax, cs\nmov ebx, ss\nint 0x30`)}`,
  },
  {
    name: 'enter-leave-pushf',
    rule: 'ENTER with nesting levels, LEAVE, PUSHF and POPF by privilege (SDM Vol. 2)',
    mode: 'protected',
    source: `
      ${attempt32('ENTER 0', 'mov ebp, 0x8800\nmov ecx, esp\nenter 16, 0\nsub ecx, esp\nmov eax, [ebp]\nleave\nmov ebx, ebp')}
      ${attempt32('ENTER 1', 'mov ebp, 0x8800\nenter 0, 1\nmov eax, [esp]\nsub eax, ebp\nleave')}
      ${attempt32('ENTER 4', 'mov ebp, 0x8800\nmov dword [0x87fc], 0x111\nmov dword [0x87f8], 0x222\nmov dword [0x87f4], 0x333\nmov ecx, esp\nenter 8, 4\nsub ecx, esp\nmov eax, [ebp - 4]\nmov ebx, [ebp - 8]\nmov edx, [ebp - 12]\nmov esi, [ebp - 16]\nleave')}
      ${attempt32('ENTER 33 is ENTER 1', 'mov ebp, 0x8800\nmov ecx, esp\nenter 0, 33\nsub ecx, esp\nleave')}
      ${attempt32('POPFD in ring 0', 'push 0x3f7fd7\npopfd\npushfd\npop eax\npush 2\npopfd')}
      ${attempt32('POPF of 16 bits', 'pushfd\npop ebx\npush word 0x7ed7\no16 popf\npushfd\npop eax\npush 2\npopfd')}
      ${attempt32('PUSHFD hides VM and RF', 'push 0x10002\npopfd\npushfd\npop eax')}
      ${attempt32('the ID flag', 'push 0x200002\npopfd\npushfd\npop eax\npush 2\npopfd')}
      ${user32('POPFD in ring 3 keeps IF and IOPL', 'push 0x3f7cd7\npopfd\npushfd\npop eax\npush 2\npopfd')}
      ${user32('POPFD with IOPL 3 changes IF', 'push 0x0202\npopfd\npushfd\npop eax\ncli', { flags: 0x3002 })}
      ${user32('CLI with IOPL 3', 'sti\npushfd\npop eax\ncli\npushfd\npop ebx', { flags: 0x3002 })}
      ${user32('STI with IOPL 0', 'sti')}`,
  },
  {
    name: 'gates-long',
    rule: 'IA-32e interrupt gates: 64-bit target, IST, stack alignment (SDM Vol. 3A 6.14)',
    mode: 'long',
    source: `
      ${setIdt64(0x40, gate(code64, 'handler', Access.interruptGate32))}
      ${setIdt64(0x41, gate(code64, 'handler', Access.trapGate32 | RING_3))}
      ${setIdt64(0x42, gate(code64, 'handler', Access.interruptGate32 | RING_3, 1))}
      ${setIdt64(0x43, gate(code64, 'handler', Access.interruptGate32, 2))}
      ${setIdt64(0x44, gate(code0, 'handler', Access.interruptGate32))}
      ${setIdt64(0x45, gate(code64, 'handler', Access.interruptGate16))}
      ${setIdt64(0x46, gate(code64, 'handler', Access.interruptGate32, 3))}
      ${setIdt64(0x47, gate(code64, 'handler', Access.taskGate))}
      jmp start
    handler:
      pushfq
      pop rax
      ${show(64, 'flags', 'rax')}
      ${stackDump64(5)}
    start:
      ${attempt64('interrupt gate', 'push 0x4ad7\npopfq\nsub rsp, 8\nint 0x40')}
      ${attempt64('trap gate', 'push 0x4ad7\npopfq\nint 0x41')}
      ${attempt64('IST 1', 'int 0x42')}
      ${attempt64('IST 2', 'int 0x43')}
      ${user64('IST 1 from ring 3', 'int 0x42')}
      ${user64('RSP0 from ring 3', 'int 0x41')}
      ${compatibility('from compatibility mode', 'int 0x41')}
      ${attempt64('gate to a compatibility segment', 'int 0x44')}
      ${attempt64('16-bit gate', 'int 0x45')}
      ${attempt64('task gate', 'int 0x47')}
      ${attempt64('null SS stays null', 'xor eax, eax\nmov ss, ax\nint 0x41')}`,
    departures: [
      ...departs(
        'qemu',
        ['IST 1', 'IST 2'],
        'loads a null SS without a change of privilege; SDM Vol. 2A INT n, INTRA-PRIVILEGE-LEVEL-INTERRUPT.',
      ),
      ...departs('qemu', ['16-bit gate', 'task gate'], 'error code counts 16 bytes a gate; SDM Vol. 3A 6.13: the index is the vector.'),
    ],
  },
  {
    name: 'call-gate-long',
    rule: '64-bit call gates take 16 bytes, copy nothing, and leave a null SS (SDM Vol. 3A 5.8.3.1, 5.8.5.1)',
    mode: 'long',
    source: `
      ${setGdt(free, gate(code64, 'target', Access.callGate32 | RING_3))}
      mov qword [gdt + ${free + 8}], 0
      ${setGdt(free + 16, gate(code64, 'target', Access.callGate32 | RING_3))}
      mov dword [gdt + ${free + 24}], 0
      mov dword [gdt + ${free + 28}], 0x0800
      ${setGdt(free + 32, gate(code0, 'target', Access.callGate32 | RING_3))}
      mov qword [gdt + ${free + 40}], 0
      ${setGdt(free + 48, gate(code64, 'target', Access.callGate32 | RING_3))}
      mov dword [gdt + ${free + 56}], 0x8000
      mov dword [gdt + ${free + 60}], 0
      ${setGdt(free + 64, gate(code64, 'back', Access.callGate32 | RING_3))}
      mov qword [gdt + ${free + 72}], 0
      jmp start
    target:
      ${stackDump64(4)}
    back:
      mov eax, cs
      mov ebx, ss
      mov rcx, rsp
      o64 retf
    start:
      mov qword [0x600], 0
      mov word [0x608], ${free}
      ${attempt64('CALL from ring 0', 'mov word [0x604], 0xa0\no32 callf [0x600]')}
      ${user64('CALL from ring 3', 'mov word [0x604], 0xa0\no32 callf [0x600]')}
      ${compatibility('CALL from compatibility mode', 'callf 0xa0:0')}
      ${user64('upper type bits not 0', 'mov word [0x604], 0xb0\no32 callf [0x600]')}
      ${user64('target is a compatibility segment', 'mov word [0x604], 0xc0\no32 callf [0x600]')}
      ${user64('target is non-canonical', 'mov word [0x604], 0xd0\no32 callf [0x600]')}
      ${user64('RETF back to ring 3', 'mov word [0x604], 0xe0\no32 callf [0x600]\nmov edx, cs\nmov esi, ss\nmov rdi, rsp')}`,
    departures: departs('qemu', ['target is non-canonical'], 'faults at the target; SDM Vol. 2A CALL: #GP(0) of the call.'),
  },
  {
    name: 'iret-long',
    rule: 'IRET in 64-bit mode pops SS:RSP always (SDM Vol. 3A 6.14.3, Vol. 2A IRET)',
    mode: 'long',
    source: `
      ${attempt64('same ring', `mov rbx, rsp\npush ${Selector.data0}\npush rbx\npush 0x246\npush ${code64}\npush .to\niretq\n.to:\nmov rcx, rsp\nmov edx, ss\npushfq\npop rax\ncli`)}
      ${attempt64('same ring with null SS', `mov rbx, rsp\npush 0\npush rbx\npush 2\npush ${code64}\npush .to\niretq\n.to:\nmov edx, ss`)}
      ${attempt64('to ring 3 with null SS in 64-bit code', `push 3\npush ${MemoryMap.ring3Stack}\npush 2\npush ${Selector.code64Ring3}\npush .to\niretq\n.to:\nmov edx, ss\nint 0x30`)}
      ${attempt64('to compatibility mode with null SS', `push 3\npush ${MemoryMap.ring3Stack}\npush 2\npush ${code3}\npush .to\niretq\n.to:`)}
      ${attempt64('IRETD', `mov rbx, rsp\nsub rsp, 20\nmov dword [rsp], .to\nmov dword [rsp + 4], ${code64}\nmov dword [rsp + 8], 2\nmov [rsp + 12], ebx\nmov dword [rsp + 16], ${Selector.data0}\niretd\n.to:\nmov rcx, rsp`)}
      ${attempt64('non-canonical target', `mov rbx, rsp\npush ${Selector.data0}\npush rbx\npush 2\npush ${code64}\nmov rax, 0x800000000000\npush rax\niretq`)}
      ${attempt64('VM in the image means nothing', `mov rbx, rsp\npush ${Selector.data0}\npush rbx\npush 0x20002\npush ${code64}\npush .to\niretq\n.to:\npushfq\npop rax`)}
      ${attempt64('NT raises GP', `push 0x4002\npopfq\nmov rbx, rsp\npush ${Selector.data0}\npush rbx\npush 2\npush ${code64}\npush .to\niretq\n.to:`)}
      ${user64('RETF to ring 0 from ring 3', `push ${code64}\npush .to\no64 retf\n.to:`)}
      ${attempt64('RETF to ring 3', `push ${Selector.data64Ring3}\npush ${MemoryMap.ring3Stack}\npush ${Selector.code64Ring3}\npush .to\no64 retf\n.to:\nmov eax, cs\nmov ebx, ss\nint 0x30`)}
      ${attempt64('a segment with L and D', `${setGdt(free, segment({ limit: 0xfffff, access: Access.code, flags: long | big | granular }))}\npush ${free}\npush .to\no64 retf\n.to:`)}`,
    departures: [
      ...departs('bochs', ['IRETD'], 'leaves RSP as it was for operand sizes below 64; SDM Vol. 2A IRET: 64-bit mode pops SS:ESP too.'),
      ...departs('qemu', ['non-canonical target'], 'faults at the target; SDM Vol. 2A IRET: #GP(0) of the return.'),
      ...departs('qemu', ['a segment with L and D'], 'takes it as a 64-bit segment; SDM Vol. 3A 5.2.1.'),
    ],
  },
];

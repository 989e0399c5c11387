import { attempt32, user32, v86 } from '../prelude/attempt.ts';
import { Access, gate, setIdt } from '../prelude/descriptor.ts';
import { MemoryMap, Selector } from '../prelude/memory-map.ts';
import { departs, type Rom, TCG_CHECKS_NO_LIMITS } from '../rom.ts';

const SENSITIVE: readonly (readonly [string, string])[] = [
  ['CLI', 'cli'],
  ['STI', 'sti\ncli'],
  ['PUSHF', 'pushf\npop ax'],
  ['PUSHFD', 'pushfd\npop eax'],
  ['POPF', 'push 0x0a02\npopf\ncld'],
  ['INT 30', 'int 0x30'],
  ['INT3', 'int3'],
  ['INT1', 'db 0xf1'],
  ['INTO', 'mov al, 0x7f\ninc al\ninto'],
  ['IRET', 'push 2\npush 0\npush .back\niret\n.back:\nmov cx, 5'],
  ['HLT', 'hlt'],
  ['IN', 'in al, 0x84\nmov al, 0'],
  ['LGDT', 'lgdt [0x600]'],
  ['SGDT', 'sgdt [0x600]\nmov ax, [0x600]'],
  ['SMSW', 'smsw ax'],
  ['MOV CR0', 'mov eax, cr0'],
  ['MOV DR7', 'mov eax, dr7'],
  ['LAR', 'lar ax, bx'],
  ['STR', 'str ax'],
  ['ARPL', 'arpl ax, bx'],
  ['RDMSR', 'rdmsr'],
  ['CLTS', 'clts'],
  ['SYSEXIT', 'sysexit'],
];

export const virtual8086Roms: readonly Rom[] = [
  {
    name: 'v86-iopl3',
    rule: 'Sensitive instructions in virtual-8086 mode with IOPL 3 (SDM Vol. 3A 21.2.7)',
    mode: 'protected',
    source: SENSITIVE.map(([name, code]) => v86(name, code)).join('\n'),
    departures: departs('qemu', ['INT1'], 'raises #UD for INT1; SDM Vol. 2A INT n.'),
  },
  {
    name: 'v86-iopl0',
    rule: 'Sensitive instructions in virtual-8086 mode with IOPL 0 raise #GP(0) (SDM Vol. 3A 21.2.7)',
    mode: 'protected',
    source: SENSITIVE.map(([name, code]) => v86(name, code, { flags: 2 })).join('\n'),
    departures: departs('qemu', ['INT1'], 'raises #UD for INT1; SDM Vol. 2A INT n.'),
  },
  {
    name: 'v86-segments',
    rule: 'Segments in virtual-8086 mode: base is selector * 16, limit FFFF, no descriptors (SDM Vol. 3A 21.2.1)',
    mode: 'protected',
    source: `
      mov dword [0x21234], 0xaabbccdd
      ${v86('base', 'mov eax, [0x1234]\nmov bx, ds\nmov cx, fs\nmov dx, gs', { ds: 0x2000 })}
      ${v86('loads need no descriptor', 'mov ax, 0xfff8\nmov es, ax\nmov bx, es\nxor ax, ax')}
      ${v86('limit', 'mov eax, [0xfffe]')}
      ${v86('32-bit address beyond', 'mov ebx, 0x10000\nmov al, [ebx]')}
      ${v86('stack wraps around', 'mov dx, sp\nmov sp, 0\npush ax\nmov cx, sp\nmov sp, dx')}
      ${v86('far call', 'push cs\npush .to\nretf\n.to:\nmov bx, cs').replace('push cs', 'push 0')}
      ${v86('JMP far', 'jmpf 0x0100:.to - 0x1000\n.to:\nmov bx, cs')}
      ${v86('fault in a data access', 'mov bx, 0xffff\nmov ax, [bx]')}
      ${v86('divide error', 'mov ax, 1\nmov cl, 0\ndiv cl')}`,
    departures: departs('qemu', ['limit', '32-bit address beyond', 'fault in a data access'], TCG_CHECKS_NO_LIMITS),
  },
  {
    name: 'v86-enter',
    rule: 'IRET to virtual-8086 mode needs ring 0; handlers must be in ring 0 (SDM Vol. 3A 21.2.5, Vol. 2A IRET, INT)',
    mode: 'protected',
    source: `
      ${user32('VM in the image is ignored in ring 3', `push 0\npush 0\npush 0\npush 0\npush ${Selector.data3}\npush ${MemoryMap.ring3Stack}\npush 0x23002\npush ${Selector.code3}\npush .to\niretd\n.to:\npushfd\npop eax`)}
      ${attempt32('POPFD cannot set VM', 'push 0x20002\npopfd\npushfd\npop eax')}
      ${setIdt(0x40, gate(Selector.conforming, 'protected_48', Access.trapGate32 | 0x60))}
      ${v86('gate to conforming code', 'int 0x40')}
      ${setIdt(0x41, gate(Selector.code1, 'protected_48', Access.trapGate32 | 0x60))}
      ${v86('gate to ring 1', 'int 0x41')}
      ${v86('gate of DPL 0', 'int 0x0d')}
      ${setIdt(0x42, gate(Selector.code0, 'handler', Access.interruptGate32 | 0x60))}
      jmp start
    handler:
      mov eax, ds
      mov ebx, es
      mov ecx, fs
      mov edx, gs
      mov edi, [esp + 8]
      iretd
    start:
      ${v86('the handler sees null data segments and IRET comes back', 'mov bp, 0x55\nint 0x42\nmov si, ds', { ds: 0x123, es: 0x456 })}
      ${v86('IOPL 0 and INT 42', 'int 0x42', { flags: 2 })}`,
    departures: [
      ...departs('qemu', ['VM in the image is ignored in ring 3'], 'enters virtual-8086 mode from ring 3; SDM Vol. 2A IRET.'),
      ...departs('qemu', ['gate to ring 1'], 'enters ring 1 from virtual-8086 mode; SDM Vol. 2A INT n.'),
    ],
  },
  {
    name: 'v86-vme',
    rule: 'CR4.VME: virtual interrupt flag and the redirection bitmap (SDM Vol. 3A 21.3)',
    mode: 'protected',
    source: `
      mov eax, cr4
      or al, 1
      mov cr4, eax
      ; the redirection bitmap lies below the I/O map: INT 21 to the program, the rest to the monitor
      mov word [tss + 0x66], 0x100
      mov edi, tss + 0xe0
      mov ecx, 8
      mov eax, 0xffffffff
      cld
      rep stosd
      mov byte [tss + 0xe4], 0xfd
      mov word [${4 * 0x21}], 0x700
      mov word [${4 * 0x21 + 2}], 0
      mov dword [0x700], 0xcf5abb90
      mov byte [0x700], 0x90
      mov dword [0x701], 0xcf005abb
      ${v86('CLI clears VIF', 'cli\npushf\npop ax', { flags: 0x80002 })}
      ${v86('STI sets VIF', 'sti\npushf\npop ax', { flags: 2 })}
      ${v86('STI with VIP', 'sti', { flags: 0x100002 })}
      ${v86('PUSHF shows VIF as IF and IOPL 3', 'pushf\npop ax', { flags: 0x80002 })}
      ${v86('POPF sets VIF', 'push 0x202\npopf\npushf\npop ax', { flags: 2 })}
      ${v86('POPF with TF', 'push 0x302\npopf', { flags: 2 })}
      ${v86('PUSHFD raises GP', 'pushfd', { flags: 2 })}
      ${v86('IRET', 'push 0x202\npush 0\npush .to\niret\n.to:\npushf\npop ax', { flags: 2 })}
      ${v86('INT redirected to the program', 'int 0x21\nmov cx, sp', { flags: 0x80002 })}
      ${v86('INT not redirected', 'int 0x22', { flags: 2 })}
      ${v86('INT redirected with IOPL 3', 'int 0x21\nmov cx, sp')}`,
    without: { peer: 'qemu', why: 'TCG has no VME, and does not advertise it.' },
  },
];

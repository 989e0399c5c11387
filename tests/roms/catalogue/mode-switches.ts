import { attempt16, attempt32, attempt64, compatibility } from '../prelude/attempt.ts';
import { Access, Flag, segment, setGdt } from '../prelude/descriptor.ts';
import { MemoryMap, Selector } from '../prelude/memory-map.ts';
import { Msr, toLong } from '../prelude/modes.ts';
import { say, show } from '../prelude/print.ts';
import { RESET_STATE_REGISTERS, type Rom, TCG_CHECKS_NO_LIMITS } from '../rom.ts';

const { free } = Selector;

export const modeSwitchRoms: readonly Rom[] = [
  {
    name: 'reset-state',
    rule: 'Registers after power-up (SDM Vol. 3A, Table 9-1)',
    mode: 'real',
    source: `
      ${say(16, 'registers:')}
      ${RESET_STATE_REGISTERS.map((register, i) => show(16, register, `[${MemoryMap.resetState + 4 * i}]`, register.endsWith('s') ? 4 : 8)).join('\n')}
      ${show(16, 'flags', `[${MemoryMap.resetState + 4 * RESET_STATE_REGISTERS.length}]`, 4)}
      ${show(16, 'cr0', 'cr0')}
      ${show(16, 'cr2', 'cr2')}
      ${show(16, 'cr3', 'cr3')}
      ${show(16, 'dr6', 'dr6')}
      ${show(16, 'dr7', 'dr7')}
      mov al, 10
      out 0xe9, al
      ${attempt16('tables', 'sgdt [0x600]\nmov ax, [0x600]\nmov ebx, [0x602]\nsidt [0x600]\nmov cx, [0x600]\nmov edx, [0x602]\nsmsw si')}
      ${attempt16('no system segments in real mode', 'sldt ax')}
      ${attempt16('x87 and mxcsr', 'mov word [0x600], 0x5555\nfnstcw [0x600]\nmov ax, [0x600]')}`,
    departures: [{ peer: 'qemu', label: 'x87 and mxcsr', why: 'FCW is 37F after power-up; SDM Vol. 3A, Table 9-1: 40H.' }],
  },
  {
    name: 'real-protected-real',
    rule: 'Switching to protected mode and back (SDM Vol. 3A 9.9)',
    mode: 'real',
    source: `
      ${attempt16(
        'through 16-bit protected mode',
        `
        lgdt [gdt_pointer]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmpf ${Selector.code16}:.protected
      .protected:
        mov bx, cs
        mov ax, ${Selector.data16}
        mov ds, ax
        smsw dx
        mov eax, cr0
        and al, 0xfe
        mov cr0, eax
        jmpf 0:.real
      .real:
        mov si, cs
        mov cx, ds`,
      )}
      ${attempt16(
        'CS keeps its descriptor until a far jump',
        `
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp .next
      .next:
        mov bx, cs
        mov ax, ${Selector.data0}
        mov es, ax
        mov eax, cr0
        and al, 0xfe
        mov cr0, eax
        jmp .back
      .back:
        mov si, cs
        mov di, es`,
      )}
      ${attempt16(
        'through 32-bit protected mode',
        `
        mov eax, cr0
        or al, 1
        mov cr0, eax
        o32 jmpf ${Selector.code0}:.wide
        bits 32
      .wide:
        mov ebx, 0x12345678
        jmpf ${Selector.code16}:.narrow
        bits 16
      .narrow:
        mov eax, cr0
        and al, 0xfe
        mov cr0, eax
        jmpf 0:.real
      .real:
        mov si, cs`,
      )}
      ${attempt16('LMSW sets PE and cannot clear it', `smsw ax\nor al, 1\nlmsw ax\nsmsw bx\nxor ax, ax\nlmsw ax\nsmsw cx\nmov eax, cr0\nand al, 0xfe\nmov cr0, eax\nsmsw dx`)}`,
  },
  {
    name: 'unreal-mode',
    rule: 'A segment loaded in protected mode keeps its limit in real mode (SDM Vol. 3A 9.9.2)',
    mode: 'real',
    source: `
      ${attempt16('beyond 64 KiB before', `mov ebx, 0x200000\nmov eax, [ebx]`)}
      ${attempt16(
        'beyond 64 KiB after',
        `
        lgdt [gdt_pointer]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp .protected
      .protected:
        mov bx, ${Selector.data0}
        mov ds, bx
        and al, 0xfe
        mov cr0, eax
        jmp .real
      .real:
        mov dx, ds
        mov ebx, 0x200000
        mov dword [ebx], 0x12345678
        mov eax, [ebx]`,
      )}
      ${attempt16('a load in real mode changes the base alone', `mov ax, 0x1000\nmov ds, ax\nmov ebx, 0x1f0000\nmov eax, [ebx]\nmov cx, [0x0]`)}
      ${attempt16('other segments keep 64 KiB', `mov ebx, 0x10000\nmov ax, [es:ebx]`)}`,
    departures: [
      { peer: 'qemu', label: 'beyond 64 KiB before', why: TCG_CHECKS_NO_LIMITS },
      { peer: 'qemu', label: 'other segments keep 64 KiB', why: TCG_CHECKS_NO_LIMITS },
    ],
  },
  {
    name: 'protected-16-32',
    rule: 'Default operand, address and stack size come from the descriptors (SDM Vol. 3A 3.4.5, 21.3)',
    mode: 'protected',
    source: `
      ${attempt32(
        '16-bit code with a 32-bit stack',
        `
        jmpf ${Selector.code16}:.narrow
        bits 16
      .narrow:
        mov ax, 0x1234
        push ax
        mov ebx, esp
        pop cx
        db 0x66
        mov dx, 0x5678
        dw 0x9abc
        o32 jmpf ${Selector.code0}:.back
        bits 32
      .back:`,
      )}
      ${attempt32(
        '32-bit code with a 16-bit stack',
        `
        mov edx, esp
        mov ax, ${Selector.data16}
        mov ss, ax
        mov esp, 0x1234c000
        push eax
        mov ebx, esp
        call .there
      .there:
        pop ecx
        mov esi, esp
        mov ax, ${Selector.data0}
        mov ss, ax
        mov esp, edx
        xor edx, edx`,
      )}
      ${attempt32(
        'SP wraps around at 64 KiB',
        `
        mov edx, esp
        mov ax, ${Selector.data16}
        mov ss, ax
        mov esp, 0x12340000
        push word 0x55
        mov ebx, esp
        pop cx
        mov esi, esp
        mov ax, ${Selector.data0}
        mov ss, ax
        mov esp, edx
        xor edx, edx`,
      )}`,
  },
  {
    name: 'legacy-to-long',
    rule: 'Initializing IA-32e mode (SDM Vol. 3A 9.8.5)',
    mode: 'protected',
    source: `
      ${attempt32('EFER.LME without paging does not activate', `mov ecx, ${Msr.efer}\nrdmsr\nor eax, 0x100\nwrmsr\nrdmsr`)}
      ${attempt32('paging without PAE', `mov eax, ${MemoryMap.pml4}\nmov cr3, eax\nmov eax, cr0\nor eax, 0x80000000\nmov cr0, eax`)}
      ${attempt32('enter and leave', '')}
      ${say(32, 'into 64-bit mode:')}
      ${toLong('into')}
      ${attempt64('LMA is set', `mov ecx, ${Msr.efer}\nrdmsr\nmov rbx, cr0\nmov rdx, cr4\nmov si, cs`)}`,
    departures: [
      {
        peer: 'qemu',
        label: 'paging without PAE',
        why: 'ignores the MOV instead of #GP(0); SDM Vol. 3A 9.8.5, Vol. 2 MOV to control registers.',
      },
    ],
  },
  {
    name: 'long-legacy-long',
    rule: 'Leaving IA-32e mode through compatibility mode (SDM Vol. 3A 9.8.5.4)',
    mode: 'long',
    source: `
      ${attempt64(
        'to legacy protected mode and back',
        `
        push ${Selector.code0}
        push .compatibility
        o64 retf
        bits 32
      .compatibility:
        mov eax, cr0
        and eax, 0x7fffffff
        mov cr0, eax
        mov ecx, ${Msr.efer}
        rdmsr
        mov esi, eax
        mov ebx, cr0
        mov eax, cr0
        or eax, 0x80000000
        mov cr0, eax
        rdmsr
        mov edi, eax
        mov ebp, cs
        jmpf ${Selector.code64}:.back
        bits 64
      .back:
        mov edx, cs`,
      )}
      ${attempt64(
        'the L bit means nothing in legacy mode',
        `
        push ${Selector.code0}
        push .compatibility2
        o64 retf
        bits 32
      .compatibility2:
        mov eax, cr0
        and eax, 0x7fffffff
        mov cr0, eax
        jmpf ${Selector.code64}:.here
        bits 16
      .here:
        mov ebx, cs
        mov dx, 0x1234
        o32 jmpf ${Selector.code0}:.here2
        bits 32
      .here2:
        mov eax, cr0
        or eax, 0x80000000
        mov cr0, eax
        jmpf ${Selector.code64}:.back
        bits 64
      .back:
        mov esi, cs`,
      )}`,
  },
  {
    name: 'compatibility-mode',
    rule: 'Compatibility mode runs 16 and 32-bit code under IA-32e paging (SDM Vol. 3A 2.2, Vol. 1 3.1)',
    mode: 'long',
    source: `
      ${compatibility('32-bit code', `mov eax, 0xffffffff\ninc eax\nmov ebx, esp\npush eax\nmov ecx, esp\ndb 0x48\nmov edx, cs`)}
      ${setGdt(free, segment({ limit: 0xffff, access: Access.code | 0x60 }))}
      ${compatibility('16-bit code', `mov bx, 0x1234\npush bx\nmov cx, sp\nmov edx, esp`, { cs: free | 3 }).replace('bits 32\n  .outer', 'bits 16\n  .outer')}
      ${compatibility('upper halves are not kept by 32-bit writes', `mov eax, 1\nmov ecx, 0x80000000`)}
      ${compatibility('segment limits and bases hold', `mov ax, ${free + 8 + 3}\nmov es, ax\nmov eax, [es:4]`)}
      ${setGdt(free + 8, segment({ base: 0x5000, limit: 3, access: Access.data | 0x60, flags: Flag.big }))}
      ${compatibility('a small segment', `mov ax, ${free + 8 + 3}\nmov es, ax\nmov dword [es:0], 0x89abcdef\nmov ecx, [0x5000]\nmov eax, [es:1]`)}
      ${compatibility('far call to 64-bit code and back', `callf ${Selector.code64Ring3}:.sixty_four\nmov ebx, 3\nint 0x30\nbits 64\n.sixty_four:\nmov rax, 0x123456789\nmov rdx, rax\nmov esi, cs\nretf\nbits 32`)}`,
    departures: [{ peer: 'qemu', label: 'a small segment', why: TCG_CHECKS_NO_LIMITS }],
  },
];

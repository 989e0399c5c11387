import { attempt16 } from '../prelude/attempt.ts';
import { Access, Flag, segment, setGdt } from '../prelude/descriptor.ts';
import { MemoryMap, Selector } from '../prelude/memory-map.ts';
import { departs, type Rom, TCG_CHECKS_NO_LIMITS } from '../rom.ts';

const { free } = Selector;
/** Beyond 64 KiB, and not where the A20 gate matters. */
const FAR = 0x200000;
const BIG_CODE_16 = free;
const EXPAND_DOWN = free + 8;
const READ_ONLY = free + 16;

const setPe = 'mov eax, cr0\nor al, 1\nmov cr0, eax';
const clearPe = 'mov eax, cr0\nand al, 0xfe\nmov cr0, eax';

/** 16-bit real-mode code that loads CS and the segments in protected mode, and goes on in real mode with their descriptors. */
const load = (cs: number, segments: Readonly<Record<string, number>> = {}): string => `
  lgdt [gdt_pointer]
  ${setPe}
  jmpf ${cs}:.protected
.protected:
  ${Object.entries(segments)
    .map(([name, selector]) => `mov bx, ${selector}\nmov ${name}, bx`)
    .join('\n')}
  ${clearPe}
  jmp .unreal
.unreal:
  xor ebx, ebx
  xor eax, eax`;

/** The same with CS of 32 bits: what follows is 32-bit code in real mode. */
const loadWide = `
  lgdt [gdt_pointer]
  ${setPe}
  o32 jmpf ${Selector.code0}:.protected
  bits 32
.protected:
  ${clearPe}
  jmp .unreal
.unreal:
  xor eax, eax`;
/** From there back to CS of 16 bits. AX is lost. */
const narrow = `
  ${setPe}
  jmpf ${Selector.code16}:.narrow
  bits 16
.narrow:
  ${clearPe}
  jmpf 0:.real
.real:
  xor eax, eax`;

/** All segments as after reset again: base 0, 64 KiB. */
const RESTORE = (name: string): string => `
  lgdt [gdt_pointer]
  ${setPe}
  jmpf ${Selector.code16}:restore_${name}
restore_${name}:
  mov bx, ${Selector.data16}
  mov ds, bx
  mov es, bx
  mov ss, bx
  ${clearPe}
  jmpf 0:restored_${name}
restored_${name}:
  xor ax, ax
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov esp, ${MemoryMap.mainStack}`;

export const unrealModeRoms: readonly Rom[] = [
  {
    name: 'unreal-code',
    rule: 'CS keeps the limit of its descriptor in real mode (SDM Vol. 3A 9.9.2)',
    mode: 'real',
    source: `
      ${setGdt(BIG_CODE_16, segment({ limit: 0xfffff, access: Access.code, flags: Flag.granular }))}
      ${attempt16('beyond 64 KiB with the limit of reset', `mov ecx, ${FAR}\njmp ecx`)}
      ${attempt16(
        'code beyond 64 KiB',
        `${load(BIG_CODE_16, { ds: Selector.data0 })}
        mov ecx, ${FAR}
        mov dword [ecx], 0xe966cb8c ; mov bx, cs; o32 jmp .back
        mov dword [ecx + 4], .back - ${FAR + 8}
        jmp ecx
      .back:
        mov dx, cs
        jmpf 0:.reloaded
      .reloaded:
        mov si, cs`,
      )}
      ${attempt16('a far jump in real mode keeps the limit', `mov ecx, ${FAR}\nmov dword [ecx], 0xe966cb8c\nmov dword [ecx + 4], .back - ${FAR + 8}\njmp ecx\n.back:\nmov dx, cs`)}
      ${attempt16('an exception shows the low half of EIP', `mov ecx, ${FAR}\nmov dword [ecx], 0x0b0f9090\njmp ecx`)}
      ${RESTORE('code')}
      ${attempt16('back to 64 KiB', `mov ecx, ${FAR}\njmp ecx`)}`,
    without: { peer: 'qemu', why: 'TCG cuts EIP to 16 bits in 16-bit code: it does not come back from beyond 64 KiB.' },
  },
  {
    name: 'unreal-code-32',
    rule: 'CS keeps D of its descriptor in real mode: 32-bit code (SDM Vol. 3A 9.9.2)',
    mode: 'real',
    source: `
      ${attempt16(
        '32-bit code',
        `${loadWide}
        mov ebx, 0x12345678
        mov ecx, cs
        mov edx, cr0
        and edx, 1
        push 0x11223344
        pop esi
        mov edi, esp
        ${narrow}`,
      )}
      ${attempt16('CALL and RET of 32-bit code', `${loadWide}\nmov ebp, esp\ncall .sub\n${narrow}\njmp .end\nbits 32\n.sub:\nmov ecx, esp\nsub ecx, ebp\nret\nbits 16\n.end:\nxor ebp, ebp`)}
      ${attempt16(
        'a far jump keeps D',
        `${loadWide}
        jmpf 0:.again
      .again:
        mov ebx, 0x12345678
        mov ecx, cs
        ${narrow}`,
      )}
      ${attempt16(
        'IRET of 32-bit code',
        `${loadWide}
        mov ebp, esp
        push 0x8d7
        push 0
        push .again
        iretd
      .again:
        mov ebx, 0x12345678
        sub ebp, esp
        pushfd
        pop edx
        ${narrow}
        cld`,
      )}`,
  },
  {
    name: 'unreal-stack',
    rule: 'SS keeps limit and B of its descriptor in real mode (SDM Vol. 3A 9.9.2)',
    mode: 'real',
    source: `
      ${attempt16('SP wraps without B', `mov esp, ${FAR + 0x8000}\npush 0x1234\nmov ebx, esp\nmov ax, [0x7ffe]\nmov esp, ${MemoryMap.mainStack}`)}
      ${attempt16('ESP with B', `${load(Selector.code16, { ss: Selector.data0, ds: Selector.data0 })}\njmpf 0:.reloaded\n.reloaded:\nmov esp, ${FAR + 0x8000}\npush 0x5678\nmov ebx, esp\nmov ax, [ebx]\nmov esp, ${MemoryMap.mainStack}`)}
      ${attempt16('a load in real mode keeps B', `xor cx, cx\nmov ss, cx\nmov esp, ${FAR + 0x9000}\npush 0x789a\nmov ebx, esp\nmov ax, [ebx]\npop cx\nmov esp, ${MemoryMap.mainStack}`)}
      ${attempt16('CALL and RET there', `mov esp, ${FAR + 0xa000}\ncall .sub\njmp .end\n.sub:\nmov ebx, esp\nmov ax, [ebx]\nsub ax, .sub\nret\n.end:\nmov esp, ${MemoryMap.mainStack}`)}
      ${attempt16('INT pushes there', `mov esp, ${FAR + 0xb000}\nmov word [0x100], .handler\nmov word [0x102], 0\nint 0x40\n.handler:\nmov ebx, esp\nmov ax, [ebx + 2]\nmov esp, ${MemoryMap.mainStack}`)}
      ${attempt16('ENTER and LEAVE use EBP', `mov esp, ${FAR + 0xc000}\nmov ebp, ${FAR + 0x8888}\nenter 8, 0\nmov ebx, esp\nmov ecx, ebp\nleave\nmov edx, esp\nmov esp, ${MemoryMap.mainStack}`)}`,
  },
  {
    name: 'unreal-data',
    rule: 'Data segments keep type and limit of their descriptors in real mode (SDM Vol. 3A 9.9.2)',
    mode: 'real',
    source: `
      ${setGdt(EXPAND_DOWN, segment({ limit: 0x67f, access: Access.expandDown }))}
      ${setGdt(READ_ONLY, segment({ limit: 0xffff, access: Access.readOnlyData }))}
      ${attempt16('expand down, above the limit', `${load(Selector.code16, { es: EXPAND_DOWN })}\njmpf 0:.reloaded\n.reloaded:\nmov word [0x680], 0x55aa\nmov ax, [es:0x680]\nmov bx, es`)}
      ${attempt16('expand down, up to the limit', 'mov ax, [es:0x67f]')}
      ${attempt16('a load in real mode keeps the direction', 'xor ax, ax\nmov es, ax\nmov ax, [es:0x67e]')}
      ${attempt16('read-only, read', `${load(Selector.code16, { es: READ_ONLY })}\njmpf 0:.reloaded\n.reloaded:\nmov ax, [es:0x680]`)}
      ${attempt16('read-only, write', 'mov [es:0x680], ax')}
      ${attempt16('FS and GS', `${load(Selector.code16, { fs: Selector.data0, gs: Selector.data0 })}\njmpf 0:.reloaded\n.reloaded:\nmov ecx, ${FAR}\nmov dword [fs:ecx], 0x89abcdef\nmov eax, [gs:ecx]`)}`,
    departures: [
      ...departs(
        'qemu',
        ['expand down, up to the limit', 'a load in real mode keeps the direction', 'read-only, write'],
        TCG_CHECKS_NO_LIMITS,
      ),
    ],
  },
];

import { attempt16, attempt32, attempt64 } from '../prelude/attempt.ts';
import { MemoryMap, Selector } from '../prelude/memory-map.ts';
import type { Rom } from '../rom.ts';

const T = MemoryMap.test;
const fill = (at: number, bytes: number): string => `mov edi, ${at}\nmov ecx, ${bytes / 4}\nmov eax, 0x5a5a5a5a\ncld\nrep stosd`;

export const memoryAndStateRoms: readonly Rom[] = [
  {
    name: 'a20',
    rule: 'With A20 masked, the second MiB shows the first (SDM Vol. 3A 8.7.13.4; port 92h of the chipset)',
    mode: 'protected',
    source: `
      mov dword [0x000700], 0x22222222
      mov dword [0x100700], 0x33333333
      ${attempt32('open', 'in al, 0x92\nor al, 2\nand al, 0xfe\nout 0x92, al\nmov eax, [0x100700]\nmov ebx, [0x000700]')}
      ${attempt32('masked', 'in al, 0x92\nand al, 0xfc\nout 0x92, al\nmov eax, [0x100700]\nmov ebx, [0x000700]')}
      ${attempt32('a write goes below', 'mov dword [0x100700], 0x44444444\nmov eax, [0x000700]')}
      ${attempt32('open again', 'in al, 0x92\nor al, 2\nout 0x92, al\nmov eax, [0x100700]\nmov ebx, [0x000700]')}
      ${attempt32('FFFF:0010', 'mov dword [0x100010], 0x10101010\nmov dword [0x10], 0\nmov eax, [0x100010]')}`,
  },
  {
    name: 'self-modifying-code',
    rule: 'Stores to code are seen after a branch, and by the next instruction (SDM Vol. 3A 11.6, 8.1.3)',
    mode: 'protected',
    source: `
      ${attempt32('an instruction ahead', 'mov byte [.patch + 1], 0x77\njmp .patch\n.patch:\nmov al, 0x11')}
      ${attempt32('a loop that patches itself', 'mov ecx, 3\n.again:\nmov al, 0x10\nadd ebx, eax\ninc byte [.again + 1]\nloop .again')}
      ${attempt32('REP MOVSB over code', 'mov esi, .new\nmov edi, .old\nmov ecx, 5\nrep movsb\njmp .old\n.new:\nmov eax, 0x22\n.old:\nmov eax, 0x11\nnop')}
      ${attempt32('code on two pages', `mov dword [${T + 0xffd}], 0x0011b890\nmov dword [${T + 0x1001}], 0xc30000\nmov edx, ${T + 0xffd}\ncall edx\nmov ebx, eax\nmov byte [${T + 0x1000}], 0x99\ncall edx\nxor edx, edx`)}
      ${attempt32('a called routine replaced', `mov dword [${T}], 0xc3c03190\nmov edx, ${T}\ncall edx\nmov dword [${T}], 0xc3c8ff90\ncall edx\nxor edx, edx`)}
      ${attempt32('through another segment', `mov byte [es:.patch2 + 1], 0x66\njmp .patch2\n.patch2:\nmov bl, 0x11`)}`,
  },
  {
    name: 'fxsave-image',
    rule: 'The FXSAVE image: control words, tags, MXCSR, registers (SDM Vol. 1 10.5.1)',
    mode: 'protected',
    source: `
      mov eax, cr4
      or eax, 0x200
      mov cr4, eax
      ${fill(T, 512)}
      fninit
      fld1
      fldz
      mov dword [0x600], 0x1f80
      ldmxcsr [0x600]
      mov dword [0x610], 0x11111111
      mov dword [0x614], 0x22222222
      movups xmm1, [0x610]
      ${attempt32('FXSAVE', `fxsave [${T}]\nmov eax, [${T}]\nmov ebx, [${T + 4}]\nand ebx, 0xffff\nmov ecx, [${T + 0x18}]\nmov edx, [${T + 0x20 + 6}]\nmov esi, [${T + 0x30 + 6}]\nmov edi, [${T + 0xb0}]`)}
      ${attempt32('FXSAVE leaves the tail', `mov eax, [${T + 0x1d0}]\nmov ebx, [${T + 0x1fc}]`)}
      ${attempt32('FXSAVE misaligned', `fxsave [${T + 8}]`)}
      ${attempt32('FXRSTOR with reserved MXCSR bits', `mov dword [${T + 0x18}], 0x11f80\nfxrstor [${T}]`)}
      ${attempt32('FXRSTOR', `mov dword [${T + 0x18}], 0x1f81\nmov word [${T}], 0x027f\nmov word [${T + 2}], 0x3800\nmov byte [${T + 4}], 0x81\nfxrstor [${T}]\nfnstcw [0x600]\nmov ax, [0x600]\nfnstsw [0x600]\nmov bx, [0x600]\nstmxcsr [0x600]\nmov ecx, [0x600]\nfnstenv [0x700]\nmov dx, [0x708]`)}
      ${attempt32('FXSAVE with TS', `mov eax, cr0\nor al, 8\nmov cr0, eax\nxor eax, eax\nfxsave [${T}]`)}
      ${attempt32('FXSAVE with EM', `clts\nmov eax, cr0\nor al, 4\nmov cr0, eax\nxor eax, eax\nfxsave [${T}]`)}`,
    departures: [
      {
        peer: 'qemu',
        label: 'FXRSTOR with reserved MXCSR bits',
        why: 'takes reserved bits of MXCSR; SDM Vol. 2A FXRSTOR: #GP(0).',
      },
    ],
  },
  {
    name: 'address-wrap-16',
    rule: '16-bit addressing wraps at 64 KiB, stacks and strings too (SDM Vol. 1 3.3.5)',
    mode: 'real',
    source: `
      mov byte [0x10], 0x77
      ${attempt16('base and index', 'mov bx, 0xff00\nmov si, 0x110\nmov al, [bx + si]')}
      ${attempt16('displacement', 'mov bx, 0xfff0\nmov al, [bx + 0x20]')}
      ${attempt16('XLAT', 'mov bx, 0xfff0\nmov al, 0x20\nxlat')}
      ${attempt16('LEA', 'mov bx, 0xfff0\nlea ax, [bx + 0x20]\nlea ecx, [bx + 0x20]')}
      ${attempt16('LEA with 32-bit addresses', 'mov ebx, 0xfff0\nlea ax, [ebx + 0x20]\nlea ecx, [ebx + 0x20]')}
      ${attempt16('LODSB', 'mov si, 0xffff\nlodsb\nmov bx, si\nmov al, 0')}
      ${attempt16('a32 LODSB', 'mov esi, 0x10\na32 lodsb\nmov ebx, esi')}
      ${attempt16('LOOP takes CX', 'mov ecx, 0x10001\n.again:\ninc bx\nloop .again')}
      ${attempt16('a32 LOOP takes ECX', 'mov ecx, 2\n.again:\ninc bx\na32 loop .again')}
      ${attempt16('segment override', 'mov ax, 1\nmov es, ax\nmov fs, ax\nmov al, [es:0]\nmov bl, [fs:0]')}
      ${attempt16('override of a string source', 'push 1\npop es\nmov si, 0\nes lodsb').replace('es lodsb', 'db 0x26, 0xac')}
      ${attempt16('override of BP', 'mov byte [0x610], 0x33\nmov bp, 0x610\nmov al, [ds:bp]')}
      ${attempt16('the last override wins', 'push 1\npop es\ndb 0x26, 0x3e, 0xa0, 0x10, 0x00')}
      ${attempt16('JMP wraps around', `mov byte [0x10], 0xc3\nmov bx, 0x10\ncall bx\nmov al, 1`)}`,
  },
  {
    name: 'address-size-long',
    rule: 'Address and operand sizes in 64-bit mode (SDM Vol. 1 3.3.7, Vol. 2A 2.2.1)',
    mode: 'long',
    source: `
      mov dword [0x600], 0x12345678
      ${attempt64('32-bit addresses are zero-extended', 'mov rbx, 0xffffffff00000600\nmov eax, [ebx]')}
      ${attempt64('32-bit addresses wrap around', 'mov ebx, 0xfffffff0\nmov eax, [ebx + 0x610]')}
      ${attempt64('RIP-relative', 'mov eax, [rel .data]\njmp .over\n.data: dd 0x89abcdef\n.over:')}
      ${attempt64('a32 REP STOSB', 'mov rdi, 0xffffffff00000700\nmov rcx, 0xffffffff00000002\na32 rep stosb')}
      ${attempt64('32-bit results clear the upper half', 'mov rax, -1\nmov rbx, -1\nmov eax, 1\nmov bx, 1')}
      ${attempt64('CMOV clears it without the condition', 'mov rax, -1\nxor ebx, ebx\ncmovne eax, ebx')}
      ${attempt64('PUSH of 16 bits', 'mov rbx, rsp\npush ax\nsub rbx, rsp\npop ax')}
      ${attempt64('REX before a legacy prefix is ignored', 'mov rax, -1\ndb 0x48, 0x66, 0xb8, 0x34, 0x12')}
      ${attempt64('moffs of 64 bits', 'mov dword [0x600], 0x12345678\ndb 0xa1\ndq 0x600')}
      ${attempt64('MOVSXD', 'mov ebx, 0x80000000\nmovsxd rax, ebx')}`,
    departures: [
      { peer: 'qemu', label: 'REX before a legacy prefix is ignored', why: 'keeps REX.W; SDM Vol. 2A 2.2.1: REX must come last.' },
    ],
  },
  {
    name: 'segment-base-wrap',
    rule: 'Linear addresses wrap around at 4 GiB outside of 64-bit mode (SDM Vol. 3A 3.3)',
    mode: 'protected',
    source: `
      mov dword [gdt + ${Selector.free}], 0x0000ffff
      mov dword [gdt + ${Selector.free + 4}], 0xffcf92ff
      mov dword [0x600], 0x600d600d
      ${attempt32('base FFFF0000 and more', `mov ax, ${Selector.free}\nmov es, ax\nmov ebx, [es:0x10600]`)}
      ${attempt32('offset wraps first', `mov ebx, 0xffffffff\nmov eax, [ebx + 0x601]`)}`,
  },
];

import { attempt64, user64 } from '../prelude/attempt.ts';
import { MemoryMap, Selector } from '../prelude/memory-map.ts';
import { Msr, wrmsr } from '../prelude/modes.ts';
import type { Rom } from '../rom.ts';

const { pml4, mainStack } = MemoryMap;
/** Free memory for the table above the PML4. */
const PML5 = 0x70000;
const [P, W, U, PS] = [1, 2, 4, 0x80];
const PWU = P | W | U;
const CR4_PAE = 0x20;
const CR4_LA57 = 0x1000;

const pml5e = (index: number, low: number, high = 0): string =>
  `mov dword [${PML5 + index * 8}], ${low}\nmov dword [${PML5 + index * 8 + 4}], ${high}`;

/** From protected mode to 64-bit mode with CR4.LA57. Only the first 256 TiB are mapped, as 4-level paging would map them. */
const TO_LONG_57 = `
  call build_long
  mov dword [gdt + ${Selector.tss}], ((tss64 & 0xffff) << 16 | 0x1ff)
  mov dword [gdt + ${Selector.tss + 4}], 0x8900
  mov dword [gdt + ${Selector.tss + 8}], 0
  mov dword [gdt + ${Selector.tss + 12}], 0
  mov edi, ${PML5}
  mov ecx, 1024
  xor eax, eax
  rep stosd
  ${pml5e(0, pml4 | PWU)}
  ${wrmsr(Msr.efer, 0x901)}
  mov eax, ${CR4_PAE | CR4_LA57}
  mov cr4, eax
  mov eax, ${PML5}
  mov cr3, eax
  mov eax, cr0
  or eax, 0x80000000
  mov cr0, eax
  jmpf ${Selector.code64}:five_levels
  bits 64
five_levels:
  mov rsp, ${mainStack}
  lidt [idt64_pointer]
  mov ax, ${Selector.tss}
  ltr ax`;

export const paging5LevelRoms: readonly Rom[] = [
  {
    name: 'paging-5level',
    rule: '5-level paging: 57-bit addresses, PML5 entries, what is canonical (SDM Vol. 3A 4.5; Vol. 1 3.3.7.1)',
    mode: 'protected',
    features: ['LA57'],
    source: `
      ${TO_LONG_57}
      mov dword [0x600], 0x12345678
      ${attempt64('CR4', 'mov rax, cr4\nmov rbx, cr3')}
      ${attempt64('the first PML5 entry', 'mov eax, [0x600]')}
      ${attempt64('absent', 'mov rbx, 0x1000000000600\nmov eax, [rbx]')}
      ${pml5e(1, pml4 | PWU)}
      ${attempt64('another PML5 entry', 'mov rbx, 0x1000000000600\nmov eax, [rbx]')}
      ${attempt64('code above 48 bits', 'mov byte [0x700], 0xc3\nmov rbx, 0x1000000000700\ncall rbx')}
      ${attempt64('bit 47 is not extended', 'mov rbx, 0x800000000000\nmov eax, [rbx]')}
      ${attempt64('bit 56 is: not canonical', 'mov rbx, 0x100000000000000\nmov eax, [rbx]')}
      ${attempt64('not canonical below the upper half', 'mov rbx, -0x200000000000000\nmov eax, [rbx]')}
      ${attempt64('absent in the upper half', 'mov rbx, -0x100000000000000\nmov eax, [rbx]')}
      ${pml5e(256, pml4 | PWU)}
      ${attempt64('the upper half', `mov rbx, ${-0x100000000000000n + 0x600n}\nmov eax, [rbx]`)}
      ${pml5e(2, pml4 | PWU | PS)}
      ${attempt64('PS in a PML5 entry', 'mov rbx, 0x2000000000600\nmov eax, [rbx]')}
      ${pml5e(3, pml4 | P | W)}
      ${user64('U/S of a PML5 entry', 'mov rbx, 0x3000000000600\nmov eax, [rbx]')}
      ${pml5e(4, pml4 | P | U)}
      ${user64('R/W of a PML5 entry', 'mov rbx, 0x4000000000600\nmov [rbx], eax')}
      ${pml5e(5, pml4 | PWU, 0x80000000)}
      ${attempt64('NX of a PML5 entry', 'mov rbx, 0x5000000000700\ncall rbx')}
      ${pml5e(6, pml4 | PWU, 0x7ff00000)}
      ${attempt64('bits 62 to 52 are ignored', 'mov rbx, 0x6000000000600\nmov eax, [rbx]')}
      ${attempt64('A of a PML5 entry', `mov eax, [${PML5 + 6 * 8}]\nmov ebx, [${PML5 + 7 * 8}]`)}
      ${attempt64('LA57 stays while in IA-32e mode', `mov rax, cr4\nand eax, ~${CR4_LA57}\nmov cr4, rax`)}
      ${attempt64('a page fault above 48 bits shows all of CR2', 'mov rbx, 0xabcdef01234567\nmov eax, [rbx]')}
      ${attempt64('a jump to what is not canonical', 'mov rbx, 0x100000000000000\njmp rbx')}
      ${attempt64('RET to what is not canonical', 'mov rbx, 0x100000000000000\npush rbx\nret')}
      ${attempt64('the base of FS', `${wrmsr(Msr.fsBase, 0x600, 0x00010000)}\nmov eax, [fs:0]`)}`,
    departures: [
      {
        peer: 'qemu',
        label: 'PS in a PML5 entry',
        why: 'leaves P clear in the error code where a reserved bit is set; SDM Vol. 3A 4.7.',
        manual: '#PF(0009) 0038:0000000000004422 fl=00000002 sp=0010:000000000000f000 cr2=0002000000000600 rbx=0002000000000600',
      },
      {
        peer: 'qemu',
        label: 'a jump to what is not canonical',
        why: 'faults at the target; SDM Vol. 2A JMP: #GP(0) of the jump.',
        manual: '#GP(0000) 0038:000000000000473e fl=00000002 sp=0010:000000000000f000 rbx=0100000000000000',
      },
      {
        peer: 'qemu',
        label: 'RET to what is not canonical',
        why: 'faults at the target; SDM Vol. 2B RET: #GP(0) of the return, which has popped nothing.',
        manual: '#GP(0000) 0038:0000000000004795 fl=00000002 sp=0010:000000000000eff8 rbx=0100000000000000',
      },
    ],
    without: { peer: 'bochs', why: 'Bochs 2.7 has no 5-level paging.' },
  },
];

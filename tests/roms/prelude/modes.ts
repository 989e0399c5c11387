import { MemoryMap, Selector } from './memory-map.ts';
import type { Bits } from './print.ts';

/** What mode a ROM's body begins in. */
export type StartMode = 'real' | 'protected' | 'paging32' | 'pae' | 'long';

export const bitsOf = (mode: StartMode): Bits => (mode === 'real' ? 16 : mode === 'long' ? 64 : 32);

/** P, W, U. */
const ENTRY = 7;
const LARGE = 0x80;
const { paging32Directory, paging32Table, paePointers, paeDirectories, paeTable, pml4, pdpt, longDirectories, longTable, mainStack } =
  MemoryMap;

/** Writes `count` entries of `bytes`, each `step` above the last. */
const fill = (label: string, at: number, count: number, bytes: 4 | 8, first: number, step: number): string => `
    mov edi, ${at}
    mov ecx, ${count}
    mov eax, ${first}
  .${label}:
    mov [edi], eax
    ${bytes === 8 ? 'mov dword [edi + 4], 0' : ''}
    add edi, ${bytes}
    add eax, ${step}
    dec ecx
    jnz .${label}`;

/** Routines that build identity mappings of 4 GiB: the first table with 4 KiB pages, the rest large, all of it open to ring 3. */
function pageTables(): string {
  return `
    bits 32
  build_paging32:
    ${fill('large', paging32Directory, 1024, 4, ENTRY | LARGE, 0x400000)}
    ${fill('small', paging32Table, 1024, 4, ENTRY, 0x1000)}
    mov dword [${paging32Directory}], ${paging32Table | ENTRY}
    ret
  build_pae:
    ${fill('pointers', paePointers, 4, 8, paeDirectories | 1, 0x1000)}
    ${fill('large', paeDirectories, 2048, 8, ENTRY | LARGE, 0x200000)}
    ${fill('small', paeTable, 512, 8, ENTRY, 0x1000)}
    mov dword [${paeDirectories}], ${paeTable | ENTRY}
    ret
  build_long:
    ${fill('top', pml4, 512, 8, 0, 0)}
    mov dword [${pml4}], ${pdpt | ENTRY}
    ${fill('rest', pdpt, 512, 8, 0, 0)}
    ${fill('pointers', pdpt, 4, 8, longDirectories | ENTRY, 0x1000)}
    ${fill('large', longDirectories, 2048, 8, ENTRY | LARGE, 0x200000)}
    ${fill('small', longTable, 512, 8, ENTRY, 0x1000)}
    mov dword [${longDirectories}], ${longTable | ENTRY}
    ret`;
}

const toProtected = (name: string): string => `
    lgdt [gdt_pointer]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmpf ${Selector.code0}:${name}_code32
    bits 32
  ${name}_code32:
    mov ax, ${Selector.data0}
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov esp, ${mainStack}
    lidt [idt32_pointer]
    mov ax, ${Selector.tss}
    ltr ax`;

const CR4_PSE = 0x10;
const CR4_PAE = 0x20;
const CR4_PGE = 0x80;
const setPaging = (cr3: number, cr4: number): string => `
    mov eax, cr4
    or eax, ${cr4}
    mov cr4, eax
    mov eax, ${cr3}
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax`;

export const Msr = {
  apicBase: 0x1b,
  sysenterCs: 0x174,
  sysenterEsp: 0x175,
  sysenterEip: 0x176,
  pat: 0x277,
  efer: 0xc0000080,
  star: 0xc0000081,
  lstar: 0xc0000082,
  cstar: 0xc0000083,
  fmask: 0xc0000084,
  fsBase: 0xc0000100,
  gsBase: 0xc0000101,
  kernelGsBase: 0xc0000102,
} as const;

/** WRMSR with constants. */
export const wrmsr = (msr: number, low: number | string, high: number | string = 0): string =>
  `mov ecx, ${msr}\nmov eax, ${low}\nmov edx, ${high}\nwrmsr`;

/** Leaves legacy protected mode for 64-bit mode: EFER.SCE, LME and NXE set. */
export const toLong = (name: string): string => `
    call build_long
    mov dword [gdt + ${Selector.tss}], ((tss64 & 0xffff) << 16 | 0x1ff)
    mov dword [gdt + ${Selector.tss + 4}], 0x8900
    mov dword [gdt + ${Selector.tss + 8}], 0
    mov dword [gdt + ${Selector.tss + 12}], 0
    ${wrmsr(Msr.efer, 0x901)}
    ${setPaging(pml4, CR4_PAE | CR4_PGE)}
    jmpf ${Selector.code64}:${name}_code64
    bits 64
  ${name}_code64:
    mov rsp, ${mainStack}
    lidt [idt64_pointer]
    mov ax, ${Selector.tss}
    ltr ax`;

/** Entry points: each ends at `body` in its mode. */
export function modes(): string {
  return `
    ${pageTables()}
    bits 16
  enter_real:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov si, ivt
    mov di, 0
    mov cx, ivt_end - ivt
    rep movsb
    ret
  start_real:
    call enter_real
    jmp ${MemoryMap.body}
    bits 16
  start_protected:
    call enter_real
    ${toProtected('protected')}
    jmp ${MemoryMap.body}
    bits 16
  start_paging32:
    call enter_real
    ${toProtected('paging32')}
    call build_paging32
    ${setPaging(paging32Directory, CR4_PSE | CR4_PGE)}
    jmp ${MemoryMap.body}
    bits 16
  start_pae:
    call enter_real
    ${toProtected('pae')}
    call build_pae
    ${wrmsr(Msr.efer, 0x800)}
    ${setPaging(paePointers, CR4_PAE | CR4_PGE)}
    jmp ${MemoryMap.body}
    bits 16
  start_long:
    call enter_real
    ${toProtected('long')}
    ${toLong('long')}
    jmp ${MemoryMap.body}`;
}

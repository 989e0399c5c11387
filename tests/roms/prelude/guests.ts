import { MemoryMap } from './memory-map.ts';

/** What hosts of VT-x and of AMD-V have in common. */

/** Fills `count` entries of `bytes` with `first`, `first + step` ... `label`: a local one of its own. */
const fill = (label: string, at: number, count: number, bytes: 4 | 8, first: number, step: number): string => `
    mov edi, ${at}
    mov ecx, ${count}
    mov eax, ${first}
  .${label}:
    mov ${bytes === 8 ? '[rdi], rax' : '[rdi], eax'}
    add rdi, ${bytes}
    add eax, ${step}
    dec ecx
    jnz .${label}`;

/** A routine that fills the tables of the guests' own 32-bit and PAE paging: identity mappings, 4 KiB pages below 4 or 2 MiB. */
export function guestTables(name: string): string {
  const { paging32Directory, paging32Table, paePointers, paeDirectories, paeTable } = MemoryMap;
  return `
  ${name}:
    ${fill('large32', paging32Directory, 1024, 4, 0x87, 0x400000)}
    ${fill('small32', paging32Table, 1024, 4, 7, 0x1000)}
    mov dword [${paging32Directory}], ${paging32Table | 7}
    ${fill('pointers', paePointers, 4, 8, paeDirectories | 1, 0x1000)}
    ${fill('large', paeDirectories, 2048, 8, 0x87, 0x200000)}
    ${fill('small', paeTable, 512, 8, 7, 0x1000)}
    mov dword [${paeDirectories}], ${paeTable | 7}
    ret`;
}

/** Where the tables of a second stage lie: four levels, four directories, a table for the first 2 MiB. */
export interface SecondStagePlaces {
  readonly pml4: number;
  readonly pdpt: number;
  readonly directories: number;
  readonly table: number;
}

/** A routine that fills the tables of a second stage: identity mappings of 4 GiB. @param pageBits what entries of pages have besides 7 */
export function secondStageTables(name: string, { pml4, pdpt, directories, table }: SecondStagePlaces, pageBits: number): string {
  return `
  ${name}:
    ${fill('none', pml4, 512, 8, 0, 0)}
    mov dword [${pml4}], ${pdpt | 7}
    ${fill('top', pdpt, 512, 8, 0, 0)}
    ${fill('pointers', pdpt, 4, 8, directories | 7, 0x1000)}
    ${fill('large', directories, 2048, 8, 0x87 | pageBits, 0x200000)}
    ${fill('small', table, 512, 8, 7 | pageBits, 0x1000)}
    mov dword [${directories}], ${table | 7}
    ret`;
}

/** A routine that prints RAX in hexadecimal, without leading zeros. Clobbers RAX, RBX, RCX. */
export function hexRoutine(name: string): string {
  return `
  ${name}:
    mov rbx, rax
    mov ecx, 16
  .skip:
    rol rbx, 4
    test bl, 15
    jnz .emit
    dec ecx
    jnz .skip
    inc ecx
  .emit:
    mov al, bl
    and al, 15
    cmp al, 10
    jb .decimal
    add al, 39
  .decimal:
    add al, 48
    out 0xe9, al
    rol rbx, 4
    dec ecx
    jnz .emit
    ret`;
}

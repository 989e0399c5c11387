import { Access, Flag, gate, segment, tss32 } from './descriptor.ts';
import { DONE_VECTOR, VECTORS } from './handlers.ts';
import { MemoryMap, Selector } from './memory-map.ts';

const { big, granular, long } = Flag;
const flat = (access: number, flags: number): [string, string] => segment({ limit: 0xfffff, access, flags: flags | granular });
const small = (access: number): [string, string] => segment({ limit: 0xffff, access });
const ring = (dpl: number): number => dpl << 5;

/** Vectors that code in ring 3 may call with INT. */
const FROM_RING_3 = [3, 4, DONE_VECTOR];

function gdt(): string {
  const slots = new Map<number, readonly [string, string]>([
    [Selector.code0, flat(Access.code, big)],
    [Selector.data0, flat(Access.data, big)],
    [Selector.code3, flat(Access.code | ring(3), big)],
    [Selector.data3, flat(Access.data | ring(3), big)],
    [Selector.code64Ring3, flat(Access.code | ring(3), long)],
    [Selector.data64Ring3, flat(Access.data | ring(3), big)],
    [Selector.code64, flat(Access.code, long)],
    [Selector.data64, flat(Access.data, big)],
    [Selector.tss, ['((tss & 0xffff) << 16 | 0x1ff)', String(Access.tss32 << 8)]],
    [Selector.code16, small(Access.code)],
    [Selector.data16, small(Access.data)],
    [Selector.ldt, ['((ldt & 0xffff) << 16 | 0x3f)', String(Access.ldt << 8)]],
    [Selector.conforming, flat(Access.conforming, big)],
    [Selector.code1, flat(Access.code | ring(1), big)],
    [Selector.data1, flat(Access.data | ring(1), big)],
    [Selector.code2, flat(Access.code | ring(2), big)],
    [Selector.data2, flat(Access.data | ring(2), big)],
  ]);
  const bySlot = new Map([...slots].map(([selector, entry]) => [selector >> 3, entry]));
  return Array.from({ length: 64 }, (_, i) => `dd ${(bySlot.get(i) ?? ['0', '0']).join(', ')}`).join('\n');
}

/** GDT, LDT, IDTs, TSSs, IVT: data that the ROM copies to RAM with its code. */
export function tables(): string {
  const vectors = Array.from({ length: VECTORS }, (_, vector) => vector);
  const gateAccess = (vector: number): number => Access.interruptGate32 | ring(FROM_RING_3.includes(vector) ? 3 : 0);
  return `
    align 16, 0
  gdt:
    ${gdt()}
  ldt:
    times 64 db 0
  idt32:
    ${vectors.map((vector) => `dd ${gate(Selector.code0, `protected_${vector}`, gateAccess(vector)).join(', ')}`).join('\n')}
  idt32_end:
  idt64:
    ${vectors.map((vector) => `dd ${gate(Selector.code64, `long_${vector}`, gateAccess(vector)).join(', ')}, 0, 0`).join('\n')}
  idt64_end:
  ivt:
    ${vectors.map((vector) => `dw real_${vector}, 0`).join('\n')}
  ivt_end:
  tss:
    ${tss32({ esp0: MemoryMap.ring0Stack, ss0: Selector.data0, esp1: MemoryMap.ring1Stack, ss1: Selector.data1, esp2: MemoryMap.ring2Stack, ss2: Selector.data2, iomap: 0x200 })}
    times ${0x200 - 0x68} db 0
    dd 0xffffffff
  tss64:
    dd 0
    dq ${MemoryMap.ring0Stack}, ${MemoryMap.ring1Stack}, ${MemoryMap.ring2Stack}, 0
    dq ${MemoryMap.ist1Stack}, ${MemoryMap.ist2Stack}, 0, 0, 0, 0, 0
    dw 0, 0x200
    times ${0x200 - 0x68} db 0
    dd 0xffffffff
  gdt_pointer:
    dw 0x1ff
    dd gdt, 0
  idt32_pointer:
    dw idt32_end - idt32 - 1
    dd idt32, 0
  idt64_pointer:
    dw idt64_end - idt64 - 1
    dd idt64, 0
  ivt_pointer:
    dw 0x3ff
    dd 0, 0`;
}

/** Builders for descriptors, gates and TSSs, as `dd` lines or as stores into the tables in memory (SDM Vol. 3A 3.4.5, 6.11, 7.2). */

/** Access bytes (P = 1). Add `dpl << 5`. */
export const Access = {
  data: 0x92,
  readOnlyData: 0x90,
  expandDown: 0x96,
  code: 0x9a,
  executeOnly: 0x98,
  conforming: 0x9e,
  ldt: 0x82,
  tss16: 0x81,
  tss32: 0x89,
  callGate16: 0x84,
  taskGate: 0x85,
  interruptGate16: 0x86,
  trapGate16: 0x87,
  callGate32: 0x8c,
  interruptGate32: 0x8e,
  trapGate32: 0x8f,
} as const;

/** G, D/B, L, AVL as the upper nibble of a descriptor's byte 6. */
export const Flag = { granular: 8, big: 4, long: 2 } as const;

/** What a segment descriptor says. */
export interface SegmentDescriptor {
  readonly base?: number | string;
  /** The 20-bit field as it stands, not scaled. */
  readonly limit: number;
  readonly access: number;
  readonly flags?: number;
}

/** The two doublewords of a segment descriptor, as expressions. A base that is a label lies below 64 KiB. */
export function segment({ base = 0, limit, access, flags = 0 }: SegmentDescriptor): [string, string] {
  const high = (access << 8) | ((limit >>> 16) << 16) | (flags << 20);
  if (typeof base === 'string') return [`(${limit & 0xffff} | ((${base}) << 16))`, String(high)];
  return [
    String((((base & 0xffff) << 16) | (limit & 0xffff)) >>> 0),
    String((((base >>> 24) << 24) | ((base >>> 16) & 0xff) | high) >>> 0),
  ];
}

/** The two doublewords of a gate to a label below 64 KiB. `parameters`: of a call gate; IST index of an IA-32e gate. */
export function gate(selector: number, target: number | string, access: number, parameters = 0): [string, string] {
  return [`(((${target}) & 0xffff) | ${(selector << 16) >>> 0})`, String((access << 8) | parameters)];
}

/** Stores a descriptor or gate into the GDT; usable in every mode while DS has base 0. */
export function setGdt(selector: number, [low, high]: readonly [string, string]): string {
  const at = selector & ~7;
  return `mov dword [gdt + ${at}], ${low}\nmov dword [gdt + ${at + 4}], ${high}`;
}

/** Stores a gate into the 32-bit IDT. */
export function setIdt(vector: number, [low, high]: readonly [string, string]): string {
  return `mov dword [idt32 + ${vector * 8}], ${low}\nmov dword [idt32 + ${vector * 8 + 4}], ${high}`;
}

/** Stores a gate into the IA-32e IDT. */
export function setIdt64(vector: number, [low, high]: readonly [string, string]): string {
  return `mov dword [idt64 + ${vector * 16}], ${low}\nmov dword [idt64 + ${vector * 16 + 4}], ${high}`;
}

/** A 32-bit TSS as data. Fields not given are 0; the I/O map base is beyond the limit unless given. */
export function tss32(fields: Readonly<Record<string, number | string>>): string {
  const names = 'link esp0 ss0 esp1 ss1 esp2 ss2 cr3 eip eflags eax ecx edx ebx esp ebp esi edi es cs ss ds fs gs ldt'.split(' ');
  for (const name of Object.keys(fields)) if (![...names, 'iomap', 'trap'].includes(name)) throw new Error(`no TSS field ${name}`);
  return [...names.map((name) => `dd ${fields[name] ?? 0}`), `dw ${fields.trap ?? 0}, ${fields.iomap ?? 0x68}`].join('\n');
}

/** A 16-bit TSS as data. */
export function tss16(fields: Readonly<Record<string, number | string>>): string {
  const names = 'link sp0 ss0 sp1 ss1 sp2 ss2 ip flags ax cx dx bx sp bp si di es cs ss ds ldt'.split(' ');
  for (const name of Object.keys(fields)) if (!names.includes(name)) throw new Error(`no TSS field ${name}`);
  return names.map((name) => `dw ${fields[name] ?? 0}`).join('\n');
}

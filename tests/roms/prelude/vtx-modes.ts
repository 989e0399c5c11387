import { ENTRY_CONTROLS, EXIT_CONTROLS, PIN_BASED_CONTROLS, PRIMARY_CONTROLS, SECONDARY_CONTROLS, type VmcsFieldName } from '@minusone/vtx';
import { MemoryMap, Selector } from './memory-map.ts';
import type { Bits } from './print.ts';
import { EPTP, GUEST_STACK } from './vtx-memory.ts';

/** A value of a VMCS field: a number, or an expression of the assembler. */
export type FieldValue = number | bigint | string;
/** Values of VMCS fields by the manual's names. */
export type Fields = Readonly<Partial<Record<VmcsFieldName, FieldValue>>>;

/** Controls by key; what the processor wants to be 1 is added in the ROM. */
export interface Controls {
  readonly pin?: readonly (keyof typeof PIN_BASED_CONTROLS)[];
  readonly primary?: readonly (keyof typeof PRIMARY_CONTROLS)[];
  readonly secondary?: readonly (keyof typeof SECONDARY_CONTROLS)[];
  readonly exit?: readonly (keyof typeof EXIT_CONTROLS)[];
  readonly entry?: readonly (keyof typeof ENTRY_CONTROLS)[];
}

const TABLES = {
  pin: { field: 'PIN_BASED_VM_EXEC_CONTROL', table: PIN_BASED_CONTROLS },
  primary: { field: 'CPU_BASED_VM_EXEC_CONTROL', table: PRIMARY_CONTROLS },
  secondary: { field: 'SECONDARY_VM_EXEC_CONTROL', table: SECONDARY_CONTROLS },
  exit: { field: 'VM_EXIT_CONTROLS', table: EXIT_CONTROLS },
  entry: { field: 'VM_ENTRY_CONTROLS', table: ENTRY_CONTROLS },
} as const;

/** The fields of control words. */
export function controlFields(...lists: readonly Controls[]): Fields {
  const fields: Partial<Record<VmcsFieldName, number>> = {};
  for (const word of ['pin', 'primary', 'secondary', 'exit', 'entry'] as const) {
    const { field, table } = TABLES[word];
    const bits = table as Readonly<Record<string, { readonly bit: number }>>;
    let value = 0;
    for (const list of lists) for (const key of list[word] ?? []) value |= 1 << (bits[key] as { bit: number }).bit;
    fields[field] = value >>> 0;
  }
  return fields;
}

/** Controls that every attempt has: a 64-bit host, EFER and the debug controls switched. */
export const COMMON_CONTROLS: Controls = {
  primary: ['activateSecondaryControls'],
  exit: ['hostAddressSpaceSize', 'saveDebugControls', 'saveIa32Efer', 'loadIa32Efer'],
  entry: ['loadDebugControls', 'loadIa32Efer'],
};
/** Controls with which CR0.PE and CR0.PG are the guest's. */
export const UNRESTRICTED: Controls = { secondary: ['enableEpt', 'unrestrictedGuest'] };

/** A mode to enter a guest in. */
export interface GuestMode {
  readonly bits: Bits;
  readonly controls: Controls;
  readonly fields: Fields;
}

const SEGMENTS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'] as const;
const PE_NE = 0x31;
const PG = 0x80000000;
const VMXE = 0x2000;
const PSE = 0x10;
const PAE = 0x20;
/** SCE, LME, LMA, NXE. */
const LONG_EFER = 0xd01;

const segment = (
  name: (typeof SEGMENTS)[number] | 'TR' | 'LDTR',
  selector: number,
  limit: number,
  rights: number,
  base: number | string = 0,
): Fields => ({
  [`GUEST_${name}_SELECTOR`]: selector,
  [`GUEST_${name}_BASE`]: base,
  [`GUEST_${name}_LIMIT`]: limit,
  [`GUEST_${name}_AR_BYTES`]: rights,
});

const flat = (cs: number, csRights: number, data: number): Fields =>
  Object.assign(
    {},
    ...SEGMENTS.map((name) => segment(name, name === 'CS' ? cs : data, 0xffffffff, name === 'CS' ? csRights : 0xc093)),
    segment('LDTR', 0, 0, 0x10000),
  );

const idt = (base: string, limit: string | number): Fields => ({ GUEST_IDTR_BASE: base, GUEST_IDTR_LIMIT: limit });
const IDT32: Fields = { ...segment('TR', Selector.tss, 0x1ff, 0x8b, 'tss'), ...idt('idt32', 'idt32_end - idt32 - 1') };
const IDT64: Fields = { ...segment('TR', Selector.tss, 0x1ff, 0x8b, 'tss64'), ...idt('idt64', 'idt64_end - idt64 - 1') };
const CODE32 = flat(Selector.code0, 0xc09b, Selector.data0);

/** Segments of real mode, or of virtual-8086 mode: base 0, 64 KiB. */
const realSegments = (rights: number): Fields =>
  Object.assign({}, ...SEGMENTS.map((name) => segment(name, 0, 0xffff, rights)), segment('LDTR', 0, 0, 0x10000));

/** #UD and #GP exit, unless an attempt says otherwise: what an instruction does instead of its own exit shows all fields, too. */
const EXITING_FAULTS = (1 << 6) | (1 << 13);

/** Fields that every guest begins with. What is not named in any of the tables is 0. */
export const COMMON_FIELDS: Fields = {
  GUEST_GDTR_BASE: 'gdt',
  GUEST_GDTR_LIMIT: 0x1ff,
  GUEST_DR7: 0x400,
  GUEST_RSP: GUEST_STACK,
  GUEST_RFLAGS: 2,
  EXCEPTION_BITMAP: EXITING_FAULTS,
  VMCS_LINK_POINTER: 0xffff_ffff_ffff_ffffn,
  EPT_POINTER: EPTP,
  GUEST_CR4: VMXE,
};

/** The modes of guests, all over the same flat memory. */
export const GUEST_MODES = {
  long: {
    bits: 64,
    controls: { entry: ['ia32eModeGuest'] },
    fields: {
      ...flat(Selector.code64, 0xa09b, Selector.data0),
      ...IDT64,
      GUEST_CR0: PE_NE + PG,
      GUEST_CR3: MemoryMap.pml4,
      GUEST_CR4: VMXE | PAE,
      GUEST_IA32_EFER: LONG_EFER,
    },
  },
  compatibility: {
    bits: 32,
    controls: { entry: ['ia32eModeGuest'] },
    fields: {
      ...CODE32,
      ...IDT64,
      GUEST_CR0: PE_NE + PG,
      GUEST_CR3: MemoryMap.pml4,
      GUEST_CR4: VMXE | PAE,
      GUEST_IA32_EFER: LONG_EFER,
    },
  },
  paging32: {
    bits: 32,
    controls: {},
    fields: { ...CODE32, ...IDT32, GUEST_CR0: PE_NE + PG, GUEST_CR3: MemoryMap.paging32Directory, GUEST_CR4: VMXE | PSE },
  },
  pae: {
    bits: 32,
    controls: {},
    fields: {
      ...CODE32,
      ...IDT32,
      GUEST_CR0: PE_NE + PG,
      GUEST_CR3: MemoryMap.paePointers,
      GUEST_CR4: VMXE | PAE,
      ...Object.fromEntries([0, 1, 2, 3].map((i) => [`GUEST_PDPTR${i}`, MemoryMap.paeDirectories + 0x1000 * i + 1])),
    },
  },
  protected: { bits: 32, controls: UNRESTRICTED, fields: { ...CODE32, ...IDT32, GUEST_CR0: PE_NE } },
  real: {
    bits: 16,
    controls: UNRESTRICTED,
    fields: { ...realSegments(0x93), ...segment('TR', 0, 0xffff, 0x8b), ...idt('0', 0x3ff), GUEST_CR0: 0x30 },
  },
  v86: {
    bits: 16,
    controls: {},
    fields: {
      ...realSegments(0xf3),
      ...IDT32,
      GUEST_CR0: PE_NE + PG,
      GUEST_CR3: MemoryMap.paging32Directory,
      GUEST_CR4: VMXE | PSE,
      GUEST_RFLAGS: 0x23002,
    },
  },
} as const satisfies Readonly<Record<string, GuestMode>>;

/** The name of a guest's mode. */
export type GuestModeName = keyof typeof GUEST_MODES;

/** Every field that any table of the prelude sets: an attempt begins with all of them. */
export const MODE_FIELDS: ReadonlySet<VmcsFieldName> = new Set(
  Object.values(GUEST_MODES).flatMap(({ fields }) => Object.keys(fields) as VmcsFieldName[]),
);

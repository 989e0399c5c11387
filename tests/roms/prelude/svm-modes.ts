import { MemoryMap, Selector } from './memory-map.ts';
import type { Bits } from './print.ts';
import type { VmcbValues } from './svm-fields.ts';
import { SVM_GUEST_STACK, SvmMemory } from './svm-memory.ts';

/** A mode to enter a guest in. */
export interface SvmGuestMode {
  readonly bits: Bits;
  readonly fields: VmcbValues;
}

const SEGMENTS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'] as const;
const PE_NE = 0x31;
const PG = 0x80000000;
const PSE = 0x10;
const PAE = 0x20;
const SVME = 0x1000;
const NXE = 0x800;
/** SCE, LME, LMA, NXE, SVME. */
const LONG_EFER = 0xd01 | SVME;

const segment = (
  name: (typeof SEGMENTS)[number] | 'TR' | 'LDTR',
  selector: number,
  limit: number,
  attributes: number,
  base: number | string = 0,
): VmcbValues => ({ [`${name}_SELECTOR`]: selector, [`${name}_BASE`]: base, [`${name}_LIMIT`]: limit, [`${name}_ATTRIBUTES`]: attributes });

const flat = (cs: number, csAttributes: number, data: number, dataAttributes: number): VmcbValues =>
  Object.assign(
    {},
    ...SEGMENTS.map((name) =>
      name === 'CS' ? segment(name, cs, 0xffffffff, csAttributes) : segment(name, data, 0xffffffff, dataAttributes),
    ),
    segment('LDTR', 0, 0, 0),
  );

const idt = (base: number | string, limit: number | string): VmcbValues => ({ IDTR_BASE: base, IDTR_LIMIT: limit });
const IDT32: VmcbValues = { ...segment('TR', Selector.tss, 0x1ff, 0x8b, 'tss'), ...idt('idt32', 'idt32_end - idt32 - 1') };
const IDT64: VmcbValues = { ...segment('TR', Selector.tss, 0x1ff, 0x8b, 'tss64'), ...idt('idt64', 'idt64_end - idt64 - 1') };
const CODE32 = flat(Selector.code0, 0xc9b, Selector.data0, 0xc93);

/** Segments of real mode, or of virtual-8086 mode: base 0, 64 KiB. */
const realSegments = (attributes: number): VmcbValues =>
  Object.assign({}, ...SEGMENTS.map((name) => segment(name, 0, 0xffff, attributes)), segment('LDTR', 0, 0, 0));

/** Fields that every guest begins with; all others are 0. */
export const SVM_COMMON: VmcbValues = {
  GUEST_ASID: 1,
  TLB_CONTROL: 1,
  IOPM_BASE_PA: SvmMemory.ioPermissions,
  MSRPM_BASE_PA: SvmMemory.msrPermissions,
  NP_ENABLE: 1,
  N_CR3: SvmMemory.nestedPml4,
  G_PAT: 0x0007_0406_0007_0406n,
  GDTR_BASE: 'gdt',
  GDTR_LIMIT: 0x1ff,
  DR6: 0xffff0ff0,
  DR7: 0x400,
  RSP: SVM_GUEST_STACK,
  RFLAGS: 2,
};

const LONG: VmcbValues = { ...IDT64, CR0: PE_NE + PG, CR3: MemoryMap.pml4, CR4: PAE, EFER: LONG_EFER };

/** The modes of guests, all over the same flat memory. */
export const SVM_GUEST_MODES = {
  long: { bits: 64, fields: { ...LONG, ...flat(Selector.code64, 0xa9b, Selector.data0, 0xc93) } },
  ring3: { bits: 64, fields: { ...LONG, ...flat(Selector.code64Ring3, 0xafb, Selector.data64Ring3, 0xcf3), CPL: 3 } },
  compatibility: { bits: 32, fields: { ...LONG, ...CODE32 } },
  paging32: {
    bits: 32,
    fields: { ...CODE32, ...IDT32, CR0: PE_NE + PG, CR3: MemoryMap.paging32Directory, CR4: PSE, EFER: SVME },
  },
  pae: { bits: 32, fields: { ...CODE32, ...IDT32, CR0: PE_NE + PG, CR3: MemoryMap.paePointers, CR4: PAE, EFER: SVME | NXE } },
  protected: { bits: 32, fields: { ...CODE32, ...IDT32, CR0: PE_NE, EFER: SVME } },
  protected16: {
    bits: 16,
    fields: {
      ...CODE32,
      ...IDT32,
      ...segment('CS', Selector.code16, 0xffff, 0x9b),
      ...segment('SS', Selector.data16, 0xffff, 0x93),
      CR0: PE_NE,
      EFER: SVME,
    },
  },
  real: { bits: 16, fields: { ...realSegments(0x93), ...segment('TR', 0, 0xffff, 0x8b), ...idt(0, 0x3ff), CR0: 0x30, EFER: SVME } },
  pagedReal: {
    bits: 16,
    fields: {
      ...realSegments(0x93),
      ...segment('TR', 0, 0xffff, 0x8b),
      ...idt(0, 0x3ff),
      CR0: PG + 0x30,
      CR3: MemoryMap.paging32Directory,
      CR4: PSE,
      EFER: SVME,
    },
  },
  v86: {
    bits: 16,
    fields: {
      ...realSegments(0xf3),
      ...IDT32,
      CR0: PE_NE + PG,
      CR3: MemoryMap.paging32Directory,
      CR4: PSE,
      EFER: SVME,
      RFLAGS: 0x23002,
      CPL: 3,
    },
  },
} as const satisfies Readonly<Record<string, SvmGuestMode>>;

/** The name of a guest's mode. */
export type SvmGuestModeName = keyof typeof SVM_GUEST_MODES;

/**
 * Where a ROM's parts lie. Everything but test memory is below 64 KiB, so that every label is at once a linear address and an offset in a
 * segment with base 0, in every mode.
 */
export const MemoryMap = {
  /** Interrupt vector table of real mode. */
  ivt: 0x0000,
  /** Registers at reset, stored by the ROM's first instructions. */
  resetState: 0x0500,
  /** The prelude: printing, fault handlers, tables. Copied from the ROM. */
  prelude: 0x1000,
  /** The ROM's own part. Copied from the ROM. */
  body: 0x4000,
  /** First byte above the body. */
  bodyEnd: 0x9000,
  /** TSSs that a ROM makes for itself. */
  tasks: 0x9000,
  /** Tops of stacks. */
  ist1Stack: 0xb800,
  ist2Stack: 0xba00,
  ring2Stack: 0xbc00,
  ring1Stack: 0xbe00,
  ring0Stack: 0xd000,
  ring3Stack: 0xe000,
  mainStack: 0xf000,
  /** 32-bit paging: directory, one table for the first 4 MiB. */
  paging32Directory: 0x10000,
  paging32Table: 0x11000,
  /** PAE: pointer table, four directories, one table for the first 2 MiB. */
  paePointers: 0x12000,
  paeDirectories: 0x13000,
  paeTable: 0x17000,
  /** 4-level: PML4, PDPT, four directories, one table for the first 2 MiB. */
  pml4: 0x18000,
  pdpt: 0x19000,
  longDirectories: 0x1a000,
  longTable: 0x1e000,
  /** Memory to test with. */
  test: 0x100000,
} as const;

/** Selectors of the GDT that the prelude sets up; the order suits SYSENTER (code0) and SYSRET (code3). */
export const Selector = {
  code0: 0x08,
  data0: 0x10,
  code3: 0x1b,
  data3: 0x23,
  code64Ring3: 0x2b,
  data64Ring3: 0x33,
  code64: 0x38,
  data64: 0x40,
  tss: 0x48,
  code16: 0x58,
  data16: 0x60,
  ldt: 0x68,
  conforming: 0x78,
  code1: 0x81,
  data1: 0x89,
  code2: 0x92,
  data2: 0x9a,
  /** First of the slots that a ROM fills itself, up to 0x1f8. */
  free: 0xa0,
} as const;

/** Bits of `[event_policy + vector]`: what the default handlers do after they have printed an event. 0: give up the attempt. */
export const Policy = {
  /** Return with IRET. */
  iret: 1,
  /** Set RF in the flags returned to. */
  setRf: 2,
  /** Clear TF in the flags returned to. */
  clearTf: 4,
  /** End of interrupt to the local APIC. */
  apicEoi: 8,
  /** End of interrupt to the master PIC. */
  picEoi: 16,
  /** Print nothing but the event's name. */
  brief: 32,
} as const;

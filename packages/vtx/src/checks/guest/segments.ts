import type { VmcsFieldName } from '../../vmcs/fields.ts';
import { canonicalRow, fieldValue } from '../families.ts';
import { type EntryCheck, type EntryCheckRow, guestStateChecks } from '../row.ts';
import type { EntryView, SegmentName } from '../view.ts';

const SECTION = '27.3.1.2';
const SIX = ['CS', 'SS', 'DS', 'ES', 'FS', 'GS'] as const;
const DATA = ['DS', 'ES', 'FS', 'GS'] as const;

const ar = (name: SegmentName): VmcsFieldName => `GUEST_${name}_AR_BYTES`;
const selector = (name: SegmentName): VmcsFieldName => `GUEST_${name}_SELECTOR`;
const limit = (name: SegmentName): VmcsFieldName => `GUEST_${name}_LIMIT`;
const base = (name: SegmentName): VmcsFieldName => `GUEST_${name}_BASE`;
const id = (name: SegmentName, rule: string): string => `guest.${name.toLowerCase()}.${rule}`;

/** What `isVirtual8086` depends on. */
const v86: readonly VmcsFieldName[] = ['GUEST_RFLAGS', 'VM_ENTRY_CONTROLS', 'GUEST_CR0'];

/** Access rights with another type, another DPL. */
const withType = (view: EntryView, name: SegmentName, type: number): bigint => (view.value(ar(name)) & ~15n) | BigInt(type);
const withDpl = (view: EntryView, name: SegmentName, dpl: number): bigint => (view.value(ar(name)) & ~0x60n) | BigInt(dpl << 5);

/** An LDTR that is usable, for rows that judge only such. */
const usableLdtr = { GUEST_LDTR_SELECTOR: 0x28n, GUEST_LDTR_AR_BYTES: 0x82n, GUEST_LDTR_LIMIT: 0xfffn } as const;

/** Rules that hold only outside virtual-8086 mode, of the segment's access rights. */
function arRow(
  name: SegmentName,
  rule: string,
  row: {
    readonly holds: (view: EntryView) => boolean;
    readonly says: string;
    readonly mend: (view: EntryView) => bigint;
    readonly breakIt: EntryCheckRow['breakIt'];
    readonly fields?: readonly VmcsFieldName[];
  },
): EntryCheckRow {
  return {
    id: id(name, rule),
    section: SECTION,
    fields: [ar(name), ...v86, ...(row.fields ?? [])],
    holds: (view) => view.isVirtual8086 || row.holds(view),
    says: (view) => `${fieldValue(view, ar(name))}: ${row.says}`,
    suggest: (view) => ({ [ar(name)]: row.mend(view) }),
    breakIt: row.breakIt,
  };
}

/** The rules that CS, TR and every usable other segment share: present, reserved bits, granularity. LDTR and TR are judged in virtual-8086 mode too. */
function commonRows(name: SegmentName): readonly EntryCheckRow[] {
  const isSystem = name === 'TR' || name === 'LDTR';
  const isJudged = (view: EntryView): boolean =>
    (isSystem || !view.isVirtual8086) && (name === 'CS' || name === 'TR' || view.segments[name].isUsable);
  const start = name === 'LDTR' ? usableLdtr : {};
  const startAr = (view: EntryView): bigint => (name === 'LDTR' ? usableLdtr.GUEST_LDTR_AR_BYTES : view.value(ar(name)));
  const fields = isSystem ? [ar(name)] : [ar(name), ...v86];
  const row = (
    rule: string,
    holds: (view: EntryView) => boolean,
    says: string,
    mend: (value: bigint) => bigint,
    broken: (value: bigint) => bigint,
  ): EntryCheckRow => ({
    id: id(name, rule),
    section: SECTION,
    fields,
    holds: (view) => !isJudged(view) || holds(view),
    says: (view) => `${fieldValue(view, ar(name))}: ${says}`,
    suggest: (view) => ({ [ar(name)]: mend(view.value(ar(name))) }),
    breakIt: (view) => ({ ...start, [ar(name)]: broken(startAr(view)) }),
  });
  return [
    row(
      'present',
      (view) => view.segments[name].ar.p,
      'P (bit 7) must be 1',
      (value) => value | 0x80n,
      (value) => value & ~0x80n,
    ),
    row(
      'reserved-11-8',
      (view) => (view.low(ar(name)) & 0xf00) === 0,
      'bits 11:8 must be 0',
      (value) => value & ~0xf00n,
      (value) => value | 0x100n,
    ),
    row(
      'reserved-31-17',
      (view) => view.low(ar(name)) >>> 17 === 0,
      'bits 31:17 must be 0',
      (value) => value & 0x1_ffffn,
      (value) => value | 0x2_0000n,
    ),
    {
      id: id(name, 'granularity-bytes'),
      section: SECTION,
      fields: [...fields, limit(name)],
      holds: (view) => !isJudged(view) || (view.low(limit(name)) & 0xfff) === 0xfff || !view.segments[name].ar.g,
      says: (view) => `${fieldValue(view, limit(name))}: G must be 0, for not all of the limit's bits 11:0 are 1`,
      suggest: (view) =>
        view.low(limit(name)) >>> 20 === 0
          ? { [ar(name)]: view.segments[name].ar.with({ g: false }) }
          : { [limit(name)]: view.value(limit(name)) | 0xfffn },
      breakIt: (view) => ({ ...start, [limit(name)]: 0x1_fffen, [ar(name)]: startAr(view) | 0x8000n }),
    },
    {
      id: id(name, 'granularity-pages'),
      section: SECTION,
      fields: [...fields, limit(name)],
      holds: (view) => !isJudged(view) || view.low(limit(name)) >>> 20 === 0 || view.segments[name].ar.g,
      says: (view) => `${fieldValue(view, limit(name))}: G must be 1, for one of the limit's bits 31:20 is 1`,
      suggest: (view) => ({ [ar(name)]: view.segments[name].ar.with({ g: true }) }),
      breakIt: (view) => ({ ...start, [limit(name)]: 0x10_0fffn, [ar(name)]: startAr(view) & ~0x8000n }),
    },
  ];
}

const virtual8086Rows: readonly EntryCheckRow[] = SIX.flatMap((name): readonly EntryCheckRow[] => [
  {
    id: id(name, 'v86-base'),
    section: SECTION,
    fields: [selector(name), base(name), ...v86],
    holds: (view) => !view.isVirtual8086 || (view.low(base(name)) === view.low(selector(name)) << 4 && view.high(base(name)) === 0),
    says: (view) =>
      `the guest will be in virtual-8086 mode, but ${fieldValue(view, base(name))}: it must be the selector, shifted left by 4`,
    suggest: (view) => ({ [base(name)]: view.value(selector(name)) << 4n }),
    breakIt: { state: 'v86', change: (view) => ({ [base(name)]: view.value(base(name)) + 1n }) },
  },
  {
    id: id(name, 'v86-limit'),
    section: SECTION,
    fields: [limit(name), ...v86],
    holds: (view) => !view.isVirtual8086 || view.low(limit(name)) === 0xffff,
    says: (view) => `the guest will be in virtual-8086 mode, but ${fieldValue(view, limit(name))}: it must be 0xffff`,
    suggest: () => ({ [limit(name)]: 0xffffn }),
    breakIt: { state: 'v86', change: () => ({ [limit(name)]: 0xfffn }) },
  },
  {
    id: id(name, 'v86-access-rights'),
    section: SECTION,
    fields: [ar(name), ...v86],
    holds: (view) => !view.isVirtual8086 || view.low(ar(name)) === 0xf3,
    says: (view) => `the guest will be in virtual-8086 mode, but ${fieldValue(view, ar(name))}: it must be 0xf3`,
    suggest: () => ({ [ar(name)]: 0xf3n }),
    breakIt: { state: 'v86', change: () => ({ [ar(name)]: 0x93n }) },
  },
]);

const selectorRows: readonly EntryCheckRow[] = [
  {
    id: 'guest.tr.selector-ti',
    section: SECTION,
    fields: ['GUEST_TR_SELECTOR'],
    holds: (view) => !view.segments.TR.ti,
    says: (view) => `${fieldValue(view, 'GUEST_TR_SELECTOR')}: its TI flag (bit 2) must be 0`,
    suggest: (view) => ({ GUEST_TR_SELECTOR: view.value('GUEST_TR_SELECTOR') & ~4n }),
    breakIt: (view) => ({ GUEST_TR_SELECTOR: view.value('GUEST_TR_SELECTOR') | 4n }),
  },
  {
    id: 'guest.ldtr.selector-ti',
    section: SECTION,
    fields: ['GUEST_LDTR_SELECTOR', 'GUEST_LDTR_AR_BYTES'],
    holds: (view) => !view.segments.LDTR.isUsable || !view.segments.LDTR.ti,
    says: (view) => `LDTR is usable, but ${fieldValue(view, 'GUEST_LDTR_SELECTOR')}: its TI flag (bit 2) must be 0`,
    suggest: (view) => ({ GUEST_LDTR_SELECTOR: view.value('GUEST_LDTR_SELECTOR') & ~4n }),
    breakIt: () => ({ ...usableLdtr, GUEST_LDTR_SELECTOR: 0x2cn }),
  },
  {
    id: 'guest.ss.rpl-is-cs-rpl',
    section: SECTION,
    fields: ['GUEST_SS_SELECTOR', 'GUEST_CS_SELECTOR', 'SECONDARY_VM_EXEC_CONTROL', 'GUEST_SS_AR_BYTES', ...v86],
    holds: (view) => view.isVirtual8086 || view.unrestrictedGuest || view.segments.SS.rpl === view.segments.CS.rpl,
    says: (view) => `${fieldValue(view, 'GUEST_SS_SELECTOR')}: its RPL must equal that of CS, ${view.segments.CS.rpl}`,
    suggest: (view) => ({
      GUEST_SS_SELECTOR: (view.value('GUEST_SS_SELECTOR') & ~3n) | BigInt(view.segments.CS.rpl),
      GUEST_SS_AR_BYTES: withDpl(view, 'SS', view.segments.CS.rpl),
    }),
    // SS.DPL follows SS.RPL, and a conforming CS may have a lower DPL than SS: so this rule alone is broken.
    breakIt: (view) => ({
      GUEST_SS_SELECTOR: view.value('GUEST_SS_SELECTOR') | 1n,
      GUEST_SS_AR_BYTES: withDpl(view, 'SS', 1),
      GUEST_CS_AR_BYTES: withType(view, 'CS', 15),
    }),
  },
];

const baseRows: readonly EntryCheckRow[] = [
  ...(['FS', 'GS', 'TR'] as const).map((name) => canonicalRow({ id: id(name, 'base'), section: SECTION, field: base(name) })),
  canonicalRow({
    id: 'guest.ldtr.base',
    section: SECTION,
    field: 'GUEST_LDTR_BASE',
    when: (view) => view.segments.LDTR.isUsable,
    whenFields: ['GUEST_LDTR_AR_BYTES'],
    whenSays: 'LDTR is usable',
    enable: () => usableLdtr,
  }),
  ...(['CS', 'SS', 'DS', 'ES'] as const).map(
    (name): EntryCheckRow => ({
      id: id(name, 'base-high-half'),
      section: SECTION,
      fields: [base(name), ar(name), ...v86],
      // In virtual-8086 mode the base is judged whole, by its own row.
      holds: (view) => view.isVirtual8086 || (name !== 'CS' && !view.segments[name].isUsable) || view.high(base(name)) === 0,
      says: (view) => `${fieldValue(view, base(name))}: bits 63:32 must be 0`,
      suggest: (view) => ({ [base(name)]: BigInt(view.low(base(name))) }),
      breakIt: () => ({ [base(name)]: 1n << 32n }),
    }),
  ),
];

const codeAndStackRows: readonly EntryCheckRow[] = [
  arRow('CS', 'type', {
    fields: ['SECONDARY_VM_EXEC_CONTROL'],
    holds: (view) => (view.segments.CS.type & 9) === 9 || (view.unrestrictedGuest && view.segments.CS.type === 3),
    says: 'the type (bits 3:0) must be 9, 11, 13 or 15, accessed code; also 3 with "unrestricted guest"',
    mend: (view) => withType(view, 'CS', 11),
    breakIt: (view) => ({ GUEST_CS_AR_BYTES: withType(view, 'CS', 10) }),
  }),
  arRow('SS', 'type', {
    holds: (view) => !view.segments.SS.isUsable || view.segments.SS.type === 3 || view.segments.SS.type === 7,
    says: 'the type (bits 3:0) must be 3 or 7, accessed and writable data',
    mend: (view) => withType(view, 'SS', 3),
    breakIt: (view) => ({ GUEST_SS_AR_BYTES: withType(view, 'SS', 1) }),
  }),
  ...DATA.flatMap((name): readonly EntryCheckRow[] => [
    arRow(name, 'type-accessed', {
      holds: (view) => !view.segments[name].isUsable || view.segments[name].ar.accessed,
      says: 'bit 0 of the type must be 1 (accessed)',
      mend: (view) => view.segments[name].ar.with({ accessed: true }),
      breakIt: (view) => ({ [ar(name)]: withType(view, name, 2) }),
    }),
    arRow(name, 'type-readable', {
      holds: (view) => !view.segments[name].isUsable || !view.segments[name].ar.code || view.segments[name].ar.writable,
      says: 'bit 1 of the type must be 1, for bit 3 says code (readable)',
      mend: (view) => view.segments[name].ar.with({ writable: true }),
      breakIt: (view) => ({ [ar(name)]: withType(view, name, 9) }),
    }),
  ]),
  arRow('CS', 's', {
    holds: (view) => view.segments.CS.ar.s,
    says: 'S (bit 4) must be 1',
    mend: (view) => view.segments.CS.ar.with({ s: true }),
    breakIt: (view) => ({ GUEST_CS_AR_BYTES: view.segments.CS.ar.with({ s: false }) }),
  }),
  ...(['SS', ...DATA] as const).map((name) =>
    arRow(name, 's', {
      holds: (view) => !view.segments[name].isUsable || view.segments[name].ar.s,
      says: 'S (bit 4) must be 1',
      mend: (view) => view.segments[name].ar.with({ s: true }),
      breakIt: (view) => ({ [ar(name)]: view.segments[name].ar.with({ s: false }) }),
    }),
  ),
  arRow('CS', 'dpl-data', {
    holds: (view) => view.segments.CS.type !== 3 || view.segments.CS.dpl === 0,
    says: 'the DPL must be 0, for the type is 3',
    mend: (view) => withDpl(view, 'CS', 0),
    breakIt: { state: 'real', change: () => ({ GUEST_CS_AR_BYTES: 0xb3n }) },
  }),
  arRow('CS', 'dpl-nonconforming', {
    fields: ['GUEST_SS_AR_BYTES'],
    holds: (view) => (view.segments.CS.type & 13) !== 9 || view.segments.CS.dpl === view.segments.SS.dpl,
    says: 'the DPL must equal that of SS, for the type is 9 or 11 (nonconforming)',
    mend: (view) => withDpl(view, 'CS', view.segments.SS.dpl),
    breakIt: (view) => ({ GUEST_CS_AR_BYTES: withDpl(view, 'CS', 1) }),
  }),
  arRow('CS', 'dpl-conforming', {
    fields: ['GUEST_SS_AR_BYTES'],
    holds: (view) => (view.segments.CS.type & 13) !== 13 || view.segments.CS.dpl <= view.segments.SS.dpl,
    says: 'the DPL must not be greater than that of SS, for the type is 13 or 15 (conforming)',
    mend: (view) => withDpl(view, 'CS', view.segments.SS.dpl),
    breakIt: (view) => ({ GUEST_CS_AR_BYTES: (withType(view, 'CS', 15) & ~0x60n) | 0x20n }),
  }),
  arRow('SS', 'dpl-is-rpl', {
    fields: ['GUEST_SS_SELECTOR', 'SECONDARY_VM_EXEC_CONTROL'],
    holds: (view) => view.unrestrictedGuest || view.segments.SS.dpl === view.segments.SS.rpl,
    says: "the DPL must equal the selector's RPL",
    mend: (view) => withDpl(view, 'SS', view.segments.SS.rpl),
    breakIt: (view) => ({ GUEST_SS_AR_BYTES: withDpl(view, 'SS', 1), GUEST_CS_AR_BYTES: withType(view, 'CS', 15) }),
  }),
  arRow('SS', 'dpl-zero', {
    fields: ['GUEST_CS_AR_BYTES'],
    holds: (view) => (view.cr0.pe && view.segments.CS.type !== 3) || view.segments.SS.dpl === 0,
    says: 'the DPL must be 0, for CR0.PE is 0 or the type of CS is 3',
    mend: (view) => withDpl(view, 'SS', 0),
    breakIt: { state: 'real', change: () => ({ GUEST_SS_AR_BYTES: 0xb3n, GUEST_CS_AR_BYTES: 0x93n }) },
  }),
  ...DATA.map((name) =>
    arRow(name, 'dpl-not-below-rpl', {
      fields: [selector(name), 'SECONDARY_VM_EXEC_CONTROL'],
      holds: (view) => {
        const segment = view.segments[name];
        return view.unrestrictedGuest || !segment.isUsable || segment.type > 11 || segment.dpl >= segment.rpl;
      },
      says: "the DPL must not be less than the selector's RPL, for the type is 0 to 11 (data or nonconforming code)",
      mend: (view) => withDpl(view, name, view.segments[name].rpl),
      breakIt: (view) => ({ [selector(name)]: view.value(selector(name)) | 3n }),
    }),
  ),
  arRow('CS', 'db-with-l', {
    holds: (view) => !view.ia32eModeGuest || !view.segments.CS.ar.l || !view.segments.CS.ar.db,
    says: 'D/B (bit 14) must be 0, for L is 1 and the guest will be in IA-32e mode',
    mend: (view) => view.segments.CS.ar.with({ db: false }),
    breakIt: (view) => ({ GUEST_CS_AR_BYTES: view.segments.CS.ar.with({ db: true }) }),
  }),
];

const systemRows: readonly EntryCheckRow[] = [
  {
    id: 'guest.tr.type',
    section: SECTION,
    fields: ['GUEST_TR_AR_BYTES', 'VM_ENTRY_CONTROLS'],
    holds: (view) => view.segments.TR.type === 11 || (view.segments.TR.type === 3 && !view.ia32eModeGuest),
    says: (view) =>
      `${fieldValue(view, 'GUEST_TR_AR_BYTES')}: the type must be 11, a busy TSS${view.ia32eModeGuest ? ' of 64 bits' : ', or 3, a busy 16-bit TSS'}`,
    suggest: (view) => ({ GUEST_TR_AR_BYTES: withType(view, 'TR', 11) }),
    breakIt: (view) => ({ GUEST_TR_AR_BYTES: withType(view, 'TR', 3) }),
  },
  {
    id: 'guest.tr.s',
    section: SECTION,
    fields: ['GUEST_TR_AR_BYTES'],
    holds: (view) => !view.segments.TR.ar.s,
    says: (view) => `${fieldValue(view, 'GUEST_TR_AR_BYTES')}: S (bit 4) must be 0`,
    suggest: (view) => ({ GUEST_TR_AR_BYTES: view.segments.TR.ar.with({ s: false }) }),
    breakIt: (view) => ({ GUEST_TR_AR_BYTES: view.segments.TR.ar.with({ s: true }) }),
  },
  {
    id: 'guest.tr.usable',
    section: SECTION,
    fields: ['GUEST_TR_AR_BYTES'],
    holds: (view) => view.segments.TR.isUsable,
    says: (view) => `${fieldValue(view, 'GUEST_TR_AR_BYTES')}: TR must be usable (bit 16 must be 0)`,
    suggest: (view) => ({ GUEST_TR_AR_BYTES: view.segments.TR.ar.with({ unusable: false }) }),
    breakIt: (view) => ({ GUEST_TR_AR_BYTES: view.segments.TR.ar.with({ unusable: true }) }),
  },
  {
    id: 'guest.ldtr.type',
    section: SECTION,
    fields: ['GUEST_LDTR_AR_BYTES'],
    holds: (view) => !view.segments.LDTR.isUsable || view.segments.LDTR.type === 2,
    says: (view) => `${fieldValue(view, 'GUEST_LDTR_AR_BYTES')}: the type of a usable LDTR must be 2`,
    suggest: (view) => ({ GUEST_LDTR_AR_BYTES: withType(view, 'LDTR', 2) }),
    breakIt: () => ({ ...usableLdtr, GUEST_LDTR_AR_BYTES: 0x83n }),
  },
  {
    id: 'guest.ldtr.s',
    section: SECTION,
    fields: ['GUEST_LDTR_AR_BYTES'],
    holds: (view) => !view.segments.LDTR.isUsable || !view.segments.LDTR.ar.s,
    says: (view) => `${fieldValue(view, 'GUEST_LDTR_AR_BYTES')}: S (bit 4) must be 0`,
    suggest: (view) => ({ GUEST_LDTR_AR_BYTES: view.segments.LDTR.ar.with({ s: false }) }),
    breakIt: () => ({ ...usableLdtr, GUEST_LDTR_AR_BYTES: 0x92n }),
  },
];

/** Of these, segments care only for RFLAGS.VM, CR0.PE and "IA-32e mode guest". */
const onlyBits = { GUEST_RFLAGS: 1 << 17, GUEST_CR0: 1, VM_ENTRY_CONTROLS: 1 << 9 } as const;

const segmentRows: readonly EntryCheckRow[] = [
  ...selectorRows,
  ...baseRows,
  ...virtual8086Rows,
  ...codeAndStackRows,
  ...[...SIX, 'TR' as const, 'LDTR' as const].flatMap((name) => commonRows(name)),
  ...systemRows,
];

/** SDM Vol. 3C, "Checks on Guest Segment Registers". */
export const guestSegmentChecks: readonly EntryCheck[] = guestStateChecks(segmentRows.map((row) => ({ ...row, onlyBits })));

import type { ControlKey } from '../controls/tables.ts';
import type { VmcsFieldName } from '../vmcs/fields.ts';
import type { Breaking, EntryCheckRow, VmcsChanges } from './row.ts';
import type { EntryView } from './view.ts';

// Rules that the manual states again and again in the same words, as makers of rows.

/** `GUEST_CR3 is 0x1000`, for the words of a row. */
export function fieldValue(view: EntryView, name: VmcsFieldName): string {
  return `${name} is 0x${view.value(name).toString(16)}`;
}

/** What to write to turn controls on and off. Secondary and tertiary ones bring "activate secondary (tertiary) controls" along. */
export function turn(
  view: EntryView,
  settings: {
    readonly pinBased?: { readonly [Key in ControlKey<'pinBased'>]?: boolean };
    readonly primary?: { readonly [Key in ControlKey<'primary'>]?: boolean };
    readonly secondary?: { readonly [Key in ControlKey<'secondary'>]?: boolean };
    readonly tertiary?: { readonly [Key in ControlKey<'tertiary'>]?: boolean };
    readonly exit?: { readonly [Key in ControlKey<'exit'>]?: boolean };
    readonly entry?: { readonly [Key in ControlKey<'entry'>]?: boolean };
  },
): VmcsChanges {
  const changes: VmcsChanges = {};
  const { pinBased, primary, secondary, tertiary, exit, entry } = settings;
  if (pinBased !== undefined) changes.PIN_BASED_VM_EXEC_CONTROL = view.pinBased.with(pinBased);
  if (primary !== undefined || secondary !== undefined || tertiary !== undefined) {
    changes.CPU_BASED_VM_EXEC_CONTROL = view.primary.with({
      ...primary,
      ...(secondary === undefined ? {} : { activateSecondaryControls: true }),
      ...(tertiary === undefined ? {} : { activateTertiaryControls: true }),
    });
  }
  if (secondary !== undefined) changes.SECONDARY_VM_EXEC_CONTROL = view.secondary.with(secondary);
  if (tertiary !== undefined) changes.TERTIARY_VM_EXEC_CONTROL = view.tertiary.with(tertiary);
  if (exit !== undefined) changes.VM_EXIT_CONTROLS = view.exit.with(exit);
  if (entry !== undefined) changes.VM_ENTRY_CONTROLS = view.entry.with(entry);
  return changes;
}

/** What the makers of rows share. */
export interface Family {
  readonly section: string;
  readonly field: VmcsFieldName;
  /** The start of the ids: `control.io-bitmap-a`. */
  readonly id: string;
  /** The rule is asked only where this holds; always by default. */
  readonly when?: (view: EntryView) => boolean;
  /** The fields that `when` looks at. */
  readonly whenFields?: readonly VmcsFieldName[];
  /** The condition in words: `"use I/O bitmaps" is 1`. */
  readonly whenSays?: string;
  /** How to make the condition true on a sound guest. */
  readonly enable?: (view: EntryView) => VmcsValuesOf;
  readonly breaking?: Omit<Breaking, 'change'>;
  readonly qualification?: 0 | 2 | 4;
}
type VmcsValuesOf = ReturnType<Breaking['change']>;

function familyRow(
  family: Family,
  suffix: string,
  holds: (view: EntryView) => boolean,
  says: string,
  mend: (view: EntryView) => bigint,
  broken: (view: EntryView) => bigint,
): EntryCheckRow {
  const { field, when } = family;
  const condition = family.whenSays === undefined ? '' : `${family.whenSays}, but `;
  return {
    id: `${family.id}.${suffix}`,
    section: family.section,
    fields: [field, ...(family.whenFields ?? [])],
    ...(family.qualification === undefined ? {} : { qualification: family.qualification }),
    holds: when === undefined ? holds : (view) => !when(view) || holds(view),
    says: (view) => `${condition}${fieldValue(view, field)}: ${says}`,
    suggest: (view) => ({ [field]: mend(view) }),
    breakIt: { ...family.breaking, change: (view) => ({ ...family.enable?.(view), [field]: broken(view) }) },
  };
}

/** Bits `bits - 1`:0 of an address must be 0. */
export function alignedRow(family: Family, bits = 12): EntryCheckRow {
  const mask = 2 ** bits - 1;
  return familyRow(
    family,
    'aligned',
    (view) => (view.low(family.field) & mask) === 0,
    `bits ${bits - 1}:0 must be 0`,
    (view) => view.value(family.field) & ~BigInt(mask),
    (view) => (view.value(family.field) & ~BigInt(mask)) | 1n,
  );
}

/** An address must not set any bit beyond the processor's physical-address width. */
export function physicalRow(family: Family): EntryCheckRow {
  const width = (view: EntryView): bigint => BigInt(view.capabilities.processor.physicalAddressWidth);
  return familyRow(
    family,
    'physical-address-width',
    (view) => view.isPhysical(family.field),
    'it must not set any bit beyond the physical-address width',
    (view) => BigInt.asUintN(Number(width(view)), view.value(family.field)),
    (view) => view.value(family.field) | (1n << width(view)),
  );
}

/** Both rules of the address of a page. */
export function addressRows(family: Family, bits = 12): readonly EntryCheckRow[] {
  return [alignedRow(family, bits), physicalRow(family)];
}

/** An address must be canonical. */
export function canonicalRow(family: Family): EntryCheckRow {
  return familyRow(
    family,
    'canonical',
    (view) => view.isCanonical(family.field),
    'it must be canonical',
    (view) => BigInt.asUintN(64, BigInt.asIntN(view.capabilities.processor.linearAddressWidth, view.value(family.field))),
    () => 0x4000_0000_0000_0000n,
  );
}

/** Bits outside a mask must be 0. */
export function reservedRow(family: Family, allowed: (view: EntryView) => bigint, broken: bigint): EntryCheckRow {
  return familyRow(
    family,
    'reserved',
    (view) => {
      const mask = allowed(view);
      const isClear = (view.low(family.field) & ~Number(mask & 0xffff_ffffn)) === 0;
      return isClear && (view.high(family.field) & ~Number(mask >> 32n)) === 0;
    },
    'reserved bits must be 0',
    (view) => view.value(family.field) & allowed(view),
    (view) => view.value(family.field) | broken,
  );
}

/** Every byte of a PAT must be a memory type: 0 (UC), 1 (WC), 4 (WT), 5 (WP), 6 (WB) or 7 (UC-). */
export function patRow(family: Family): EntryCheckRow {
  const isType = (byte: number): boolean => byte === 0 || byte === 1 || (byte >= 4 && byte <= 7);
  const wordHolds = (word: number): boolean =>
    isType(word & 0xff) && isType((word >>> 8) & 0xff) && isType((word >>> 16) & 0xff) && isType(word >>> 24);
  return familyRow(
    family,
    'memory-types',
    (view) => wordHolds(view.low(family.field)) && wordHolds(view.high(family.field)),
    'each byte must be 0 (UC), 1 (WC), 4 (WT), 5 (WP), 6 (WB) or 7 (UC-)',
    (view) => {
      const old = view.value(family.field);
      let mended = 0n;
      for (let shift = 0n; shift < 64n; shift += 8n) {
        const byte = (old >> shift) & 0xffn;
        mended |= (isType(Number(byte)) ? byte : 6n) << shift;
      }
      return mended;
    },
    () => 0x0007_0406_0007_0402n,
  );
}

/** A control may be 1 only where others are as they should be. */
export function needsRow(row: {
  readonly id: string;
  readonly section: string;
  readonly fields: readonly VmcsFieldName[];
  /** The control that has a condition. */
  readonly isOn: (view: EntryView) => boolean;
  readonly condition: (view: EntryView) => boolean;
  readonly says: string;
  readonly suggest: (view: EntryView) => VmcsChanges;
  readonly breakIt: EntryCheckRow['breakIt'];
}): EntryCheckRow {
  const { isOn, condition, ...rest } = row;
  return { ...rest, holds: (view) => !isOn(view) || condition(view) };
}

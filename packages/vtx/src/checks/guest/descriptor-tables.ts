import { canonicalRow, fieldValue } from '../families.ts';
import { type EntryCheck, guestStateChecks } from '../row.ts';

const SECTION = '27.3.1.3';

/** SDM Vol. 3C, "Checks on Guest Descriptor-Table Registers". */
export const guestDescriptorTableChecks: readonly EntryCheck[] = guestStateChecks(
  (['GDTR', 'IDTR'] as const).flatMap((name) => {
    const field = `GUEST_${name}_LIMIT` as const;
    return [
      canonicalRow({ id: `guest.${name.toLowerCase()}.base`, section: SECTION, field: `GUEST_${name}_BASE` }),
      {
        id: `guest.${name.toLowerCase()}.limit`,
        section: SECTION,
        fields: [field],
        holds: (view) => view.low(field) >>> 16 === 0,
        says: (view) => `${fieldValue(view, field)}: bits 31:16 must be 0`,
        suggest: (view) => ({ [field]: view.value(field) & 0xffffn }),
        breakIt: () => ({ [field]: 0x1_ffffn }),
      },
    ];
  }),
);

import type { VmcsFieldName } from '../../vmcs/fields.ts';
import { addressRows, fieldValue } from '../families.ts';
import type { EntryCheckRow } from '../row.ts';

/** Bytes of an entry of an MSR area: index, reserved, data (SDM Vol. 3C, 25.7.2). */
export const MSR_ENTRY_BYTES = 16;

/** The rules of an MSR area whose count is not 0: aligned to 16 bytes, first and last byte within the physical-address width (the same words in 27.2.1.2 and 27.2.1.3). */
export function msrAreaRows(section: string, id: string, countField: VmcsFieldName, field: VmcsFieldName): readonly EntryCheckRow[] {
  const family = {
    id,
    section,
    field,
    when: (view: Parameters<EntryCheckRow['holds']>[0]) => view.low(countField) !== 0,
    whenFields: [countField],
    whenSays: `${countField} is not 0`,
    enable: () => ({ [countField]: 1n }),
  } as const;
  return [
    ...addressRows(family, 4),
    {
      id: `${id}.last-byte`,
      section,
      fields: [countField, field],
      holds: (view) => {
        const count = view.low(countField);
        if (count === 0 || !view.isPhysical(field)) return true;
        return view.address(field) + count * MSR_ENTRY_BYTES <= 2 ** view.capabilities.processor.physicalAddressWidth;
      },
      says: (view) =>
        `${fieldValue(view, countField)} and ${fieldValue(view, field)}: the last byte lies beyond the physical-address width`,
      suggest: (view) => ({
        [countField]: BigInt(Math.floor((2 ** view.capabilities.processor.physicalAddressWidth - view.address(field)) / MSR_ENTRY_BYTES)),
      }),
      breakIt: (view) => ({ [countField]: 2n, [field]: (1n << BigInt(view.capabilities.processor.physicalAddressWidth)) - 16n }),
    },
  ];
}

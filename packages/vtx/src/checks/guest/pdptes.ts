import { fieldValue, turn } from '../families.ts';
import { type EntryCheck, type EntryCheckRow, guestStateChecks } from '../row.ts';
import type { EntryView } from '../view.ts';

const SECTION = '27.3.1.6';

/** Whether a PDPTE is not present, or has no reserved bit set: 2:1, 8:5, and those beyond the physical-address width (SDM Vol. 3A, 4.4.1). */
function isSound(low: number, high: number, physicalAddressWidth: number): boolean {
  return (low & 1) === 0 || ((low & 0x1e6) === 0 && high >>> (physicalAddressWidth - 32) === 0);
}

/** The number of the first PDPTE in memory that is not sound; undefined where all are, or where nothing is known of the memory. */
function unsoundInMemory(view: EntryView): number | undefined {
  const { read32 } = view.environment;
  if (read32 === undefined || !view.usesPaePaging || view.secondary.enableEpt) return undefined;
  const table = (view.low('GUEST_CR3') & ~31) >>> 0;
  for (let n = 0; n < 4; n++) {
    const [low, high] = [read32(table + 8 * n), read32(table + 8 * n + 4)];
    if (low !== undefined && high !== undefined && !isSound(low, high, view.capabilities.processor.physicalAddressWidth)) return n;
  }
  return undefined;
}

/** SDM Vol. 3C, "Checks on Guest Page-Directory-Pointer-Table Entries". */
export const guestPdpteChecks: readonly EntryCheck[] = guestStateChecks([
  ...(['GUEST_PDPTR0', 'GUEST_PDPTR1', 'GUEST_PDPTR2', 'GUEST_PDPTR3'] as const).map(
    (field, n): EntryCheckRow => ({
      id: `guest.pdpte${n}`,
      section: SECTION,
      qualification: 2,
      fields: [field, 'GUEST_CR0', 'GUEST_CR4', 'VM_ENTRY_CONTROLS', 'SECONDARY_VM_EXEC_CONTROL'],
      holds: (view) =>
        !view.usesPaePaging ||
        !view.secondary.enableEpt ||
        isSound(view.low(field), view.high(field), view.capabilities.processor.physicalAddressWidth),
      says: (view) => `the guest will use PAE paging, but ${fieldValue(view, field)}: P is 1 and a reserved bit is set`,
      suggest: (view) => ({
        [field]: BigInt.asUintN(view.capabilities.processor.physicalAddressWidth, view.value(field)) & ~0x1e6n,
      }),
      breakIt: { state: 'pae', change: () => ({ [field]: 0x1003n }) },
    }),
  ),
  {
    id: 'guest.pdptes-in-memory',
    section: SECTION,
    qualification: 2,
    fields: ['GUEST_CR3', 'GUEST_CR0', 'GUEST_CR4', 'VM_ENTRY_CONTROLS', 'SECONDARY_VM_EXEC_CONTROL'],
    usesEnvironment: 'memory',
    holds: (view) => unsoundInMemory(view) === undefined,
    says: (view) =>
      `the guest will use PAE paging without EPT, but PDPTE${unsoundInMemory(view)} in memory at ${fieldValue(view, 'GUEST_CR3')} has P = 1 and a reserved bit set`,
    // Only memory can mend the entry itself; without PAE the guest has none.
    suggest: (view) => ({ GUEST_CR4: view.cr4.with({ pae: false }) }),
    breakIt: {
      state: 'pae',
      environment: { read32: () => 3 },
      change: (view) => turn(view, { secondary: { enableEpt: false } }),
    },
  },
]);

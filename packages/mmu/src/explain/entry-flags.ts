import { TableKind } from './recorder.ts';

const STRUCTURES = ['', 'PTE', 'PDE', 'PDPTE', 'PML4E', 'PML5E'] as const;

/** Name of the entry at a level, as in the manual: `PML4E`, `EPT PDE`. */
export function structureName(table: number, level: number): string {
  return (table === TableKind.EPT ? 'EPT ' : '') + STRUCTURES[level]!;
}

const GUEST_FLAGS = [
  [0, 'P'],
  [1, 'R/W'],
  [2, 'U/S'],
  [3, 'PWT'],
  [4, 'PCD'],
  [5, 'A'],
  [6, 'D'],
  [7, 'PS'],
  [8, 'G'],
  [63, 'XD'],
] as const;

const EPT_FLAGS = [
  [0, 'R'],
  [1, 'W'],
  [2, 'X'],
  [6, 'IPAT'],
  [7, 'PS'],
  [8, 'A'],
  [9, 'D'],
  [10, 'XU'],
] as const;

const EPT_MEMORY_TYPES = ['UC', 'WC', 'type 2', 'type 3', 'WT', 'WP', 'WB', 'type 7'] as const;

/** The flags that are 1 in an entry, by the manual's names (SDM Vol. 3A Tables 4-5 to 4-20, Vol. 3C Tables 29-1 to 29-7); of a page in EPT its memory type too. */
export function entryFlags(table: number, level: number, entry: bigint): string[] {
  const names: string[] = [];
  const bit = (at: number) => ((entry >> BigInt(at)) & 1n) === 1n;
  const mapsPage = level === 1 || (level <= 3 && bit(7));
  for (const [at, name] of table === TableKind.EPT ? EPT_FLAGS : GUEST_FLAGS) {
    if (!bit(at)) continue;
    if (name === 'PS' && level === 1) {
      if (table === TableKind.GUEST) names.push('PAT');
    } else if (mapsPage || (name !== 'D' && name !== 'G' && name !== 'IPAT')) names.push(name);
  }
  if (table === TableKind.GUEST && level > 1 && mapsPage && bit(12)) names.push('PAT');
  if (table === TableKind.EPT && mapsPage && (entry & 7n) !== 0n) names.push(EPT_MEMORY_TYPES[Number((entry >> 3n) & 7n)]!);
  return names;
}

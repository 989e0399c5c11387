/**
 * How the entries of EPT (SDM Vol. 3C, 29.3.2) or NPT tables (APM Vol. 2, 15.25) are written: four levels of 512 entries of eight bytes; KVM owns the tables, the vendor
 * module their bits. Values are two unsigned 32-bit halves, without BigInt.
 */
export interface SecondStageFormat {
  /** What a table's entry says: reads, writes and fetches are allowed below it. */
  table(hpa: number): EntryHalves;
  /** A page of 4 KiB (level 1) or 2 MiB (level 2), write-back. */
  leaf(hpa: number, level: 1 | 2, writable: boolean, executable: boolean): EntryHalves;
  /** An entry whose access always exits as "not present". */
  readonly absent: EntryHalves;
  isPresent(low: number, high: number): boolean;
  isLeaf(low: number, high: number, level: number): boolean;
  isWritable(low: number, high: number): boolean;
  isDirty?(low: number, high: number): boolean;
  /** Host-physical address in an entry, bytes. */
  address(low: number, high: number): number;
}
export interface EntryHalves {
  readonly low: number;
  readonly high: number;
}

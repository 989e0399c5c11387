import type { StageResult } from '../second-stage/second-stage.ts';

/** Which kind of table an entry stands in. */
export const TableKind = { GUEST: 0, EPT: 1 } as const;

/** A witness of a walk: the walkers call it at each step, unless it is null. A locked update that met another value makes the walk begin again, from the top entry. */
export interface WalkRecorder {
  /**
   * An entry was read.
   * @param table one of `TableKind`
   * @param level 5 PML5E, 4 PML4E, 3 PDPTE, 2 PDE, 1 PTE
   * @param address where it was read, in the address space that the table lives in; -1 for a PDPTE register
   * @param lo bits 31:0 @param hi bits 63:32, 0 for a 4-byte entry
   */
  entry(table: number, level: number, address: number, lo: number, hi: number): void;
  /** A or D flags of the entry at `address` are being set (with `Access.INSPECT`: would be): its low half is to be `lo`. */
  update(address: number, lo: number): void;
  /** The second stage is about to be asked for `gpa`. */
  enterStage(gpa: number, access: number): void;
  /** It has answered. */
  leaveStage(result: StageResult): void;
}

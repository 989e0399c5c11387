import { InvalidArgumentError } from '@minusone/core';
import { highReservedBits } from '../guest/paging-controls.ts';

/** What `EptControls` is made from; capabilities are those of IA32_VMX_EPT_VPID_CAP. Booleans are false unless said otherwise. */
export interface EptFields {
  /** EPTP bits 51:12: physical address of the EPT PML4 or PML5 table, bytes. Bits 11:0 are ignored. */
  readonly root: number;
  /** EPT page-walk length, 4 unless given. */
  readonly levels?: 4 | 5;
  /** EPTP bit 6: accessed and dirty flags for EPT. */
  readonly accessedDirty?: boolean;
  /** The VM-execution control "mode-based execute control for EPT": bit 10 is execute access for user-mode linear addresses. */
  readonly modeBasedExecute?: boolean;
  /** Capability bit 0: execute-only translations. True unless given. */
  readonly executeOnly?: boolean;
  /** Capability bit 16: 2-MByte pages. True unless given. */
  readonly mbPages?: boolean;
  /** Capability bit 17: 1-GByte pages. True unless given. */
  readonly gbPages?: boolean;
  /** Capability bit 22: bits 11:9 of the exit qualification say what the linear address is. */
  readonly advancedExitInformation?: boolean;
  /** MAXPHYADDR, 32 to 52; 36 unless given. */
  readonly maxPhyAddr?: number;
}

/** An EPT hierarchy as EPTP, controls and capabilities say; made once, read on every walk. Reserved bits: SDM Vol. 3C 29.3.2 "EPT Translation Mechanism". */
export class EptControls {
  readonly root: number;
  readonly levels: 4 | 5;
  readonly accessedDirty: boolean;
  readonly modeBasedExecute: boolean;
  readonly executeOnly: boolean;
  readonly advancedExitInformation: boolean;
  readonly maxPhyAddr: number;

  /** By level: 1 if bit 7 of an entry may say that it maps a page. */
  readonly largePages: Int32Array;
  /** Reserved bits 63:32 of every entry. */
  readonly reservedHi: number;
  /** By level: reserved bits 31:0 of an entry that references a table. */
  readonly reservedTableLo: Int32Array;
  /** By level: reserved bits 31:0 of an entry that maps a page. */
  readonly reservedLeafLo: Int32Array;

  /** @throws {InvalidArgumentError} `root` or `maxPhyAddr` is out of range */
  constructor(fields: EptFields) {
    const { root, maxPhyAddr = 36, mbPages = true, gbPages = true } = fields;
    if (!Number.isSafeInteger(root) || root < 0 || root >= 2 ** 52) {
      throw new InvalidArgumentError(`The EPT root ${root} is not a physical address.`, 'It is a whole number of bytes below 2^52.', {
        root,
      });
    }
    if (!Number.isInteger(maxPhyAddr) || maxPhyAddr < 32 || maxPhyAddr > 52) {
      throw new InvalidArgumentError(`MAXPHYADDR cannot be ${maxPhyAddr}.`, 'It is a whole number from 32 to 52.', { maxPhyAddr });
    }
    this.root = root - (root % 4096);
    this.levels = fields.levels ?? 4;
    this.accessedDirty = fields.accessedDirty ?? false;
    this.modeBasedExecute = fields.modeBasedExecute ?? false;
    this.executeOnly = fields.executeOnly ?? true;
    this.advancedExitInformation = fields.advancedExitInformation ?? false;
    this.maxPhyAddr = maxPhyAddr;
    this.largePages = Int32Array.of(0, 0, mbPages ? 1 : 0, gbPages ? 1 : 0, 0, 0);
    this.reservedHi = highReservedBits(maxPhyAddr, false);
    // Bits 7:3 of PML5Es and PML4Es; bits 6:3 of PDPTEs and PDEs, whose bit 7 is reserved only without large pages.
    this.reservedTableLo = Int32Array.of(0, 0, mbPages ? 0x78 : 0xf8, gbPages ? 0x78 : 0xf8, 0xf8, 0xf8);
    // Bits 20:12 of a PDE that maps 2 MBytes, bits 29:12 of a PDPTE that maps 1 GByte.
    this.reservedLeafLo = Int32Array.of(0, 0, 0x001f_f000, 0x3fff_f000, 0, 0);
  }
}

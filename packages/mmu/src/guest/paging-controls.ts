import { InvalidArgumentError } from '@minusone/core';

/** The paging modes of SDM Vol. 3A 4.1.1 "Four Paging Modes". `none`: CR0.PG is 0. */
export type PagingKind = 'none' | '32-bit' | 'pae' | '4-level' | '5-level';

/** What `PagingControls` is made from. Booleans are the control bits of their names, all 0 unless given. */
export interface PagingFields {
  readonly kind: PagingKind;
  /** Physical address in CR3, bytes. Bits 11:0 (PCID, PWT, PCD) are ignored. Not used by `none`, and by `pae` only to say where the PDPTEs came from. */
  readonly root?: number;
  /** `pae`: the four PDPTEs that MOV to CR3 loaded (SDM Vol. 3A 4.4.1 "PDPTE Registers"). */
  readonly pdptes?: readonly [bigint, bigint, bigint, bigint];
  /** CR0.WP. */
  readonly wp?: boolean;
  /** CR4.SMEP. */
  readonly smep?: boolean;
  /** CR4.SMAP. */
  readonly smap?: boolean;
  /** IA32_EFER.NXE. */
  readonly nxe?: boolean;
  /** CR4.PSE: 4-MByte pages in 32-bit paging; the other modes have large pages without it. */
  readonly pse?: boolean;
  /** CR4.PGE. */
  readonly pge?: boolean;
  /** CPUID.01H:EDX.PSE-36. */
  readonly pse36?: boolean;
  /** CPUID.80000001H:EDX.Page1GB. */
  readonly gbPages?: boolean;
  /** MAXPHYADDR: CPUID.80000008H:EAX[7:0], 32 to 52. 36 unless given. */
  readonly maxPhyAddr?: number;
  /**
   * Bit 8 of PML5Es, PML4Es and of PDPTEs that reference a table is reserved, as on AMD processors (APM Vol. 2 5.3.3 "4-Kbyte Page
   * Translation", MBZ); Intel's ignore it.
   */
  readonly tableGlobalReserved?: boolean;
}

/** Page size. */
const PS = 1 << 7;
const G = 1 << 8;

/**
 * Paging as CR0, CR3, CR4, IA32_EFER and CPUID say: made once when one of them changes, read on every walk. The fields after
 * `maxPhyAddr` are derived: how many levels, and which bits of an entry are reserved (SDM Vol. 3A 4.3 to 4.5).
 */
export class PagingControls {
  readonly kind: PagingKind;
  readonly root: number;
  readonly wp: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
  readonly nxe: boolean;
  readonly pse: boolean;
  readonly pge: boolean;
  readonly pse36: boolean;
  readonly gbPages: boolean;
  readonly maxPhyAddr: number;

  /** Level of the entries that `root` points to: 0 none, 2 32-bit, 3 PAE (the PDPTE registers), 4, 5. */
  readonly topLevel: number;
  /** Entries are 8 bytes: PAE, 4-level, 5-level. */
  readonly wideEntries: boolean;
  /** The highest level at which PS = 1 maps a page. */
  readonly maxLeafLevel: number;
  /** An entry's XD bit means execute-disable. */
  readonly xd: boolean;
  /** The I/D flag of page-fault error codes is reported (SDM Vol. 3A 4.7): CR4.SMEP, or CR4.PAE with IA32_EFER.NXE. */
  readonly reportsFetch: boolean;
  /** Reserved bits 63:32 of every 8-byte entry. */
  readonly reservedHi: number;
  /** By level: reserved bits 31:0 of an entry that references a table. */
  readonly reservedTableLo: Int32Array;
  /** By level: reserved bits 31:0 of an entry that maps a page. */
  readonly reservedLeafLo: Int32Array;
  /** PDPTE registers: low half, high half, four times. */
  readonly pdptes: Int32Array;

  /** @throws {InvalidArgumentError} `maxPhyAddr` or `root` is out of range, or `pae` comes without PDPTEs */
  constructor(fields: PagingFields) {
    const { kind, root = 0, maxPhyAddr = 36, pdptes } = fields;
    if (!Number.isInteger(maxPhyAddr) || maxPhyAddr < 32 || maxPhyAddr > 52) {
      throw new InvalidArgumentError(`MAXPHYADDR cannot be ${maxPhyAddr}.`, 'It is a whole number from 32 to 52.', { maxPhyAddr });
    }
    if (!Number.isSafeInteger(root) || root < 0 || root >= 2 ** 52) {
      throw new InvalidArgumentError(`The root ${root} is not a physical address.`, 'It is a whole number of bytes below 2^52.', { root });
    }
    if (kind === 'pae' && pdptes === undefined) {
      throw new InvalidArgumentError('PAE paging has no PDPTEs.', 'Give the four that MOV to CR3 loaded: `pdptes`.', { root });
    }
    this.kind = kind;
    this.root = root - (root % 4096);
    this.wp = fields.wp ?? false;
    this.smep = fields.smep ?? false;
    this.smap = fields.smap ?? false;
    this.nxe = fields.nxe ?? false;
    this.pse = fields.pse ?? false;
    this.pge = fields.pge ?? false;
    this.pse36 = fields.pse36 ?? false;
    this.gbPages = fields.gbPages ?? false;
    this.maxPhyAddr = maxPhyAddr;

    const longMode = kind === '4-level' || kind === '5-level';
    this.topLevel = TOP_LEVEL[kind];
    this.wideEntries = longMode || kind === 'pae';
    this.xd = this.wideEntries && this.nxe;
    this.reportsFetch = this.smep || this.xd;
    this.maxLeafLevel = longMode && this.gbPages ? 3 : longMode || kind === 'pae' || this.pse ? 2 : 1;
    this.reservedHi = (this.wideEntries ? highReservedBits(maxPhyAddr, kind === 'pae') | (this.nxe ? 0 : 1 << 31) : 0) | 0;

    this.reservedTableLo = new Int32Array(6);
    this.reservedLeafLo = new Int32Array(6);
    if (kind === '32-bit') {
      this.reservedLeafLo[2] = reservedBitsOf4MbytePage(this.pse36, maxPhyAddr);
    } else {
      const globalBit = fields.tableGlobalReserved === true ? G : 0;
      this.reservedLeafLo[2] = bits(20, 13); // 2-MByte page
      this.reservedLeafLo[3] = bits(29, 13); // 1-GByte page
      this.reservedTableLo[3] = (this.gbPages ? 0 : PS) | globalBit;
      this.reservedTableLo[4] = PS | globalBit;
      this.reservedTableLo[5] = PS | globalBit;
    }
    this.pdptes = new Int32Array(8);
    pdptes?.forEach((pdpte, i) => {
      this.pdptes[2 * i] = Number(BigInt.asIntN(32, pdpte));
      this.pdptes[2 * i + 1] = Number(BigInt.asIntN(32, pdpte >> 32n));
    });
  }
}

const TOP_LEVEL = { none: 0, '32-bit': 2, pae: 3, '4-level': 4, '5-level': 5 } as const;

/** Bits 1, 2 and 5 to 8 of a PDPTE. */
export const PDPTE_RESERVED_LO = 0x1e6;

/**
 * True if a present PDPTE has a reserved bit set: MOV to CR3 (and whatever else loads PDPTEs) then raises #GP(0) and loads none
 * (SDM Vol. 3A 4.4.1 "PDPTE Registers", Table 4-8: bits 2:1, 8:5, 63:MAXPHYADDR).
 *
 * @param lo bits 31:0 @param hi bits 63:32 @param maxPhyAddr 32 to 52
 */
export function pdpteHasReservedBits(lo: number, hi: number, maxPhyAddr: number): boolean {
  return (lo & 1) !== 0 && ((lo & PDPTE_RESERVED_LO) !== 0 || (hi & pdpteReservedHi(maxPhyAddr)) !== 0);
}

function pdpteReservedHi(maxPhyAddr: number): number {
  return highReservedBits(maxPhyAddr, true) | (1 << 31);
}

/** Bits 51:MAXPHYADDR as bits of the high half; with `to62`, bits 62:MAXPHYADDR. */
export function highReservedBits(maxPhyAddr: number, to62: boolean): number {
  const low = maxPhyAddr - 32;
  return (((to62 ? 0x7fff_ffff : 0x000f_ffff) >>> low) << low) | 0;
}

/** SDM Vol. 3A Table 4-4: bits 21:(M-19), where M is min(40, MAXPHYADDR) with PSE-36 and 32 without. */
function reservedBitsOf4MbytePage(pse36: boolean, maxPhyAddr: number): number {
  const m = pse36 ? Math.min(40, maxPhyAddr) : 32;
  return bits(21, m - 19);
}

/** A mask of bits `high` to `low`, both within 0 to 30; 0 if high < low. */
function bits(high: number, low: number): number {
  return high < low ? 0 : ((1 << (high + 1)) - 1) & ~((1 << low) - 1);
}

import { type HostPages, pageBytes, type VendorMsrIntercepts } from '@minusone/kvm';

/** Where the four bitmaps of 1 KiB stand in the page (SDM Vol. 3C, 25.6.9 "MSR-Bitmap Address"). */
const READ_LOW = 0;
const READ_HIGH = 0x400;
const WRITES = 0x800;
const HIGH_MSRS = 0xc000_0000;
const MSRS = 0x2000;

/** Which MSRs RDMSR and WRMSR exit for. All do at first; those outside the two ranges always do. */
export class MsrBitmap implements VendorMsrIntercepts {
  readonly hpa: number;
  readonly #bytes: Uint8Array;

  constructor(pages: HostPages) {
    this.hpa = pages.allocate();
    this.#bytes = pageBytes(pages.memory, this.hpa);
    this.#bytes.fill(0xff);
  }

  /** @returns false where the bitmaps have no bit for the MSR: it always exits */
  set(index: number, read: boolean, write: boolean): boolean {
    const msr = index >>> 0;
    let offset: number;
    if (msr < MSRS) offset = READ_LOW;
    else if (msr >= HIGH_MSRS && msr < HIGH_MSRS + MSRS) offset = READ_HIGH;
    else return false;
    const at = offset + ((msr & (MSRS - 1)) >>> 3);
    this.#setBit(at, msr & 7, read);
    this.#setBit(at + WRITES, msr & 7, write);
    return true;
  }
  #setBit(at: number, bit: number, on: boolean): void {
    const mask = 1 << bit;
    const byte = this.#bytes[at] as number;
    this.#bytes[at] = on ? byte | mask : byte & ~mask;
  }
}

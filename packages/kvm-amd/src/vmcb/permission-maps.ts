import { type HostPages, pageBytes, type VendorMsrIntercepts } from '@minusone/kvm';
import { PAGE_BYTES } from '@minusone/memory';

/** What RDMSR and WRMSR of the guest exit for: two bits an MSR, the low one for reads (APM Vol. 2 15.11 "MSR Intercepts"). All do at first; MSRs outside the three ranges always do. */
export class MsrPermissionMap implements VendorMsrIntercepts {
  static readonly PAGES = 2;
  readonly hpa: number;
  readonly #bytes: Uint8Array;

  constructor(pages: HostPages) {
    this.hpa = pages.allocate(MsrPermissionMap.PAGES);
    this.#bytes = pages.memory.u8.subarray(this.hpa, this.hpa + MsrPermissionMap.PAGES * PAGE_BYTES);
    this.#bytes.fill(0xff);
  }

  /** @returns false where the map has no bits for the MSR: it always exits */
  set(index: number, read: boolean, write: boolean): boolean {
    const place = placeOf(index >>> 0);
    if (place < 0) return false;
    const shift = (place & 3) * 2;
    const bits = (read ? 1 : 0) | (write ? 2 : 0);
    this.#bytes[place >>> 2] = ((this.#bytes[place >>> 2] as number) & ~(3 << shift)) | (bits << shift);
    return true;
  }
}

/** The three ranges of the map, 2000H MSRs each, and where in the map they begin, counted in MSRs. */
const RANGES: readonly (readonly [first: number, place: number])[] = [
  [0x0000_0000, 0x0000],
  [0xc000_0000, 0x2000],
  [0xc001_0000, 0x4000],
];

function placeOf(index: number): number {
  for (const [first, place] of RANGES) if (index >= first && index < first + 0x2000) return place + index - first;
  return -1;
}

/** One bit a port, and what follows for accesses that run over the last (APM Vol. 2 15.10.1 "I/O Permissions Map"): every port exits. */
export function ioPermissionMap(pages: HostPages): number {
  const hpa = pages.allocate(3);
  for (let page = 0; page < 3; page++) pageBytes(pages.memory, hpa + page * PAGE_BYTES).fill(0xff);
  return hpa;
}

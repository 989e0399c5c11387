import type { CpuidResult } from './leaves.ts';
import type { CpuModel } from './model.ts';

/** Bytes of the legacy region and the header of an XSAVE area (SDM Vol. 1, 13.4). */
export const XSAVE_HEADER_END = 576;
/** YMM's upper halves: 256 bytes after the header in the standard form (SDM Vol. 1, 13.5.3). */
export const AVX_OFFSET = 576;
export const AVX_BYTES = 256;

/** XCR0 bits that the model has: x87, SSE, AVX. */
export function supportedXcr0(model: CpuModel): number {
  return 3 | (model.has('AVX') ? 4 : 0);
}

/** Bytes of a standard-form area for these components. */
export function xsaveAreaBytes(components: number): number {
  return (components & 4) !== 0 ? AVX_OFFSET + AVX_BYTES : XSAVE_HEADER_END;
}

/** Leaf 0DH (SDM Vol. 2A, CPUID). Sub-leaf 1's feature bits are set already. */
export function xsaveLeaf(model: CpuModel, subleaf: number, xcr0: number, r: CpuidResult): void {
  const supported = supportedXcr0(model);
  if (subleaf === 0) Object.assign(r, { eax: supported, ebx: xsaveAreaBytes(xcr0), ecx: xsaveAreaBytes(supported) });
  else if (subleaf === 1) r.ebx = xsaveAreaBytes(xcr0);
  else if (subleaf === 2 && (supported & 4) !== 0) Object.assign(r, { eax: AVX_BYTES, ebx: AVX_OFFSET });
}

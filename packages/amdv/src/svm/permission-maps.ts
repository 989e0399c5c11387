import type { PhysicalAddressSpace } from '@minusone/memory';

/** MSRs that the map has bits for: three ranges of 2000H (APM Vol. 2, 15.11 "MSR Intercepts"). */
const RANGE_MSRS = 0x2000;
const RANGE_BYTES = 0x800;

/**
 * Whether the I/O permissions map intercepts an access (APM Vol. 2, 15.10.1 "I/O Permissions Map"): one bit a port; any of the accessed ports' is enough. The map has
 * three pages: the last is for accesses that run over port FFFFH.
 */
export function ioIntercepted(physical: PhysicalAddressSpace, base: number, port: number, size: number): boolean {
  const bits = physical.read16(base + (port >>> 3)) >>> (port & 7);
  return (bits & ((1 << size) - 1)) !== 0;
}

/** Whether the MSR permissions map intercepts RDMSR or WRMSR: two bits an MSR, the low one for reads. MSRs outside its ranges always are. */
export function msrIntercepted(physical: PhysicalAddressSpace, base: number, index: number, write: boolean): boolean {
  let range: number;
  let place: number;
  if (index < RANGE_MSRS) {
    range = 0;
    place = index;
  } else if (index >= 0xc000_0000 && index < 0xc000_0000 + RANGE_MSRS) {
    range = 1;
    place = index - 0xc000_0000;
  } else if (index >= 0xc001_0000 && index < 0xc001_0000 + RANGE_MSRS) {
    range = 2;
    place = index - 0xc001_0000;
  } else {
    return true;
  }
  const byte = physical.read8(base + range * RANGE_BYTES + (place >>> 2));
  return ((byte >>> ((place & 3) * 2 + (write ? 1 : 0))) & 1) !== 0;
}

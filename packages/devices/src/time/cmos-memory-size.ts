import type { Mc146818 } from './mc146818.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** CMOS bytes in which a PC's firmware looks for the size of memory; each group low byte first. */
export const CmosMemorySize = {
  /** Base memory in KiB. */
  BASE: 0x15,
  /** Memory from 1 MiB in KiB, at most 65535. */
  EXTENDED: 0x17,
  /** The same, as found by the power-on self-test. */
  EXTENDED_POST: 0x30,
  /** Memory from 16 MiB in 64 KiB. */
  ABOVE_16_MIB: 0x34,
  /** Memory from 4 GiB in 64 KiB, three bytes. */
  ABOVE_4_GIB: 0x5b,
} as const;

const CHECKSUM = 0x2e;

/**
 * Writes the size of memory to CMOS, as the AT's and later SETUP programs do, and the checksum over 0x10 to 0x2D.
 * @param below4GiB bytes of RAM from address 0
 * @param above4GiB bytes of RAM from 4 GiB
 */
export function writeCmosMemorySize(rtc: Mc146818, below4GiB: number, above4GiB = 0): void {
  const put = (index: number, value: number, bytes: number) => {
    const clamped = Math.min(Math.max(0, Math.floor(value)), 2 ** (8 * bytes) - 1);
    for (let byte = 0; byte < bytes; byte++) rtc.writeNvram(index + byte, Math.floor(clamped / 2 ** (8 * byte)) & 0xff);
  };
  put(CmosMemorySize.BASE, Math.min(below4GiB / KIB, 640), 2);
  put(CmosMemorySize.EXTENDED, (below4GiB - MIB) / KIB, 2);
  put(CmosMemorySize.EXTENDED_POST, (below4GiB - MIB) / KIB, 2);
  put(CmosMemorySize.ABOVE_16_MIB, (below4GiB - 16 * MIB) / (64 * KIB), 2);
  put(CmosMemorySize.ABOVE_4_GIB, above4GiB / (64 * KIB), 3);
  let sum = 0;
  for (let index = 0x10; index < CHECKSUM; index++) sum += rtc.readNvram(index);
  rtc.writeNvram(CHECKSUM, (sum >>> 8) & 0xff); // this one is high byte first
  rtc.writeNvram(CHECKSUM + 1, sum & 0xff);
}

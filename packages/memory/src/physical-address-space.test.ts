import { InvalidArgumentError, type MmioDevice, UnalignedAddressError } from '@minusone/core';
import { expect, test } from 'vitest';
import {
  DuplicateMemorySlotError,
  MachineMemory,
  MemorySlotOutOfRamError,
  MemorySlotOverlapError,
  MmioOverlapError,
  NoMemoryAtAddressError,
  NotMappedError,
  PageFlag,
  PhysicalAddressSpace,
  ReadOnlyMemoryError,
  UnknownMemorySlotError,
} from './index.ts';

const PAGE = 4096;

function make(ramPages = 16): { memory: MachineMemory; space: PhysicalAddressSpace; ram: number } {
  const memory = new MachineMemory({ ramBytes: ramPages * PAGE, reservedBytes: 0 });
  return { memory, space: new PhysicalAddressSpace(memory), ram: memory.ramOffset };
}

/** Answers each read with the offset's low byte in every byte, and records what it sees. */
function probe(): MmioDevice & { log: string[] } {
  const log: string[] = [];
  return {
    log,
    readMmio(offset, size) {
      log.push(`r${size}@${offset}`);
      return 0x1122_3344 + offset;
    },
    writeMmio(offset, size, value) {
      log.push(`w${size}@${offset}=${value.toString(16)}`);
    },
  };
}

test('a slot maps guest-physical pages to its host pages; elsewhere is a hole', () => {
  const { space, ram } = make();
  space.addSlot({ id: 0, gpa: 0x10_0000, bytes: 4 * PAGE, hostOffset: ram + 2 * PAGE });
  expect(space.hostPage(0x10_0000)).toBe(ram + 2 * PAGE);
  expect(space.hostPage(0x10_3fff)).toBe(ram + 5 * PAGE);
  expect(space.hostPage(0xf_ffff)).toBe(-1);
  expect(space.hostPage(0x10_4000)).toBe(-1);
  expect(space.pageFlags(0x10_0000)).toBe(PageFlag.RAM | PageFlag.WRITABLE);
  expect(space.pageFlags(0x10_4000)).toBe(0);
});

test('a hole reads all ones and drops writes', () => {
  const { space } = make();
  space.write8(0x5000, 1);
  space.write32(0x5000, 1);
  space.write64(0x5000, 1n);
  expect([space.read8(0x5000), space.read16(0x5000), space.read32(0x5000)]).toEqual([0xff, 0xffff, 0xffff_ffff]);
  expect(space.read64(0x5000)).toBe(0xffff_ffff_ffff_ffffn);
});

test('RAM above 4 GiB, and up to 2^52, comes from the same linear memory', () => {
  const { memory, space, ram } = make();
  const top = 2 ** 52 - PAGE;
  space.addSlot({ id: 0, gpa: 0, bytes: PAGE, hostOffset: ram });
  space.addSlot({ id: 1, gpa: 2 ** 32, bytes: PAGE, hostOffset: ram + PAGE });
  space.addSlot({ id: 2, gpa: top, bytes: PAGE, hostOffset: ram + 2 * PAGE });
  space.write32(0, 0x1111_1111);
  space.write32(2 ** 32, 0x2222_2222);
  space.write64(top + 4088, 0x8877_6655_4433_2211n);
  expect([space.read32(0), space.read32(2 ** 32), space.read32(2 ** 33)]).toEqual([0x1111_1111, 0x2222_2222, 0xffff_ffff]);
  expect(space.read64(top + 4088)).toBe(0x8877_6655_4433_2211n);
  expect(memory.u32[(ram + PAGE) / 4]).toBe(0x2222_2222);
  expect(space.hostPage(top)).toBe(ram + 2 * PAGE);
});

test('a page mapped where the last lookup above 4 GiB found a hole is seen', () => {
  const { space, ram } = make();
  expect(space.hostPage(2 ** 40)).toBe(-1);
  space.addSlot({ id: 0, gpa: 2 ** 40, bytes: PAGE, hostOffset: ram });
  expect(space.hostPage(2 ** 40)).toBe(ram);
});

test('typed accesses are little-endian and may cross pages whose host pages are apart', () => {
  const { space, ram } = make();
  space.addSlot({ id: 0, gpa: 0, bytes: PAGE, hostOffset: ram + 8 * PAGE });
  space.addSlot({ id: 1, gpa: PAGE, bytes: PAGE, hostOffset: ram });
  for (let offset = PAGE - 8; offset <= PAGE; offset++) {
    space.write64(offset, 0x0807_0605_8403_0201n);
    expect(space.read64(offset)).toBe(0x0807_0605_8403_0201n);
    expect(space.read64Lo(offset)).toBe(0x8403_0201);
    expect(space.hi).toBe(0x0807_0605);
    expect(space.read32(offset)).toBe(0x8403_0201);
    expect(space.read16(offset)).toBe(0x0201);
    space.write32(offset, 0xdead_beef);
    expect(space.read(offset, 5)).toEqual(Uint8Array.of(0xef, 0xbe, 0xad, 0xde, 5));
    space.write16(offset, 0xffff_1234);
    expect(space.read32(offset)).toBe(0xdead_1234);
  }
  space.write16(PAGE - 1, 0xaabb);
  expect([space.read8(PAGE - 1), space.read8(PAGE), space.read16(PAGE - 1)]).toEqual([0xbb, 0xaa, 0xaabb]);
  expect(space.read32(2 * PAGE - 2) >>> 16).toBe(0xffff);
});

test('ROM drops writes, reads its bytes, and takes them by load only', () => {
  const { space, ram } = make();
  space.addSlot({ id: 7, gpa: 0xf_0000, bytes: PAGE, hostOffset: ram, readOnly: true });
  space.load(0xf_0000, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  for (const offset of [0, 4094]) {
    space.write8(0xf_0000 + offset, 0xff);
    space.write16(0xf_0000 + offset, 0xffff);
    space.write32(0xf_0000 + offset, 0xffff_ffff);
    space.write64(0xf_0000 + offset, -1n);
  }
  expect(space.read64(0xf_0000)).toBe(0x0807_0605_0403_0201n);
  expect(space.read16(0xf_0ffe)).toBe(0);
  expect(() => space.write(0xf_0000, Uint8Array.of(9))).toThrow(ReadOnlyMemoryError);
  expect(space.pageFlags(0xf_0000)).toBe(PageFlag.RAM | PageFlag.ROM);
  expect(space.hostPage(0xf_0000)).toBe(ram);
});

test('the same host page at two addresses: ROM at one, RAM at the other', () => {
  const { space, ram } = make();
  space.addSlot({ id: 0, gpa: 0xf_0000, bytes: PAGE, hostOffset: ram, readOnly: true });
  space.addSlot({ id: 1, gpa: 0xffff_0000, bytes: PAGE, hostOffset: ram });
  space.write8(0xffff_0000, 0x42);
  space.write8(0xf_0000, 0);
  expect(space.read8(0xf_0000)).toBe(0x42);
});

test('an MMIO access inside a region goes to the device whole, with its size', () => {
  const { space } = make();
  const device = probe();
  space.mapMmio(0xfec0_0010, 16, device);
  expect(space.read32(0xfec0_0010)).toBe(0x1122_3344);
  expect(space.read16(0xfec0_0011)).toBe(0x3345);
  expect(space.read8(0xfec0_001f)).toBe(0x53);
  space.write32(0xfec0_0014, 0xffff_fffe);
  space.write8(0xfec0_0014, 0x1ff);
  expect(device.log).toEqual(['r4@0', 'r2@1', 'r1@15', 'w4@4=fffffffe', 'w1@4=ff']);
});

test('an MMIO access of 8 bytes is two of 4, low half first, unless the device takes it whole', () => {
  const { space } = make();
  const device = probe();
  space.mapMmio(0x1000, 16, device);
  expect(space.read64(0x1000)).toBe(0x1122_3348_1122_3344n);
  space.write64(0x1008, 0xaaaa_aaaa_bbbb_bbbbn);
  expect(device.log).toEqual(['r4@0', 'r4@4', 'w4@8=bbbbbbbb', 'w4@12=aaaaaaaa']);
  let written = 0n;
  const whole: MmioDevice = {
    ...probe(),
    readMmio64: (offset) => 0xfedc_ba98_7654_3210n + BigInt(offset),
    writeMmio64: (_, v) => (written = v),
  };
  space.mapMmio(0x2000, 16, whole);
  expect(space.read64(0x2008)).toBe(0xfedc_ba98_7654_3218n);
  space.write64(0x2000, 0xffff_ffff_0000_0001n);
  expect(written).toBe(0xffff_ffff_0000_0001n);
});

test('an access that leaves its region or page is made byte by byte', () => {
  const { space, ram } = make();
  space.addSlot({ id: 0, gpa: 0, bytes: PAGE, hostOffset: ram });
  space.load(0, new Uint8Array(PAGE).fill(0x77));
  const device = probe();
  space.mapMmio(0x100, 2, device);
  expect(space.read32(0xff)).toBe(0x7745_4477);
  space.write32(0xff, 0xa4a3_a2a1);
  expect(space.read8(0xff)).toBe(0xa1);
  expect(space.read8(0x102)).toBe(0xa4);
  expect(device.log).toEqual(['r1@0', 'r1@1', 'w1@0=a2', 'w1@1=a3']);
  const wide = probe();
  space.mapMmio(0x8000, 2 * PAGE, wide);
  space.read16(0x8fff);
  expect(wide.log).toEqual(['r1@4095', 'r1@4096']);
});

test('MMIO over RAM wins, its page has no host page, and unmapping uncovers the RAM', () => {
  const { space, ram } = make();
  space.addSlot({ id: 0, gpa: 0, bytes: 2 * PAGE, hostOffset: ram });
  space.write32(0x1010, 0x1234_5678);
  const region = space.mapMmio(0x1000, 16, probe());
  expect(space.hostPage(0x1800)).toBe(-1);
  expect(space.pageFlags(0x1800)).toBe(PageFlag.RAM | PageFlag.MMIO);
  expect(space.read32(0x1000)).toBe(0x1122_3344);
  expect(space.read32(0x1010)).toBe(0x1234_5678);
  space.write64(0x1010, 0x1_0000_0002n);
  expect(space.read64(0x1010)).toBe(0x1_0000_0002n);
  expect(space.hostPage(0)).toBe(ram);
  space.unmapMmio(region);
  expect(space.hostPage(0x1000)).toBe(ram + PAGE);
  expect(() => space.unmapMmio(region)).toThrow(NotMappedError);
});

test('RAM added under a standing MMIO region leaves the region on top', () => {
  const { space, ram } = make();
  space.mapMmio(0x1000, 16, probe());
  expect(space.pageFlags(0x1fff)).toBe(PageFlag.MMIO);
  space.addSlot({ id: 0, gpa: 0, bytes: 2 * PAGE, hostOffset: ram });
  expect(space.read32(0x1000)).toBe(0x1122_3344);
  expect(space.hostPage(0x1000)).toBe(-1);
  space.removeSlot(0);
  expect(space.read32(0x1000)).toBe(0x1122_3344);
  expect(space.pageFlags(0)).toBe(0);
});

test('an unmapped MMIO region, though accessed last, answers no more', () => {
  const { space } = make();
  const region = space.mapMmio(0x1000, 16, probe());
  expect(space.read32(0x1000)).toBe(0x1122_3344);
  space.unmapMmio(region);
  expect(space.read32(0x1000)).toBe(0xffff_ffff);
});

test('a very large MMIO region (1 TiB) costs nothing by page', () => {
  const { space } = make();
  const device = probe();
  space.mapMmio(2 ** 45, 2 ** 40, device);
  space.read8(2 ** 45 + 2 ** 40 - 1);
  space.read8(2 ** 45 + 2 ** 40);
  expect(device.log).toEqual([`r1@${2 ** 40 - 1}`]);
});

test('slots: every mistake is a named error and changes nothing', () => {
  const { space, ram } = make();
  space.addSlot({ id: 3, gpa: 0x4000, bytes: 4 * PAGE, hostOffset: ram });
  space.addSlot({ id: 4, gpa: 0x10000, bytes: PAGE, hostOffset: ram });
  const before = space.slots();
  const good = { id: 9, gpa: 0x2_0000, bytes: PAGE, hostOffset: ram };
  expect(() => space.addSlot({ ...good, gpa: 0x7000 })).toThrow(MemorySlotOverlapError);
  expect(() => space.addSlot({ ...good, gpa: 0x3000, bytes: 6 * PAGE })).toThrow(
    'Memory slot 9 (0x3000..0x8fff) overlaps slot 3 (0x4000..0x7fff).',
  );
  expect(() => space.addSlot({ ...good, id: 3 })).toThrow(DuplicateMemorySlotError);
  expect(() => space.addSlot({ ...good, gpa: 0x2_0001 })).toThrow(UnalignedAddressError);
  expect(() => space.addSlot({ ...good, bytes: 100 })).toThrow(UnalignedAddressError);
  expect(() => space.addSlot({ ...good, hostOffset: ram + 8 })).toThrow(UnalignedAddressError);
  expect(() => space.addSlot({ ...good, hostOffset: ram - PAGE })).toThrow(MemorySlotOutOfRamError);
  expect(() => space.addSlot({ ...good, hostOffset: ram + 16 * PAGE })).toThrow(MemorySlotOutOfRamError);
  expect(() => space.addSlot({ ...good, bytes: 0 })).toThrow(InvalidArgumentError);
  expect(() => space.addSlot({ ...good, gpa: -PAGE })).toThrow(InvalidArgumentError);
  expect(() => space.addSlot({ ...good, gpa: 2 ** 52 })).toThrow(InvalidArgumentError);
  expect(() => space.addSlot({ ...good, id: 0.5 })).toThrow(InvalidArgumentError);
  expect(() => space.removeSlot(5)).toThrow(UnknownMemorySlotError);
  expect(() => space.changeSlot(3, { gpa: 0xd000 })).toThrow(MemorySlotOverlapError);
  expect(space.slots()).toEqual(before);
  expect(space.hostPage(0x4000)).toBe(ram);
});

test('changeSlot moves a slot, also onto where it overlaps itself, and switches read-only', () => {
  const { space, ram } = make();
  space.addSlot({ id: 0, gpa: 0x4000, bytes: 2 * PAGE, hostOffset: ram });
  space.changeSlot(0, { gpa: 0x5000, readOnly: true });
  expect([0x4000, 0x5000, 0x6000, 0x7000].map((gpa) => space.hostPage(gpa))).toEqual([-1, ram, ram + PAGE, -1]);
  expect(space.pageFlags(0x5000)).toBe(PageFlag.RAM | PageFlag.ROM);
});

test('MMIO regions: overlapping and impossible ones are named errors; neighbours are fine', () => {
  const { space } = make();
  space.mapMmio(0x1000, 16, probe());
  space.mapMmio(0x1010, 16, probe());
  space.mapMmio(0xff0, 16, probe());
  expect(() => space.mapMmio(0x101f, 2, probe())).toThrow(MmioOverlapError);
  expect(() => space.mapMmio(0x800, 0x1000, probe())).toThrow(MmioOverlapError);
  expect(() => space.mapMmio(0, 0, probe())).toThrow(InvalidArgumentError);
  expect(() => space.mapMmio(2 ** 52 - 1, 2, probe())).toThrow(InvalidArgumentError);
  expect(space.mmioRegions().map((region) => region.gpa)).toEqual([0xff0, 0x1000, 0x1010]);
});

test('GuestMemory: byteLength is the RAM without a gap from 0, over slots', () => {
  const { space, ram } = make();
  expect(space.byteLength).toBe(0);
  space.addSlot({ id: 1, gpa: 2 * PAGE, bytes: PAGE, hostOffset: ram });
  expect(space.byteLength).toBe(0);
  space.addSlot({ id: 0, gpa: 0, bytes: 2 * PAGE, hostOffset: ram + PAGE });
  space.addSlot({ id: 2, gpa: 4 * PAGE, bytes: PAGE, hostOffset: ram });
  expect(space.byteLength).toBe(3 * PAGE);
});

test('GuestMemory: read and write throw where no RAM stands, name the first such address, and write nothing', () => {
  const { space, ram } = make();
  space.addSlot({ id: 0, gpa: 0, bytes: 2 * PAGE, hostOffset: ram });
  expect(() => space.read(2 * PAGE - 1, 2)).toThrow(/0x2000/);
  expect(() => space.write(2 * PAGE - 4, new Uint8Array(8).fill(1))).toThrow(NoMemoryAtAddressError);
  expect(space.read(2 * PAGE - 4, 4)).toEqual(new Uint8Array(4));
  expect(() => space.read(-1, 2)).toThrow(InvalidArgumentError);
  expect(() => space.read(2 ** 52, 1)).toThrow(NoMemoryAtAddressError);
  space.mapMmio(0x1800, 4, probe());
  expect(() => space.read(0x1000, 0x801)).toThrow(/0x1800/);
  expect(space.read(0x1000, 0x800).length).toBe(0x800);
  expect(space.read(0x1804, 4).length).toBe(4);
  expect(space.read(0x9999_9000, 0).length).toBe(0);
});

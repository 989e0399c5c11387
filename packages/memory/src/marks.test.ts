import { InvalidArgumentError } from '@minusone/core';
import { expect, test } from 'vitest';
import { DirtyLogOffError, MachineMemory, PageFlag, PhysicalAddressSpace, UnknownMemorySlotError } from './index.ts';

const PAGE = 4096;
const PLAIN = PageFlag.RAM | PageFlag.WRITABLE;

function make(pages = 16): { space: PhysicalAddressSpace; ram: number; heard: string[] } {
  const memory = new MachineMemory({ ramBytes: pages * PAGE, reservedBytes: 0 });
  const space = new PhysicalAddressSpace(memory);
  const ram = memory.ramOffset;
  space.addSlot({ id: 0, gpa: 0, bytes: pages * PAGE, hostOffset: ram });
  const heard: string[] = [];
  space.observer = {
    onCodeWritten: (hostOffset, bytes) => heard.push(`code ${hostOffset - ram}+${bytes}`),
    onWriteTagsMustDrop: (hostPage) => heard.push(`drop ${hostPage - ram}`),
    onMappingChanged: () => heard.push('mapping'),
  };
  return { space, ram, heard };
}

test('KVM_GET_DIRTY_LOG: bit n is page n, set by the first write of any size, by both pages of one that crosses', () => {
  const { space } = make();
  space.enableDirtyLog(0);
  expect(space.getDirtyLog(0)).toEqual(Uint8Array.of(0, 0));
  space.read64(0);
  space.write8(0x0000, 1);
  space.write16(0x2ffe, 1);
  space.write32(0x4ffe, 1);
  space.write64(0x8ffc, 1n);
  space.write(0xc800, new Uint8Array(PAGE));
  expect(space.getDirtyLog(0)).toEqual(Uint8Array.of(0b0011_0101, 0b0011_0011));
});

test('KVM_CLEAR_DIRTY_LOG: cleared pages are protected again and their next write is seen; others keep their marks', () => {
  const { space } = make();
  space.enableDirtyLog(0);
  expect(space.pageFlags(0x1000)).toBe(PLAIN | PageFlag.LOGGED_CLEAN);
  space.write8(0x1000, 1);
  space.write8(0x2000, 1);
  expect(space.pageFlags(0x1000)).toBe(PLAIN);
  space.clearDirtyLog(0, 1, 1);
  expect(space.getDirtyLog(0)[0]).toBe(0b100);
  expect(space.pageFlags(0x1000)).toBe(PLAIN | PageFlag.LOGGED_CLEAN);
  expect(space.pageFlags(0x2000)).toBe(PLAIN);
  space.write8(0x1000, 1);
  expect(space.getDirtyLog(0)[0]).toBe(0b110);
  space.clearDirtyLog(0);
  expect(space.getDirtyLog(0)).toEqual(Uint8Array.of(0, 0));
});

test('observers hear of each page that turns clean, and of many pages at once as one change of mapping', () => {
  const { space, ram, heard } = make(200);
  space.enableDirtyLog(0);
  expect(heard).toEqual(['mapping']);
  space.markDirty(ram + 3 * PAGE);
  space.write8(5 * PAGE, 1);
  heard.length = 0;
  space.clearDirtyLog(0);
  expect(heard).toEqual(['drop 12288', 'drop 20480']);
});

test('stores made past the typed writes are marked by written', () => {
  const { space, ram } = make();
  space.enableDirtyLog(0);
  space.written(ram + 0x1fff, 2);
  expect(space.getDirtyLog(0)[0]).toBe(0b110);
});

test('two slots over one host page: each log sees the write, and ending one keeps the other', () => {
  const { space, ram } = make();
  space.addSlot({ id: 1, gpa: 2 ** 32, bytes: 2 * PAGE, hostOffset: ram + PAGE, logDirty: true });
  space.enableDirtyLog(0);
  space.write8(2 ** 32, 1);
  expect([space.getDirtyLog(0)[0], space.getDirtyLog(1)[0]]).toEqual([0b10, 0b01]);
  space.clearDirtyLog(1);
  space.write8(PAGE, 1);
  expect(space.getDirtyLog(1)[0]).toBe(1);
  space.disableDirtyLog(0);
  expect(space.pageFlags(2 * PAGE)).toBe(PLAIN | PageFlag.LOGGED_CLEAN);
  expect(space.pageFlags(4 * PAGE)).toBe(PLAIN);
  space.removeSlot(1);
  expect(space.pageFlags(2 * PAGE)).toBe(PLAIN);
});

test('a slot keeps its log when it moves, and loses it by changeSlot or removal', () => {
  const { space } = make();
  space.enableDirtyLog(0);
  space.write8(0, 1);
  space.changeSlot(0, { gpa: 2 ** 32 });
  space.write8(2 ** 32 + PAGE, 1);
  expect(space.getDirtyLog(0)[0]).toBe(0b11);
  space.changeSlot(0, { logDirty: false });
  expect(() => space.getDirtyLog(0)).toThrow(DirtyLogOffError);
  expect(space.slots()[0]?.logDirty).toBe(false);
  space.changeSlot(0, { logDirty: true });
  expect(space.getDirtyLog(0)[0]).toBe(0);
});

test('dirty log: unknown slots, ranges beyond the slot and logs that are off are named errors', () => {
  const { space } = make();
  expect(() => space.getDirtyLog(0)).toThrow(DirtyLogOffError);
  expect(() => space.enableDirtyLog(8)).toThrow(UnknownMemorySlotError);
  space.enableDirtyLog(0);
  expect(() => space.clearDirtyLog(0, 15, 2)).toThrow(InvalidArgumentError);
  expect(() => space.clearDirtyLog(0, -1, 1)).toThrow(InvalidArgumentError);
});

test('code marks have 64-byte granules: a write is reported if it touches one, across pages too', () => {
  const { space, ram, heard } = make();
  space.markCode(ram + 0x1fff, 2);
  expect(heard).toEqual(['drop 4096', 'drop 8192']);
  expect(space.hasCode(ram + 0x1000)).toBe(true);
  expect(space.hasCode(ram + 0x3000)).toBe(false);
  expect(space.pageFlags(0x1000)).toBe(PLAIN | PageFlag.CODE);
  heard.length = 0;
  space.write8(0x1fbf, 1);
  space.write8(0x2040, 1);
  expect(heard).toEqual([]);
  space.write8(0x1fc0, 1);
  space.write32(0x1fbe, 1);
  space.write64(0x203f, 1n);
  space.write(0x1000, new Uint8Array(0x1010));
  expect(heard).toEqual(['code 8128+1', 'code 8126+4', 'code 8255+8', 'code 4096+4096', 'code 8192+16']);
});

test('code marks: only the first mark of a page drops write tags; clearing ends the reports', () => {
  const { space, ram, heard } = make();
  space.markCode(ram + 64, 64);
  space.markCode(ram + 640, 1);
  expect(heard).toEqual(['drop 0']);
  expect([63, 64, 127, 128].map((at) => space.codeTouches(ram + at, 1))).toEqual([false, true, true, false]);
  expect(space.codeTouches(ram, 4096)).toBe(true);
  space.clearCode(ram);
  space.write8(64, 1);
  expect(heard).toEqual(['drop 0']);
  expect(space.codeTouches(ram, 4096)).toBe(false);
  space.markCode(ram, 1);
  space.markCode(ram + 5 * PAGE, 1);
  space.marks.clearAllCode();
  expect([space.hasCode(ram), space.codeTouches(ram + 5 * PAGE, 64)]).toEqual([false, false]);
});

test('code marks go with the host page: a write through another guest-physical address is reported', () => {
  const { space, ram, heard } = make();
  space.addSlot({ id: 1, gpa: 2 ** 32, bytes: PAGE, hostOffset: ram });
  space.markCode(ram, 16);
  heard.length = 0;
  space.write8(2 ** 32 + 3, 1);
  expect(heard).toEqual(['code 3+1']);
});

test('the observer hears every change of slots and MMIO, until it is taken away', () => {
  const { space, ram, heard } = make();
  space.addSlot({ id: 1, gpa: 2 ** 32, bytes: PAGE, hostOffset: ram });
  space.changeSlot(1, { gpa: 2 ** 33 });
  space.removeSlot(1);
  const region = space.mapMmio(0, 16, { readMmio: () => 0, writeMmio: () => undefined });
  space.unmapMmio(region);
  expect(heard).toEqual(['mapping', 'mapping', 'mapping', 'mapping', 'mapping']);
  space.observer = undefined;
  space.removeSlot(0);
  space.markCode(ram, 1);
  expect(heard.length).toBe(5);
});

test('an observer of several address spaces over one memory hears of each write once, until it observes none of them', () => {
  const { space, ram, heard } = make();
  const other = new PhysicalAddressSpace(space.memory);
  other.observer = space.observer;
  space.markCode(ram + 0x1000, 4);
  heard.length = 0;
  space.write8(0x1000, 1);
  expect(heard).toEqual(['code 4096+1']);
  other.observer = undefined;
  space.write8(0x1000, 2);
  expect(heard).toHaveLength(2);
  space.observer = undefined;
  space.write8(0x1000, 3);
  expect(heard).toHaveLength(2);
});

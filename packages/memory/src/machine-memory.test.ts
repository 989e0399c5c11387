import { InvalidArgumentError, UnalignedAddressError } from '@minusone/core';
import { expect, test, vi } from 'vitest';
import { MachineMemory, MEMORY_LIMIT_BYTES, MemoryLimitError, MemoryRefusedError, ReservedAreaFullError } from './index.ts';

const MIB = 2 ** 20;

test('the layout: both maps cover every page, and maps, reserved area and RAM do not overlap', () => {
  for (const [ramBytes, reservedBytes] of [
    [4096, 0],
    [4096 * 37, 12_345],
    [64 * MIB, 64 * MIB],
  ] as const) {
    const memory = new MachineMemory({ ramBytes, reservedBytes });
    const pages = memory.byteLength / 4096;
    expect(memory.marks.pageFlags.length).toBeGreaterThanOrEqual(pages);
    expect(memory.marks.codeMap.length).toBeGreaterThanOrEqual(pages * 2);
    expect(memory.pageFlagsOffset + memory.marks.pageFlags.length).toBeLessThanOrEqual(memory.codeMapOffset);
    expect(memory.codeMapOffset + memory.marks.codeMap.byteLength).toBeLessThanOrEqual(memory.ramOffset - reservedBytes);
    expect(memory.ramOffset % 65536).toBe(0);
    expect(memory.ramOffset + ramBytes).toBeLessThanOrEqual(memory.byteLength);
    expect(memory.reservedBytesFree).toBeGreaterThanOrEqual(reservedBytes);
    expect(memory.u8.length).toBe(memory.byteLength);
  }
});

test('the maps stand in the linear memory at the published offsets: page flags by page, code map by 64 bytes', () => {
  const memory = new MachineMemory({ ramBytes: 64 * 1024, reservedBytes: 4096 });
  const at = memory.ramOffset + 0x1000 + 64 * 9;
  memory.marks.markCode(at, 1);
  expect(memory.u8[memory.pageFlagsOffset + (at >>> 12)]).toBe(1);
  expect(memory.u8[memory.codeMapOffset + (at >>> 12) * 8 + 1]).toBe(1 << 1);
});

test('the memory never grows: it is made at full size, shared on request', () => {
  const memory = new MachineMemory({ ramBytes: MIB, reservedBytes: 0 });
  expect(() => memory.memory.grow(1)).toThrow(RangeError);
  expect(new MachineMemory({ ramBytes: MIB, reservedBytes: 0, shared: true }).memory.buffer).toBeInstanceOf(SharedArrayBuffer);
});

test('allocate: aligned, disjoint, never 0, and a named error when full', () => {
  const memory = new MachineMemory({ ramBytes: 4096, reservedBytes: 1000 });
  const first = memory.allocate(3);
  const second = memory.allocate(8, 256);
  expect(first).toBeGreaterThan(0);
  expect(first % 16).toBe(0);
  expect(second % 256).toBe(0);
  expect(second).toBeGreaterThanOrEqual(first + 3);
  expect(memory.allocate(memory.reservedBytesFree, 1)).toBe(second + 8);
  expect(() => memory.allocate(1, 1)).toThrow(ReservedAreaFullError);
  expect(() => memory.allocate(1, 3)).toThrow(InvalidArgumentError);
});

test('release: the next allocation of that size has it, zeroed, where its alignment allows', () => {
  const memory = new MachineMemory({ ramBytes: 4096, reservedBytes: 1000 });
  const [first, second] = [memory.allocate(32, 64), memory.allocate(32)];
  memory.u8.fill(7, first, first + 32);
  const free = memory.reservedBytesFree;
  memory.release(second, 32);
  memory.release(first, 32);
  expect(memory.allocate(16)).toBeGreaterThan(second);
  expect(memory.allocate(32, 64)).toBe(first);
  expect(memory.u8.subarray(first, first + 32)).toEqual(new Uint8Array(32));
  expect(memory.allocate(32)).toBe(second);
  expect(memory.reservedBytesFree).toBe(free - 16);
});

test('sizes: over 3.5 GiB in all, unaligned, empty and fractional RAM are named errors', () => {
  expect(() => new MachineMemory({ ramBytes: MEMORY_LIMIT_BYTES })).toThrow(MemoryLimitError);
  expect(() => new MachineMemory({ ramBytes: 2 ** 45 })).toThrow(/limited to 3584 MiB/);
  expect(() => new MachineMemory({ ramBytes: 4097 })).toThrow(UnalignedAddressError);
  expect(() => new MachineMemory({ ramBytes: 0 })).toThrow(InvalidArgumentError);
  expect(() => new MachineMemory({ ramBytes: 4096.5 })).toThrow(InvalidArgumentError);
  expect(() => new MachineMemory({ ramBytes: 4096, reservedBytes: -1 })).toThrow(InvalidArgumentError);
});

test('a host without room for the memory is a named error that keeps the cause', () => {
  const cause = new RangeError('WebAssembly.Memory(): could not allocate memory');
  const refusing = vi.spyOn(WebAssembly, 'Memory').mockImplementation(
    class {
      constructor() {
        throw cause;
      }
    } as never,
  );
  const error = catchError(() => new MachineMemory({ ramBytes: 4096 }));
  refusing.mockRestore();
  expect(error).toBeInstanceOf(MemoryRefusedError);
  expect(error.cause).toBe(cause);
});

test('the error over the limit suggests a size that fits', () => {
  const error = catchError(() => new MachineMemory({ ramBytes: 4096 * MIB }));
  const mib = Number(/at most (\d+) MiB of RAM/.exec(error.message)?.[1]);
  expect(mib).toBeGreaterThan(3000);
  const { pageFlagsOffset } = new MachineMemory({ ramBytes: mib * MIB });
  expect(pageFlagsOffset).toBe(4096);
});

function catchError(act: () => unknown): Error {
  try {
    act();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('nothing was thrown');
}

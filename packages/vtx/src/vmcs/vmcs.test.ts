import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UnknownVmcsFieldError, VmcsRegionError, VmcsValueError } from '../errors.ts';
import { decodeEncoding, encodeEncoding, fieldBytes, isWellFormedEncoding } from './encoding.ts';
import { FIELD, VMCS_FIELD_NAMES } from './fields.ts';
import { fieldOffset, MAX_INDEX, REGION_BYTES } from './layout.ts';
import { Vmcs } from './vmcs.ts';

describe('encodings (SDM Vol. 3C, 25.11.2, "Structure of VMCS Component Encoding")', () => {
  test('the parts of some fields of the manual', () => {
    expect(decodeEncoding(0x6820)).toEqual({ access: 'full', index: 16, type: 'guest state', width: 'natural-width' }); // RFLAGS
    expect(decodeEncoding(0x2c01)).toEqual({ access: 'high', index: 0, type: 'host state', width: '64-bit' }); // IA32_PAT, high
    expect(decodeEncoding(0x4402)).toEqual({ access: 'full', index: 1, type: 'read-only data', width: '32-bit' }); // exit reason
    expect(decodeEncoding(0x0000)).toEqual({ access: 'full', index: 0, type: 'control', width: '16-bit' }); // VPID
  });

  test('decode and encode are inverse, for every well-formed encoding', () => {
    for (let encoding = 0; encoding < 0x8000; encoding++) {
      if (isWellFormedEncoding(encoding)) expect(encodeEncoding(decodeEncoding(encoding))).toBe(encoding);
    }
  });

  test('reserved bits, and access type "high" of a field that is not of 64 bits, are not well-formed', () => {
    for (const encoding of [0x1000, 0x8000, 0x1_0000, 0x8000_0000, 0x4001, 0x0001, 0x6801])
      expect(isWellFormedEncoding(encoding)).toBe(false);
  });
});

describe('the region (SDM Vol. 3C, 25.2, "Format of the VMCS Region")', () => {
  test('revision identifier and shadow indicator share the first doubleword, the abort indicator is the second', () => {
    const vmcs = new Vmcs();
    vmcs.revisionId = 0x1234_5678;
    vmcs.isShadow = true;
    vmcs.abortIndicator = 3;
    expect([...new Uint32Array(vmcs.region.slice(0, 8).buffer)]).toEqual([0x9234_5678, 3]);
    vmcs.revisionId = 4;
    expect(vmcs.isShadow).toBe(true);
    vmcs.isShadow = false;
    expect(vmcs.revisionId).toBe(4);
  });

  test('fields do not overlap each other or the header, and fit in 4 KiB', () => {
    const owner = new Map<number, string>();
    for (const name of VMCS_FIELD_NAMES) {
      const encoding = FIELD[name];
      const { index, width } = decodeEncoding(encoding);
      expect(index, name).toBeLessThan(MAX_INDEX[width]);
      for (let i = 0; i < fieldBytes(encoding); i++) {
        const at = fieldOffset(encoding) + i;
        expect(at, name).toBeGreaterThanOrEqual(12);
        expect(at, name).toBeLessThan(REGION_BYTES);
        expect(owner.get(at), name).toBeUndefined();
        owner.set(at, name);
      }
    }
  });

  test('a region of another size is refused by name', () => {
    expect(() => new Vmcs(new Uint8Array(1024))).toThrow(VmcsRegionError);
  });
});

describe('values', () => {
  test('what is written is read back, whole and by halves, and no other field changes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...VMCS_FIELD_NAMES), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })), { maxLength: 40 }),
        (writes) => {
          const vmcs = new Vmcs();
          const model = new Map<number, bigint>();
          for (const [name, value] of writes) {
            const cut = BigInt.asUintN(fieldBytes(FIELD[name]) * 8, value);
            vmcs.write(FIELD[name], cut);
            model.set(FIELD[name], cut);
          }
          for (const name of VMCS_FIELD_NAMES) {
            const expected = model.get(FIELD[name]) ?? 0n;
            expect(vmcs.read(FIELD[name])).toBe(expected);
            expect((BigInt(vmcs.high(FIELD[name])) << 32n) | BigInt(vmcs.low(FIELD[name]))).toBe(expected);
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  test('access type "high" is bits 63:32 and leaves the low half alone (SDM Vol. 3C, 25.11.2)', () => {
    const vmcs = new Vmcs();
    vmcs.write(FIELD.TSC_OFFSET, 0x1122_3344_5566_7788n);
    expect(vmcs.read(FIELD.TSC_OFFSET | 1)).toBe(0x1122_3344n);
    vmcs.write(FIELD.TSC_OFFSET | 1, 0x99n);
    expect(vmcs.read(FIELD.TSC_OFFSET)).toBe(0x99_5566_7788n);
  });

  test('a value that is too wide, and a field that does not exist, are named errors', () => {
    const vmcs = new Vmcs();
    expect(() => vmcs.write(FIELD.GUEST_CS_SELECTOR, 0x1_0000n)).toThrow(VmcsValueError);
    expect(() => vmcs.write(FIELD.GUEST_RIP, -1n)).toThrow(/GUEST_RIP/);
    expect(() => vmcs.read(0x681e + 0x100)).toThrow(UnknownVmcsFieldError);
    expect(() => vmcs.read(0x681f)).toThrow(UnknownVmcsFieldError);
  });

  test('only a write that changes a value counts as a change', () => {
    const vmcs = new Vmcs();
    expect(vmcs.changedCount).toBe(VMCS_FIELD_NAMES.length);
    vmcs.clearChanged();
    vmcs.write(FIELD.GUEST_RIP, 0n);
    expect(vmcs.changedCount).toBe(0);
    vmcs.write(FIELD.GUEST_RIP, 1n);
    vmcs.write(FIELD.GUEST_RIP, 2n);
    expect([vmcs.changedCount, VMCS_FIELD_NAMES[vmcs.changedOrdinal(0)]]).toEqual([1, 'GUEST_RIP']);
  });
});

import { InvalidArgumentError } from '@minusone/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeInterruptionInfo, encodeInterruptionInfo, hasErrorCode } from '../controls/interruption.ts';
import { VM_INSTRUCTION_ERRORS } from '../vmcs/instruction-errors.ts';
import {
  CONTROL_REGISTER_ACCESS_QUALIFICATION,
  decodeQualification,
  EPT_VIOLATION_QUALIFICATION,
  EXIT_QUALIFICATIONS,
  encodeQualification,
  IO_INSTRUCTION_QUALIFICATION,
  qualificationText,
  TASK_SWITCH_QUALIFICATION,
} from './qualifications.ts';
import { ExitReason, exitReasonRow, exitReasonText, VM_EXIT_REASONS } from './reasons.ts';

describe('basic exit reasons (SDM Vol. 3D, Appendix C)', () => {
  test('0 to 75 are there, but 35, 38, 42 and 71, which are reserved', () => {
    const missing = Array.from({ length: 76 }, (_, reason) => reason).filter((reason) => exitReasonRow(reason) === undefined);
    expect(missing).toEqual([35, 38, 42, 71]);
    for (const [number, { name }] of Object.entries(VM_EXIT_REASONS)) expect(ExitReason[name]).toBe(Number(number));
  });
  test('some by number', () => {
    expect([exitReasonText(12), exitReasonText(48), exitReasonText(0x8000_0021), exitReasonText(35)]).toEqual([
      'HLT',
      'EPT_VIOLATION',
      'INVALID_STATE (VM-entry failure)',
      'reserved 35',
    ]);
  });
  test('a qualification that has a layout is named by its key', () => {
    const keys = Object.values(VM_EXIT_REASONS).flatMap((row) =>
      'qualification' in row && /^[a-zA-Z]+$/.test(row.qualification) ? [row.qualification] : [],
    );
    expect(keys.filter((key) => !['displacement', 'vector'].includes(key)).every((key) => Object.hasOwn(EXIT_QUALIFICATIONS, key))).toBe(
      true,
    );
  });
});

describe('exit qualifications (SDM Vol. 3C, 28.2.1)', () => {
  test('OUT 0x10, AL is 0x00100040; REP INSD from DX = 0x1f0 is 0x01f0003b', () => {
    expect(encodeQualification(IO_INSTRUCTION_QUALIFICATION, { immediate: 1, port: 0x10 })).toBe(0x0010_0040);
    expect(decodeQualification(IO_INSTRUCTION_QUALIFICATION, 0x01f0_003b)).toEqual({
      sizeLessOne: 3,
      direction: 1,
      string: 1,
      rep: 1,
      immediate: 0,
      port: 0x1f0,
    });
  });
  test('MOV CR3, RSI; LMSW; a task gate; a write to a page that EPT lets only be read', () => {
    expect(encodeQualification(CONTROL_REGISTER_ACCESS_QUALIFICATION, { register: 3, gpr: 6 })).toBe(0x603);
    expect(encodeQualification(CONTROL_REGISTER_ACCESS_QUALIFICATION, { accessType: 3, lmswSource: 0xffff })).toBe(0xffff_0030);
    expect(encodeQualification(TASK_SWITCH_QUALIFICATION, { selector: 0x28, source: 3 })).toBe(0xc000_0028);
    expect(encodeQualification(EPT_VIOLATION_QUALIFICATION, { write: 1, readable: 1, linearAddressValid: 1, translated: 1 })).toBe(0x18a);
    expect(qualificationText(EPT_VIOLATION_QUALIFICATION, 0x18a)).toBe('write, readable, linearAddressValid, translated');
    expect(qualificationText(IO_INSTRUCTION_QUALIFICATION, 0x0010_0040)).toBe(
      'sizeLessOne 1-byte, direction OUT, immediate immediate, port 0x10',
    );
  });
  test('every layout: its parts do not overlap, and encode is the inverse of decode on its bits', () => {
    for (const layout of Object.values(EXIT_QUALIFICATIONS)) {
      let covered = 0;
      for (const { low, width } of Object.values(layout)) {
        const mask = ((2 ** width - 1) << low) >>> 0;
        expect((covered & mask) >>> 0).toBe(0);
        covered = (covered | mask) >>> 0;
      }
      fc.assert(
        fc.property(fc.nat(0xffff_ffff), (value) => {
          expect(encodeQualification(layout, decodeQualification(layout, value))).toBe((value & covered) >>> 0);
        }),
        { numRuns: 50 },
      );
    }
  });
  test('a value that does not fit is refused by name', () => {
    expect(() => encodeQualification(TASK_SWITCH_QUALIFICATION, { source: 4 })).toThrow(InvalidArgumentError);
    expect(() => encodeQualification(TASK_SWITCH_QUALIFICATION, { port: 4 } as never)).toThrow(/selector, source/);
  });
});

describe('interruption information (SDM Vol. 3C, 25.8.3, 25.9.2)', () => {
  test('#GP with an error code is 0x80000b0d, an NMI 0x80000202, INT 80H 0x80000480', () => {
    expect(encodeInterruptionInfo({ vector: 13, type: 3, errorCodeValid: true })).toBe(0x8000_0b0d);
    expect(encodeInterruptionInfo({ vector: 2, type: 2 })).toBe(0x8000_0202);
    expect(decodeInterruptionInfo(0x8000_0480)).toEqual({
      vector: 0x80,
      type: 4,
      errorCodeValid: false,
      nmiUnblockingDueToIret: false,
      valid: true,
    });
  });
  test('exceptions with an error code (SDM Vol. 3A, 6.3)', () => {
    expect(Array.from({ length: 32 }, (_, vector) => vector).filter((vector) => hasErrorCode(vector, false))).toEqual([
      8, 10, 11, 12, 13, 14, 17,
    ]);
    expect(hasErrorCode(21, true)).toBe(true);
  });
});

test('VM-instruction errors: 1 to 28 without 14, 21 and 27 (SDM Vol. 3C, 31.4)', () => {
  expect(Object.keys(VM_INSTRUCTION_ERRORS).map(Number)).toEqual([
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19, 20, 22, 23, 24, 25, 26, 28,
  ]);
});

import { Decoder, formatInsn, type Insn, instructionTable, mnemonicOf, resolveOperands } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { assemble } from './assemble.ts';
import { generator, randomBytes } from './testing/random-encodings.ts';

const decoder = new Decoder(instructionTable);

const address = (bits: number): bigint => (bits === 16 ? 0x4000n : 0x40_0000n);

/** What two encodings of one instruction have in common: everything but length and choice of form. */
function meaning(insn: Insn): unknown {
  const hasMemory = resolveOperands(insn).some(({ kind }) => kind === 'memory' || kind === 'moffs');
  return {
    mnemonic: mnemonicOf(insn),
    operands: resolveOperands(insn).map((operand) =>
      operand.kind === 'relative'
        ? {
            kind: 'relative',
            target: BigInt.asUintN(insn.operandBytes * 8, BigInt(operand.displacement + insn.length) + address(insn.codeBits)),
          }
        : operand.kind === 'moffs'
          ? { ...operand, kind: 'memory' }
          : operand.kind === 'vector' && insn.vectorBytes === 0
            ? { ...operand, bytes: 16 } // MOVQ has two encodings, which speak of 8 and of 16 bytes of the register
            : operand,
    ),
    memory: hasMemory
      ? [
          insn.base,
          insn.index,
          insn.index < 0 ? 0 : insn.scale,
          insn.ripRelative
            ? (insn.displacement + insn.length) | 0
            : insn.base < 0 && insn.index < 0 && insn.addressBytes === 2
              ? insn.displacement & 0xffff
              : insn.displacement,
          insn.addressBytes,
          insn.segmentOverride,
        ]
      : [],
    lock: insn.lock,
  };
}

describe.each([16, 32, 64] as const)('%i-bit code: what the disassembler prints, the assembler turns into the same instruction', (bits) => {
  test('every form of the table, random operands', () => {
    const next = generator(bits * 7919);
    const failures: string[] = [];
    for (const form of instructionTable.forms) {
      let done = 0;
      for (let attempt = 0; attempt < 60 && done < 12; attempt++) {
        const bytes = Uint8Array.from(randomBytes(form, next, bits));
        const insn = decoder.decode(bytes, 0, bytes.length, bits);
        if (typeof insn === 'string' || insn.form !== form || form.alternative) continue;
        done++;
        const text = formatInsn(insn, address(bits));
        try {
          const again = assemble(text, { bits, origin: address(bits) });
          const back = decoder.decode(again.bytes, 0, again.bytes.length, bits);
          if (typeof back === 'string') throw new Error(`assembled to ${Buffer.from(again.bytes).toString('hex')}: ${back}`);
          if (back.length !== again.bytes.length) throw new Error('assembled to more than one instruction');
          expect(meaning(back)).toEqual(meaning(insn));
        } catch (error) {
          failures.push(
            `${form.encoding}: ${Buffer.from(bytes.subarray(0, insn.length)).toString('hex')} '${text}': ${String((error as Error).message).slice(0, 300)}`,
          );
        }
      }
    }
    expect(failures.slice(0, 20), `${failures.length} failures`).toEqual([]);
  });
});

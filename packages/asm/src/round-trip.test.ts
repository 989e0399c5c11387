import { Decoder, formatInsn, type Insn, instructionTable, mnemonicOf, resolveOperands } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { assemble } from './assemble.ts';

/** A small deterministic generator (xorshift32). */
function generator(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

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
            ? insn.displacement + insn.length
            : insn.base < 0 && insn.index < 0 && insn.addressBytes === 2
              ? insn.displacement & 0xffff
              : insn.displacement,
          insn.base < 0 && insn.index < 0 ? 0 : insn.addressBytes,
          insn.segmentOverride,
        ]
      : [],
    lock: insn.lock,
  };
}

/** Bytes that begin like the form and go on at random. */
function randomBytes(form: (typeof instructionTable.forms)[number], next: () => number, bits: 16 | 32 | 64): number[] {
  const bytes: number[] = [];
  // Useless prefixes would carry a short jump out of its reach.
  const isJump = form.operands.some(({ method }) => method === 'J');
  if (next() % 4 === 0 && !isJump) bytes.push(0x66);
  if (next() % 6 === 0 && bits !== 16 && !isJump) bytes.push(0x67);
  if (typeof form.mandatoryPrefix === 'number') bytes.push(form.mandatoryPrefix);
  if (form.vex !== undefined) {
    const pp = [0, 0x66, 0xf3, 0xf2].indexOf(form.vex.prefix);
    const w = form.vex.w === 'any' ? 0 : form.vex.w;
    bytes.push(
      0xc4,
      (bits === 64 ? next() & 0xe0 : 0xe0) | form.map,
      (w << 7) | ((bits === 64 ? next() & 15 : 8 | (next() & 7)) << 3) | (form.vex.length === 256 ? 4 : 0) | pp,
    );
  } else {
    if (bits === 64 && next() % 2 === 0 && !isJump) bytes.push(0x40 | (next() & 15));
    if (form.map > 0) bytes.push(0x0f);
    if (form.map > 1) bytes.push(form.map === 2 ? 0x38 : 0x3a);
  }
  bytes.push(form.opcode + (next() % form.opcodeCount));
  if (form.fixedModrm >= 0) bytes.push(form.fixedModrm + (next() % form.modrmCount));
  else if (form.hasModrm) bytes.push((next() & 0xc7) | ((form.digit >= 0 ? form.digit : next() & 7) << 3));
  while (bytes.length < 24) bytes.push(next() % 3 === 0 ? ([0, 0xff, 0x80, 0x7f][next() & 3] as number) : next() & 0xff);
  return bytes;
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

import type { InstructionForm } from '@minusone/x86';

/** A small deterministic generator (xorshift32). */
export function generator(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** A seed for one form and size of code: what other forms the table has does not change it. */
export function seedOf(form: InstructionForm, bits: 16 | 32 | 64, seed: number): number {
  // FNV-1a
  let hash = 0x811c9dc5 ^ seed;
  for (const letter of `${bits} ${form.mnemonic} ${form.encoding}`) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193);
  return hash;
}

/** Bytes that begin like the form and go on at random. */
export function randomBytes(form: InstructionForm, next: () => number, bits: 16 | 32 | 64): number[] {
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

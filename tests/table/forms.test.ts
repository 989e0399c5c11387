import { cpuidBits, Decoder, type InstructionForm, InstructionTable, instruction, instructionTable, modrmKind } from '@minusone/x86';
import { describe, expect, test } from 'vitest';

/** How special a form is, by the rule in packages/x86/src/table/row.ts: the more special of two that fit wins. */
function specificity(form: InstructionForm): number {
  return (
    (form.mandatoryPrefix === undefined ? 0 : 8) +
    (form.fixedModrm >= 0 ? 4 : 0) +
    (form.digit >= 0 ? 2 : 0) +
    (modrmKind(form) === 'either' ? 0 : 1) +
    (form.opcodeCount === 1 ? 1 : 0)
  );
}

/** The ModRM bytes that a form takes. */
function modrmBytes(form: InstructionForm): ReadonlySet<number> {
  const bytes = new Set<number>();
  const kind = modrmKind(form);
  for (let modrm = 0; modrm < 256; modrm++) {
    if (form.digit >= 0 && ((modrm >> 3) & 7) !== form.digit) continue;
    if (form.fixedModrm >= 0 && (modrm < form.fixedModrm || modrm >= form.fixedModrm + form.modrmCount)) continue;
    if (kind === 'register' && modrm < 0xc0) continue;
    if (kind === 'memory' && modrm >= 0xc0) continue;
    bytes.add(modrm);
  }
  return bytes;
}

const intersects = <T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean => [...a].some((x) => b.has(x));

/** Mandatory prefixes in force that a form accepts. */
const prefixesOf = ({ mandatoryPrefix }: InstructionForm): ReadonlySet<unknown> =>
  mandatoryPrefix === undefined ? new Set(['none', 0x66, 0xf2, 0xf3]) : new Set([mandatoryPrefix]);
const modesOf = ({ in64 }: InstructionForm): ReadonlySet<string> =>
  new Set(in64 === 'both' ? ['64', 'other'] : in64 === 'only' ? ['64'] : ['other']);

/** Whether some bytes in some mode fit both forms. They have the same opcode and map. */
function overlap(a: InstructionForm, b: InstructionForm): boolean {
  if (!intersects(modesOf(a), modesOf(b))) return false;
  if (a.vex !== undefined && b.vex !== undefined) {
    if (a.vex.prefix !== b.vex.prefix) return false;
    if (a.vex.length !== 'any' && b.vex.length !== 'any' && a.vex.length !== b.vex.length) return false;
    if (a.vex.w !== 'any' && b.vex.w !== 'any' && a.vex.w !== b.vex.w) return false;
  } else if (!intersects(prefixesOf(a), prefixesOf(b))) return false;
  return !a.hasModrm || !b.hasModrm || intersects(modrmBytes(a), modrmBytes(b));
}

/** Forms by encoding space, map and opcode. */
function slotsOf({ forms }: InstructionTable): ReadonlyMap<string, readonly InstructionForm[]> {
  const slots = new Map<string, InstructionForm[]>();
  for (const form of forms) {
    for (let n = 0; n < form.opcodeCount; n++) {
      const key = `${form.vex === undefined ? 'legacy' : 'VEX'} map ${form.map} ${(form.opcode + n).toString(16)}`;
      slots.set(key, [...(slots.get(key) ?? []), form]);
    }
  }
  return slots;
}

const nameOf = ({ mnemonic, encoding }: InstructionForm): string => `${mnemonic} '${encoding}'`;

/** Pairs of forms that some bytes fit equally well: then the order of rows would decide. */
function ambiguities(table: InstructionTable): string[] {
  return [...slotsOf(table)].flatMap(([key, forms]) =>
    forms.flatMap((a, n) =>
      forms
        .slice(n + 1)
        .filter((b) => specificity(a) === specificity(b) && overlap(a, b))
        .map((b) => `${key}: ${nameOf(a)} and ${nameOf(b)}`),
    ),
  );
}

describe('encodings (the notation of SDM Vol. 2D, Appendix A)', () => {
  test('every row has one, and the ids of the forms are dense', () => {
    for (const row of instructionTable.rows) expect(row.encodings.length, row.mnemonic).toBeGreaterThan(0);
    expect(instructionTable.forms.map(({ id }) => id)).toEqual(instructionTable.forms.map((_, n) => n));
  });

  test('no encoding is written twice', () => {
    const seen = new Map<string, number>();
    for (const { encodings } of instructionTable.rows) {
      for (const encoding of encodings) {
        const normal = encoding.replace(/\s+/g, ' ').trim();
        seen.set(normal, (seen.get(normal) ?? 0) + 1);
      }
    }
    expect([...seen].filter(([, count]) => count > 1)).toEqual([]);
  });

  test('forms of one opcode agree on whether a ModRM byte follows: the decoder asks the first', () => {
    const mixed = [...slotsOf(instructionTable)].filter(([, forms]) => new Set(forms.map(({ hasModrm }) => hasModrm)).size > 1);
    expect(mixed.map(([key, forms]) => [key, ...forms.map(nameOf)])).toEqual([]);
  });

  test('where two forms fit the same bytes, one is more special (packages/x86/src/table/row.ts)', () => {
    expect(ambiguities(instructionTable)).toEqual([]);
  });

  test('... which this test would see: two rows of one opcode and no difference, or a difference in another place', () => {
    const made = (...encodings: string[]): string[] =>
      ambiguities(new InstructionTable(encodings.map((encoding, n) => instruction(`ROW${n}`, [encoding], () => {}))));
    expect(made('0F F0 /r Gv,Ev', '0F F0 /r Ev,Gv')).toHaveLength(1);
    expect(made('0F F0 /0 Ev', 'NP 0F F0 /r Gv,Ev', '0F F0 /1 Ev')).toEqual([]);
    expect(made('66 0F F0 /r Vdq,Udq', 'F3 0F F0 /r Vdq,Udq', '66 0F F0 /r Vdq,Mdq')).toEqual([]);
    expect(made('FF /0 Ev i64', 'FF /0 Gv o64')).toEqual([]);
    expect(made('50+r Zv', '50+r Zv i64')).not.toEqual([]);
  });
});

/** Bytes of an instruction of a form, as plain as may be: no prefixes that it does not need, ModRM for [rax] or a register, zeros behind. */
function bytesOf(form: InstructionForm): Uint8Array {
  const bytes: number[] = [];
  const modrm = form.fixedModrm >= 0 ? form.fixedModrm : (modrmKind(form) === 'memory' ? 0 : 0xc0) | (Math.max(form.digit, 0) << 3);
  if (form.vex !== undefined) {
    const { length, prefix, w } = form.vex;
    const pp = [0, 0x66, 0xf3, 0xf2].indexOf(prefix);
    bytes.push(0xc4, 0xe0 | form.map, (w === 1 ? 0x80 : 0) | 0x78 | (length === 256 ? 4 : 0) | pp);
  } else {
    if (typeof form.mandatoryPrefix === 'number') bytes.push(form.mandatoryPrefix);
    if (form.map >= 1) bytes.push(0x0f);
    if (form.map >= 2) bytes.push(form.map === 2 ? 0x38 : 0x3a);
  }
  // 90 by itself is NOP: XCHG with another register.
  bytes.push(form.opcode + (form.map === 0 && form.opcode === 0x90 && form.opcodeCount === 8 ? 1 : 0));
  if (form.hasModrm) bytes.push(modrm);
  return Uint8Array.from([...bytes, ...new Array<number>(12).fill(0)]);
}

test('every form is reached: its plainest bytes decode to it, in each kind of code it exists in', () => {
  const decoder = new Decoder(instructionTable);
  const lost: string[] = [];
  for (const form of instructionTable.forms) {
    for (const codeBits of [16, 32, 64] as const) {
      if (codeBits === 64 ? form.in64 === 'invalid' : form.in64 === 'only') continue;
      const insn = decoder.decode(bytesOf(form), 0, 20, codeBits);
      if (typeof insn === 'string') lost.push(`${nameOf(form)} in ${codeBits}-bit code: ${insn}`);
      else if (insn.form !== form) lost.push(`${nameOf(form)} in ${codeBits}-bit code: is ${nameOf(insn.form)}`);
    }
  }
  expect(lost).toEqual([]);
});

test('a form of a feature that is not offered does not exist: its bytes never decode to it', () => {
  const offered = new Set(['FPU']);
  const decoder = new Decoder(instructionTable, offered);
  for (const form of instructionTable.forms) {
    const { features = [] } = form.row.options;
    if (features.every((name) => offered.has(name))) continue;
    const codeBits = form.in64 === 'invalid' ? 32 : 64;
    const insn = decoder.decode(bytesOf(form), 0, 20, codeBits);
    expect(typeof insn === 'string' || insn.form !== form, nameOf(form)).toBe(true);
  }
});

test('the features that rows name are features of CPUID', () => {
  const names = new Set(instructionTable.rows.flatMap(({ options }) => options.features ?? []));
  expect([...names].filter((name) => !cpuidBits.has(name))).toEqual([]);
});

import type { InstructionForm } from '@minusone/x86';

/** Prefixes that are written as words. */
export const PREFIXES: Readonly<Record<string, number>> = {
  lock: 0xf0,
  rep: 0xf3,
  repe: 0xf3,
  repz: 0xf3,
  repne: 0xf2,
  repnz: 0xf2,
  es: 0x26,
  cs: 0x2e,
  ss: 0x36,
  ds: 0x3e,
  fs: 0x64,
  gs: 0x65,
};
/** Prefixes that set the operand or the address size, in bits. */
export const SIZE_PREFIXES: Readonly<Record<string, { size: number; address: boolean }>> = {
  o16: { size: 16, address: false },
  o32: { size: 32, address: false },
  o64: { size: 64, address: false },
  a16: { size: 16, address: true },
  a32: { size: 32, address: true },
};
const CONDITION_ALIASES: Readonly<Record<string, string>> = {
  C: 'B', NAE: 'B', NB: 'AE', NC: 'AE', Z: 'E', NZ: 'NE', NA: 'BE', NBE: 'A', PE: 'P', PO: 'NP', NGE: 'L', NL: 'GE', NG: 'LE', NLE: 'G',
}; // biome-ignore format: one list
const ALIASES: Readonly<Record<string, string>> = {
  SAL: 'SHL',
  XLATB: 'XLAT',
  RETN: 'RET',
  LOOPZ: 'LOOPE',
  LOOPNZ: 'LOOPNE',
  WAIT: 'FWAIT',
};
/** A far operand makes another instruction of these. */
export const FAR_FORMS: Readonly<Record<string, string>> = { jmp: 'JMPF', call: 'CALLF' };

/** Forms by every mnemonic they answer to (upper case), with the operand size that the mnemonic fixes, or 0. */
export type FormIndex = ReadonlyMap<string, readonly { form: InstructionForm; operandBytes: 0 | 2 | 4 | 8; addressBytes: 0 | 2 | 4 | 8 }[]>;
const indexes = new WeakMap<readonly InstructionForm[], FormIndex>();

/** The index of a list of forms; made once for each list. */
export function indexOf(forms: readonly InstructionForm[]): FormIndex {
  const known = indexes.get(forms);
  if (known !== undefined) return known;
  const index = new Map<string, { form: InstructionForm; operandBytes: 0 | 2 | 4 | 8; addressBytes: 0 | 2 | 4 | 8 }[]>();
  const add = (name: string, form: InstructionForm, operandBytes: 0 | 2 | 4 | 8, addressBytes: 0 | 2 | 4 | 8 = 0): void => {
    const list = index.get(name) ?? [];
    list.push({ form, operandBytes, addressBytes });
    index.set(name, list);
  };
  for (const form of forms) {
    if (form.alternative) continue;
    const { mnemonic } = form;
    if (mnemonic.includes('{size}')) {
      const isByte = form.operands.some(({ method, size }) => (method === 'X' || method === 'Y') && size === 'b');
      if (isByte) add(mnemonic.replace('{size}', 'B'), form, 0);
      else
        for (const [letter, size] of [
          ['W', 2],
          ['D', 4],
          ['Q', 8],
        ] as const)
          add(mnemonic.replace('{size}', letter), form, size);
    } else if (mnemonic.includes('/')) {
      mnemonic.split('/').forEach((name, i) => {
        const bytes = ([2, 4, 8] as const)[i as 0 | 1 | 2];
        add(name, form, form.byAddress ? 0 : bytes, form.byAddress ? bytes : 0);
      });
    } else add(mnemonic, form, 0);
  }
  indexes.set(forms, index);
  return index;
}

/** The table's name for a mnemonic as written. */
export function canonical(mnemonic: string, index: FormIndex): string {
  const upper = mnemonic.toUpperCase();
  if (index.has(upper)) return upper;
  const conditional = /^(J|SET|CMOV)(\w+)$/.exec(upper);
  const alias = conditional === null ? undefined : CONDITION_ALIASES[conditional[2] as string];
  if (alias !== undefined) return `${(conditional as RegExpExecArray)[1]}${alias}`;
  return ALIASES[upper] ?? upper;
}

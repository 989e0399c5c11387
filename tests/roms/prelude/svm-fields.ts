import { INTERCEPTS, type InterceptName, VMCB_FIELDS, type VmcbFieldName } from '@minusone/amdv';

/** A value of a VMCB field: a number, or an expression of the assembler for the low 32 bits. */
export type VmcbValue = number | bigint | string;
/** Values of VMCB fields by the manual's names. */
export type VmcbValues = Readonly<Partial<Record<VmcbFieldName, VmcbValue>>>;

/** An intercept by name: those of words 3 to 5, and of control registers, debug registers and exceptions by number. */
export type SvmIntercept =
  | InterceptName
  | `CR${number}_READ`
  | `CR${number}_WRITE`
  | `DR${number}_READ`
  | `DR${number}_WRITE`
  | `EXCP${number}`;

/** The intercept words of a list of intercepts. */
export function interceptFields(names: readonly SvmIntercept[]): VmcbValues {
  const words: Partial<Record<VmcbFieldName, number>> = {};
  const add = (field: VmcbFieldName, bit: number): void => {
    words[field] = ((words[field] ?? 0) | (1 << bit)) >>> 0;
  };
  for (const name of names) {
    const register = /^(CR|DR)(\d+)_(READ|WRITE)$/.exec(name);
    const vector = /^EXCP(\d+)$/.exec(name);
    if (register !== null) {
      add(register[1] === 'CR' ? 'INTERCEPT_CR' : 'INTERCEPT_DR', Number(register[2]) + (register[3] === 'WRITE' ? 16 : 0));
    } else if (vector !== null) {
      add('INTERCEPT_EXCEPTIONS', Number(vector[1]));
    } else {
      const { field, bit } = INTERCEPTS[name as InterceptName];
      add(field, bit);
    }
  }
  return words;
}

/** Doublewords of a VMCB by offset: numbers, or one expression. */
type Doublewords = ReadonlyMap<number, number | string>;

/** Fields as the doublewords that hold them. */
export function doublewords(fields: VmcbValues): Doublewords {
  const words = new Map<number, number | string>();
  for (const [name, value] of Object.entries(fields)) {
    const { offset, bit, bits } = VMCB_FIELDS[name as VmcbFieldName];
    if (typeof value === 'string') {
      words.set(offset, value);
      continue;
    }
    const mask = (1n << BigInt(bits)) - 1n;
    const shifted = (BigInt(value) & mask) << BigInt(bit);
    const put = (at: number, part: bigint, cleared: bigint): void => {
      const old = words.get(at) ?? 0;
      if (typeof old === 'string') throw new TypeError(`${name} shares a doubleword with an expression`);
      words.set(at, Number((BigInt(old) & ~cleared) | part));
    };
    put(offset, shifted & 0xffff_ffffn, (mask << BigInt(bit)) & 0xffff_ffffn);
    if (bits === 64) put(offset + 4, shifted >> 32n, 0xffff_ffffn);
  }
  return words;
}

/** A table for `svm_set`: what has to be written over `base` to have `fields`. */
export function vmcbTable(fields: VmcbValues, base: VmcbValues = {}): string {
  const old = doublewords(base);
  const lines = [...doublewords({ ...base, ...fields })]
    .filter(([offset, value]) => value !== (old.get(offset) ?? 0))
    .map(([offset, value]) => `dw ${offset}\ndd ${value}`);
  return [...lines, 'dw 0xffff'].join('\n');
}

/** The operand of a field of the VMCB in memory. */
export const vmcbField = (name: VmcbFieldName, vmcb: number): string => `[${vmcb + VMCB_FIELDS[name].offset}]`;

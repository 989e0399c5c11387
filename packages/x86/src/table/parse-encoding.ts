import { InternalError } from '@minusone/core';
import type { InstructionForm, OperandMethod, OperandSpec, VexSpec } from './form.ts';
import type { InstructionRow } from './row.ts';

/** Condition suffixes by number (SDM Vol. 1, Appendix B), in the spelling that the disassembler prints. */
export const CONDITIONS: readonly string[] = ['O', 'NO', 'B', 'AE', 'E', 'NE', 'BE', 'A', 'S', 'NS', 'P', 'NP', 'L', 'GE', 'LE', 'G'];

const FIXED = new Set(['AL', 'CL', 'AX', 'DX', 'eAX', 'rAX', '1', '3', 'ES', 'CS', 'SS', 'DS', 'FS', 'GS']);
const ATTRIBUTES = new Set(['lock', 'rep', 'repz', 'i64', 'o64', 'd64', 'f64', 'nowait', 'alt', 'byaddress']);
const HEX_BYTE = /^[0-9A-F]{2}$/;
const HEX_PLUS = /^([0-9A-F]{2})\+(r|cc|i)$/;

/** Parses every encoding of a row (see `row.ts`), conditions expanded. `firstId` numbers the forms. */
export function parseRow(row: InstructionRow, firstId: number): InstructionForm[] {
  const forms: InstructionForm[] = [];
  for (const encoding of row.encodings) {
    const parsed = parseEncoding(row, encoding);
    const conditions = parsed.isConditional ? CONDITIONS.map((_, cc) => cc) : [-1];
    for (const cc of conditions) {
      forms.push({
        ...parsed.form,
        id: firstId + forms.length,
        cc,
        opcode: parsed.form.opcode + Math.max(cc, 0),
        mnemonic: cc < 0 ? row.mnemonic : row.mnemonic.replace('{cc}', CONDITIONS[cc] as string),
      });
    }
  }
  return forms;
}

function parseEncoding(row: InstructionRow, encoding: string): { form: InstructionForm; isConditional: boolean } {
  const bad = (why: string): never => {
    throw new InternalError(`The encoding '${encoding}' of ${row.mnemonic} is malformed: ${why}.`);
  };
  const words = encoding.split(/\s+/);
  let at = 0;
  let vex: VexSpec | undefined;
  let mandatoryPrefix: InstructionForm['mandatoryPrefix'];
  let map: InstructionForm['map'] = 0;
  if (words[0]?.startsWith('VEX.')) {
    const vexWord = parseVex(words[at++] as string);
    vex = vexWord.spec;
    map = vexWord.map;
  }
  if (words[at] === 'NP') {
    mandatoryPrefix = 'none';
    at++;
  } else if (/^(66|F2|F3)$/.test(words[at] ?? '') && (words[at + 1] ?? '') !== '' && HEX_BYTE.test((words[at + 1] as string).slice(0, 2))) {
    mandatoryPrefix = Number.parseInt(words[at++] as string, 16) as 0x66 | 0xf2 | 0xf3;
  }
  if (vex === undefined && words[at] === '0F') {
    map = 1;
    at++;
    if (words[at] === '38' || words[at] === '3A') map = words[at++] === '38' ? 2 : 3;
  }
  const first = words[at++] ?? bad('no opcode');
  const plus = HEX_PLUS.exec(first);
  const opcode = Number.parseInt(plus?.[1] ?? first, 16);
  if (!plus && !HEX_BYTE.test(first)) bad(`'${first}' is not an opcode byte`);
  let digit = -1;
  let fixedModrm = -1;
  let modrmCount: 1 | 8 = 1;
  let hasModrm = false;
  const next = words[at] ?? '';
  const nextPlus = HEX_PLUS.exec(next);
  if (next === '/r') {
    hasModrm = true;
    at++;
  } else if (/^\/[0-7]$/.test(next)) {
    hasModrm = true;
    digit = Number(next[1]);
    at++;
  } else if (HEX_BYTE.test(next) || nextPlus?.[2] === 'i') {
    hasModrm = true;
    fixedModrm = Number.parseInt(next.slice(0, 2), 16);
    modrmCount = nextPlus ? 8 : 1;
    at++;
  }
  let operands: OperandSpec[] = [];
  if (at < words.length && !ATTRIBUTES.has(words[at] as string)) {
    operands = (words[at++] as string).split(',').map((text) => parseOperand(text) ?? bad(`unknown operand '${text}'`));
  }
  const attributes = new Set(words.slice(at));
  for (const word of attributes) if (!ATTRIBUTES.has(word)) bad(`unknown attribute '${word}'`);
  return {
    isConditional: plus?.[2] === 'cc',
    form: {
      id: -1,
      row,
      encoding,
      mnemonic: row.mnemonic,
      operands,
      cc: -1,
      unit: row.options.unit ?? 'integer',
      flow: row.options.flow ?? 'next',
      mandatoryPrefix,
      map,
      opcode,
      opcodeCount: plus?.[2] === 'r' ? 8 : 1,
      hasModrm,
      digit,
      fixedModrm,
      modrmCount,
      vex,
      lock: attributes.has('lock'),
      repeat: attributes.has('repz') ? 'repz' : attributes.has('rep') ? 'rep' : 'none',
      in64: attributes.has('i64') ? 'invalid' : attributes.has('o64') ? 'only' : 'both',
      size64: attributes.has('f64') ? 'forced64' : attributes.has('d64') ? 'default64' : 'normal',
      nowait: attributes.has('nowait'),
      alternative: attributes.has('alt'),
      byAddress: attributes.has('byaddress'),
    },
  };
}

function parseVex(word: string): { spec: VexSpec; map: InstructionForm['map'] } {
  const parts = new Set(word.split('.').slice(1));
  const length = parts.has('256') ? 256 : parts.has('128') || parts.has('LZ') || parts.has('L0') ? 128 : 'any';
  const prefix = parts.has('66') ? 0x66 : parts.has('F3') ? 0xf3 : parts.has('F2') ? 0xf2 : 0;
  const map = parts.has('0F38') ? 2 : parts.has('0F3A') ? 3 : 1;
  return { spec: { length, prefix, w: parts.has('W0') ? 0 : parts.has('W1') ? 1 : 'any' }, map };
}

function parseOperand(text: string): OperandSpec | undefined {
  const none = { size: '', memorySize: '', fixed: '' };
  if (FIXED.has(text)) return { ...none, method: 'fixed', fixed: text };
  if (text === 'ST0') return { ...none, method: 'ST0' };
  if (text === 'STi') return { ...none, method: 'ST' };
  const [register, memory] = text.split('/') as [string, string | undefined];
  const match = /^(sI|[A-Z])([a-z]*)$/.exec(register);
  if (!match) return undefined;
  const memorySize = memory === undefined ? '' : memory.slice(1);
  if (memory !== undefined && memory[0] !== 'M') return undefined;
  return { method: match[1] as OperandMethod, size: match[2] as string, memorySize, fixed: '' };
}

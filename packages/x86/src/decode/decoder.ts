import { Segment } from '../state/layout.ts';
import type { InstructionForm, OperandSpec } from '../table/form.ts';
import { type InstructionTable, modrmKind } from '../table/instruction-table.ts';
import type { Insn } from './insn.ts';
import { operandBytesOf } from './operand-size.ts';

/**
 * Why bytes are no instruction: `undefined` raises #UD; `truncated` needs more bytes than were given; `too-long` exceeds 15 bytes and raises #GP(0)
 * (SDM Vol. 2A, 2.3.11).
 */
export type DecodeFailure = 'undefined' | 'truncated' | 'too-long';

/** What the prefixes said. One object per decoder, reused. */
interface Prefixes {
  operandSize: boolean;
  addressSize: boolean;
  rep: 0 | 0xf2 | 0xf3;
  lock: boolean;
  segment: number;
  rex: number;
  vexPrefix: 0 | 0x66 | 0xf2 | 0xf3;
  vexLength: 0 | 16 | 32;
  vvvv: number;
}

const SEGMENT_PREFIXES: Readonly<Record<number, number>> = {
  38: Segment.ES,
  46: Segment.CS,
  54: Segment.SS,
  62: Segment.DS,
  100: Segment.FS,
  101: Segment.GS,
};
const [RBX, RSP, RBP, RSI, RDI] = [3, 4, 5, 6, 7];
/** Base and index of 16-bit addressing (SDM Vol. 2A, Table 2-1). */
const BASES_16 = [RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX];
const INDEXES_16 = [RSI, RDI, RSI, RDI, -1, -1, -1, -1];

/** How special a form is: the more special of two that fit wins (see `row.ts`). */
function specificity(form: InstructionForm): number {
  return (
    (form.mandatoryPrefix === undefined ? 0 : 8) +
    (form.fixedModrm >= 0 ? 4 : 0) +
    (form.digit >= 0 ? 2 : 0) +
    (modrmKind(form) === 'either' ? 0 : 1) +
    (form.opcodeCount === 1 ? 1 : 0)
  );
}

/**
 * Turns bytes into decoded instructions, for one table and one set of CPUID features. Nothing is executed and no memory is touched.
 *
 * @example
 * const insn = new Decoder(instructionTable).decode(new Uint8Array([0x48, 0x01, 0xd8]), 0, 3, 64);
 */
export class Decoder {
  readonly table: InstructionTable;
  /** Candidate forms by map and opcode, most special first; legacy and VEX apart. */
  readonly #legacy: readonly (readonly InstructionForm[])[];
  readonly #vex: readonly (readonly InstructionForm[])[];

  /**
   * @param features names of the CPUID features offered; forms that need another one do not exist. Left out: all are offered.
   */
  constructor(table: InstructionTable, features?: ReadonlySet<string>) {
    this.table = table;
    const offered = table.forms.filter(
      (form) => features === undefined || (form.row.options.features ?? []).every((name) => features.has(name)),
    );
    this.#legacy = index(offered.filter((form) => form.vex === undefined));
    this.#vex = index(offered.filter((form) => form.vex !== undefined));
  }

  /** Decodes the instruction at `bytes[start]`; bytes from `end` on are not there. */
  decode(bytes: Uint8Array, start: number, end: number, codeBits: 16 | 32 | 64): Insn | DecodeFailure {
    const limit = Math.min(end, start + 15);
    /** What a missing byte means. */
    const missing: DecodeFailure = end - start >= 15 ? 'too-long' : 'truncated';
    const prefixes: Prefixes = {
      operandSize: false,
      addressSize: false,
      rep: 0,
      lock: false,
      segment: -1,
      rex: 0,
      vexPrefix: 0,
      vexLength: 0,
      vvvv: 0,
    };
    let at = start;
    let opcode = 0;
    for (; ; at++) {
      if (at >= limit) return missing;
      opcode = bytes[at] as number;
      if (opcode === 0x66) prefixes.operandSize = true;
      else if (opcode === 0x67) prefixes.addressSize = true;
      else if (opcode === 0xf2 || opcode === 0xf3) prefixes.rep = opcode;
      else if (opcode === 0xf0) prefixes.lock = true;
      else if (opcode in SEGMENT_PREFIXES) {
        // In 64-bit mode CS, DS, ES and SS overrides are null prefixes (SDM Vol. 1, 3.3.7.1): a preceding FS or GS stays.
        if (codeBits !== 64 || opcode >= 0x64) prefixes.segment = SEGMENT_PREFIXES[opcode] as number;
      } else if (codeBits === 64 && (opcode & 0xf0) === 0x40) {
        prefixes.rex = opcode;
        continue;
      } else break;
      prefixes.rex = 0; // A REX that does not directly precede the opcode is ignored.
    }
    at++;
    let map: 0 | 1 | 2 | 3 = 0;
    let isVex = false;
    if (opcode === 0xc4 || opcode === 0xc5) {
      if (at >= limit) return missing;
      isVex = codeBits === 64 || ((bytes[at] as number) & 0xc0) === 0xc0;
    }
    if (isVex) {
      const long = opcode === 0xc4;
      if (at + (long ? 2 : 1) >= limit) return missing;
      if (prefixes.operandSize || prefixes.rep !== 0 || prefixes.lock || prefixes.rex !== 0) return 'undefined';
      const first = bytes[at++] as number;
      let last = first;
      if (long) {
        const mapField = first & 0x1f;
        if (mapField < 1 || mapField > 3) return 'undefined';
        map = mapField as 1 | 2 | 3;
        last = bytes[at++] as number;
        prefixes.rex = 0x40 | ((~first >> 5) & 7) | ((last & 0x80) >> 4);
      } else {
        map = 1;
        prefixes.rex = 0x40 | ((~first >> 5) & 4);
      }
      if (codeBits !== 64) prefixes.rex &= 0x48; // Register extensions do not exist there.
      prefixes.vvvv = (~last >> 3) & (codeBits === 64 ? 15 : 7);
      prefixes.vexLength = last & 4 ? 32 : 16;
      prefixes.vexPrefix = ([0, 0x66, 0xf3, 0xf2] as const)[(last & 3) as 0 | 1 | 2 | 3];
      opcode = bytes[at++] as number;
    } else if (opcode === 0x0f) {
      if (at >= limit) return missing;
      opcode = bytes[at++] as number;
      map = 1;
      if (opcode === 0x38 || opcode === 0x3a) {
        map = opcode === 0x38 ? 2 : 3;
        if (at >= limit) return missing;
        opcode = bytes[at++] as number;
      }
    }
    const candidates = (isVex ? this.#vex : this.#legacy)[(map << 8) | opcode];
    if (candidates === undefined || candidates.length === 0) return 'undefined';
    const needsModrm = (candidates[0] as InstructionForm).hasModrm;
    if (needsModrm && at >= limit) return missing;
    const modrm = needsModrm ? (bytes[at] as number) : -1;
    const form = candidates.find((candidate) => fits(candidate, prefixes, isVex, modrm, opcode, codeBits));
    if (form === undefined) return 'undefined';
    return complete(
      form,
      prefixes,
      bytes,
      start,
      form.hasModrm ? at + 1 : at,
      limit,
      missing,
      opcode,
      form.hasModrm ? modrm : -1,
      codeBits,
    );
  }
}

function index(forms: readonly InstructionForm[]): InstructionForm[][] {
  const byOpcode: InstructionForm[][] = Array.from({ length: 1024 }, () => []);
  for (const form of forms) {
    for (let n = 0; n < form.opcodeCount; n++) (byOpcode[(form.map << 8) | (form.opcode + n)] as InstructionForm[]).push(form);
  }
  for (const list of byOpcode) list.sort((a, b) => specificity(b) - specificity(a));
  return byOpcode;
}

function fits(form: InstructionForm, prefixes: Prefixes, isVex: boolean, modrm: number, opcode: number, codeBits: number): boolean {
  if (codeBits === 64 ? form.in64 === 'invalid' : form.in64 === 'only') return false;
  if (isVex) {
    const { vex } = form;
    if (vex === undefined || vex.prefix !== prefixes.vexPrefix) return false;
    if (vex.length !== 'any' && vex.length !== prefixes.vexLength * 8) return false;
    // VEX.vvvv that names no operand must be 1111B (SDM Vol. 2A, 2.3.5.6).
    if (prefixes.vvvv !== 0 && !form.operands.some(({ method }) => method === 'H' || method === 'B')) return false;
    if (vex.w !== 'any' && vex.w !== ((prefixes.rex >> 3) & 1)) return false;
  } else if (form.mandatoryPrefix !== undefined) {
    const effective = prefixes.rep !== 0 ? prefixes.rep : prefixes.operandSize ? 0x66 : 'none';
    if (effective !== form.mandatoryPrefix) return false;
  }
  // 90 is NOP, but REX.B makes it XCHG r8, rAX.
  if (form.map === 0 && opcode === 0x90 && form.opcodeCount === 1 && (prefixes.rex & 1) !== 0) return false;
  if (form.hasModrm) {
    if (form.digit >= 0 && form.digit !== ((modrm >> 3) & 7)) return false;
    if (form.fixedModrm >= 0 && (modrm < form.fixedModrm || modrm >= form.fixedModrm + form.modrmCount)) return false;
    // There are six segment registers.
    if ((modrm & 0x30) === 0x30 && form.operands.some(({ method }) => method === 'S')) return false;
    const kind = modrmKind(form);
    if (kind !== 'either' && (kind === 'register') !== modrm >= 0xc0) return false;
  }
  return true;
}

function effectiveOperandBytes(form: InstructionForm, prefixes: Prefixes, codeBits: number): 2 | 4 | 8 {
  if (codeBits === 64) {
    if (form.size64 === 'forced64' || (prefixes.rex & 8) !== 0) return 8;
    if (prefixes.operandSize) return 2;
    return form.size64 === 'default64' ? 8 : 4;
  }
  return (codeBits === 32) !== prefixes.operandSize ? 4 : 2;
}

const signed32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
const signed16 = (bytes: Uint8Array, at: number): number => (((bytes[at] as number) | ((bytes[at + 1] as number) << 8)) << 16) >> 16;
const signed8 = (bytes: Uint8Array, at: number): number => ((bytes[at] as number) << 24) >> 24;

/** Bytes of the immediate field that an operand takes from the instruction. */
function immediateBytes(operand: OperandSpec, operandBytes: 2 | 4 | 8, addressBytes: number): number {
  switch (operand.method) {
    case 'sI':
    case 'L':
      return 1;
    case 'I':
    case 'J':
      return operandBytesOf(operand.size, { operandBytes, vectorBytes: 0 });
    case 'O':
      return addressBytes;
    case 'A':
      return operandBytes + 2;
    default:
      return 0;
  }
}

function complete(
  form: InstructionForm,
  prefixes: Prefixes,
  bytes: Uint8Array,
  start: number,
  afterModrm: number,
  limit: number,
  missing: DecodeFailure,
  opcode: number,
  modrm: number,
  codeBits: 16 | 32 | 64,
): Insn | DecodeFailure {
  const { rex } = prefixes;
  const operandBytes = effectiveOperandBytes(form, prefixes, codeBits);
  const addressBytes = codeBits === 64 ? (prefixes.addressSize ? 4 : 8) : (codeBits === 32) !== prefixes.addressSize ? 4 : 2;
  const isRegisterForm = modrm < 0 || modrm >= 0xc0 || form.operands.some(({ method }) => method === 'C' || method === 'D');
  let at = afterModrm;
  let base = -1;
  let indexRegister = -1;
  let scale = 0;
  let displacement = 0;
  let displacementHigh = 0;
  let ripRelative = false;
  let stackBased = false;
  if (!isRegisterForm) {
    const mod = modrm >> 6;
    const rm = modrm & 7;
    let displacementBytes = mod === 1 ? 1 : mod === 2 ? (addressBytes === 2 ? 2 : 4) : 0;
    if (addressBytes === 2) {
      base = BASES_16[rm] as number;
      indexRegister = INDEXES_16[rm] as number;
      if (mod === 0 && rm === 6) {
        base = -1;
        displacementBytes = 2;
      }
      stackBased = base === RBP;
    } else if (rm === 4) {
      if (at >= limit) return missing;
      const sib = bytes[at++] as number;
      scale = sib >> 6;
      indexRegister = ((sib >> 3) & 7) | ((rex & 2) << 2);
      if (indexRegister === RSP) {
        indexRegister = -1;
        scale = 0;
      }
      base = (sib & 7) | ((rex & 1) << 3);
      if ((sib & 7) === RBP && mod === 0) {
        base = -1;
        displacementBytes = 4;
      }
      stackBased = base === RSP || base === RBP;
    } else if (rm === 5 && mod === 0) {
      displacementBytes = 4;
      ripRelative = codeBits === 64;
    } else {
      base = rm | ((rex & 1) << 3);
      stackBased = base === RBP;
    }
    if (at + displacementBytes > limit) return missing;
    if (displacementBytes === 1) displacement = signed8(bytes, at);
    else if (displacementBytes === 2) displacement = signed16(bytes, at);
    else if (displacementBytes === 4) displacement = signed32(bytes, at);
    displacementHigh = displacement >> 31;
    at += displacementBytes;
  }
  let immediate = 0;
  let immediateHigh = 0;
  let immediate2 = 0;
  let immediates = 0;
  for (const operand of form.operands) {
    const size = immediateBytes(operand, operandBytes, addressBytes);
    if (size === 0) continue;
    if (at + size > limit) return missing;
    if (operand.method === 'O') {
      displacement = size === 2 ? signed16(bytes, at) & 0xffff : signed32(bytes, at);
      displacementHigh = size === 8 ? signed32(bytes, at + 4) : 0;
    } else if (operand.method === 'A') {
      immediate = operandBytes === 2 ? signed16(bytes, at) & 0xffff : signed32(bytes, at);
      immediate2 = signed16(bytes, at + size - 2) & 0xffff;
    } else {
      const low = size === 1 ? signed8(bytes, at) : size === 2 ? signed16(bytes, at) : signed32(bytes, at);
      if (immediates++ === 0) {
        immediate = low;
        immediateHigh = size === 8 ? signed32(bytes, at + 4) : low >> 31;
      } else immediate2 = low;
    }
    at += size;
  }
  const memoryFirst = !isRegisterForm && ['E', 'M', 'R'].includes(form.operands[0]?.method ?? '');
  if (prefixes.lock && !(form.lock && memoryFirst)) return 'undefined';
  return {
    form,
    length: at - start,
    codeBits,
    operandBytes,
    addressBytes,
    segment: prefixes.segment >= 0 ? prefixes.segment : stackBased ? Segment.SS : Segment.DS,
    segmentOverride: prefixes.segment,
    lock: prefixes.lock,
    rep: typeof form.mandatoryPrefix === 'number' && form.mandatoryPrefix !== 0x66 ? 0 : prefixes.rep,
    rex,
    modrm,
    reg: modrm < 0 ? 0 : ((modrm >> 3) & 7) | ((rex & 4) << 1),
    rm: (modrm < 0 ? opcode & 7 : modrm & 7) | ((rex & 1) << 3),
    isRegisterForm,
    base,
    index: indexRegister,
    scale,
    displacement,
    displacementHigh,
    ripRelative,
    immediate,
    immediateHigh,
    immediate2,
    vvvv: prefixes.vvvv,
    vectorBytes: prefixes.vexLength,
  };
}

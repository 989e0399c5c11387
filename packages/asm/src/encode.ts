import { type InstructionForm, type OperandSpec, operandBytesOf } from '@minusone/x86';
import type { AsmOperand, MemoryOperand } from './operand.ts';
import type { Register } from './registers.ts';

/** What an instruction is encoded for. */
export interface EncodeContext {
  readonly bits: 16 | 32 | 64;
  /** Address of the instruction's first byte. */
  readonly address: bigint;
  /** Legacy prefix bytes written by the author (LOCK, REP, o16, a32 ...). */
  readonly prefixes: readonly number[];
}

/** One way to encode: the bytes, and the size of the memory operand where the form fixes one. */
export interface Encoded {
  readonly bytes: number[];
  readonly memoryBytes: number;
}

type OperandBytes = 2 | 4 | 8;

/** What the operands put into the instruction while they are matched. */
interface Parts {
  reg: number;
  rm: Register | MemoryOperand | undefined;
  opcodeRegister: number;
  rex: number;
  needsRex: boolean;
  forbidsRex: boolean;
  vvvv: number;
  immediates: { value: bigint; bytes: number }[];
  relative: { target: bigint; bytes: number; isForward: boolean } | undefined;
  moffs: MemoryOperand | undefined;
  memoryBytes: number;
  memory: MemoryOperand | undefined;
  vectorBytes: number;
  imm4: number;
}

const inSigned = (value: bigint, bits: number): boolean => value >= -(1n << BigInt(bits - 1)) && value < 1n << BigInt(bits - 1);
/** Fits the field as a signed or as an unsigned number. */
const inField = (value: bigint, bits: number): boolean => value >= -(1n << BigInt(bits - 1)) && value < 1n << BigInt(bits);

/** True where the operand size changes what the form means, so that its prefixes must be written. */
export function dependsOnOperandSize(form: InstructionForm): boolean {
  return (
    (form.mnemonic.includes('/') && !form.byAddress) ||
    form.operands.some(({ size, memorySize, method, fixed }) =>
      /[vzypa]/.test(size + memorySize) && size !== 'pd' && size !== 'ps'
        ? true
        : method === 'sI' || method === 'J' || fixed === 'eAX' || fixed === 'rAX',
    )
  );
}

function matchRegister(operand: AsmOperand, kind: Register['kind'], bytes: number): Register | undefined {
  if (operand.kind !== 'register' || operand.register.kind !== kind) return undefined;
  return bytes === 0 || operand.register.bytes === bytes ? operand.register : undefined;
}

function noteByteRegister(parts: Parts, register: Register): void {
  parts.needsRex ||= register.needsRex;
  parts.forbidsRex ||= register.high;
}

/** ModRM number of a byte register: AH to BH are 4 to 7. */
const numberOf = (register: Register): number => (register.high ? register.index + 4 : register.index);

function matchMemory(operand: AsmOperand, bytes: number, parts: Parts): boolean {
  if (operand.kind !== 'memory') return false;
  if (operand.bytes !== 0 && bytes !== 0 && operand.bytes !== bytes) return false;
  parts.memory = operand;
  parts.rm = operand;
  if (operand.bytes === 0) parts.memoryBytes = bytes;
  return true;
}

/** Puts one operand into the parts; false where it does not fit. A value that is not known yet fits everywhere: the first pass takes the shortest encodings, which later passes only lengthen. */
function match(spec: OperandSpec, operand: AsmOperand, operandBytes: OperandBytes, parts: Parts): boolean {
  const sizes = { operandBytes, vectorBytes: parts.vectorBytes as 0 | 16 | 32 };
  const bytes = operandBytesOf(spec.size, sizes);
  const memoryBytes = spec.memorySize === '' ? bytes : operandBytesOf(spec.memorySize, sizes);
  const register = (kind: Register['kind'], width: number): Register | undefined => matchRegister(operand, kind, width);
  const rmRegister = (found: Register | undefined): boolean => {
    if (found === undefined) return false;
    parts.rm = found;
    noteByteRegister(parts, found);
    return true;
  };
  const regRegister = (found: Register | undefined): boolean => {
    if (found === undefined) return false;
    parts.reg = numberOf(found);
    noteByteRegister(parts, found);
    return true;
  };
  switch (spec.method) {
    case 'E':
      return rmRegister(register('gpr', bytes)) || matchMemory(operand, memoryBytes, parts);
    case 'R':
      return rmRegister(register('gpr', bytes)) || (spec.memorySize !== '' && matchMemory(operand, memoryBytes, parts));
    case 'M':
      return matchMemory(operand, bytes, parts);
    case 'W':
      return rmRegister(register('vector', bytes === 32 ? 32 : 16)) || matchMemory(operand, memoryBytes, parts);
    case 'U':
      return rmRegister(register('vector', bytes === 32 ? 32 : 16)) || (spec.memorySize !== '' && matchMemory(operand, memoryBytes, parts));
    case 'Q':
      return rmRegister(register('mmx', 0)) || matchMemory(operand, memoryBytes, parts);
    case 'N':
      return rmRegister(register('mmx', 0)) || (spec.memorySize !== '' && matchMemory(operand, memoryBytes, parts));
    case 'G':
      return regRegister(register('gpr', bytes));
    case 'V':
      return regRegister(register('vector', bytes === 32 ? 32 : 16));
    case 'P':
      return regRegister(register('mmx', 0));
    case 'S':
      return regRegister(register('segment', 0));
    case 'C':
      return regRegister(register('control', 0));
    case 'D':
      return regRegister(register('debug', 0));
    case 'B':
    case 'H': {
      const found = spec.method === 'B' ? register('gpr', bytes) : register('vector', bytes === 32 ? 32 : 16);
      if (found !== undefined) parts.vvvv = found.index;
      return found !== undefined;
    }
    case 'L': {
      const found = register('vector', bytes === 32 ? 32 : 16);
      if (found !== undefined) parts.imm4 = found.index;
      return found !== undefined;
    }
    case 'Z': {
      const found = register('gpr', bytes);
      if (found === undefined) return false;
      parts.opcodeRegister = numberOf(found);
      noteByteRegister(parts, found);
      return true;
    }
    case 'ST0':
      return register('st', 0)?.index === 0;
    case 'ST': {
      const found = register('st', 0);
      if (found !== undefined) parts.opcodeRegister = found.index;
      return found !== undefined;
    }
    case 'I':
    case 'sI':
      return matchImmediate(spec, operand, operandBytes, parts, bytes);
    case 'J': {
      if (operand.kind !== 'immediate') return false;
      if (bytes === 1 ? operand.distance === 'near' : operand.distance === 'short') return false;
      parts.relative = { target: operand.value, bytes, isForward: operand.isForward };
      return true;
    }
    case 'A':
      if (operand.kind !== 'far' || operandBytes === 8) return false;
      parts.immediates.push({ value: operand.offset, bytes: operandBytes }, { value: operand.selector, bytes: 2 });
      return inField(operand.offset, operandBytes * 8);
    case 'O':
      if (operand.kind !== 'memory' || operand.base !== undefined || operand.index !== undefined || operand.relative) return false;
      if (operand.bytes !== 0 && operand.bytes !== bytes) return false;
      parts.moffs = operand;
      parts.memory = operand;
      return true;
    case 'fixed':
      return matchFixed(spec.fixed, operand, operandBytes);
    default:
      return false;
  }

  function matchImmediate(immediate: OperandSpec, given: AsmOperand, size: OperandBytes, into: Parts, fieldBytes: number): boolean {
    if (given.kind !== 'immediate' || given.distance !== '') return false;
    const width = immediate.method === 'sI' || immediate.size === 'z' ? size * 8 : fieldBytes * 8;
    // `push word 5` speaks of the operand's size, `push byte 5` of the field's.
    const isOperandSize = (immediate.method === 'sI' || immediate.size === 'z') && given.bytes === size;
    if (given.bytes !== 0 && !isOperandSize && given.bytes !== (immediate.method === 'sI' ? 1 : fieldBytes)) return false;
    if (!inField(given.value, width)) return false;
    const value = BigInt.asIntN(width, given.value);
    if (immediate.method === 'sI') {
      if (!inSigned(value, 8)) return false;
      into.immediates.push({ value, bytes: 1 });
      return true;
    }
    if (immediate.size === 'z' && size === 8 && !inSigned(value, 32)) return false;
    into.immediates.push({ value, bytes: fieldBytes });
    return true;
  }

  function matchFixed(name: string, given: AsmOperand, size: OperandBytes): boolean {
    if (given.kind === 'immediate') return (name === '1' || name === '3') && (given.value === BigInt(name) || given.isForward);
    if (given.kind !== 'register') return false;
    const { kind, index, bytes: width, high } = given.register;
    if (kind === 'segment') return ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'][index] === name;
    if (kind !== 'gpr' || high) return false;
    switch (name) {
      case 'AL':
        return index === 0 && width === 1;
      case 'CL':
        return index === 1 && width === 1;
      case 'AX':
        return index === 0 && width === 2;
      case 'DX':
        return index === 2 && width === 2;
      case 'eAX':
        return index === 0 && width === Math.min(size, 4);
      case 'rAX':
        return index === 0 && width === size;
      default:
        return false;
    }
  }
}

const littleEndian = (value: bigint, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));

/** Encodes the operands by one form at one operand size; undefined where they do not fit. */
export function encodeForm(
  form: InstructionForm,
  operands: readonly AsmOperand[],
  operandBytes: OperandBytes,
  context: EncodeContext,
): Encoded | undefined {
  const { bits } = context;
  if (bits === 64 ? form.in64 === 'invalid' : form.in64 === 'only') return undefined;
  const parts: Parts = {
    reg: Math.max(form.digit, 0),
    rm: undefined,
    opcodeRegister: 0,
    rex: 0,
    needsRex: false,
    forbidsRex: false,
    vvvv: 0,
    immediates: [],
    relative: undefined,
    moffs: undefined,
    memoryBytes: 0,
    memory: undefined,
    vectorBytes: form.vex === undefined ? 0 : form.vex.length === 256 ? 32 : 16,
    imm4: -1,
  };
  const implicit = form.operands.some(({ method }) => method === 'X' || method === 'Y');
  if (implicit ? operands.length !== 0 : operands.length !== form.operands.length) return undefined;
  for (const [i, operand] of operands.entries()) {
    if (!match(form.operands[i] as OperandSpec, operand, operandBytes, parts)) return undefined;
  }
  // 90 is NOP, which in 64-bit code is not what XCHG EAX, EAX does (SDM Vol. 2D, "XCHG").
  if (form.map === 0 && form.opcode === 0x90 && form.opcodeCount === 8 && parts.opcodeRegister === 0) return undefined;
  const address = addressing(parts, bits, context.prefixes.includes(0x67));
  if (address === undefined) return undefined;

  const prefixes = [...context.prefixes, ...address.prefixes];
  let rexW = 0;
  if (dependsOnOperandSize(form) && !explicitSize(context.prefixes)) {
    const plain = bits === 64 ? (form.size64 === 'normal' ? 4 : 8) : bits / 8;
    if (operandBytes !== plain) {
      if (operandBytes === 8) rexW = 8;
      else if (bits === 64 && (form.size64 === 'forced64' || (form.size64 === 'default64' && operandBytes === 4))) return undefined;
      else if (form.mandatoryPrefix !== 0x66 || operandBytes !== 2) {
        if (form.mandatoryPrefix === 'none' && form.vex === undefined && operandBytes === 2) return undefined;
        if (form.vex === undefined) prefixes.push(0x66);
      }
    }
    if (form.vex === undefined && form.mandatoryPrefix === 0x66 && operandBytes === 4 && usesVariableGpr(form)) return undefined;
  }
  if (context.prefixes.includes(REX_W)) rexW = 8;
  const rmNumber = parts.rm === undefined ? 0 : 'register' in parts.rm || parts.rm.kind !== 'memory' ? numberOf(parts.rm as Register) : 0;
  let rex = rexW | (parts.reg >= 8 ? 4 : 0) | address.rex | (rmNumber >= 8 || parts.opcodeRegister >= 8 ? 1 : 0);
  if (rex !== 0 || parts.needsRex) rex |= 0x40;
  if (rex !== 0 && (bits !== 64 || parts.forbidsRex)) return undefined;

  const opcode = form.opcode + (form.opcodeCount === 8 ? parts.opcodeRegister & 7 : 0);
  const bytes: number[] = prefixes.filter((byte) => byte !== REX_W);
  if (form.vex !== undefined) bytes.push(...vexPrefix(form, rex, parts.vvvv, rexW));
  else {
    if (typeof form.mandatoryPrefix === 'number') bytes.push(form.mandatoryPrefix);
    if (rex !== 0) bytes.push(rex);
    if (form.map > 0) bytes.push(0x0f);
    if (form.map === 2) bytes.push(0x38);
    if (form.map === 3) bytes.push(0x3a);
  }
  bytes.push(opcode);
  if (form.hasModrm) {
    if (form.fixedModrm >= 0) bytes.push(form.fixedModrm + (form.modrmCount === 8 ? parts.opcodeRegister & 7 : 0));
    else if (parts.memory !== undefined) bytes.push(...address.modrm(parts.reg & 7, 0));
    else bytes.push(0xc0 | ((parts.reg & 7) << 3) | (rmNumber & 7));
  }
  const tail: number[] = [];
  if (parts.moffs !== undefined) tail.push(...littleEndian(parts.moffs.displacement, address.addressBytes));
  for (const { value, bytes: width } of parts.immediates) tail.push(...littleEndian(value, width));
  if (parts.imm4 >= 0) tail.push(parts.imm4 << 4);
  if (parts.relative !== undefined) {
    const end = context.address + BigInt(bytes.length + parts.relative.bytes);
    if (bits !== 64 && parts.relative.target >> BigInt(operandBytes * 8) !== 0n) return undefined;
    const displacement = parts.relative.isForward ? 0n : BigInt.asIntN(bits === 64 ? 64 : operandBytes * 8, parts.relative.target - end);
    if (!inSigned(displacement, parts.relative.bytes * 8)) return undefined;
    tail.push(...littleEndian(displacement, parts.relative.bytes));
  }
  if (form.hasModrm && parts.memory?.relative && form.fixedModrm < 0) {
    // The displacement counts from the end of the instruction: known only now.
    const end = context.address + BigInt(bytes.length + tail.length);
    const displacement = parts.memory.isForward
      ? 0n
      : BigInt.asIntN(context.prefixes.includes(0x67) ? 32 : 64, parts.memory.displacement - end);
    if (!inSigned(displacement, 32)) return undefined;
    bytes.splice(bytes.length - 4, 4, ...littleEndian(displacement, 4));
  }
  return { bytes: [...bytes, ...tail], memoryBytes: parts.memoryBytes };
}

/** Marks an author's `o64` prefix in the prefix list; written as REX.W. */
export const REX_W = 0x148;
const explicitSize = (prefixes: readonly number[]): boolean => prefixes.includes(0x66) || prefixes.includes(REX_W);
const usesVariableGpr = (form: InstructionForm): boolean =>
  form.operands.some(({ method, size }) => (method === 'G' || method === 'E' || method === 'M') && size === 'v');

function vexPrefix(form: InstructionForm, rex: number, vvvv: number, rexW: number): number[] {
  const { vex } = form;
  if (vex === undefined) return [];
  const w = vex.w === 1 || (vex.w === 'any' && rexW !== 0) ? 0x80 : 0;
  const pp = [0, 0x66, 0xf3, 0xf2].indexOf(vex.prefix);
  const last = ((~vvvv & 15) << 3) | (vex.length === 256 ? 4 : 0) | pp;
  if (form.map === 1 && w === 0 && (rex & 3) === 0) return [0xc5, ((~rex & 4) << 5) | last];
  return [0xc4, ((~rex & 7) << 5) | form.map, w | last];
}

interface Addressing {
  readonly prefixes: number[];
  readonly rex: number;
  readonly addressBytes: number;
  /** ModRM, SIB and displacement bytes. */
  readonly modrm: (reg: number, rm: number) => number[];
}

const SEGMENT_OVERRIDES = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];

/** `overridden`: the author has written the address-size prefix. */
function addressing(parts: Parts, bits: 16 | 32 | 64, overridden: boolean): Addressing | undefined {
  const { memory } = parts;
  if (memory === undefined) return { prefixes: [], rex: 0, addressBytes: bits / 8, modrm: () => [] };
  const prefixes = memory.segment >= 0 ? [SEGMENT_OVERRIDES[memory.segment] as number] : [];
  const width = memory.base?.bytes ?? memory.index?.bytes ?? 0;
  const plain = bits / 8;
  const unsaid = overridden ? (bits === 32 ? 2 : 4) : plain;
  let addressBytes = width === 0 || memory.base?.kind === 'ip' ? unsaid : width;
  if (width === 0 && bits === 16 && !inField(memory.displacement, 16)) addressBytes = 4;
  if (memory.base !== undefined && memory.index !== undefined && memory.base.bytes !== memory.index.bytes) return undefined;
  if (![2, 4, 8].includes(addressBytes) || (bits === 64 ? addressBytes === 2 : addressBytes === 8)) return undefined;
  if (overridden && addressBytes === plain) return undefined;
  if (addressBytes !== plain && !overridden) prefixes.push(0x67);
  if (addressBytes === 2) {
    const modrm16 = modrmSixteen(memory);
    return modrm16 === undefined ? undefined : { prefixes, rex: 0, addressBytes, modrm: modrm16 };
  }
  const base = memory.base?.kind === 'gpr' ? memory.base.index : -1;
  const index = memory.index?.index ?? -1;
  if (index === 4) return undefined;
  const rex = (base >= 8 ? 1 : 0) | (index >= 8 ? 2 : 0);
  const displacement = BigInt.asIntN(addressBytes === 8 ? 64 : 32, memory.displacement);
  if (!memory.relative && parts.moffs === undefined && !inSigned(displacement, 32)) return undefined;
  const modrm = (reg: number): number[] => {
    const head = reg << 3;
    if (memory.relative || memory.base?.kind === 'ip') return [head | 5, ...littleEndian(displacement, 4)];
    const scaleBits = [1, 2, 4, 8].indexOf(memory.scale) << 6;
    if (base < 0 && index < 0)
      return bits === 64 ? [head | 4, 0x25, ...littleEndian(displacement, 4)] : [head | 5, ...littleEndian(displacement, 4)];
    if (base < 0) return [head | 4, scaleBits | ((index & 7) << 3) | 5, ...littleEndian(displacement, 4)];
    const mod = displacement === 0n && (base & 7) !== 5 ? 0 : inSigned(displacement, 8) ? 1 : 2;
    const tail = mod === 0 ? [] : littleEndian(displacement, mod === 1 ? 1 : 4);
    if (index < 0 && (base & 7) !== 4) return [(mod << 6) | head | (base & 7), ...tail];
    return [(mod << 6) | head | 4, scaleBits | ((index < 0 ? 4 : index & 7) << 3) | (base & 7), ...tail];
  };
  return { prefixes, rex, addressBytes, modrm };
}

/** 16-bit forms (SDM Vol. 2A, Table 2-1): BX or BP, plus SI or DI. */
function modrmSixteen(memory: MemoryOperand): ((reg: number) => number[]) | undefined {
  if (memory.scale !== 1) return undefined;
  const used = [memory.base, memory.index].filter((register) => register !== undefined).map((register) => register.index);
  const key = used.sort((a, b) => a - b).join('+');
  const rm = ({ '3+6': 0, '3+7': 1, '5+6': 2, '5+7': 3, '6': 4, '7': 5, '5': 6, '3': 7, '': 6 } as Readonly<Record<string, number>>)[key];
  if (rm === undefined) return undefined;
  const displacement = BigInt.asIntN(16, memory.displacement);
  return (reg) => {
    const head = (reg << 3) | rm;
    if (key === '') return [head, ...littleEndian(displacement, 2)];
    if (displacement === 0n && key !== '5') return [head];
    if (inSigned(displacement, 8)) return [0x40 | head, ...littleEndian(displacement, 1)];
    return [0x80 | head, ...littleEndian(displacement, 2)];
  };
}

import { Gpr, type Insn, type ResolvedOperand, resolveOperands, Segment } from '@minusone/x86';
import { WINDOW_BYTES, WINDOWS } from '../fill.ts';
import { type Batch, CaseField } from './batch.ts';
import { type Encoding, pickDataOffset } from './encoding.ts';
import type { Random } from './random.ts';
import { putValues, type ValueKind } from './values.ts';

/** What an encoding's operands are, found once, so that each instance costs little. */
export interface InstancePlan {
  readonly encoding: Encoding;
  readonly operands: readonly ResolvedOperand[];
  /** Kind of values in XMM registers and in memory. */
  readonly values: ValueKind;
  /** Bytes of the memory operand; 0: none. */
  readonly memoryBytes: number;
  /** It is an operand that must stand at a multiple of 16. */
  readonly aligned: boolean;
  readonly usesFpu: boolean;
  readonly branch: 'register' | 'memory' | 'stack' | undefined;
  readonly isDivision: boolean;
  readonly isShift: boolean;
  readonly isString: boolean;
}

/** The kind of values that an instruction computes with, by its name. */
function valuesOf({ form }: Insn): ValueKind {
  const { mnemonic, unit } = form;
  if (unit === 'x87') {
    if (/^FI|^FNSTSW|^FNSTCW|^FLDCW/.test(mnemonic)) return 'integer';
    if (mnemonic === 'FBLD') return 'bcd';
    const size = form.operands.find(({ method }) => method === 'M')?.size;
    return size === 'd' ? 'f32' : size === 'q' ? 'f64' : 'f80';
  }
  if (/^CVT(T?PS|T?SS)/.test(mnemonic) || /(PS|SS)$/.test(mnemonic))
    return mnemonic.startsWith('CVTSI') || /DQ2PS|PI2PS/.test(mnemonic) ? 'bytes' : /PD2PS|SD2SS/.test(mnemonic) ? 'f64' : 'f32';
  if (/^CVT(T?PD|T?SD)/.test(mnemonic) || /(PD|SD)$/.test(mnemonic)) return /DQ2PD|PI2PD|CVTSI/.test(mnemonic) ? 'bytes' : 'f64';
  return 'bytes';
}

const IMAGE_BYTES: Readonly<Record<string, number>> = { FXSAVE: 512, FXRSTOR: 512, FLDENV: 28, FNSTENV: 28, FRSTOR: 108, FNSAVE: 108 };

export function planOf(encoding: Encoding): InstancePlan {
  const { insn, cell } = encoding;
  const { form } = insn;
  const operands = resolveOperands(insn);
  const memory = operands.find(({ kind }) => kind === 'memory') as { bytes: number } | undefined;
  const size =
    memory === undefined
      ? 0
      : memory.bytes || (IMAGE_BYTES[form.mnemonic] ?? (form.mnemonic.startsWith('CMPXCHG8B') ? 2 * Math.max(4, insn.operandBytes) : 8));
  const isIndirect = form.flow === 'indirect';
  return {
    encoding,
    operands,
    values: valuesOf(insn),
    memoryBytes: form.mnemonic.startsWith('CMPXCHG8B') && insn.operandBytes === 2 ? 8 : size,
    aligned: size === 16 || size === 512,
    usesFpu: form.unit !== 'integer' || /^FX/.test(form.mnemonic) || form.mnemonic.endsWith('MXCSR'),
    branch: isIndirect ? (cell.kind === 'memory' ? 'memory' : 'register') : form.flow === 'return' ? 'stack' : undefined,
    isDivision: /^I?DIV$/.test(form.mnemonic),
    isShift: /^(ROL|ROR|RCL|RCR|SHL|SHR|SAR|SHLD|SHRD)$/.test(form.mnemonic),
    isString: operands.some(({ kind }) => kind === 'string'),
  };
}

const value = new Uint8Array(16);
const valueWords = new Uint32Array(value.buffer);

/** Generates instances of encodings into a batch. */
export class InstanceWriter {
  readonly #batch: Batch;
  readonly #random: Random;
  readonly #seed: number;
  #gpr = 0;

  constructor(batch: Batch, random: Random, seed: number) {
    this.#batch = batch;
    this.#random = random;
    this.#seed = seed;
  }

  /** Writes one instance. */
  write(plan: InstancePlan): void {
    const { encoding } = plan;
    const { cell, insn } = encoding;
    const random = this.#random;
    const batch = this.#batch;
    const withFpu = plan.usesFpu || random.chance(6);
    const at = batch.begin(cell.mode, encoding.bytes, encoding.rip, encoding.stepped ? 1 : 0, this.#seed, encoding.windowSegments, withFpu);
    this.#gpr = (at + CaseField.gpr) >> 2;
    this.#fillRegisters(plan);
    this.#fillFlags(at);
    if (cell.mode === 64 && insn.segment >= Segment.FS) this.#fillBases(at);
    const stack = this.#placeStack(plan);
    if (withFpu) this.#fillFpu(batch.fxsaveOf(at), plan);
    // Addresses last: they override what the registers held.
    const place = plan.memoryBytes > 0 ? this.#placeMemory(plan, at) : -1;
    if (plan.isString) this.#placeStrings(plan);
    this.#placeImplicit(plan, at);
    if (place >= 0) this.#patchOperand(plan, place);
    if (stack >= 0) this.#patchStack(plan, stack);
    if (plan.branch === 'register') this.#setCodeTarget(insn.rm, cell.mode);
    batch.finish();
  }

  // Registers

  /** Sets a general register to a whole number of less than 2^53; what the mode cannot see of it may be anything. */
  #set(index: number, to: number): void {
    const { u32 } = this.#batch;
    const high = Math.floor(to / 0x1_0000_0000);
    u32[this.#gpr + index * 2] = to - high * 0x1_0000_0000;
    u32[this.#gpr + index * 2 + 1] = high;
  }
  #low(index: number): number {
    return this.#batch.u32[this.#gpr + index * 2] as number;
  }

  #fillRegisters(plan: InstancePlan): void {
    const random = this.#random;
    const { bytes } = this.#batch;
    putValues(random, 'integer', bytes, this.#gpr * 4, 128);
    const { u32 } = this.#batch;
    if (plan.isShift && random.chance(60)) {
      u32[this.#gpr + 2] = ((u32[this.#gpr + 2] as number) & ~0xff) | random.below(70);
    }
    if (plan.isDivision) {
      // Quotients mostly fit where the high half is zero or the sign.
      const { operandBytes } = plan.encoding.insn;
      const size = plan.operands[0] !== undefined && 'bytes' in plan.operands[0] ? plan.operands[0].bytes : operandBytes;
      const choice = random.below(4);
      if (size === 1) {
        if (choice < 2) u32[this.#gpr] = random.below(256) * (choice === 0 ? 1 : random.below(30));
        else if (choice === 2) u32[this.#gpr] = (((u32[this.#gpr] as number) << 24) >> 24) & 0xffff;
      } else if (choice === 0) this.#set(Gpr.RDX, random.below(3));
      else if (choice === 1) {
        const high =
          size === 8 ? (u32[this.#gpr + 1] as number) : size === 4 ? (u32[this.#gpr] as number) : (u32[this.#gpr] as number) << 16;
        const sign = (high | 0) < 0 ? -1 : 0;
        u32[this.#gpr + 4] = sign;
        u32[this.#gpr + 5] = sign;
      } else if (choice === 2) this.#set(Gpr.RDX, 0);
    }
  }

  #fillFlags(at: number): void {
    const random = this.#random;
    let flags = 2 | (random.int() & 0x8d5);
    if (random.chance(30)) flags |= 0x400;
    if (random.chance(2)) flags |= 0x4_0000;
    this.#batch.u32[(at + CaseField.rflags) >> 2] = flags;
  }

  /** FS and GS bases that addresses can make up for. */
  #fillBases(at: number): void {
    const { u32 } = this.#batch;
    const base = this.#random.below(0x1000) * 8;
    u32[(at + CaseField.fsBase) >> 2] = base;
    u32[(at + CaseField.gsBase) >> 2] = base + 0x10_0000;
  }

  // Addresses

  /** Base of a segment in this case. */
  #segmentBase(encoding: Encoding, segment: number, at: number): number {
    const { mode } = encoding.cell;
    const { u32 } = this.#batch;
    if (segment === Segment.FS || segment === Segment.GS)
      return mode === 64 ? (u32[(at + (segment === Segment.FS ? CaseField.fsBase : CaseField.gsBase)) >> 2] as number) : 0;
    if (mode === 64) return 0;
    if (segment === Segment.CS) return mode === 16 ? WINDOWS.code : 0;
    if (!encoding.windowSegments) return 0;
    return segment === Segment.SS ? WINDOWS.stack : WINDOWS.data;
  }

  /** A linear address for an operand: mostly in the data window (or what the segment covers), sometimes where it faults. */
  #pickLinear(encoding: Encoding, segment: number, bytes: number, aligned: boolean): number {
    const random = this.#random;
    const { mode } = encoding.cell;
    const isStack = encoding.windowSegments && segment === Segment.SS;
    const window = isStack || random.chance(3) ? WINDOWS.stack : WINDOWS.data;
    const place = random.below(100);
    if (mode === 64 && place === 99)
      return random.pick([0x7fff_ffff_fffc, 0x7fff_ffff_f000, 0x8000_0000_0000, 0x1000_0000_0000_00, -0x80_0000]);
    if (place === 98) return random.pick([0, 8, 0x1000, 0xffff_ffff, 0xffff_fff8, window - 1, window - 8]);
    if (aligned && place < 75) return window + (pickDataOffset(random, bytes) & ~15);
    return window + pickDataOffset(random, bytes);
  }

  /** Makes the ModRM memory operand point somewhere by choosing base and index. Returns its linear address. */
  #placeMemory(plan: InstancePlan, at: number): number {
    const { encoding } = plan;
    const { insn } = encoding;
    const random = this.#random;
    const { base, index, addressBytes } = insn;
    const size = addressBytes === 2 ? 0x1_0000 : 0x1_0000_0000;
    const scale = 1 << insn.scale;
    const segmentBase = this.#segmentBase(encoding, insn.segment, at);
    if (base >= 0 || index >= 0) {
      const linear = this.#pickLinear(encoding, insn.segment, plan.memoryBytes, plan.aligned);
      let rest = linear - segmentBase - insn.displacement;
      if (base >= 0 && base === index) this.#set(base, Math.floor(rest / (scale + 1)));
      else {
        if (index >= 0 && base >= 0) {
          const of = random.below(100) < 90 ? random.below(64) - 16 : random.below(0x1000) * 0x4000;
          this.#set(index, of);
          rest -= of * scale;
          this.#set(base, rest);
        } else if (base >= 0) this.#set(base, rest);
        else this.#set(index, Math.floor(rest / scale));
      }
      // What lies beyond the address size does not count.
      const { u32 } = this.#batch;
      if (addressBytes === 4 && encoding.cell.mode === 64 && random.chance(50))
        u32[this.#gpr + (base >= 0 ? base : index) * 2 + 1] = random.int();
      if (addressBytes === 2 && random.chance(50)) u32[this.#gpr + (base >= 0 ? base : index) * 2]! ^= random.int() & 0xffff_0000;
    }
    let offset = insn.displacement + (insn.ripRelative ? encoding.rip + insn.length : 0);
    const wide = (register: number): number => {
      const { u32 } = this.#batch;
      const low = u32[this.#gpr + register * 2] as number;
      return addressBytes === 8 ? ((u32[this.#gpr + register * 2 + 1] as number) | 0) * 0x1_0000_0000 + low : low;
    };
    if (base >= 0) offset += wide(base);
    if (index >= 0) offset += wide(index) * scale;
    if (addressBytes < 8) offset -= Math.floor(offset / size) * size;
    return offset + segmentBase;
  }

  #placeStrings(plan: InstancePlan): void {
    const random = this.#random;
    const { encoding, operands } = plan;
    const { insn } = encoding;
    const { addressBytes } = insn;
    const count = random.chance(80) ? random.below(12) : random.below(300);
    const width = (operands.find(({ kind }) => kind === 'string') as { bytes: number }).bytes;
    if (insn.rep !== 0) {
      this.#set(Gpr.RCX, count);
      if (addressBytes === 4 && encoding.cell.mode === 64 && random.chance(50)) this.#batch.u32[this.#gpr + Gpr.RCX * 2 + 1] = random.int();
      if (addressBytes === 2) this.#batch.u32[this.#gpr + Gpr.RCX * 2] = count | (random.int() & 0xffff_0000);
    }
    for (const operand of operands) {
      if (operand.kind !== 'string') continue;
      const segment = operand.which === 'source' ? insn.segment : Segment.ES;
      const linear = this.#pickLinear(encoding, segment, random.chance(50) ? width : Math.min(400, width * count + 1), false);
      this.#set(
        operand.which === 'source' ? Gpr.RSI : Gpr.RDI,
        linear - this.#segmentBase(encoding, segment, this.#gpr * 4 - CaseField.gpr),
      );
    }
    // CMPS and SCAS mostly go on for a while where what is compared is equal.
    if (/^(CMPS|SCAS)/.test(insn.form.mnemonic) && random.chance(60)) {
      const fill = random.pick([0, 0x41]);
      for (const base of [WINDOWS.data]) {
        for (let offset = 0x100; offset < 0x1f00; offset += 0x400) {
          if (!random.chance(60)) continue;
          const patch = this.#batch.patch(base + offset, 0x20);
          this.#batch.bytes.fill(fill, patch, patch + 0x20);
        }
      }
      for (const [operand, register] of [
        ['source', Gpr.RSI],
        ['destination', Gpr.RDI],
      ] as const) {
        const segment = operand === 'source' ? insn.segment : Segment.ES;
        const base = this.#segmentBase(encoding, segment, this.#gpr * 4 - CaseField.gpr);
        if (random.chance(70)) this.#set(register, WINDOWS.data + 0x100 + 0x400 * random.below(7) + random.below(0x18) - base);
      }
      if (fill === 0 || random.chance(50)) {
        const repeated = fill * 0x0101_0101;
        this.#batch.u32[this.#gpr] = repeated;
        this.#batch.u32[this.#gpr + 1] = repeated;
      }
    }
  }

  /** Registers that an instruction uses without naming them. */
  #placeImplicit(plan: InstancePlan, at: number): void {
    const { encoding } = plan;
    const { insn } = encoding;
    const { mnemonic } = insn.form;
    const random = this.#random;
    if (mnemonic === 'XLAT')
      this.#set(
        Gpr.RBX,
        this.#pickLinear(encoding, insn.segment, 1, false) - this.#segmentBase(encoding, insn.segment, at) - (this.#low(Gpr.RAX) & 0xff),
      );
    else if (mnemonic.startsWith('MASKMOV'))
      this.#set(
        Gpr.RDI,
        this.#pickLinear(encoding, insn.segment, mnemonic === 'MASKMOVQ' ? 8 : 16, false) - this.#segmentBase(encoding, insn.segment, at),
      );
    else if (mnemonic === 'ENTER' || mnemonic === 'LEAVE') this.#set(Gpr.RBP, this.#stackPointer(plan));
    else if (/^LOOP|CXZ/.test(mnemonic) && random.chance(70)) this.#set(Gpr.RCX, random.below(3));
    else if (/^BT/.test(mnemonic) && plan.memoryBytes > 0 && plan.operands[1]?.kind === 'gpr' && random.chance(70)) {
      const { index } = plan.operands[1];
      if (index !== insn.base && index !== insn.index) this.#set(index, random.below(0x2000) - 0x1000);
    }
  }

  #stackPointer(plan: InstancePlan): number {
    const random = this.#random;
    const place = random.below(100);
    const offset =
      place < 60
        ? 0x400 + random.below(0x180) * 8
        : place < 85
          ? 0x100 + random.below(0x1e00)
          : place < 95
            ? 0x1000 - 8 + random.below(16)
            : random.pick([0, 1, 4, 8, WINDOW_BYTES - 8, WINDOW_BYTES - 1, WINDOW_BYTES]);
    return plan.encoding.windowSegments && plan.encoding.cell.mode !== 64 ? offset : WINDOWS.stack + offset;
  }
  /** Points RSP into the stack. Returns the linear address of its top. */
  #placeStack(plan: InstancePlan): number {
    const pointer = this.#stackPointer(plan);
    this.#set(Gpr.RSP, pointer);
    const { windowSegments, cell } = plan.encoding;
    if (windowSegments && cell.mode === 16 && this.#random.chance(30))
      this.#batch.u32[this.#gpr + Gpr.RSP * 2]! |= this.#random.int() & 0xffff_0000;
    return windowSegments && cell.mode !== 64 ? WINDOWS.stack + pointer : pointer;
  }

  // Memory

  #windowOf(linear: number, bytes: number): boolean {
    for (const base of [WINDOWS.data, WINDOWS.stack]) if (linear >= base && linear + bytes <= base + WINDOW_BYTES) return true;
    return false;
  }

  #patchOperand(plan: InstancePlan, linear: number): void {
    const random = this.#random;
    const { memoryBytes: bytes } = plan;
    const { insn, cell } = plan.encoding;
    if (!this.#windowOf(linear, bytes) || (plan.branch !== 'memory' && random.chance(15))) return;
    const at = this.#batch.patch(linear, bytes);
    if (plan.branch === 'memory') {
      this.#pickCode(cell.mode);
      this.#batch.bytes.set(value.subarray(0, Math.min(8, bytes)), at);
    } else if (bytes >= 28) this.#fillImage(at, insn, bytes);
    else putValues(random, plan.values, this.#batch.bytes, at, bytes);
    if (insn.form.mnemonic === 'LDMXCSR') this.#batch.view.setUint32(at, random.chance(85) ? random.int() & 0xffff : random.int(), true);
    // Equal operands for CMPXCHG.
    if (insn.form.mnemonic.startsWith('CMPXCHG') && random.chance(50)) {
      const half = bytes === 16 ? 8 : bytes === 8 && insn.form.mnemonic !== 'CMPXCHG' ? 4 : bytes;
      this.#batch.bytes.copyWithin(this.#gpr * 4, at, at + Math.min(half, 8));
      if (half < bytes) this.#batch.bytes.copyWithin(this.#gpr * 4 + 16, at + half, at + bytes);
    }
  }
  /** An image of x87 or SSE state in memory. */
  #fillImage(at: number, insn: Insn, bytes: number): void {
    const random = this.#random;
    if (bytes === 512) {
      this.fillFpuImage(at, 'f80', true);
      if (random.chance(5)) this.#batch.view.setUint32(at + 24, random.int(), true);
      return;
    }
    putValues(random, 'f80', this.#batch.bytes, at, bytes);
    const { view } = this.#batch;
    const step = insn.operandBytes === 2 ? 2 : 4;
    for (let i = 0; i < 3; i++) view.setUint16(at + i * step, i === 0 ? this.#controlWord() : random.int() & 0xffff, true);
  }

  #patchStack(plan: InstancePlan, linear: number): void {
    const random = this.#random;
    const { mode } = plan.encoding.cell;
    if (plan.branch !== 'stack' && random.chance(40)) return;
    if (!this.#windowOf(linear, 16)) return;
    const at = this.#batch.patch(linear, 16);
    putValues(random, 'integer', this.#batch.bytes, at, 16);
    if (plan.branch === 'stack') {
      this.#pickCode(mode);
      this.#batch.bytes.set(value.subarray(0, 8), at);
    }
  }

  // Code targets

  /** A target for an indirect branch, into `value`. */
  #pickCode(mode: number): void {
    const random = this.#random;
    const offset = random.below(WINDOW_BYTES);
    valueWords[0] = (mode === 16 ? 0 : WINDOWS.code) + offset;
    valueWords[1] = 0;
    const place = random.below(100);
    if (place < 5) valueWords[0] = random.int();
    else if (place < 8 && mode === 64) valueWords[1] = random.pick([0x8000, 0x7fff, 0xffff_8000, random.int()]);
    else if (place < 12 && mode === 16) valueWords[0] |= random.int() & 0xffff_0000;
  }
  #setCodeTarget(index: number, mode: number): void {
    this.#pickCode(mode);
    const { u32 } = this.#batch;
    u32[this.#gpr + index * 2] = valueWords[0] as number;
    u32[this.#gpr + index * 2 + 1] = valueWords[1] as number;
  }

  // x87 and SSE

  #controlWord(): number {
    const random = this.#random;
    const masks = random.chance(65) ? 0x3f : random.int() & 0x3f;
    const precision = random.chance(55) ? 3 : random.below(4);
    return 0x40 | masks | (precision << 8) | (random.below(4) << 10) | (random.chance(10) ? 0x1000 : 0);
  }
  #fillFpu(at: number, plan: InstancePlan): void {
    this.fillFpuImage(at, plan.values, plan.encoding.insn.form.unit === 'x87');
  }
  fillFpuImage(at: number, values: ValueKind, isX87: boolean): void {
    const random = this.#random;
    const { view, bytes } = this.#batch;
    const control = this.#controlWord();
    let status = random.int() & 0x7fff & ~0x80;
    if (random.chance(50)) status &= ~0x7f;
    if ((status & 0x7f & ~0x40 & ~control) !== 0) {
      // A pending exception stops most instructions: rarely wanted.
      if (random.chance(isX87 ? 15 : 10)) status |= 0x8080;
      else status &= ~(0x3f & ~control);
    }
    view.setUint16(at, control, true);
    view.setUint16(at + 2, status, true);
    bytes[at + 4] = random.chance(75) ? 0xff : random.int();
    let mxcsr = random.chance(70) ? 0x1f80 : (random.int() & 0x3f) << 7;
    mxcsr |= (random.below(4) << 13) | (random.chance(20) ? 0x40 : 0) | (random.chance(20) ? 0x8000 : 0);
    if (random.chance(50)) mxcsr |= random.int() & 0x3f;
    view.setUint32(at + 24, mxcsr, true);
    view.setUint32(at + 28, 0xffff, true);
    for (let i = 0; i < 8; i++) {
      if (isX87 || random.chance(30)) putValues(random, 'f80', bytes, at + 32 + 16 * i, 10);
      else {
        // MMX registers.
        putValues(random, values === 'f80' ? 'bytes' : values, bytes, at + 32 + 16 * i, 8);
        view.setUint16(at + 40 + 16 * i, random.chance(70) ? 0xffff : random.int() & 0xffff, true);
      }
    }
    for (let i = 0; i < 16; i++) putValues(random, values === 'f80' || values === 'bcd' ? 'bytes' : values, bytes, at + 160 + 16 * i, 16);
  }
}

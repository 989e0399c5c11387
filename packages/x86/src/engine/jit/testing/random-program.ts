/**
 * Random programs for lockstep tests, of integer instructions or of all kinds: functions of a few basic blocks that branch to one another at will, main in an endless loop. Registers: RBP points into the
 * data, R15 at the code, RSP at the stack; nothing writes these three but the stack instructions themselves, in pairs. All others are free.
 */
export interface RandomProgram {
  readonly code: Uint8Array;
  /** Offsets in the code where single bytes may be changed: immediates of instructions. */
  readonly patchable: readonly number[];
}

/** A generator of random numbers that tests can repeat (xorshift32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 2654435761) >>> 0 || 1;
  }
  /** 0 to n - 1. */
  below(n: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state % n;
  }
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }
}

const FREE_LOW = [0, 1, 2, 3, 6, 7];

class ProgramWriter {
  readonly bytes: number[] = [];
  readonly patchable: number[] = [];
  readonly #random: Random;
  readonly #wide: boolean;
  readonly #simd: boolean;
  readonly #labels = new Map<string, number>();
  readonly #fixups: { at: number; label: string }[] = [];

  constructor(random: Random, bits: 32 | 64, simd: boolean) {
    this.#simd = simd;
    this.#random = random;
    this.#wide = bits === 64;
  }

  #register(): number {
    const low = this.#random.pick(FREE_LOW);
    return this.#wide && this.#random.below(2) === 0 ? 8 + this.#random.below(7) : low;
  }
  /** Prefixes, opcode and ModRM for a register and a register or memory operand, of 1, 2, 4 or 8 bytes. */
  #modrm(opcode: readonly number[], size: number, reg: number, memory: boolean, regIsDigit = false): void {
    const random = this.#random;
    if (size === 2) this.bytes.push(0x66);
    let rex = size === 8 ? 8 : 0;
    if (!regIsDigit && reg >= 8) rex |= 4;
    const modrm: number[] = [];
    if (memory) {
      const index = random.below(3) === 0 ? this.#register() : -1;
      if (index >= 8) rex |= 2;
      // [rbp + disp32], within the data and now and then across pages; with an index mostly far off in a 16 MiB range that is no RAM.
      const displacement = random.below(8) === 0 ? 0xffc + random.below(8) : random.below(0x800);
      if (index < 0) modrm.push(0x85 | ((reg & 7) << 3));
      else modrm.push(0x84 | ((reg & 7) << 3), ((index & 7) << 3) | 5 | (random.below(4) << 6));
      for (let n = 0; n < 4; n++) modrm.push((displacement >> (n * 8)) & 0xff);
    } else {
      const rm = this.#register();
      if (rm >= 8) rex |= 1;
      modrm.push(0xc0 | ((reg & 7) << 3) | (rm & 7));
    }
    if (this.#wide && (rex !== 0 || (size === 1 && random.below(2) === 0))) this.bytes.push(0x40 | rex);
    this.bytes.push(...opcode, ...modrm);
  }
  #immediate(bytes: number): void {
    const value = this.#random.below(3) === 0 ? this.#random.below(4) - 1 : this.#random.below(0x7fff_ffff);
    this.patchable.push(this.bytes.length);
    for (let n = 0; n < bytes; n++) this.bytes.push((value >> (n * 8)) & 0xff);
  }
  /** An index that is small before it is used. */
  #mask(register: number): void {
    const rex = register >= 8 ? [0x41] : [];
    this.bytes.push(...rex, 0x81, 0xe0 | (register & 7), 0xf8, 0x07, 0, 0);
  }

  label(name: string): void {
    this.#labels.set(name, this.bytes.length);
  }
  jump(opcode: readonly number[], label: string): void {
    this.bytes.push(...opcode, 0, 0, 0, 0);
    this.#fixups.push({ at: this.bytes.length, label });
  }
  finish(): Uint8Array {
    const code = Uint8Array.from(this.bytes);
    const view = new DataView(code.buffer);
    for (const { at, label } of this.#fixups) view.setInt32(at - 4, (this.#labels.get(label) as number) - at, true);
    return code;
  }

  /** One instruction. */
  instruction(): void {
    const random = this.#random;
    const size = random.pick(this.#wide ? [1, 2, 4, 4, 8, 8] : [1, 2, 4, 4]);
    const w = size === 1 ? 0 : 1;
    const memory = random.below(3) === 0;
    const reg = this.#register();
    // AH, CH, DH, BH are registers 4 to 7 of one byte, without REX.
    switch (random.below(this.#simd ? 30 : 24)) {
      case 0:
      case 1:
      case 2:
      case 3:
        this.#modrm([random.below(8) * 8 + w + random.pick([0, 2])], size, reg, memory);
        return;
      case 4:
      case 5: {
        this.#modrm([0x80 + w], size, random.below(8), memory, true);
        this.#immediate(size === 8 ? 4 : size);
        return;
      }
      case 6:
        this.#modrm([0x88 + w + random.pick([0, 2])], size, reg, memory);
        return;
      case 7:
        this.#modrm([0x84 + w], size, reg, memory);
        return;
      case 8:
        this.#modrm([0x0f, random.pick([0xb6, 0xbe]) + (size > 2 ? random.below(2) : 0)], Math.max(size, 2), reg, memory);
        return;
      case 9: {
        const digit = random.below(8);
        this.#modrm([0xc0 + w], size, digit, memory, true);
        this.#immediate(1);
        return;
      }
      case 10:
        this.#modrm([0xd2 + w], size, random.below(8), memory, true);
        return;
      case 11:
        this.#modrm([0xd0 + w], size, random.below(8), memory, true);
        return;
      case 12:
        this.#modrm([0x0f, 0xaf], Math.max(size, 2), reg, memory);
        return;
      case 13:
        // NOT, NEG, MUL, IMUL; a division now and then, which may raise #DE.
        this.#modrm([0xf6 + w], size, random.below(20) === 0 ? 6 + random.below(2) : 2 + random.below(4), memory, true);
        return;
      case 14:
        this.#modrm([0xfe + w], size, random.below(2), memory, true);
        return;
      case 15:
        this.#modrm([0x0f, 0x90 + random.below(16)], 1, random.below(8), memory, true);
        return;
      case 16:
        this.#modrm([0x0f, 0x40 + random.below(16)], Math.max(size, 2), reg, memory);
        return;
      case 17:
        this.#modrm([0x0f, random.pick([0xa3, 0xab, 0xb3, 0xbb, 0xbc, 0xbd])], Math.max(size, 2), reg, false);
        return;
      case 18:
        this.#modrm(random.pick([[0x0f, 0xc0 + w], [0x0f, 0xb0 + w], [0x86 + w]]), size, reg, memory);
        return;
      case 19:
        this.#modrm([0x0f, random.pick([0xa5, 0xad])], Math.max(size, 2), reg, memory);
        return;
      case 20:
        this.#modrm([0x8d], Math.max(size, 4), reg, true);
        return;
      case 21:
        this.bytes.push(random.pick([0xf8, 0xf9, 0xf5, 0x9f, 0x9e, 0x98, 0x99, 0xfc]));
        return;
      case 22:
        this.#stackPair();
        return;
      case 24:
      case 25:
      case 26:
      case 27:
        this.#vector();
        return;
      case 28:
      case 29:
        this.#x87();
        return;
      default:
        this.#mask(reg);
        if (random.below(4) === 0) this.#string();
    }
  }
  /** An SSE instruction on registers, a transfer from or to memory, or one between XMM and general registers. */
  #vector(): void {
    const random = this.#random;
    const modrm = 0xc0 | random.below(64);
    const memory = [0x85 | (random.below(8) << 3), random.below(256), random.below(8), 0, 0];
    const general = 0xc0 | (random.below(8) << 3) | random.pick([0, 1, 2, 3, 6, 7]);
    switch (random.below(6)) {
      case 0: // PADDD, PXOR, PCMPEQB, PUNPCKLBW, PMULLW, PSADBW
        this.bytes.push(0x66, 0x0f, random.pick([0xfe, 0xef, 0x74, 0x60, 0xd5, 0xf6]), modrm);
        return;
      case 1: // ADD, MUL, SUB, DIV, MIN, MAX, SQRT of packed or scalar floats
        this.bytes.push(...random.pick([[], [0x66], [0xf3], [0xf2]]), 0x0f, random.pick([0x58, 0x59, 0x5c, 0x5e, 0x5d, 0x5f, 0x51]), modrm);
        return;
      case 2: // MOVUPS, both ways
        this.bytes.push(0x0f, random.pick([0x10, 0x11]), ...memory);
        return;
      case 3: // MOVD, both ways
        this.bytes.push(0x66, 0x0f, random.pick([0x6e, 0x7e]), general);
        return;
      case 4: // CVTSI2SD; UCOMISD, which sets the flags
        this.bytes.push(
          ...random.pick([
            [0xf2, 0x0f, 0x2a, general],
            [0x66, 0x0f, 0x2e, modrm],
          ]),
        );
        return;
      default: // SHUFPS
        this.bytes.push(0x0f, 0xc6, modrm, random.below(256));
    }
  }
  /** FLD1, FLDPI, FLDZ; FADD, FMUL, FSUB ST0,STi; FXCH; FSTP and FLD m64; FSTSW AX. */
  #x87(): void {
    const random = this.#random;
    const memory = [random.below(256), random.below(8), 0, 0];
    this.bytes.push(
      ...random.pick([
        [0xd9, random.pick([0xe8, 0xeb, 0xee, 0xc8, 0xc9])],
        [0xd8, 0xc0 + random.below(32)],
        [0xdd, 0x9d, ...memory],
        [0xdd, 0x85, ...memory],
        [0xdf, 0xe0],
      ]),
    );
  }
  #stackPair(): void {
    const random = this.#random;
    this.bytes.push(0x50 + random.pick(FREE_LOW));
    if (random.below(2) === 0) this.#modrm([0x01], 4, this.#register(), false);
    if (random.below(4) === 0) this.bytes.push(0x9c, 0x58); // PUSHF; POP rAX: a system row in the middle
    this.bytes.push(0x58 + random.pick(FREE_LOW));
  }
  /** A string instruction on the data: RSI and RDI point into it, RCX counts little. */
  #string(): void {
    const random = this.#random;
    const lea = this.#wide ? [0x48] : [];
    this.bytes.push(
      ...lea,
      0x8d,
      0xb5,
      random.below(256),
      random.below(16),
      0,
      0,
      ...lea,
      0x8d,
      0xbd,
      random.below(256),
      random.below(16),
      0,
      0,
    );
    this.bytes.push(0xb9, random.below(24), 0, 0, 0, random.pick([0xf3, 0xf2, 0x3e]));
    if (random.below(2) === 0) this.bytes.push(random.pick(this.#wide ? [0x66, 0x48] : [0x66]));
    this.bytes.push(random.pick([0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf]));
  }
  /** Changes one byte of code that has been written: MOV byte [r15 + disp32], imm8. */
  patch(): void {
    const at = this.#random.pick(this.patchable);
    this.bytes.push(0x41, 0xc6, 0x87);
    for (let n = 0; n < 4; n++) this.bytes.push((at >> (n * 8)) & 0xff);
    this.bytes.push(this.#random.below(256));
  }
}

/** Writes a program: function 0 is main. */
export function randomProgram(
  seed: number,
  options: { bits?: 32 | 64; patches?: boolean; padding?: number; simd?: boolean } = {},
): RandomProgram {
  const random = new Random(seed);
  const { bits = 64 } = options;
  const writer = new ProgramWriter(random, bits, options.simd === true);
  const functions = 1 + random.below(4);
  for (let f = 0; f < functions; f++) {
    const blocks = 2 + random.below(6);
    for (let b = 0; b < blocks; b++) {
      writer.label(`${f}.${b}`);
      for (let n = random.below(8); n >= 0; n--) writer.instruction();
      if (options.patches === true && writer.patchable.length > 0 && random.below(3) === 0) writer.patch();
      const target = `${f}.${random.below(blocks)}`;
      switch (random.below(6)) {
        case 0:
        case 1:
        case 2:
          writer.jump([0x0f, 0x80 + random.below(16)], target);
          break;
        case 3:
          if (f + 1 < functions) writer.jump([0xe8], `${f + 1}.0`);
          break;
        case 4:
          // LOOP over a long jump: ECX is masked, so that it ends.
          writer.bytes.push(0x83, 0xe1, 0x07, 0xe2, 0x02, 0xeb, 0x05);
          writer.jump([0xe9], target);
          break;
      }
    }
    if (f === 0) writer.jump([0xe9], '0.0');
    else writer.bytes.push(0xc3);
    for (let n = options.padding ?? 0; n > 0; n--) writer.bytes.push(0xcc);
  }
  return { code: writer.finish(), patchable: writer.patchable };
}

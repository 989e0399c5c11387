import { type Batch, CaseField, ResultField } from './batch.ts';
import type { Cell } from './cells.ts';
import type { Difference } from './compare.ts';
import type { ComparedMachine } from './machine.ts';
import type { BatchResults } from './silicon-process.ts';

/** A case and its two ends. */
export interface Case {
  readonly cell: Cell;
  readonly batch: Batch;
  readonly at: number;
  readonly results: BatchResults;
  readonly result: number;
  readonly machine: ComparedMachine;
}

/** A difference that the manuals leave open, or in which the vendors differ. */
export interface Allowance {
  /** Mnemonics, as the table has them. */
  readonly rows: RegExp;
  /** Fields as differences name them. */
  readonly fields: RegExp;
  /** Only in these cases. */
  readonly when?: (context: Case, difference: Difference) => boolean;
  readonly reason: string;
  readonly section: string;
}

const vectorOf = ({ results, result }: Case): number =>
  results.bytes[result + ResultField.status] === 1 ? (results.bytes[result + ResultField.vector] as number) : -1;
const siliconFsw = (context: Case): number => context.results.view.getUint16(context.result + 208 + 2, true);

const ALIGNMENT = 17;
/** FSW.ES, FSW.TOP. */
const EXCEPTION_SUMMARY = 0x80;
const TOP_OF_STACK = 0x3800;
/** #SS, #GP, #PF, #AC. */
const isAccessFault = (vector: number): boolean => (vector >= 12 && vector <= 14) || vector === ALIGNMENT;
const areAccessFaults = (context: Case): boolean =>
  context.machine.ended === 1 && isAccessFault(context.machine.vector) && isAccessFault(vectorOf(context));

const FLAG_BITS: Readonly<Record<string, number>> = { CF: 0, PF: 2, AF: 4, ZF: 6, SF: 7, OF: 11 };
const flagBefore = ({ batch, at }: Case, flag: string): number =>
  ((batch.u32[(at + CaseField.rflags) >> 2] as number) >>> (FLAG_BITS[flag] as number)) & 1;

/** The count of a shift or rotation as the processor masks it. */
function countOf({ cell, batch, at }: Case): number {
  const { form, operandBytes } = cell;
  const last = form.operands[form.operands.length - 1];
  if (last?.fixed === '1') return 1;
  const code = batch.bytes;
  const immediate = code[at + 184 + (batch.u16[(at + 10) >> 1] as number) - 1] as number;
  const count = last?.fixed === 'CL' ? (batch.u32[((at + CaseField.gpr) >> 2) + 2] as number) : immediate;
  const isByte = form.operands[0]?.size === 'b';
  return count & (operandBytes === 8 && !isByte ? 63 : 31);
}

/** Every difference that is let through, but for the rows' own `undefinedFlags`. */
export const ALLOWANCES: readonly Allowance[] = [
  {
    rows: /^SH[LR]D$/,
    fields: /./,
    when: (context) => context.cell.operandBytes === 2 && countOf(context) > 16,
    reason: 'A count above the operand size leaves the destination and the flags undefined.',
    section: 'SDM Vol. 2B, SHLD and SHRD; APM Vol. 3, SHLD and SHRD',
  },
  {
    rows: /./,
    fields: /^(fop|fip|fdp)$/,
    when: (context) => (siliconFsw(context) & 0x80) === 0,
    reason:
      'AMD processors note the last x87 instruction and operand only where it raises an unmasked exception, and save and load them only then.',
    section: 'APM Vol. 2, 11.4.4.3 "FXSAVE and FXRSTOR Instructions"; APM Vol. 3, FXSAVE',
  },
  {
    rows: /./,
    fields: /^(end|error code|cr2)$/,
    when: (context) => context.cell.mode !== 64 && vectorOf(context) >= 12 && vectorOf(context) <= 13,
    reason: 'An access that wraps at the end of a 4 GiB segment may or may not raise #GP or #SS.',
    section: 'SDM Vol. 3A, 5.3 "Limit Checking"',
  },
  {
    rows: /^(ENTER|PUSHA)/,
    fields: /^\[[23]/,
    when: (context) => vectorOf(context) >= 0,
    reason:
      'Where one of several pushes faults, how many were already written below the stack pointer is not defined. Ours writes nothing.',
    section: 'SDM Vol. 3A, 6.6 "Program or Task Restart"; Vol. 2, ENTER and PUSHA',
  },
  {
    rows: /^(ENTER|MOVS)/,
    fields: /^(end|cr2|error code)$/,
    when: (context) => vectorOf(context) >= 12 && context.machine.ended === 1,
    reason: 'Which of several accesses that fault is made first.',
    section: 'SDM Vol. 3A, Table 6-2: faults of one instruction have no order among themselves',
  },
  {
    rows: /^POPA/,
    fields: /^r[a-z][a-z]$/,
    when: (context) => vectorOf(context) >= 0,
    reason:
      'Where one of several pops faults, which registers were already loaded is not defined; the stack pointer, and so the restart, is the same. Ours loads none.',
    section: 'SDM Vol. 3A, 6.6 "Program or Task Restart"; Vol. 2B, POPA',
  },
  {
    rows: /^CALL$/,
    fields: /^(end|cr2|error code)$/,
    when: (context) => vectorOf(context) >= 0 && context.machine.ended === 1,
    reason: 'The order of the check of the target and the push of the return address: AMD processors push first.',
    section: 'SDM Vol. 3A, Table 6-2: faults of one instruction have no order among themselves',
  },
  {
    rows: /^(CVTT?P[SD]2PI|CVTPI2P[SD]|MASKMOVQ)$/,
    fields: /^(fsw|ftw|st\d)$/,
    when: (context) => vectorOf(context) >= 0,
    reason: 'Whether the change to MMX operation has taken place where the instruction then raises #XM or #PF.',
    section: 'SDM Vol. 1, 9.5.1 "MMX Instructions and the x87 FPU Tag Word"; Vol. 3A, 12.5',
  },
  {
    rows: /^CVTPI2PS$/,
    fields: /./,
    when: (context) => context.cell.kind === 'memory' && context.machine.vector === 16,
    reason: 'With a source in memory AMD processors do not look for a pending x87 exception; Intel documents that they do.',
    section: 'SDM Vol. 2A, CVTPI2PS; APM Vol. 4, CVTPI2PS',
  },
  {
    rows: /^(FXSAVE|FXRSTOR|FLDENV|FNSTENV|FRSTOR|FNSAVE)$/,
    fields: /^cr2$/,
    when: (_, { ours, silicon }) => ours.slice(0, -3) === silicon.slice(0, -3),
    reason: 'Which byte of an image on the page that faults is touched first.',
    section: 'SDM Vol. 3A, 4.7 "Page-Fault Exceptions" names any address of the operand',
  },
  {
    rows: /^(FXSAVE|FXRSTOR|FLDENV|FNSTENV|FRSTOR|FNSAVE)$/,
    fields: /^(end|cr2|error code)$/,
    when: (context) => vectorOf(context) >= 12 && context.machine.ended === 1,
    reason: 'An image that is not aligned and lies where it cannot be accessed: which of #AC, #GP, #SS and #PF is raised.',
    section: 'SDM Vol. 2A, FXSAVE: "implementation-specific"; Vol. 3A, Table 6-2: faults of one instruction have no order among themselves',
  },
  {
    rows: /^FXSAVE$/,
    fields: /^\[[23].*[e]\]$/,
    when: (_, { ours, silicon }) => ours === '00' && silicon === '02',
    reason: "MXCSR_MASK has bit 17 (MM) where the processor has AMD's misaligned exception mode, which our model does not announce.",
    section: 'APM Vol. 2, 11.3.2 "MXCSR"; Vol. 3, CPUID Fn8000_0001_ECX[MisAlignSse]',
  },
  {
    rows: /^F(SIN|COS|SINCOS|PTAN|PATAN|2XM1|YL2X|YL2XP1)$/,
    fields: /^fsw$/,
    when: (_, { ours, silicon }) => ((Number.parseInt(ours, 16) ^ Number.parseInt(silicon, 16)) & ~0x200) === 0,
    reason: 'C1 says whether the result was rounded up: of a result within the error bound, either may be.',
    section: 'SDM Vol. 1, 8.3.10 "Transcendental Instruction Accuracy"; 8.5.6 "Inexact-Result (Precision) Exception (#P)"',
  },
  {
    rows: /^MASKMOV/,
    fields: /^(end|cr2|error code)$/,
    when: maskIsZero,
    reason: 'With a mask of zeros the exceptions of the memory access may or may not be raised.',
    section: 'SDM Vol. 2B, MASKMOVDQU and MASKMOVQ',
  },
];

/** The same of Intel processors, where ours does what AMD's do, which are compared without these. */
export const INTEL_ALLOWANCES: readonly Allowance[] = [
  {
    rows: /^(MOVD\/MOVD\/MOVQ|MOVQ|MOVNTQ)$/,
    fields: /^(fsw|ftw|st\d)$/,
    when: (context) => vectorOf(context) >= 0,
    reason: 'Whether the change to MMX operation has taken place where a store then faults.',
    section: 'SDM Vol. 1, 9.5.1 "MMX Instructions and the x87 FPU Tag Word"; Vol. 3A, 12.5',
  },
  {
    rows: /./,
    fields: /^(end|error code|cr2)$/,
    when: (context) => areAccessFaults(context) && (vectorOf(context) === ALIGNMENT || context.machine.vector === ALIGNMENT),
    reason: 'An access that is not aligned, and not canonical, beyond a limit or not there: whether #AC or the other exception is raised.',
    section: 'SDM Vol. 3A, Table 6-2: faults of one instruction have no order among themselves',
  },
  {
    rows: /./,
    fields: /^(end|error code|cr2)$/,
    when: (context) => context.cell.mode !== 64 && vectorOf(context) === 14 && areAccessFaults(context) && context.machine.vector < 14,
    reason: 'An access that wraps at the end of a 4 GiB segment, on a page that is not there, raises #PF.',
    section: 'SDM Vol. 3A, 5.3 "Limit Checking"',
  },
  {
    rows: /^(MOVUP[SD]|MOVDQU|LDDQU)$/,
    fields: /./,
    when: (context) => context.machine.ended === 1 && context.machine.vector === ALIGNMENT,
    reason: '#AC of unaligned moves of 16 bytes may or may not be raised.',
    section: 'SDM Vol. 3A, 6.15, Interrupt 17',
  },
  {
    rows: /^CALL$/,
    fields: /^\[[23]/,
    when: (context) => vectorOf(context) >= 0,
    reason: 'Whether the return address was written below the stack pointer where the target then faults.',
    section: 'SDM Vol. 3A, 6.6 "Program or Task Restart"',
  },
  {
    rows: /^MOVSXD$/,
    fields: /./,
    when: ({ cell }) => cell.operandBytes === 2 && cell.kind === 'memory',
    reason: 'With an operand size of 16 bits Intel processors read a word, AMD processors a doubleword, as ours do.',
    section: 'SDM Vol. 2B, MOVSXD r16, r/m16; APM Vol. 3, MOVSXD reg16, reg/mem32',
  },
  {
    rows: /^(MOVS|CMPS|STOS|LODS|SCAS|INS|OUTS)/,
    fields: /^r(cx|si|di)$/,
    when: ({ cell }, { ours, silicon }) => cell.mode === 64 && silicon === `00000000_${ours.slice(-8)}`,
    reason:
      'Intel processors clear the upper halves of the registers that a32 counts and indexes in, even where no iteration has completed.',
    section: 'SDM Vol. 1, 3.4.1.1 "General-Purpose Registers in 64-Bit Mode"',
  },
  {
    rows: /^(CMPS|SCAS)/,
    fields: /^[CPAZSO]F$/,
    when: (context, { field, silicon }) => vectorOf(context) >= 0 && silicon === String(flagBefore(context, field)),
    reason: 'A fault under REPNE leaves the flags of before the instruction on Intel processors, those of the last comparison on AMD ones.',
    section: 'SDM Vol. 2B, REP/REPE/REPZ/REPNE/REPNZ',
  },
  {
    rows: /^(FIST|FIST?T?P|FSTP?|FBSTP)$/,
    fields: /^(end|fsw|fop|fip|fdp|cr2|error code)$/,
    when: (context) => vectorOf(context) < 0 && isAccessFault(context.machine.vector) && (siliconFsw(context) & EXCEPTION_SUMMARY) !== 0,
    reason: 'A store that has an unmasked exception of its own stores nothing: whether its place is looked at all the same.',
    section: 'SDM Vol. 3A, Table 6-2; Vol. 1, 8.5.1.1 "Stack Overflow or Underflow Exception (#IS)"',
  },
  {
    rows: /^(FSTP|FBSTP)$/,
    fields: /^\[[23]/,
    when: (context) => vectorOf(context) >= 0,
    reason: 'A store of 10 bytes is two: the first may have been made where the second faults.',
    section: 'SDM Vol. 3A, 8.1.1 "Guaranteed Atomic Operations"; 6.6 "Program or Task Restart"',
  },
  {
    rows: /^MASKMOV/,
    fields: /^cr2$/,
    when: (context) => vectorOf(context) === 14,
    reason: 'Which byte of the operand is touched first.',
    section: 'SDM Vol. 3A, 4.7 "Page-Fault Exceptions" names any address of the operand',
  },
  {
    rows: /^BOUND$/,
    fields: /^(end|error code|cr2)$/,
    when: (context) => vectorOf(context) === 5 && isAccessFault(context.machine.vector),
    reason: 'Intel processors compare with the lower bound before they read the upper one.',
    section: 'SDM Vol. 2A, BOUND "Operation"',
  },
  {
    // Of sequences, which go by the name of NOP.
    rows: /^NOP$/,
    fields: /^(fsw|ftw|st\d)$/,
    when: (context, { field, ours, silicon }) =>
      isAccessFault(vectorOf(context)) &&
      (siliconFsw(context) & TOP_OF_STACK) === 0 &&
      (field !== 'fsw' || ((Number.parseInt(ours, 16) ^ Number.parseInt(silicon, 16)) & ~TOP_OF_STACK) === 0),
    reason: 'Whether the change to MMX operation has taken place where the last instruction is a store of an MMX register that faults.',
    section: 'SDM Vol. 1, 9.5.1 "MMX Instructions and the x87 FPU Tag Word"; Vol. 3A, 12.5',
  },
  {
    rows: /^PUSH$/,
    fields: /^(\[[23]|end|rsp|error code|cr2)/,
    when: (context, { ours, field }) =>
      context.cell.operandBytes === 4 &&
      /^[ECSDFG]S$/.test(context.cell.form.operands[0]?.fixed ?? '') &&
      (context.machine.vector === ALIGNMENT || (field.startsWith('[') && /^0{2,4}$/.test(ours))),
    reason:
      'A segment register is pushed by 32 bits, zero-extended, or by a move of 16 bits, which leaves the upper half as it was and needs to be aligned to 2 only.',
    section: 'SDM Vol. 2B, PUSH',
  },
  {
    rows: /^FYL2XP1$/,
    fields: /^fsw$/,
    when: (_, { ours, silicon }) => ((Number.parseInt(ours, 16) ^ Number.parseInt(silicon, 16)) & ~0x218) === 0,
    reason: 'Of an operand outside its range the result is undefined.',
    section: 'SDM Vol. 2A, FYL2XP1',
  },
  {
    rows: /^F(SIN|COS|SINCOS|PTAN|PATAN|2XM1|YL2X|YL2XP1)$/,
    fields: /^fsw$/,
    when: (_, { ours, silicon }) => {
      const [a, b] = [Number.parseInt(ours, 16), Number.parseInt(silicon, 16)];
      return ((a ^ b) & ~0x210) === 0 && (b & 0x10) === 0;
    },
    reason: 'Intel processors report no underflow of a result that is tiny because the operand is.',
    section: 'SDM Vol. 1, 8.5.5 "Numeric Underflow Exception (#U)"; 8.3.10',
  },
];

/** Flags that a row leaves undefined in this case. */
function isUndefinedFlag(context: Case, field: string): boolean {
  const { form } = context.cell;
  const undefinedFlags = form.row.options.undefinedFlags as readonly string[] | undefined;
  if (undefinedFlags?.includes(field) !== true) return false;
  if (!/^(RO[LR]|RC[LR]|S[HA][LR]|SH[LR]D)$/.test(form.mnemonic)) return true;
  // Shifts and rotations: nothing changes by a count of 0; OF is defined by a count of 1.
  const count = countOf(context);
  return count !== 0 && !(field === 'OF' && count === 1);
}

/** Whether a difference is one that the manuals allow. */
export function allowance(context: Case, difference: Difference): boolean {
  if (isUndefinedFlag(context, difference.field)) return true;
  const { mnemonic } = context.cell.form;
  const isIntel = context.machine.cpu.model.vendor === 'intel';
  return [...ALLOWANCES, ...(isIntel ? INTEL_ALLOWANCES : [])].some(
    ({ rows, fields, when }) => rows.test(mnemonic) && fields.test(difference.field) && (when === undefined || when(context, difference)),
  );
}

/** Whether two binary32 values are the same or near enough. */
function closeF32(ours: DataView, silicon: DataView, at: number, relative: number): boolean {
  const [a, b] = [ours.getFloat32(at, true), silicon.getFloat32(at, true)];
  if (ours.getUint32(at, true) === silicon.getUint32(at, true)) return true;
  if (!Number.isFinite(a) || !Number.isFinite(b) || a === 0 || b === 0) return false;
  return Math.abs(a - b) <= relative * Math.max(Math.abs(a), Math.abs(b));
}

/** Distance of two double extended values in units of the larger one's last place; Infinity where they are not numbers of one sign. */
function distanceF80(ours: Uint8Array, silicon: Uint8Array): number {
  const parse = (bytes: Uint8Array): { sign: number; exponent: number; significand: bigint } => {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const top = view.getUint16(8, true);
    return { sign: top >> 15, exponent: top & 0x7fff, significand: view.getBigUint64(0, true) };
  };
  const [a, b] = [parse(ours), parse(silicon)];
  if (a.sign !== b.sign || a.exponent === 0x7fff || b.exponent === 0x7fff) return Number.POSITIVE_INFINITY;
  const [low, high] = a.exponent < b.exponent ? [a, b] : [b, a];
  const shift = Math.max(high.exponent, 1) - Math.max(low.exponent, 1);
  if (shift > 1) return Number.POSITIVE_INFINITY;
  const distance = (high.significand << BigInt(shift)) - low.significand;
  return Number(distance < 0n ? -distance : distance) / 2 ** shift;
}

/** Whether a register is within the sum of our error bound and silicon's, in a row that has one. */
export function judgeFloat({ cell }: Case, field: string, ours: Uint8Array, silicon: Uint8Array): boolean {
  const bound = cell.form.row.options.errorBound;
  if (bound === undefined) return false;
  if ('ulps' in bound) return field.startsWith('st') && distanceF80(ours, silicon) <= 2 * bound.ulps;
  if (!field.startsWith('xmm')) return false;
  const [a, b] = [new DataView(ours.buffer), new DataView(silicon.buffer)];
  return [0, 4, 8, 12].every((at) => closeF32(a, b, at, 2 * bound.relative));
}

/** Of MASKMOVQ and MASKMOVDQU: no byte is to be stored. */
function maskIsZero({ cell, batch, at }: Case): boolean {
  const fxsave = batch.fxsaveOf(at);
  const isMmx = cell.form.mnemonic === 'MASKMOVQ';
  const code = batch.bytes.subarray(at + 184, at + 184 + (batch.u16[(at + 10) >> 1] as number));
  const modrm = code[code.length - 1] as number;
  const rexAt = code.length - 4;
  const rex = cell.mode === 64 && rexAt >= 0 && ((code[rexAt] as number) & 0xf0) === 0x40 ? (code[rexAt] as number) : 0;
  const top = (batch.view.getUint16(fxsave + 2, true) >> 11) & 7;
  const index = isMmx ? ((modrm & 7) - top + 8) & 7 : (modrm & 7) | ((rex & 1) << 3);
  const from = fxsave + (isMmx ? 32 : 160) + index * 16;
  return batch.bytes.subarray(from, from + (isMmx ? 8 : 16)).every((byte) => byte < 0x80);
}

/** The binary streams of native/silicon.h: `struct batch`, `struct case_header`, `struct result_header`, `struct patch`, little-endian. */
import { type MemoryBytes, type SiliconCase, type SiliconResult, STATUSES } from './case.ts';
import { WINDOWS } from './fill.ts';

const BATCH_HEADER_BYTES = 8;
const CASE_HEADER_BYTES = 184;
const RESULT_HEADER_BYTES = 208;
const FXSAVE_BYTES = 512;
const YMM_BYTES = 256;
/** No more than the native side has room for, and small enough that both sides work at the same time. */
const BATCH_BYTES = 4 << 20;
const BATCH_CASES = 4096;
const MAX_CODE_BYTES = 256;
const MAX_CASE_BYTES = 60_000;

const HAS_FXSAVE = 1;
const HAS_YMM = 2;
const ALLOW_HOST_DEPENDENT = 4;
const WINDOW_SEGMENTS = 8;

const DEFAULT_REGS: ArrayLike<bigint> = BigUint64Array.from({ length: 16 }, (_, i) => (i === 4 ? BigInt(WINDOWS.stack + 0x800) : 0n));

const padded = (bytes: number): number => (bytes + 7) & ~7;

function sizeOf(c: SiliconCase): number {
  let size = CASE_HEADER_BYTES + padded(c.code.length) + (c.fxsave ? FXSAVE_BYTES : 0) + (c.ymmHigh ? YMM_BYTES : 0);
  for (const { bytes } of c.memory ?? []) size += 8 + padded(bytes.length);
  return size;
}

/**
 * Encodes cases as batches. A case's id is its index.
 *
 * @throws {RangeError} a case's code, register list, image or patches are of a wrong size
 */
export function* encodeBatches(cases: readonly SiliconCase[]): Generator<Uint8Array> {
  for (let first = 0; first < cases.length; ) {
    let end = first;
    let bytes = BATCH_HEADER_BYTES;
    while (end < cases.length && end - first < BATCH_CASES) {
      const size = sizeOf(cases[end] as SiliconCase);
      if (end > first && bytes + size > BATCH_BYTES) break;
      bytes += size;
      end++;
    }
    const buffer = new ArrayBuffer(bytes);
    const view = new DataView(buffer);
    view.setUint32(0, bytes - BATCH_HEADER_BYTES, true);
    view.setUint32(4, end - first, true);
    for (let id = first, at = BATCH_HEADER_BYTES; id < end; id++) at += encodeCase(cases[id] as SiliconCase, id, view, at);
    yield new Uint8Array(buffer);
    first = end;
  }
}

function encodeCase(c: SiliconCase, id: number, view: DataView, at: number): number {
  const { code, fxsave, ymmHigh, memory = [], regs = DEFAULT_REGS, instructions = 1 } = c;
  const size = sizeOf(c);
  if (code.length < 1 || code.length > MAX_CODE_BYTES)
    throw new RangeError(`case ${id}: ${code.length} bytes of code; 1 to ${MAX_CODE_BYTES} can be run`);
  if (size > MAX_CASE_BYTES) throw new RangeError(`case ${id}: ${size} bytes with its patches; ${MAX_CASE_BYTES} are the most`);
  if (regs.length !== 16) throw new RangeError(`case ${id}: ${regs.length} registers instead of 16`);
  if (fxsave && fxsave.length !== FXSAVE_BYTES)
    throw new RangeError(`case ${id}: an FXSAVE image of ${fxsave.length} bytes instead of ${FXSAVE_BYTES}`);
  if (ymmHigh && ymmHigh.length !== YMM_BYTES)
    throw new RangeError(`case ${id}: upper YMM halves of ${ymmHigh.length} bytes instead of ${YMM_BYTES}`);
  if (instructions !== 'free' && !(instructions >= 1)) throw new RangeError(`case ${id}: ${instructions} instructions to run`);

  view.setUint32(at, size, true);
  view.setUint32(at + 4, id, true);
  view.setUint8(at + 8, c.mode ?? 64);
  view.setUint8(
    at + 9,
    (fxsave ? HAS_FXSAVE : 0) |
      (ymmHigh ? HAS_YMM : 0) |
      (c.allowHostDependent ? ALLOW_HOST_DEPENDENT : 0) |
      (c.windowSegments ? WINDOW_SEGMENTS : 0),
  );
  view.setUint16(at + 10, code.length, true);
  view.setUint16(at + 12, memory.length, true);
  view.setUint32(at + 16, instructions === 'free' ? 0 : instructions, true);
  view.setUint32(at + 20, c.seed ?? 0, true);
  const quads = new BigUint64Array(view.buffer, at + 24, 20);
  quads.set(regs);
  quads[16] = BigInt(c.rip ?? WINDOWS.code + 0x800);
  quads[17] = BigInt(c.rflags ?? 2);
  quads[18] = c.fsBase ?? 0n;
  quads[19] = c.gsBase ?? 0n;

  const bytes = new Uint8Array(view.buffer);
  let p = at + CASE_HEADER_BYTES;
  bytes.set(code, p);
  p += padded(code.length);
  if (fxsave) {
    bytes.set(fxsave, p);
    p += FXSAVE_BYTES;
  }
  if (ymmHigh) {
    bytes.set(ymmHigh, p);
    p += YMM_BYTES;
  }
  for (const patch of memory) {
    view.setUint32(p, patch.address, true);
    view.setUint32(p + 4, patch.bytes.length, true);
    bytes.set(patch.bytes, p + 8);
    p += 8 + padded(patch.bytes.length);
  }
  return size;
}

/** Puts the stream of results together again from the chunks in which it comes. */
export class ResultDecoder {
  readonly #cases: readonly SiliconCase[];
  readonly #results: SiliconResult[] = [];
  #rest: Uint8Array = new Uint8Array(0);

  constructor(cases: readonly SiliconCase[]) {
    this.#cases = cases;
  }

  /** Those decoded so far, by case. */
  get results(): SiliconResult[] {
    return this.#results;
  }

  push(chunk: Uint8Array): void {
    // Copied, so that records are aligned as they are in the stream, and typed arrays can be laid over them.
    const bytes = new Uint8Array(this.#rest.length + chunk.length);
    bytes.set(this.#rest);
    bytes.set(chunk, this.#rest.length);
    const view = new DataView(bytes.buffer);
    let at = 0;
    while (at + 4 <= bytes.length) {
      const size = view.getUint32(at, true);
      if (at + size > bytes.length) break;
      const id = view.getUint32(at + 4, true);
      this.#results[id] = decodeResult(view, at, this.#cases[id] as SiliconCase);
      at += size;
    }
    this.#rest = bytes.subarray(at);
  }
}

function decodeResult(view: DataView, at: number, c: SiliconCase): SiliconResult {
  const buffer = view.buffer as ArrayBuffer;
  const quads = new BigUint64Array(buffer, at + 24, 21);
  const hasState = view.getUint8(at + 10) === 1;
  let p = at + RESULT_HEADER_BYTES;
  const take = (bytes: number): Uint8Array => {
    p += padded(bytes);
    return new Uint8Array(buffer, p - padded(bytes), bytes);
  };
  const fxsave = hasState && c.fxsave ? take(FXSAVE_BYTES) : undefined;
  const ymmHigh = hasState && c.ymmHigh ? take(YMM_BYTES) : undefined;
  const memory: MemoryBytes[] = [];
  for (let left = view.getUint16(at + 20, true); left > 0; left--) {
    const address = view.getUint32(p, true);
    const length = view.getUint32(p + 4, true);
    p += 8;
    memory.push({ address, bytes: take(length) });
  }
  const selector = (index: number): number => view.getUint16(at + 192 + 2 * index, true);
  return {
    status: STATUSES[view.getUint8(at + 8)] as SiliconResult['status'],
    vector: view.getUint8(at + 9),
    errorCode: view.getUint32(at + 16, true),
    cr2: quads[0] as bigint,
    instructions: view.getUint32(at + 12, true),
    hasState,
    regs: quads.subarray(1, 17),
    rip: quads[17] as bigint,
    rflags: view.getUint32(at + 24 + 8 * 18, true),
    fsBase: quads[19] as bigint,
    gsBase: quads[20] as bigint,
    selectors: { cs: selector(0), ss: selector(1), ds: selector(2), es: selector(3), fs: selector(4), gs: selector(5) },
    fxsave,
    ymmHigh,
    memory,
  };
}

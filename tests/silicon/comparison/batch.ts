/**
 * Cases in the binary form that the native side reads (native/silicon.h), written in place: the generator fills registers and images straight into the record, and the
 * emulated machines load from it. All little-endian.
 */
export const CASE_HEADER_BYTES = 184;
export const RESULT_HEADER_BYTES = 208;
const FXSAVE_BYTES = 512;
const HAS_FXSAVE = 1;
const WINDOW_SEGMENTS = 8;

/** Offsets in a case's header. */
export const CaseField = { gpr: 24, rip: 152, rflags: 160, fsBase: 168, gsBase: 176 } as const;
/** Offsets in a result's header. */
export const ResultField = {
  status: 8,
  vector: 9,
  hasState: 10,
  instructions: 12,
  errorCode: 16,
  patchCount: 20,
  cr2: 24,
  gpr: 32,
  rip: 160,
  rflags: 168,
  selectors: 192,
} as const;

export class Batch {
  readonly bytes: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly view: DataView;
  /** Where each record begins. */
  readonly offsets: number[] = [];
  /** Of the record being written: where the next part goes. */
  end = 8;
  #start = 0;
  readonly #capacity: number;

  constructor(capacity = 4 << 20) {
    const buffer = new ArrayBuffer(capacity);
    this.#capacity = capacity;
    this.bytes = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.view = new DataView(buffer);
  }
  clear(): void {
    this.offsets.length = 0;
    this.end = 8;
  }
  get count(): number {
    return this.offsets.length;
  }
  get isFull(): boolean {
    return this.offsets.length >= 4096 || this.end + 4096 > this.#capacity;
  }

  /** Begins a record; what the header names is zero. Returns its place. */
  begin(mode: number, code: Uint8Array, rip: number, stepped: number, seed: number, windowSegments: boolean, fxsave: boolean): number {
    const at = this.end;
    this.#start = at;
    this.bytes.fill(0, at, at + CASE_HEADER_BYTES);
    const { u32, bytes } = this;
    u32[(at + 4) >> 2] = this.offsets.length;
    bytes[at + 8] = mode;
    bytes[at + 9] = (fxsave ? HAS_FXSAVE : 0) | (windowSegments ? WINDOW_SEGMENTS : 0);
    this.u16[(at + 10) >> 1] = code.length;
    u32[(at + 16) >> 2] = stepped;
    u32[(at + 20) >> 2] = seed;
    u32[(at + CaseField.rip) >> 2] = rip;
    u32[(at + CaseField.rflags) >> 2] = 2;
    this.end = at + CASE_HEADER_BYTES;
    bytes.fill(0, this.end, this.end + ((code.length + 7) & ~7));
    bytes.set(code, this.end);
    this.end += (code.length + 7) & ~7;
    if (fxsave) {
      bytes.fill(0, this.end, this.end + FXSAVE_BYTES);
      this.end += FXSAVE_BYTES;
    }
    return at;
  }
  /** Adds a patch of zeros to the record; returns where its bytes are. */
  patch(address: number, count: number): number {
    const at = this.end;
    this.u32[at >> 2] = address;
    this.u32[(at >> 2) + 1] = count;
    this.end = at + 8 + ((count + 7) & ~7);
    this.bytes.fill(0, at + 8, this.end);
    this.u16[(this.#start + 12) >> 1]! += 1;
    return at + 8;
  }
  /** Ends the record. */
  finish(): void {
    this.u32[this.#start >> 2] = this.end - this.#start;
    this.offsets.push(this.#start);
  }
  /** The batch as it goes to the native side. */
  seal(): Uint8Array {
    this.u32[0] = this.end - 8;
    this.u32[1] = this.offsets.length;
    return this.bytes.subarray(0, this.end);
  }
  /** Where the FXSAVE image of a record is, or 0. */
  fxsaveOf(at: number): number {
    return (this.bytes[at + 9] as number) & HAS_FXSAVE ? at + CASE_HEADER_BYTES + (((this.u16[(at + 10) >> 1] as number) + 7) & ~7) : 0;
  }
  /** Where the patches of a record begin. */
  patchesOf(at: number): number {
    const fxsave = this.fxsaveOf(at);
    return fxsave === 0 ? at + CASE_HEADER_BYTES + (((this.u16[(at + 10) >> 1] as number) + 7) & ~7) : fxsave + FXSAVE_BYTES;
  }
}

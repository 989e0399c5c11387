import { UnknownVmcsFieldError, VmcsRegionError, VmcsValueError } from '../errors.ts';
import { fieldBytes, isReadOnlyData, isWellFormedEncoding } from './encoding.ts';
import { FIELD, VMCS_FIELD_NAMES, type VmcsFieldName, vmcsFieldName } from './fields.ts';
import { ABORT_OFFSET, fieldOffset, LAUNCH_STATE_OFFSET, REGION_BYTES, REVISION_OFFSET } from './layout.ts';

/** Values by field name: what a check suggests to write, what a state is made from. */
export type VmcsValues = { readonly [Name in VmcsFieldName]?: bigint };

/** The place of each encoding in the table (-1: none), for the set of changed fields. Encodings have 15 bits. */
const ordinals: Int16Array = new Int16Array(0x8000).fill(-1);
for (const [ordinal, name] of VMCS_FIELD_NAMES.entries()) ordinals[FIELD[name]] = ordinal;

/** What is written around nearly every exit: where the guest stands, and what is injected. */
const PASSING: ReadonlySet<VmcsFieldName> = new Set<VmcsFieldName>([
  'GUEST_RIP',
  'GUEST_RSP',
  'GUEST_RFLAGS',
  'GUEST_INTERRUPTIBILITY_INFO',
  'GUEST_ACTIVITY_STATE',
  'GUEST_PENDING_DBG_EXCEPTIONS',
  'VM_ENTRY_INTR_INFO_FIELD',
  'VM_ENTRY_EXCEPTION_ERROR_CODE',
  'VM_ENTRY_INSTRUCTION_LEN',
]);
/** By the place in the table: whether a field lasts from exit to exit. */
const lasts: Uint8Array = Uint8Array.from(VMCS_FIELD_NAMES, (name) => (PASSING.has(name) || isReadOnlyData(FIELD[name]) ? 0 : 1));

/** The bits of a field's value that exist, by its bytes. */
const WIDTH_MASK = { 2: 0xffffn, 4: 0xffff_ffffn, 8: 0xffff_ffff_ffff_ffffn } as const;

/**
 * A VMCS in a region of 4 KiB (SDM Vol. 3C, 25.2): read, written, copied and checked without a CPU.
 *
 * Values are reached by encoding. `read` and `write` are the whole field as a bigint; `low`, `high` and `set` are its 32-bit halves, for code that runs at every VM
 * entry. All fields of the table have a place, whatever a processor supports: which of them VMREAD and VMWRITE may touch is `vmread`'s and `vmwrite`'s business.
 *
 * @example
 * const vmcs = new Vmcs();
 * vmcs.write(FIELD.GUEST_RIP, 0x1000n);
 * vmcs.read(FIELD.GUEST_RIP); // 0x1000n
 */
export class Vmcs {
  readonly #data: DataView;
  readonly #bytes: Uint8Array;
  readonly #isChanged: Uint8Array = new Uint8Array(VMCS_FIELD_NAMES.length);
  readonly #changed: Uint16Array = new Uint16Array(VMCS_FIELD_NAMES.length);
  #changedCount = 0;
  /**
   * Something has changed besides why the guest exited (the read-only fields), where it stands (RIP, RSP, RFLAGS, its non-register state) and what is injected. Set back to false by
   * whoever has taken note.
   */
  lastingChanged = true;

  /**
   * @param region 4096 bytes that stay its memory; new ones, all zero, by default
   * @throws {VmcsRegionError} if the region is not 4096 bytes long
   */
  constructor(region: Uint8Array = new Uint8Array(REGION_BYTES)) {
    if (region.length !== REGION_BYTES) {
      throw new VmcsRegionError(`A VMCS region has ${REGION_BYTES} bytes, not ${region.length}.`, 'Hand over exactly one page.', {
        bytes: region.length,
      });
    }
    this.#bytes = region;
    this.#data = new DataView(region.buffer, region.byteOffset, region.length);
    this.markAllChanged();
  }

  /** The VMCS revision identifier: bits 30:0 of the first doubleword. */
  get revisionId(): number {
    return this.#data.getUint32(REVISION_OFFSET, true) & 0x7fff_ffff;
  }
  set revisionId(id: number) {
    this.#data.setUint32(REVISION_OFFSET, (this.isShadow ? 0x8000_0000 : 0) | (id & 0x7fff_ffff), true);
  }

  /** The shadow-VMCS indicator: bit 31 of the first doubleword. */
  get isShadow(): boolean {
    return this.#data.getInt32(REVISION_OFFSET, true) < 0;
  }
  set isShadow(shadow: boolean) {
    this.#data.setUint32(REVISION_OFFSET, (shadow ? 0x8000_0000 : 0) | this.revisionId, true);
  }

  /** The VMX-abort indicator: 0, or why a VM exit ended in a VMX abort (SDM Vol. 3C, 28.7). */
  get abortIndicator(): number {
    return this.#data.getUint32(ABORT_OFFSET, true);
  }
  set abortIndicator(reason: number) {
    this.#data.setUint32(ABORT_OFFSET, reason, true);
  }

  /** The launch state: VMLAUNCH wants "clear", VMRESUME "launched" (SDM Vol. 3C, 25.1). */
  get launchState(): 'clear' | 'launched' {
    return this.#data.getUint8(LAUNCH_STATE_OFFSET) === 1 ? 'launched' : 'clear';
  }
  set launchState(state: 'clear' | 'launched') {
    this.#data.setUint8(LAUNCH_STATE_OFFSET, state === 'launched' ? 1 : 0);
  }

  /** The region's bytes: the same memory, not a copy. */
  get region(): Uint8Array {
    return this.#bytes;
  }

  /**
   * The whole value of a field; with access type "high", bits 63:32 of a 64-bit field.
   * @throws {UnknownVmcsFieldError} if no field has the encoding
   */
  read(encoding: number): bigint {
    this.#mustExist(encoding);
    const offset = fieldOffset(encoding);
    if ((encoding & 1) === 1) return BigInt(this.#data.getUint32(offset + 4, true));
    const bytes = fieldBytes(encoding);
    return bytes === 8 ? this.#data.getBigUint64(offset, true) : BigInt(this.low(encoding));
  }

  /**
   * Writes the whole value of a field, read-only ones too; with access type "high", only bits 63:32 of a 64-bit field.
   * @throws {UnknownVmcsFieldError} if no field has the encoding
   * @throws {VmcsValueError} if the value is negative or wider than the field
   */
  write(encoding: number, value: bigint): void {
    this.#mustExist(encoding);
    const high = (encoding & 1) === 1;
    const mask = high ? WIDTH_MASK[4] : WIDTH_MASK[fieldBytes(encoding)];
    if (value < 0n || value > mask) {
      throw new VmcsValueError(vmcsFieldName(encoding)!, value, `It must be 0 to 0x${mask.toString(16)}.`);
    }
    const low = Number(value & 0xffff_ffffn);
    if (high) this.set(encoding & ~1, this.low(encoding & ~1), low);
    else this.set(encoding, low, Number(value >> 32n));
  }

  /** Bits 31:0 of a field, unsigned. The encoding must be one of the table, access type "full". */
  low(encoding: number): number {
    const offset = fieldOffset(encoding);
    return (encoding & 0x6000) === 0 ? this.#data.getUint16(offset, true) : this.#data.getUint32(offset, true);
  }

  /** Bits 63:32 of a field, unsigned; 0 for those of 16 and 32 bits. The encoding must be one of the table, access type "full". */
  high(encoding: number): number {
    return (encoding & 0x2000) === 0 ? 0 : this.#data.getUint32(fieldOffset(encoding) + 4, true);
  }

  /** Writes a field by its halves, cut to the field's width, and notes a change. The encoding must be one of the table, access type "full". */
  set(encoding: number, low: number, high = 0): void {
    const offset = fieldOffset(encoding);
    const width = encoding & 0x6000;
    if (width === 0) {
      if (this.#data.getUint16(offset, true) === (low & 0xffff)) return;
      this.#data.setUint16(offset, low, true);
    } else if (width === 0x4000) {
      if (this.#data.getInt32(offset, true) === (low | 0)) return;
      this.#data.setInt32(offset, low, true);
    } else {
      if (this.#data.getInt32(offset, true) === (low | 0) && this.#data.getInt32(offset + 4, true) === (high | 0)) return;
      this.#data.setInt32(offset, low, true);
      this.#data.setInt32(offset + 4, high, true);
    }
    this.#noteChange(ordinals[encoding]!);
  }

  /** Writes several fields by name, in one go. Errors as `write`. */
  assign(values: VmcsValues): void {
    for (const name of Object.keys(values) as VmcsFieldName[]) this.write(FIELD[name], values[name]!);
  }

  /** A copy with its own region. */
  clone(): Vmcs {
    return new Vmcs(this.#bytes.slice());
  }

  /** How many fields changed since `clearChanged`: what an incremental checker has to look at. */
  get changedCount(): number {
    return this.#changedCount;
  }

  /** The place in the table (`VMCS_FIELD_NAMES`) of the nth changed field, `n` below `changedCount`. */
  changedOrdinal(n: number): number {
    return this.#changed[n]!;
  }

  /** Forgets which fields changed. */
  clearChanged(): void {
    for (let i = 0; i < this.#changedCount; i++) this.#isChanged[this.#changed[i]!] = 0;
    this.#changedCount = 0;
  }

  /** Takes every field for changed: after the region's bytes were written by other ways. */
  markAllChanged(): void {
    for (let ordinal = 0; ordinal < VMCS_FIELD_NAMES.length; ordinal++) this.#noteChange(ordinal);
  }

  #noteChange(ordinal: number): void {
    if (lasts[ordinal] === 1) this.lastingChanged = true;
    if (this.#isChanged[ordinal] === 1) return;
    this.#isChanged[ordinal] = 1;
    this.#changed[this.#changedCount++] = ordinal;
  }

  #mustExist(encoding: number): void {
    if (!isWellFormedEncoding(encoding) || vmcsFieldName(encoding) === undefined) {
      throw new UnknownVmcsFieldError(encoding, 'Encodings are in VMCS_FIELDS; FIELD gives them by name.');
    }
  }
}

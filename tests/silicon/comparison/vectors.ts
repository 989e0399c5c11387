/**
 * Recorded ends of cases, for hosts that have no silicon to ask. Inputs are not stored: the generator makes them again, from the same seeds. Of a result, what is as it was in the input is
 * stored as zeros, so that the whole compresses to a few bytes a case.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import type { Decoder } from '@minusone/x86';
import { type Batch, CaseField, RESULT_HEADER_BYTES, ResultField } from './batch.ts';
import { type Cell, nameOf, seedOf } from './cells.ts';
import { encode } from './encoding.ts';
import type { Host } from './host.ts';
import { InstanceWriter, planOf } from './instance.ts';
import { Random } from './random.ts';
import type { BatchResults } from './silicon-process.ts';

const DIRECTORY = join(import.meta.dirname, 'vectors');
const SEED = 77;
const ENCODINGS = 4;
const PER_ENCODING = 2;

/** What stands before the results. */
export interface VectorsHeader {
  readonly vendor: Host['vendor'];
  readonly name: string;
  readonly features: readonly string[];
  /** Of the contents of memory. */
  readonly seed: number;
  /** Cells in the order of their results: name, a checksum of the inputs, bytes of results. */
  readonly cells: readonly (readonly [name: string, inputs: number, bytes: number])[];
}

export interface Vectors {
  readonly header: VectorsHeader;
  /** By the cell's name: the checksum of its inputs, and its results. */
  readonly cells: ReadonlyMap<string, { readonly inputs: number; readonly results: Uint8Array }>;
}

/** Generates the cases of a cell that are recorded. */
export function recordedCases(cell: Cell, decoder: Decoder, batch: Batch): void {
  batch.clear();
  const random = new Random(seedOf(cell) + SEED);
  for (let n = 0; n < ENCODINGS; n++) {
    const encoding = encode(cell, decoder, random);
    if (encoding === undefined) return;
    const plan = planOf(encoding);
    for (let i = 0; i < PER_ENCODING; i++) new InstanceWriter(batch, random, SEED).write(plan);
  }
}

/** FNV-1a of a batch. */
export function checksum(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** Exchanges in a result what its input says with zeros, and back. */
function fold(batch: Batch, at: number, result: Uint8Array): void {
  const { bytes } = batch;
  for (let n = 0; n < 128; n++) result[ResultField.gpr + n]! ^= bytes[at + CaseField.gpr + n] as number;
  for (let n = 0; n < 8; n++) {
    result[ResultField.rip + n]! ^= bytes[at + CaseField.rip + n] as number;
    result[ResultField.rflags + n]! ^= bytes[at + CaseField.rflags + n] as number;
  }
  const fxsave = batch.fxsaveOf(at);
  if (fxsave > 0 && result[ResultField.hasState] === 1)
    for (let n = 0; n < 512; n++) result[RESULT_HEADER_BYTES + n]! ^= bytes[fxsave + n] as number;
}

/** The results of a batch as they are stored. */
export function foldResults(batch: Batch, results: BatchResults): Uint8Array {
  const parts = results.offsets.map((offset, n) => {
    const record = results.bytes.slice(offset, offset + results.view.getUint32(offset, true));
    fold(batch, batch.offsets[n] as number, record);
    return record;
  });
  return Buffer.concat(parts);
}

/** Stored results as they came from silicon. */
export function unfoldResults(batch: Batch, stored: Uint8Array): BatchResults {
  const bytes = stored.slice();
  const view = new DataView(bytes.buffer);
  const offsets: number[] = [];
  for (let at = 0; at < bytes.length; at += view.getUint32(at, true)) {
    fold(batch, batch.offsets[offsets.length] as number, bytes.subarray(at));
    offsets.push(at);
  }
  return { bytes, view, u32: new Uint32Array(bytes.buffer, 0, bytes.length >> 2), offsets };
}

const pathOf = (vendor: string): string => join(DIRECTORY, `${vendor}.br`);

export function writeVectors(
  header: Omit<VectorsHeader, 'cells' | 'seed'>,
  cells: readonly { cell: Cell; inputs: number; results: Uint8Array }[],
): number {
  const full: VectorsHeader = {
    ...header,
    seed: SEED,
    cells: cells.map(({ cell, inputs, results }) => [nameOf(cell), inputs, results.length]),
  };
  const raw = Buffer.concat([Buffer.from(`${JSON.stringify(full)}\n`), ...cells.map(({ results }) => results)]);
  const packed = brotliCompressSync(raw, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: raw.length },
  });
  writeFileSync(pathOf(header.vendor), packed);
  return packed.length;
}

export function readVectors(vendor: string): Vectors {
  const raw = brotliDecompressSync(readFileSync(pathOf(vendor)));
  const end = raw.indexOf(10);
  const header = JSON.parse(raw.subarray(0, end).toString()) as VectorsHeader;
  const cells = new Map<string, { inputs: number; results: Uint8Array }>();
  let at = end + 1;
  for (const [name, inputs, bytes] of header.cells) {
    cells.set(name, { inputs, results: new Uint8Array(raw.subarray(at, at + bytes)) });
    at += bytes;
  }
  return { header, cells };
}

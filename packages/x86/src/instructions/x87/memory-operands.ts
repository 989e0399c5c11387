import { extendS, i32 } from '@minusone/wasm';
import type { Emit } from '../../semantics/emit.ts';
import { type Slot, slotPointer } from '../../softfloat/scratch.ts';
import { unpack32, unpack64, unpackInteger } from '../../softfloat/unpack.ts';

/** Reads the memory operand (the first and only one), a binary32 or binary64 or an integer of 16, 32 or 64 bits, and takes it apart. */
export function unpackOperand(e: Emit, kind: 'float' | 'integer', slot: Slot): void {
  const { bytes } = e.dst;
  const to = slotPointer(e.cpu, slot);
  if (kind === 'float') e.callVoid(bytes === 4 ? unpack32 : unpack64, to, e.let(e.dst.read()), i32(0));
  else e.callVoid(unpackInteger, to, extendS(e.dst.readSigned(bytes === 8 ? 8 : 4)));
}

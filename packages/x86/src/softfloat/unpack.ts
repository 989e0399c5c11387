import { and, clz, type Expr, eq, eqz, extendU, i32, i64, type Local, or, select, shl, shrU, sub, wrap } from '@minusone/wasm';
import { type Subroutine, subroutine } from '../semantics/subroutine.ts';
import { Kind, Slot, writeSlot } from './scratch.ts';

/** Formats taken apart. The first argument is where to: `slotPointer(cpu, slot)`. */

const TOP = 1n << 63n;
const QUIET = 1n << 62n;

/** NAN or SIGNALLING by the quiet bit of a left-aligned significand. */
const kindOfNan = (significand: Expr): Expr => select(eqz(and(significand, i64(QUIET))), i32(Kind.SIGNALLING), i32(Kind.NAN));

/** (slot, sign, exponent field, fraction with its first bit at 62, bias, daz): binary32 and binary64 alike. The greatest exponent field is 2 * bias + 1. */
const unpackBinary: Subroutine = subroutine(
  'softfloat.unpackBinary',
  { params: ['i32', 'i32', 'i32', 'i64', 'i32', 'i32'], results: [] },
  (f) => {
    const [slot, sign, field, fraction, bias, daz] = f.params as [Local, Local, Local, Local, Local, Local];
    const full = f.let(or(fraction, i64(TOP)));
    f.if(eq(field, or(shl(bias, i32(1)), i32(1))), () => {
      const kind = select(eqz(fraction), i32(Kind.INFINITY), kindOfNan(fraction));
      writeSlot(f, slot, Slot.A, { significand: full, exponent: i32(0), sign, kind, denormal: i32(0) });
      f.return();
    });
    f.if(field, () => {
      writeSlot(f, slot, Slot.A, { significand: full, exponent: sub(field, bias), sign, kind: i32(Kind.FINITE), denormal: i32(0) });
      f.return();
    });
    f.if(or(eqz(fraction), daz), () => {
      writeSlot(f, slot, Slot.A, { significand: i64(0), exponent: i32(0), sign, kind: i32(Kind.ZERO), denormal: i32(0) });
      f.return();
    });
    const leading = f.let(clz(fraction));
    writeSlot(f, slot, Slot.A, {
      significand: shl(fraction, leading),
      exponent: sub(sub(i32(1), bias), wrap(leading)),
      sign,
      kind: i32(Kind.FINITE),
      denormal: i32(1),
    });
  },
);

/** (slot, bits, daz): binary32. `daz` not zero: denormals are zeros. */
export const unpack32: Subroutine = subroutine('softfloat.unpack32', { params: ['i32', 'i32', 'i32'], results: [] }, (f, link) => {
  const [slot, bits, daz] = f.params as [Local, Local, Local];
  const field = and(shrU(bits, i32(23)), i32(0xff));
  const fraction = shl(extendU(and(bits, i32(0x7f_ffff))), i64(40));
  f.callVoid(link(unpackBinary), slot, shrU(bits, i32(31)), field, fraction, i32(127), daz);
});

/** (slot, bits, daz): binary64. */
export const unpack64: Subroutine = subroutine('softfloat.unpack64', { params: ['i32', 'i64', 'i32'], results: [] }, (f, link) => {
  const [slot, bits, daz] = f.params as [Local, Local, Local];
  const field = and(wrap(shrU(bits, i64(52))), i32(0x7ff));
  const fraction = and(shl(bits, i64(11)), i64(TOP - 1n));
  f.callVoid(link(unpackBinary), slot, wrap(shrU(bits, i64(63))), field, fraction, i32(1023), daz);
});

/**
 * (slot, significand, sign and exponent): the x87's format (SDM Vol. 1, 4.2.2 and 8.2.2). A significand without its integer bit is unsupported, unless the exponent is
 * zero; with it and exponent zero, it is a pseudo-denormal, which counts as the denormal it is.
 */
export const unpack80: Subroutine = subroutine('softfloat.unpack80', { params: ['i32', 'i64', 'i32'], results: [] }, (f) => {
  const [slot, significand, signExponent] = f.params as [Local, Local, Local];
  const sign = f.let(and(shrU(signExponent, i32(15)), i32(1)));
  const field = f.let(and(signExponent, i32(0x7fff)));
  f.if(eqz(field), () => {
    const leading = f.let(clz(significand));
    writeSlot(f, slot, Slot.A, {
      significand: shl(significand, leading),
      exponent: sub(i32(1 - 16383), wrap(leading)),
      sign,
      kind: select(eqz(significand), i32(Kind.ZERO), i32(Kind.FINITE)),
      denormal: select(eqz(significand), i32(0), i32(1)),
    });
    f.return();
  });
  const special = select(eqz(shl(significand, i64(1))), i32(Kind.INFINITY), kindOfNan(significand));
  const kind = select(
    eqz(wrap(shrU(significand, i64(63)))),
    i32(Kind.UNSUPPORTED),
    select(eq(field, i32(0x7fff)), special, i32(Kind.FINITE)),
  );
  writeSlot(f, slot, Slot.A, { significand, exponent: sub(field, i32(16383)), sign, kind, denormal: i32(0) });
});

/** (slot, value): a signed integer. */
export const unpackInteger: Subroutine = subroutine('softfloat.unpackInteger', { params: ['i32', 'i64'], results: [] }, (f) => {
  const [slot, value] = f.params as [Local, Local];
  const sign = f.let(wrap(shrU(value, i64(63))));
  const magnitude = f.let(select(sign, sub(i64(0), value), value));
  const leading = f.let(clz(magnitude));
  writeSlot(f, slot, Slot.A, {
    significand: shl(magnitude, leading),
    exponent: sub(i32(63), wrap(leading)),
    sign,
    kind: select(eqz(magnitude), i32(Kind.ZERO), i32(Kind.FINITE)),
    denormal: i32(0),
  });
});

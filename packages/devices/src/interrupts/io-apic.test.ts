import type { InterruptMessage } from '@minusone/core';
import { expect, test } from 'vitest';
import { IoApic, type IoApicOptions } from './io-apic.ts';

const [EDGE, LEVEL, MASKED, ACTIVE_LOW] = [0, 0x8000, 0x10000, 0x2000];

function make(options: Partial<IoApicOptions> = {}) {
  const messages: InterruptMessage[] = [];
  const ioApic = new IoApic({ sink: { deliver: (message) => messages.push(message) }, ...options });
  const get = (register: number) => {
    ioApic.writeMmio(0x00, 4, register);
    return ioApic.readMmio(0x10, 4);
  };
  const put = (register: number, value: number) => {
    ioApic.writeMmio(0x00, 4, register);
    ioApic.writeMmio(0x10, 4, value);
  };
  return { ioApic, messages, get, put };
}

test('ID, version 0x20 with 24 entries, arbitration; all pins masked at power-on', () => {
  const { get, put } = make({ id: 3 });
  expect([get(0), get(1), get(2)]).toEqual([0x03000000, 0x00170020, 0x03000000]);
  put(0, 0xff000000);
  put(1, 0);
  expect([get(0), get(1)]).toEqual([0x0f000000, 0x00170020]);
  expect(Array.from({ length: 24 }, (_, pin) => get(0x10 + 2 * pin))).toEqual(Array(24).fill(MASKED));
  expect(get(0x40)).toBe(0);
});

test('an edge is delivered once, with the fields of its entry', () => {
  const { ioApic, messages, put } = make();
  put(0x19, 0xa5000000);
  put(0x18, EDGE | 0x0900 | 0x34); // pin 4: lowest priority, logical
  const pin = ioApic.pin(4);
  pin.set(true);
  pin.set(true);
  expect(messages).toEqual([{ vector: 0x34, deliveryMode: 1, destination: 0xa5, logical: true, level: false }]);
  pin.set(false);
  pin.set(true);
  expect(messages.length).toBe(2);
});

test('an edge on a masked pin is ignored, not held (82093AA, interrupt mask)', () => {
  const { ioApic, messages, put } = make();
  ioApic.pin(1).set(true);
  put(0x12, 0x31);
  expect(messages).toEqual([]);
});

test('a level interrupt sets remote IRR, is not repeated until EOI, and then comes again while the line is asserted', () => {
  const { ioApic, messages, get, put } = make();
  put(0x30, LEVEL | 0x51); // pin 16
  const pin = ioApic.pin(16);
  pin.set(true);
  expect([messages.length, get(0x30)]).toEqual([1, 0x4000 | LEVEL | 0x51]);
  pin.set(false);
  pin.set(true);
  expect(messages.length).toBe(1);
  ioApic.eoi(0x50);
  expect(messages.length).toBe(1);
  ioApic.eoi(0x51);
  expect(messages.length).toBe(2);
  pin.set(false);
  ioApic.writeMmio(0x40, 4, 0x51); // EOI register
  expect([messages.length, get(0x30)]).toEqual([2, LEVEL | 0x51]);
});

test('unmasking a level pin whose line is asserted delivers; masking while in service keeps remote IRR', () => {
  const { ioApic, messages, get, put } = make();
  ioApic.pin(9).set(true);
  put(0x22, MASKED | LEVEL | 0x60);
  expect(messages.length).toBe(0);
  put(0x22, LEVEL | 0x60);
  expect(messages.length).toBe(1);
  put(0x22, MASKED | LEVEL | 0x60);
  expect(get(0x22)).toBe(MASKED | LEVEL | 0x4000 | 0x60);
});

test("turning a pin to edge and back clears remote IRR, which is Linux's EOI for I/O APICs without an EOI register", () => {
  const { ioApic, get, put } = make();
  put(0x22, LEVEL | 0x60);
  ioApic.pin(9).set(true);
  ioApic.pin(9).set(false);
  put(0x22, MASKED | EDGE | 0x60);
  put(0x22, LEVEL | 0x60);
  expect(get(0x22)).toBe(LEVEL | 0x60);
});

test('delivery status and remote IRR are read-only; NMI and ExtINT are edges even if programmed level', () => {
  const { ioApic, messages, get, put } = make();
  put(0x10, 0xfffe5000 | LEVEL | 0x0700); // ExtINT, with read-only bits set
  expect(get(0x10)).toBe(LEVEL | 0x0700);
  ioApic.pin(0).set(true);
  expect([messages[0]?.deliveryMode, messages[0]?.level, get(0x10)]).toEqual([7, false, LEVEL | 0x0700]);
});

test('polarity: without wiring an asserted line is active; with wiring the guest must program what the board has', () => {
  const tolerant = make();
  tolerant.put(0x30, ACTIVE_LOW | LEVEL | 0x51);
  expect(tolerant.messages.length).toBe(0);
  tolerant.ioApic.pin(16).set(true);
  expect(tolerant.messages.length).toBe(1);
  const strict = make({ activeLowPins: 1 << 16 });
  strict.put(0x30, ACTIVE_LOW | LEVEL | 0x51);
  expect(strict.messages.length).toBe(0);
  strict.ioApic.pin(16).set(true);
  expect(strict.messages.length).toBe(1);
  strict.put(0x2e, ACTIVE_LOW | LEVEL | 0x52); // pin 15 is active high: idle is low, which is active here
  expect(strict.messages.length).toBe(2);
});

test('narrow accesses see the bytes of IOREGSEL and IOWIN; elsewhere the window reads 0', () => {
  const { ioApic } = make();
  ioApic.writeMmio(0, 1, 0x01);
  expect([ioApic.readMmio(0, 1), ioApic.readMmio(0x12, 2), ioApic.readMmio(0x10, 1), ioApic.readMmio(0x20, 4)]).toEqual([1, 0x17, 0x20, 0]);
  expect(() => ioApic.pin(24)).toThrow(/no pin 24/);
});

test('version 0x11 has no EOI register (82093AA); a host finds the pins of a vector, and hears of masks', () => {
  const masks: string[] = [];
  const { ioApic, get, put } = make({ version: 0x11, onMask: (pin, masked) => masks.push(`${pin} ${masked}`) });
  expect(get(1)).toBe(0x00170011);
  put(0x10, LEVEL | 0x40);
  put(0x14, EDGE | 0x40);
  ioApic.pin(0).set(true);
  ioApic.writeMmio(0x40, 4, 0x40);
  expect(get(0x10) & 0x4000).toBe(0x4000); // remote IRR is still set
  expect([ioApic.pinsOf(0x40), ioApic.pinsOf(0x41), ioApic.entry(2)]).toEqual([0b101, 0, 0x40]);
  put(0x14, MASKED | 0x41);
  expect([ioApic.pinsOf(0x40), ioApic.pinsOf(0x41)]).toEqual([0b001, 0b100]);
  expect(masks).toEqual(['0 false', '2 false', '2 true']);
});

import { expect, test } from 'vitest';
import { I8259Pair } from './i8259-pair.ts';

/** Initialized as a PC BIOS does: vectors 0x08 and 0x70, everything unmasked. */
function make(options: { icw4?: number; edgeRequests?: 'held' | 'latched' } = {}) {
  const intr = {
    level: false,
    set(asserted: boolean) {
      intr.level = asserted;
    },
  };
  const pair = new I8259Pair({ intr, ...(options.edgeRequests && { edgeRequests: options.edgeRequests }) });
  const outb = (port: number, value: number) => pair.writePort(port, 1, value);
  const inb = (port: number) => pair.readPort(port, 1);
  const initialize = (icw4 = 0x01) => {
    for (const [port, base, cascade] of [
      [0x20, 0x08, 4],
      [0xa0, 0x70, 2],
    ] as const) {
      outb(port, 0x11);
      outb(port + 1, base);
      outb(port + 1, cascade);
      outb(port + 1, icw4);
    }
  };
  initialize(options.icw4);
  const lines = Array.from({ length: 16 }, (_, irq) => (irq === 2 ? undefined : pair.irq(irq)));
  const raise = (irq: number) => lines[irq]?.set(true);
  const lower = (irq: number) => lines[irq]?.set(false);
  return { pair, intr, outb, inb, raise, lower, initialize };
}

test('an edge raises INT, INTA gives ICW2 plus the level, moves IRR to ISR, and EOI ends it', () => {
  const { pair, intr, outb, inb, raise } = make();
  raise(1);
  expect([intr.level, inb(0x20)]).toEqual([true, 0x02]);
  expect(pair.acknowledge()).toBe(0x09);
  outb(0x20, 0x0b); // read ISR
  expect([intr.level, inb(0x20)]).toEqual([false, 0x02]);
  outb(0x20, 0x20);
  expect([intr.level, inb(0x20)]).toEqual([false, 0]); // the input is still high: no new edge
});

test('cascade: IRQ 12 sets ISR in both chips and needs two EOIs', () => {
  const { pair, outb, inb, raise } = make();
  raise(12);
  expect(pair.acknowledge()).toBe(0x74);
  outb(0x20, 0x0b);
  outb(0xa0, 0x0b);
  expect([inb(0x20), inb(0xa0)]).toEqual([0x04, 0x10]);
  raise(13);
  expect(pair.interruptPending).toBe(false);
  outb(0xa0, 0x20);
  expect(pair.interruptPending).toBe(false); // the master still serves IR2
  outb(0x20, 0x20);
  expect(pair.acknowledge()).toBe(0x75);
});

test('fully nested: only higher priorities interrupt; IMR masks; unmasking shows a pending request', () => {
  const { pair, outb, inb, raise } = make();
  outb(0x21, 0x01);
  raise(4);
  pair.acknowledge();
  raise(5);
  raise(0);
  expect([pair.interruptPending, inb(0x21)]).toEqual([false, 0x01]);
  outb(0x21, 0);
  expect(pair.acknowledge()).toBe(0x08);
});

test('a request that is gone before INTA is the spurious IR7, or IR15 of the slave; ISR stays clear (IR2 is set)', () => {
  const { pair, outb, inb, raise, lower } = make();
  raise(3);
  lower(3);
  expect([pair.interruptPending, pair.acknowledge()]).toEqual([false, 0x0f]);
  outb(0x20, 0x0b);
  expect(inb(0x20)).toBe(0);

  const latched = make({ edgeRequests: 'latched' });
  latched.raise(9);
  latched.outb(0xa1, 0xff); // the slave withdraws, the master has latched IR2
  expect(latched.pair.acknowledge()).toBe(0x77);
  latched.outb(0x20, 0x0b);
  latched.outb(0xa0, 0x0b);
  expect([latched.inb(0x20), latched.inb(0xa0)]).toEqual([0x04, 0]);
});

test("'latched' keeps a pulse, as KVM's irqchip does", () => {
  const { pair, raise, lower } = make({ edgeRequests: 'latched' });
  raise(3);
  lower(3);
  expect(pair.acknowledge()).toBe(0x0b);
});

test('level triggering by ELCR: the request follows the input and comes again after EOI; IRQ 0, 1, 2, 8, 13 stay edge (PIIX4)', () => {
  const { pair, outb, inb, raise, lower } = make();
  outb(0x4d0, 0xff);
  outb(0x4d1, 0xff);
  expect([inb(0x4d0), inb(0x4d1), pair.readPort(0x4d0, 2)]).toEqual([0xf8, 0xde, 0xdef8]);
  raise(10);
  expect(pair.acknowledge()).toBe(0x72);
  outb(0xa0, 0x20);
  outb(0x20, 0x20);
  expect(pair.acknowledge()).toBe(0x72);
  lower(10);
  outb(0xa0, 0x20);
  outb(0x20, 0x20);
  expect(pair.interruptPending).toBe(false);
});

test('rotation on EOI makes the ended level the lowest; set priority does so by hand (OCW2)', () => {
  const { pair, outb, raise } = make();
  raise(4);
  pair.acknowledge();
  outb(0x20, 0xa0); // rotate on non-specific EOI: 5 is now highest
  raise(3);
  raise(5);
  expect(pair.acknowledge()).toBe(0x0d);
  outb(0x20, 0xe0 | 5); // rotate on specific EOI of 5: 6 highest
  outb(0x20, 0xc0 | 0); // 1 highest
  raise(6);
  expect(pair.acknowledge()).toBe(0x0b);
});

test('specific EOI ends its level only; non-specific EOI the highest in service', () => {
  const { pair, outb, inb, raise } = make();
  raise(6);
  pair.acknowledge();
  raise(1);
  pair.acknowledge();
  outb(0x20, 0x0b);
  outb(0x20, 0x60 | 6);
  expect(inb(0x20)).toBe(0x02);
  outb(0x20, 0x20);
  expect(inb(0x20)).toBe(0);
});

test('automatic EOI leaves ISR clear; with rotation the acknowledged level becomes lowest', () => {
  const { pair, outb, inb, raise, lower } = make({ icw4: 0x03 });
  outb(0x20, 0x80); // rotate in automatic EOI mode
  raise(0);
  expect(pair.acknowledge()).toBe(0x08);
  outb(0x20, 0x0b);
  expect(inb(0x20)).toBe(0);
  lower(0);
  raise(0);
  raise(1);
  expect(pair.acknowledge()).toBe(0x09);
  expect(pair.acknowledge()).toBe(0x08);
});

test("the slave's INT falls with INTA, so that its next request, already there, is an edge for the master", () => {
  const { pair, raise } = make({ icw4: 0x03 });
  raise(8);
  raise(9);
  expect([pair.acknowledge(), pair.interruptPending, pair.acknowledge()]).toEqual([0x70, true, 0x71]);
});

test('special mask mode: a masked level in service lets lower ones through, and non-specific EOI spares it (OCW3)', () => {
  const { pair, outb, inb, raise } = make();
  raise(3);
  pair.acknowledge();
  raise(5);
  outb(0x21, 0x08);
  expect(pair.interruptPending).toBe(false);
  outb(0x20, 0x68);
  expect(pair.acknowledge()).toBe(0x0d);
  outb(0x20, 0x20);
  outb(0x20, 0x0b);
  expect(inb(0x20)).toBe(0x08);
});

test('special fully nested mode: a second, higher slave request interrupts the slave in service; other lower masters do not (ICW4)', () => {
  const { pair, raise } = make({ icw4: 0x11 });
  raise(12);
  pair.acknowledge();
  raise(3);
  expect(pair.interruptPending).toBe(false);
  raise(9);
  expect(pair.acknowledge()).toBe(0x71);
  const plain = make();
  plain.raise(12);
  plain.pair.acknowledge();
  plain.raise(9);
  expect(plain.pair.interruptPending).toBe(false);
});

test('poll: the next read acknowledges and gives 0x80 plus the level, or 0 (OCW3)', () => {
  const { pair, outb, inb, raise } = make();
  raise(8);
  outb(0x20, 0x0c);
  expect(inb(0x20)).toBe(0x82);
  outb(0xa0, 0x0c);
  expect(inb(0xa1)).toBe(0x80);
  outb(0xa0, 0x0c);
  expect([inb(0xa0), pair.interruptPending]).toEqual([0, false]);
  outb(0xa1, 0x5a);
  outb(0xa0, 0x0c);
  expect([inb(0xa1), inb(0xa1)]).toEqual([0, 0x5a]); // one read only
});

test('ICW1 clears IMR, ISR, IRR and priorities, and wants a new edge; single mode skips ICW3; no request until initialized', () => {
  const { pair, outb, inb, raise, initialize } = make();
  raise(4);
  outb(0x21, 0xef);
  outb(0x20, 0x13);
  expect(pair.interruptPending).toBe(false);
  outb(0x21, 0x40);
  outb(0x21, 0x01);
  expect([inb(0x21), inb(0x20), pair.interruptPending]).toEqual([0, 0, false]);
  raise(5);
  expect(pair.acknowledge()).toBe(0x45);
  initialize();
  expect(pair.interruptPending).toBe(false);
});

test('IRQ 2 and numbers outside 0 to 15 are refused', () => {
  const { pair } = make();
  for (const irq of [2, -1, 16, 0.5]) expect(() => pair.irq(irq)).toThrow(/no input of the 8259 pair/);
});

test('a host hears of each EOI (specific, non-specific, automatic) and of each mask bit that OCW1 changes', () => {
  const seen: string[] = [];
  const pair = new I8259Pair({
    intr: { set() {} },
    onEoi: (irq) => seen.push(`eoi ${irq}`),
    onMask: (irq, masked) => seen.push(`${masked ? 'mask' : 'unmask'} ${irq}`),
  });
  const outb = (port: number, value: number) => pair.writePort(port, 1, value);
  for (const port of [0x20, 0xa0]) {
    for (const [at, value] of [
      [0, 0x11],
      [1, port],
      [1, port === 0x20 ? 4 : 2],
      [1, port === 0x20 ? 1 : 3],
    ] as const) {
      outb(port + at, value);
    }
  }
  pair.irq(0).set(true);
  expect([pair.isRequested(0), pair.isRequested(1)]).toEqual([true, false]);
  pair.acknowledge();
  outb(0x20, 0x20);
  pair.irq(9).set(true);
  pair.acknowledge(); // the slave ends it by itself
  outb(0x20, 0x62);
  outb(0x21, 0x03);
  outb(0x21, 0x02);
  expect(seen).toEqual(['eoi 0', 'eoi 9', 'eoi 2', 'mask 0', 'mask 1', 'unmask 0']);
  expect([pair.isMasked(0), pair.isMasked(1)]).toEqual([false, true]);
});

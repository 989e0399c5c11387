import { ManualClock } from '@minusone/core';
import { expect, test } from 'vitest';
import { Uart16550A } from './uart-16550a.ts';
import type { Uart16550AOptions } from './uart-16550a-interface.ts';

const [THR, IER, IIR, FCR, LCR, MCR, LSR, MSR, SCR] = [0, 1, 2, 2, 3, 4, 5, 6, 7];

function make(options: Partial<Uart16550AOptions> = {}) {
  const clock = new ManualClock();
  const sent: number[] = [];
  const irq = {
    level: false,
    rises: 0,
    set(asserted: boolean) {
      if (asserted && !irq.level) irq.rises++;
      irq.level = asserted;
    },
  };
  const uart = new Uart16550A({ clock, irq, onTransmit: (byte) => sent.push(byte), ...options });
  const inb = (register: number) => uart.readPort(0x3f8 + register, 1);
  const outb = (register: number, value: number) => uart.writePort(0x3f8 + register, 1, value);
  return { clock, sent, irq, uart, inb, outb };
}

test('master reset leaves IER 0, IIR 1, LCR 0, MCR 0, LSR 0x60 (PC16550D, table I)', () => {
  const { inb } = make();
  expect([IER, IIR, LCR, MCR, LSR].map(inb)).toEqual([0, 1, 0, 0, 0x60]);
});

test('DLAB opens the divisor latch at offsets 0 and 1, and hides RBR, THR and IER (LCR bit 7)', () => {
  const { inb, outb, sent } = make();
  outb(LCR, 0x83);
  outb(0, 0x34);
  outb(1, 0x12);
  expect([inb(0), inb(1)]).toEqual([0x34, 0x12]);
  outb(LCR, 0x03);
  expect([inb(IER), sent.length]).toEqual([0, 0]);
});

test("Linux's 8250 autoconfig finds a 16550A: IER is 4 bits, loopback shows RTS and OUT2, IIR shows FIFOs, no EFR, no 64-byte FIFO", () => {
  const { inb, outb } = make();
  outb(IER, 0);
  expect(inb(IER)).toBe(0);
  outb(IER, 0xff);
  expect(inb(IER)).toBe(0x0f);
  outb(IER, 0);
  outb(MCR, 0x10 | 0x0a);
  expect(inb(MSR) & 0xf0).toBe(0x90); // CTS and DCD
  outb(MCR, 0);
  outb(LCR, 0xbf);
  outb(2, 0); // EFR of later chips
  outb(LCR, 0);
  outb(FCR, 1);
  expect(inb(IIR) >>> 6).toBe(3);
  outb(LCR, 0x80);
  expect(inb(2)).not.toBe(0); // would be EFR on a 16650
  outb(FCR, 0x21);
  expect(inb(IIR) & 0x20).toBe(0); // would be set on a 16750
  outb(LCR, 0);
  outb(IER, 0x40);
  expect(inb(IER) & 0x40).toBe(0); // would hold on an XScale
});

test('THR-empty interrupt: enabling it while THR is empty raises it, reading IIR clears it, enabling anew raises it again (no UART_BUG_THRE, no UART_BUG_TXEN)', () => {
  const { inb, outb } = make();
  outb(IER, 2);
  expect(inb(IIR)).toBe(0x02);
  expect(inb(IIR)).toBe(0x01);
  outb(IER, 0);
  outb(IER, 2);
  expect([inb(LSR) & 0x40, inb(IIR) & 1]).toEqual([0x40, 0]);
});

test('THR-empty interrupt comes again after each character written, as an edge on INTR', () => {
  const { inb, outb, irq, sent } = make();
  outb(MCR, 0x08);
  outb(IER, 2);
  expect(irq.rises).toBe(1);
  outb(THR, 0x41);
  expect(irq.rises).toBe(2);
  expect(inb(IIR)).toBe(2);
  expect(irq.level).toBe(false);
  outb(THR, 0x42);
  expect(irq.rises).toBe(3);
  expect(sent).toEqual([0x41, 0x42]);
});

test('OUT2 gates INTR (PC wiring), and loopback forces it inactive', () => {
  const { outb, irq } = make();
  outb(IER, 2);
  expect(irq.level).toBe(false);
  outb(MCR, 0x08);
  expect(irq.level).toBe(true);
  outb(MCR, 0x18);
  expect(irq.level).toBe(false);
});

test('received-data interrupt follows the trigger level, the time-out comes after four silent characters, reading RBR ends both (FIFO interrupt mode)', () => {
  const { clock, uart, inb, outb } = make();
  outb(FCR, 0x81); // trigger at 8
  outb(LCR, 0x03);
  outb(IER, 1);
  uart.receive([1, 2, 3, 4, 5, 6, 7]);
  expect(inb(IIR)).toBe(0xc1);
  uart.receive([8]);
  expect(inb(IIR)).toBe(0xc4);
  inb(0);
  expect(inb(IIR)).toBe(0xc1);
  // 9600 baud, 8N1: ten bits are 1041667 ns
  expect(uart.characterNs).toBe(1041667);
  clock.advanceTo(4 * 1041667 - 1);
  expect(inb(IIR)).toBe(0xc1);
  clock.advanceTo(4 * 1041667);
  expect(inb(IIR)).toBe(0xcc);
  inb(0);
  expect(inb(IIR)).toBe(0xc1);
});

test('receive takes what fits and space is announced once the guest reads: nothing is lost', () => {
  const input = Array.from({ length: 100 }, (_, at) => at);
  let next = 0;
  const feed = () => {
    next += uart.receive(input.slice(next));
  };
  const { uart, inb, outb } = make({ onReceiveSpace: () => feed() });
  feed();
  expect([next, uart.receiveSpace]).toEqual([1, 0]); // character mode: RBR alone
  expect(inb(0)).toBe(0);
  outb(FCR, 1); // empties the FIFOs: byte 1 is gone, as the guest asked
  const seen: number[] = [];
  while ((inb(LSR) & 1) !== 0) seen.push(inb(0));
  expect(seen).toEqual(input.slice(2));
  expect(inb(LSR) & 2).toBe(0);
});

test('overrun: a full FIFO keeps its 16 characters, character mode keeps the newest; reading LSR clears OE (LSR bit 1)', () => {
  const { uart, inb, outb } = make();
  outb(FCR, 1);
  outb(IER, 4);
  for (let byte = 0; byte < 17; byte++) uart.receiveUnpaced(byte);
  expect(inb(IIR)).toBe(0xc6);
  expect(inb(LSR) & 3).toBe(3);
  expect(inb(LSR) & 3).toBe(1);
  expect(Array.from({ length: 16 }, () => inb(0))).toEqual(Array.from({ length: 16 }, (_, at) => at));
  outb(FCR, 0);
  uart.receiveUnpaced(0x55);
  uart.receiveUnpaced(0x66);
  expect([inb(LSR) & 3, inb(0)]).toEqual([3, 0x66]);
});

test('a break is a zero with BI and FE, shown when it is the oldest character; LSR bit 7 tells of it earlier', () => {
  const { uart, inb, outb } = make();
  outb(FCR, 1);
  uart.receive([0x41]);
  uart.receiveBreak();
  expect(inb(LSR)).toBe(0x80 | 0x60 | 1);
  inb(0);
  expect(inb(LSR)).toBe(0x80 | 0x60 | 0x18 | 1);
  expect(inb(LSR)).toBe(0x61);
  expect(inb(0)).toBe(0);
});

test('loopback: what is written to THR is received, SOUT stays idle, SIN is cut off (MCR bit 4)', () => {
  const { uart, inb, outb, sent } = make();
  outb(MCR, 0x10);
  outb(THR, 0x5a);
  expect(uart.receive([1])).toBe(0);
  expect([inb(LSR) & 1, inb(0), sent.length]).toEqual([1, 0x5a, 0]);
});

test('MSR deltas: DCTS, DDSR, DDCD on any change, TERI on the trailing edge of RI only; reading clears them and the interrupt', () => {
  const { uart, inb, outb } = make();
  outb(IER, 8);
  expect(inb(MSR)).toBe(0xb0);
  uart.setModemInputs({ cts: true, dsr: true, ri: true, dcd: true });
  expect(inb(MSR)).toBe(0xf0);
  uart.setModemInputs({ cts: false, dsr: true, ri: false, dcd: true });
  expect(inb(IIR)).toBe(0x00);
  expect(inb(MSR)).toBe(0xa0 | 0x04 | 0x01);
  expect([inb(IIR), inb(MSR)]).toEqual([0x01, 0xa0]);
});

test('interrupts are shown in order of priority: line status, data, time-out, THR empty, modem status (table V)', () => {
  const { uart, inb, outb } = make();
  outb(FCR, 1);
  outb(IER, 0x0f);
  uart.setModemInputs({ cts: false, dsr: true, ri: false, dcd: true });
  uart.receiveBreak();
  expect(inb(IIR)).toBe(0xc6);
  inb(LSR);
  expect(inb(IIR)).toBe(0xc4);
  inb(0);
  expect(inb(IIR)).toBe(0xc2);
  expect(inb(IIR)).toBe(0xc0);
  inb(MSR);
  expect(inb(IIR)).toBe(0xc1);
});

test("at 'baud', characters leave in their time; THRE and TEMT tell FIFO and shift register apart; THR-empty comes when the FIFO empties", () => {
  const { clock, inb, outb, sent } = make({ transmitRate: 'baud' });
  outb(FCR, 1);
  outb(LCR, 3);
  outb(THR, 1);
  outb(THR, 2);
  expect([inb(LSR) & 0x60, sent]).toEqual([0, []]);
  outb(IER, 2);
  expect(inb(IIR)).toBe(0xc1);
  clock.advanceTo(1041667);
  expect([inb(LSR) & 0x60, sent, inb(IIR)]).toEqual([0x20, [1], 0xc2]);
  clock.advanceTo(2 * 1041667);
  expect([inb(LSR) & 0x60, sent]).toEqual([0x60, [1, 2]]);
});

test('the scratch register holds, and a wide access is one byte access per port', () => {
  const { uart, inb, outb } = make();
  outb(SCR, 0xa5);
  expect(inb(SCR)).toBe(0xa5);
  expect(uart.readPort(0x3f8 + LSR, 2)).toBe(0xb060);
  uart.writePort(0x3f8 + LCR, 2, 0x0b03);
  expect([inb(LCR), inb(MCR)]).toEqual([0x03, 0x0b]);
});

test('restore drives INTR to what the saved state says', () => {
  const saved = make();
  saved.outb(MCR, 0x08);
  saved.outb(IER, 2);
  const other = make();
  other.uart.restore(structuredClone(saved.uart.save()));
  expect([other.irq.level, other.inb(IIR)]).toEqual([true, 2]);
  other.uart.restore(structuredClone(saved.uart.save()));
  other.uart.restore(make().uart.save());
  expect(other.irq.level).toBe(false);
});

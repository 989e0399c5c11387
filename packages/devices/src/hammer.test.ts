/**
 * What every device promises whatever a guest does: no exception, values of the right width, bounded state, and a saved
 * state that is plain data and continues exactly as the original does.
 */
import { type AccessSize, type Clock, ManualClock, type Snapshotable } from '@minusone/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { I8259Pair } from './interrupts/i8259-pair.ts';
import { IoApic } from './interrupts/io-apic.ts';
import { I8042 } from './keyboard/i8042.ts';
import { Uart16550A } from './serial/uart-16550a.ts';
import { AcpiPm } from './system/acpi-pm.ts';
import { DebugConsole } from './system/debug-console.ts';
import { DebugExit } from './system/debug-exit.ts';
import { FastA20Port } from './system/fast-a20-port.ts';
import { PostCode } from './system/post-code.ts';
import { ResetControlPort } from './system/reset-control-port.ts';
import { ShutdownPort } from './system/shutdown-port.ts';
import { Mc146818 } from './time/mc146818.ts';
import { Pit8254 } from './time/pit-8254.ts';
import { SystemControlPortB } from './time/system-control-port-b.ts';

interface Target extends Snapshotable {
  read(address: number, size: AccessSize): number;
  write(address: number, size: AccessSize, value: number): void;
  /** What the host side may do at any time. */
  poke?(value: number): void;
}

interface Row {
  readonly name: string;
  readonly addresses: readonly number[];
  make(clock: Clock, log: (event: string) => void): Target;
}

interface Ported extends Snapshotable<unknown> {
  readPort(port: number, size: AccessSize): number;
  writePort(port: number, size: AccessSize, value: number): void;
}

function ported(device: Ported, poke?: (value: number) => void): Target {
  return {
    read: (port, size) => device.readPort(port, size),
    write: (port, size, value) => device.writePort(port, size, value),
    save: () => device.save(),
    restore: (state) => device.restore(state as never),
    ...(poke && { poke }),
  };
}

const line = (name: string, log: (event: string) => void) => {
  let level = false;
  return {
    set(asserted: boolean): void {
      if (asserted !== level) log(`${name} ${asserted}`);
      level = asserted;
    },
  };
};

const range = (first: number, count: number) => Array.from({ length: count }, (_, at) => first + at);

const rows: readonly Row[] = [
  ...(['immediate', 'baud'] as const).map((transmitRate) => ({
    name: `Uart16550A (${transmitRate})`,
    addresses: range(0x3f8, 8),
    make: (clock: Clock, log: (event: string) => void) => {
      const uart = new Uart16550A({ clock, irq: line('irq', log), onTransmit: (byte) => log(`sent ${byte}`), transmitRate });
      return ported(uart, (value) => {
        if (value % 3 === 0) uart.receive([value, value + 1, value + 2]);
        else if (value % 3 === 1) uart.receiveUnpaced(value);
        else uart.setModemInputs({ cts: (value & 4) !== 0, dsr: (value & 8) !== 0, ri: (value & 16) !== 0, dcd: (value & 32) !== 0 });
      });
    },
  })),
  ...(['held', 'latched'] as const).map((edgeRequests) => ({
    name: `I8259Pair (${edgeRequests})`,
    addresses: [0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1],
    make: (_clock: Clock, log: (event: string) => void) => {
      const pair = new I8259Pair({ intr: line('intr', log), edgeRequests });
      return ported(pair, (value) => {
        if (value >= 0xc0) log(`vector ${pair.acknowledge()}`);
        else if ((value & 15) !== 2) pair.irq(value & 15).set((value & 16) !== 0);
      });
    },
  })),
  {
    name: 'Pit8254 and SystemControlPortB',
    addresses: [0x40, 0x41, 0x42, 0x43, 0x43, 0x61],
    make: (clock, log) => {
      const pit = new Pit8254({ clock, outputs: [line('out0', log), undefined, line('out2', log)] });
      const portB = new SystemControlPortB({ clock, pit, onSpeaker: (data) => log(`speaker ${data}`) });
      const at = (port: number) => (port === 0x61 ? portB : pit);
      return {
        read: (port, size) => at(port).readPort(port, size),
        write: (port, size, value) => at(port).writePort(port, size, value),
        save: () => ({ pit: pit.save(), portB: portB.save() }),
        restore: (state) => {
          const saved = state as { pit: ReturnType<Pit8254['save']>; portB: ReturnType<SystemControlPortB['save']> };
          pit.restore(saved.pit);
          portB.restore(saved.portB);
        },
      };
    },
  },
  {
    name: 'Mc146818',
    addresses: [0x70, 0x71, 0x71],
    make: (clock, log) => {
      const rtc = new Mc146818({ clock, irq: line('irq', log), onNmiMask: (masked) => log(`nmi ${masked}`) });
      return ported(rtc, (value) => rtc.writePort(0x70, 1, value % 14)); // the registers, rather than the RAM
    },
  },
  ...[false, true].map((mouse) => ({
    name: `I8042 ${mouse ? 'with' : 'without'} a mouse`,
    addresses: [0x60, 0x60, 0x64],
    make: (clock: Clock, log: (event: string) => void) => {
      const controller = new I8042({
        clock,
        keyboardIrq: line('irq1', log),
        ...(mouse && { mouseIrq: line('irq12', log) }),
        power: power(log),
        onIndicators: (lamps) => log(`lamps ${lamps}`),
      });
      const keys = ['KeyA', 'Pause', 'PrintScreen', 'ArrowUp'];
      return ported(controller, (value) => {
        const key = keys[value & 3] ?? 'Enter';
        if (value & 4) log(`${controller.keyboard.pressKey(key)}`);
        else if (value & 8) log(`${controller.keyboard.releaseKey(key)}`);
        else controller.mouse?.move(value - 128, 128 - value, (value & 3) - 1, value & 7);
      });
    },
  })),
  ...[undefined, 0xff0000].map((activeLowPins) => ({
    name: `IoApic, wiring ${activeLowPins === undefined ? 'left out' : 'given'}`,
    addresses: [0x00, 0x00, 0x10, 0x10, 0x10, 0x12, 0x40, 0x41],
    make: (_clock: Clock, log: (event: string) => void) => {
      const ioApic = new IoApic({
        sink: { deliver: (message) => log(JSON.stringify(message)) },
        ...(activeLowPins !== undefined && { activeLowPins }),
      });
      const target: Target = {
        read: (offset, size) => ioApic.readMmio(offset, size),
        write: (offset, size, value) => ioApic.writeMmio(offset, size, offset === 0 ? value % 0x42 : value),
        save: () => ioApic.save(),
        restore: (state) => ioApic.restore(state as ReturnType<IoApic['save']>),
        poke: (value) => ((value & 31) < 24 ? ioApic.pin(value & 31).set((value & 32) !== 0) : ioApic.eoi(value)),
      };
      return target;
    },
  })),
  {
    name: 'AcpiPm',
    addresses: range(0x5ff, 14),
    make: (clock, log) => {
      const pm = new AcpiPm({ clock, power: power(log), sci: line('sci', log), timerBits: 24 });
      return ported(pm, (value) => (value & 1 ? pm.pressPowerButton() : pm.setSciEnabled((value & 2) !== 0)));
    },
  },
  {
    name: 'DebugConsole',
    addresses: [0xe9],
    make: (_clock, log) => ported(new DebugConsole({ onByte: (byte) => log(`${byte}`) })),
  },
  { name: 'DebugExit', addresses: [0xf4], make: (_clock, log) => ported(new DebugExit({ power: power(log) })) },
  { name: 'ShutdownPort', addresses: [0x8900], make: (_clock, log) => ported(new ShutdownPort({ power: power(log) })) },
  { name: 'PostCode', addresses: [0x80], make: (_clock, log) => ported(new PostCode({ onCode: (code) => log(`${code}`) })) },
  {
    name: 'FastA20Port',
    addresses: [0x92],
    make: (_clock, log) => ported(new FastA20Port({ power: power(log), onA20: (enabled) => log(`a20 ${enabled}`) })),
  },
  { name: 'ResetControlPort', addresses: [0xcf9], make: (_clock, log) => ported(new ResetControlPort({ power: power(log) })) },
];

const power = (log: (event: string) => void) => ({
  powerOff: (status: number) => log(`power off ${status}`),
  reset: (by: string) => log(`reset by ${by}`),
});

const operations = (addresses: readonly number[]) =>
  fc.array(
    fc.record({
      kind: fc.constantFrom('read', 'write', 'write', 'advance', 'poke'),
      address: fc.constantFrom(...addresses),
      size: fc.constantFrom<AccessSize>(1, 1, 1, 2, 4),
      value: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.nat(0xffffffff)),
    }),
    { minLength: 1, maxLength: 120 },
  );

type Operation = { kind: string; address: number; size: AccessSize; value: number };

function perform({ kind, address, size, value }: Operation, target: Target, clock: ManualClock, log: (event: string) => void): void {
  if (kind === 'read') {
    const got = target.read(address, size);
    expect(Number.isInteger(got) && got >= 0 && got < 2 ** (8 * size)).toBe(true);
    log(`read ${address} ${size} = ${got}`);
  } else if (kind === 'write') target.write(address, size, size === 4 ? value : value % 2 ** (8 * size));
  else if (kind === 'advance') clock.advanceTo(clock.nowNs() + (value & 1 ? (value >>> 1) % 3_000_000 : (value >>> 1) % 3000));
  else target.poke?.(value & 0xff);
}

test.each(rows)('$name: random accesses do no harm, and a restored copy continues alike', ({ addresses, make }) => {
  fc.assert(
    fc.property(operations(addresses), operations(addresses), (before, after) => {
      const clock = new ManualClock();
      const events: string[] = [];
      const original = make(clock, (event) => events.push(event));
      for (const operation of before) perform(operation, original, clock, (event) => events.push(event));

      const saved = structuredClone(original.save());
      expect(JSON.stringify(saved).length).toBeLessThan(8000);
      const otherClock = new ManualClock();
      otherClock.advanceTo(clock.nowNs());
      const otherEvents: string[] = [];
      const copy = make(otherClock, (event) => otherEvents.push(event));
      copy.restore(saved);
      expect(copy.save()).toEqual(saved);

      events.length = 0;
      otherEvents.length = 0; // restoring drives the lines
      for (const operation of after) {
        perform(operation, original, clock, (event) => events.push(event));
        perform(operation, copy, otherClock, (event) => otherEvents.push(event));
      }
      expect(otherEvents).toEqual(events);
    }),
    { numRuns: 60 },
  );
});

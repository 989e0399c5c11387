import type { Clock, InterruptLine } from '@minusone/core';
import {
  AcpiPm,
  DebugConsole,
  DebugExit,
  FastA20Port,
  I8042,
  I8259Pair,
  IoApic,
  Mc146818,
  Pit8254,
  PostCode,
  ResetControlPort,
  ShutdownPort,
  SystemControlPortB,
  Uart16550A,
  writeCmosMemorySize,
} from '@minusone/devices';
import type { PhysicalAddressSpace, PortSpace } from '@minusone/memory';
import type { ProcessorSet } from '../accelerator.ts';
import type { Power } from './power.ts';

const COM1 = 0x3f8;
const COM1_IRQ = 4;
const UART_PORTS = 8;
const I8042_DATA = 0x60;
const I8042_COMMAND = 0x64;
const SYSTEM_CONTROL_B = 0x61;
const RTC_IRQ = 8;
const SCI_IRQ = 9;
/** The timer's ISA interrupt comes in at pin 2 of the IOAPIC (MADT interrupt source override). */
const TIMER_PIN = 2;

export interface BoardParts {
  readonly processors: ProcessorSet;
  /** Made before the processors, which take its vectors; its INTR leads to them. */
  readonly pic: I8259Pair;
  readonly physical: PhysicalAddressSpace;
  readonly ports: PortSpace;
  readonly power: Power;
  readonly ramBelow4GiB: number;
  readonly ramAbove4GiB: number;
  /** A byte that the guest sent over COM1. */
  readonly onSerial: (byte: number) => void;
  /** A byte that the guest wrote to port 0xE9. */
  readonly onDebug: (byte: number) => void;
  /** COM1 has room again. */
  readonly onSerialSpace: () => void;
  readonly onA20: (enabled: boolean) => void;
  /** What the RTC shows at the start, seconds since 1970. */
  readonly startEpochSeconds: number | undefined;
}

/** The devices of a PC without graphics and disks, and how they are wired: ISA interrupts reach the 8259 pair and the IOAPIC alike. */
export class PcBoard {
  readonly clock: Clock;
  readonly pic: I8259Pair;
  readonly ioApic: IoApic;
  readonly uart: Uart16550A;
  readonly pit: Pit8254;
  readonly rtc: Mc146818;
  readonly keyboard: I8042;
  readonly acpi: AcpiPm;

  constructor(parts: BoardParts) {
    const { processors, ports, power } = parts;
    const { clock } = processors;
    this.clock = clock;
    this.pic = parts.pic;
    this.ioApic = new IoApic({ sink: processors.messages });
    processors.onEoi((vector) => this.ioApic.eoi(vector));
    parts.physical.mapMmio(IoApic.ADDRESS, IoApic.WINDOW_BYTES, this.ioApic);

    this.uart = new Uart16550A({ clock, irq: this.#isa(COM1_IRQ), onTransmit: parts.onSerial, onReceiveSpace: parts.onSerialSpace });
    this.pit = new Pit8254({ clock, outputs: [this.#isa(0)] });
    this.rtc = new Mc146818({
      clock,
      irq: this.#isa(RTC_IRQ),
      ...(parts.startEpochSeconds === undefined ? {} : { startEpochSeconds: parts.startEpochSeconds }),
    });
    writeCmosMemorySize(this.rtc, parts.ramBelow4GiB, parts.ramAbove4GiB);
    const fastA20 = new FastA20Port({ power, onA20: parts.onA20 });
    this.keyboard = new I8042({ clock, keyboardIrq: this.#isa(1), power, onA20: parts.onA20 });
    this.acpi = new AcpiPm({ clock, power, sci: this.#isa(SCI_IRQ) });

    ports.map(I8259Pair.MASTER, 2, this.pic);
    ports.map(I8259Pair.SLAVE, 2, this.pic);
    ports.map(I8259Pair.ELCR, 2, this.pic);
    ports.map(Pit8254.BASE, Pit8254.PORTS, this.pit);
    ports.map(I8042_DATA, 1, this.keyboard);
    ports.map(SYSTEM_CONTROL_B, 1, new SystemControlPortB({ clock, pit: this.pit }));
    ports.map(I8042_COMMAND, 1, this.keyboard);
    ports.map(Mc146818.INDEX, 2, this.rtc);
    ports.map(PostCode.PORT, 1, new PostCode());
    ports.map(FastA20Port.PORT, 1, fastA20);
    ports.map(DebugConsole.PORT, 1, new DebugConsole({ onByte: parts.onDebug }));
    ports.map(DebugExit.PORT, DebugExit.PORTS, new DebugExit({ power }));
    ports.map(COM1, UART_PORTS, this.uart);
    ports.map(AcpiPm.BASE, AcpiPm.PORTS, this.acpi);
    ports.map(ResetControlPort.PORT, 1, new ResetControlPort({ power }));
    ports.map(ShutdownPort.PORT, 1, new ShutdownPort({ power }));
  }

  /** An ISA interrupt: one wire to two controllers; software uses one of them and masks the other. */
  #isa(irq: number): InterruptLine {
    const toPic = this.pic.irq(irq);
    const toIoApic = this.ioApic.pin(irq === 0 ? TIMER_PIN : irq);
    return {
      set: (asserted) => {
        toPic.set(asserted);
        toIoApic.set(asserted);
      },
    };
  }
}

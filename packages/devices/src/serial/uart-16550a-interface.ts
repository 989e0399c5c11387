import type { Clock, InterruptLine } from '@minusone/core';
import type { UartFifoState } from './uart-fifo.ts';

/** How a machine wires a `Uart16550A`. */
export interface Uart16550AOptions {
  /** Times the time-out interrupt, and transmission at `'baud'`. */
  readonly clock: Clock;
  /** INTR gated by OUT2, as on the PC's serial card. */
  readonly irq: InterruptLine;
  /** A byte leaves on SOUT. All eight bits, whatever LCR's word length: guests that never set LCR mean bytes. */
  readonly onTransmit: (byte: number) => void;
  /** `'immediate'` (default): a byte written to THR is gone at once. `'baud'`: it takes the time that divisor and LCR say. */
  readonly transmitRate?: 'immediate' | 'baud';
  /** `receiveSpace` went from zero to more: the host may call `receive` again, from inside the callback too. */
  readonly onReceiveSpace?: () => void;
  /** The guest changed DTR or RTS. */
  readonly onModemControl?: (signals: { readonly dtr: boolean; readonly rts: boolean }) => void;
}

/** The inputs of the modem; true: asserted. */
export interface ModemInputs {
  readonly cts: boolean;
  readonly dsr: boolean;
  readonly ri: boolean;
  readonly dcd: boolean;
}

/** Saved state of a `Uart16550A`: registers by name, deadlines in nanoseconds of the machine's clock. */
export interface Uart16550AState {
  readonly ier: number;
  readonly fcr: number;
  readonly lcr: number;
  readonly mcr: number;
  readonly msr: number;
  readonly scr: number;
  readonly divisor: number;
  readonly rbr: number;
  readonly modemInputs: number;
  readonly overrun: boolean;
  readonly timeoutPending: boolean;
  readonly thrEmptyPending: boolean;
  readonly receiver: UartFifoState;
  readonly transmitter: UartFifoState;
  /** The character in the transmitter shift register, or undefined. */
  readonly shifting: number | undefined;
  readonly timeoutDeadlineNs: number | undefined;
  readonly shiftDeadlineNs: number | undefined;
}

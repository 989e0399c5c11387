/** The register file of the 16550A (National Semiconductor PC16550D data sheet, "Registers", table II). Offsets from the base port. */
export const UartRegister = {
  /** Receiver Buffer (read) and Transmitter Holding (write); Divisor Latch LS while LCR.DLAB is 1. */
  RBR_THR: 0,
  /** Interrupt Enable; Divisor Latch MS while LCR.DLAB is 1. */
  IER: 1,
  /** Interrupt Identification (read) and FIFO Control (write). */
  IIR_FCR: 2,
  LCR: 3,
  MCR: 4,
  LSR: 5,
  MSR: 6,
  SCR: 7,
} as const;

export const Ier = { ERBFI: 0x01, ETBEI: 0x02, ELSI: 0x04, EDSSI: 0x08 } as const;

/** Table V, "Interrupt Control Functions": in order of priority, highest first. */
export const Iir = {
  RECEIVER_LINE_STATUS: 0x06,
  RECEIVED_DATA_AVAILABLE: 0x04,
  CHARACTER_TIMEOUT: 0x0c,
  THR_EMPTY: 0x02,
  MODEM_STATUS: 0x00,
  NONE: 0x01,
  FIFOS_ENABLED: 0xc0,
} as const;

export const Fcr = { ENABLE: 0x01, RESET_RECEIVER: 0x02, RESET_TRANSMITTER: 0x04 } as const;

export const Lcr = { WORD_LENGTH: 0x03, STOP_BITS: 0x04, PARITY_ENABLE: 0x08, SET_BREAK: 0x40, DLAB: 0x80 } as const;

export const Mcr = { DTR: 0x01, RTS: 0x02, OUT1: 0x04, OUT2: 0x08, LOOP: 0x10 } as const;

export const Lsr = {
  DATA_READY: 0x01,
  OVERRUN: 0x02,
  PARITY_ERROR: 0x04,
  FRAMING_ERROR: 0x08,
  BREAK: 0x10,
  THR_EMPTY: 0x20,
  TRANSMITTER_EMPTY: 0x40,
  ERROR_IN_FIFO: 0x80,
} as const;

export const Msr = { DCTS: 0x01, DDSR: 0x02, TERI: 0x04, DDCD: 0x08, CTS: 0x10, DSR: 0x20, RI: 0x40, DCD: 0x80 } as const;

/**
 * What a device offers to a machine, and what it needs from it. A device knows no CPU and no bus: it is handed to
 * whoever dispatches accesses (`@minusone/memory`), and is handed the lines and the clock that it uses.
 */

/** Bytes of one access that a device answers. 8-byte accesses are split in two 4-byte ones, low half first, unless the device takes them whole. */
export type AccessSize = 1 | 2 | 4;

/** A device on the I/O port space. `port` is absolute. Values are unsigned and exactly `size` bytes wide. */
export interface PortDevice {
  readPort(port: number, size: AccessSize): number;
  writePort(port: number, size: AccessSize, value: number): void;
}

/** A memory-mapped device. `offset` counts from the start of the region it was mapped at, in bytes. Values are unsigned. */
export interface MmioDevice {
  readMmio(offset: number, size: AccessSize): number;
  writeMmio(offset: number, size: AccessSize, value: number): void;
  /** Answers an 8-byte read whole (optional). */
  readMmio64?(offset: number): bigint;
  /** Takes an 8-byte write whole (optional). */
  writeMmio64?(offset: number, value: bigint): void;
}

/** One wire. `set(true)` asserts it. Level or edge is the receiver's business. Idempotent. */
export interface InterruptLine {
  set(asserted: boolean): void;
}

/** A controller that knows the vector of the interrupt it signals: the INTA cycle of the 8259 pair. */
export interface InterruptAcknowledge {
  /** Answers the INTA cycle: the vector, 0 to 255. A spurious interrupt yields the controller's spurious vector. */
  acknowledge(): number;
}

/** Where a message-signalled interrupt goes: the local APICs of a machine. Fields as in the IOAPIC redirection entry and the MSI message. */
export interface InterruptMessageSink {
  deliver(message: InterruptMessage): void;
}

/** An interrupt message on the system bus (SDM Vol. 3A, "Message Signalled Interrupts"; 82093AA, redirection table). */
export interface InterruptMessage {
  readonly vector: number;
  /** 0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 6 start-up, 7 ExtINT. */
  readonly deliveryMode: number;
  readonly destination: number;
  /** True: logical destination; false: physical. */
  readonly logical: boolean;
  /** True: level triggered. */
  readonly level: boolean;
}

/** Ends or restarts the machine; the machine stops at the end of the current instruction. */
export interface PowerControl {
  /** The guest turned itself off. `status` is the exit status to report. */
  powerOff(status: number): void;
  /** The guest asked for a reset; `by` names who asked (`i8042`, `port 0xCF9`, `triple fault` ...). */
  reset(by: string): void;
}

/** Memory as loaders and devices see it: guest-physical addresses in bytes, little-endian. */
export interface GuestMemory {
  /** Size of RAM that starts at guest-physical address 0, in bytes. */
  readonly byteLength: number;
  /** Copies out `length` bytes. @throws {MinusOneError} where no RAM stands */
  read(gpa: number, length: number): Uint8Array;
  /** Copies bytes in. @throws {MinusOneError} where no RAM stands */
  write(gpa: number, bytes: Uint8Array): void;
}

/** State that can be saved as plain data (structured-cloneable) and restored exactly. */
export interface Snapshotable<State = unknown> {
  save(): State;
  restore(state: State): void;
}

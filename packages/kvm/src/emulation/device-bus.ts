import type { AccessSize, PortDevice } from '@minusone/core';
import type { ReadGate } from '@minusone/x86';
import type { EventFds } from '../irqchip/event-fds.ts';
import type { GuestPhysical, OutsideAccess } from '../vm/guest-physical.ts';
import type { KernelPorts } from '../vm/kernel-ports.ts';
import { AccessKind, type AccessLog, type LoggedAccess } from './access-log.ts';

/** What an emulated instruction finds outside RAM. */
export interface DeviceBusParts {
  readonly physical: GuestPhysical;
  /** Devices of the kernel. */
  readonly kernelPorts: KernelPorts;
  readonly eventFds: EventFds;
  /** An access was made: the emulator is to stop at the next boundary, so that an iteration of a REP is one run. */
  readonly accessed: () => void;
}

/**
 * The bus of the emulator's processor: devices of the kernel answer at once, the user between two runs of the instruction; either is in the log, and nobody is asked twice. As gate
 * it refuses reads whose answer is not there yet.
 */
export class DeviceBus implements ReadGate, OutsideAccess, PortDevice {
  hi = 0;
  /** Of the virtual CPU that is served. */
  log: AccessLog | undefined;
  /** How many items a port read of a string instruction asks for at once. */
  itemsAhead: (size: number) => number = () => 1;
  readonly #parts: DeviceBusParts;

  constructor(parts: DeviceBusParts) {
    this.#parts = parts;
  }

  // ReadGate

  mayRead(gpa: number, bytes: number): boolean {
    const { log } = this;
    const { physical } = this.#parts;
    if (log === undefined || !physical.isDeviceRead(gpa)) return true;
    this.#parts.accessed();
    const known = log.replay(AccessKind.MMIO_READ, gpa, bytes);
    if (known !== undefined) return known.done === known.data.length;
    const entry = log.add(AccessKind.MMIO_READ, gpa, bytes, new Uint8Array(bytes));
    if (!physical.hasDevice(gpa)) return false;
    this.#readDevice(entry);
    return true;
  }

  mayReadPort(port: number, size: number): boolean {
    const { log } = this;
    if (log === undefined) return true;
    this.#parts.accessed();
    log.portRead = log.aheadOf(port, size) ?? log.replay(AccessKind.PORT_READ, port, size);
    if (log.portRead !== undefined) return log.portRead.done === log.portRead.data.length;
    const { kernelPorts } = this.#parts;
    const isKernels = kernelPorts.has(port, size);
    const items = isKernels ? 1 : this.itemsAhead(size);
    const entry = log.add(AccessKind.PORT_READ, port, size, new Uint8Array(size * items));
    log.portRead = entry;
    if (!isKernels) return false;
    putNumber(entry.data, 0, size, kernelPorts.space.read(port, size as AccessSize));
    entry.done = entry.data.length;
    return true;
  }

  /** Reads a device of the kernel, once. */
  #readDevice(entry: LoggedAccess): void {
    const { physical } = this.#parts;
    const { address, data } = entry;
    const { outside } = physical;
    physical.outside = undefined;
    try {
      for (let at = 0; at < data.length; ) {
        const size = pieceOf(data.length - at);
        if (size === 8) {
          putNumber(data, at, 4, physical.read64Lo(address + at));
          putNumber(data, at + 4, 4, physical.hi);
        } else {
          const value =
            size === 4 ? physical.read32(address + at) : size === 2 ? physical.read16(address + at) : physical.read8(address + at);
          putNumber(data, at, size, value);
        }
        at += size;
      }
    } finally {
      physical.outside = outside;
    }
    entry.done = data.length;
  }

  // OutsideAccess

  readMmio(gpa: number, bytes: 1 | 2 | 4 | 8): number {
    const entry = this.log?.answerAt(gpa, bytes);
    if (entry === undefined) {
      // Nobody announced it: a page walk through tables where no memory is.
      this.hi = 0xffffffff;
      return bytes === 1 ? 0xff : bytes === 2 ? 0xffff : 0xffffffff;
    }
    const at = gpa - entry.address;
    entry.taken += bytes;
    this.hi = bytes === 8 ? number(entry.data, at + 4, 4) : 0;
    return number(entry.data, at, Math.min(bytes, 4));
  }

  /** What `willWrite` has announced, and how many of its bytes have come. */
  #writing: LoggedAccess | undefined;
  #written = 0;

  willWrite(gpa: number, bytes: number): void {
    const { log } = this;
    this.#writing = undefined;
    if (log === undefined || !this.#parts.physical.isDeviceWrite(gpa)) return;
    this.#parts.accessed();
    if (log.replay(AccessKind.MMIO_WRITE, gpa, bytes) !== undefined) return;
    this.#writing = log.add(AccessKind.MMIO_WRITE, gpa, bytes, new Uint8Array(bytes));
    this.#written = 0;
  }

  writeMmio(gpa: number, bytes: 1 | 2 | 4 | 8, low: number, high: number): void {
    const entry = this.#writing;
    // Made before, when the instruction ran first; or announced by nobody: A and D flags of tables where no memory is.
    if (entry === undefined) return;
    const at = gpa - entry.address;
    putNumber(entry.data, at, Math.min(bytes, 4), low);
    if (bytes === 8) putNumber(entry.data, at + 4, 4, high);
    this.#written += bytes;
    if (this.#written < entry.data.length) return;
    this.#writing = undefined;
    const { physical, eventFds } = this.#parts;
    if (physical.hasDevice(entry.address)) {
      this.#writeDevice(entry);
      return;
    }
    const { address, data } = entry;
    const { length } = data;
    if (length > 8) return;
    const fd = eventFds.match('mmio', address, length, number(data, 0, Math.min(length, 4)), length === 8 ? number(data, 4, 4) : 0);
    if (fd === undefined) return;
    entry.done = length;
    fd.signal();
  }

  /** Writes to a device of the kernel, once. */
  #writeDevice(entry: LoggedAccess): void {
    const { physical } = this.#parts;
    const { address, data } = entry;
    const { outside } = physical;
    entry.done = data.length;
    physical.outside = undefined;
    try {
      for (let at = 0; at < data.length; ) {
        const size = pieceOf(data.length - at);
        if (size === 8) physical.write64Parts(address + at, number(data, at, 4), number(data, at + 4, 4));
        else if (size === 4) physical.write32(address + at, number(data, at, 4));
        else if (size === 2) physical.write16(address + at, number(data, at, 2));
        else physical.write8(address + at, number(data, at, 1));
        at += size;
      }
    } finally {
      physical.outside = outside;
    }
  }

  // PortDevice: all ports

  readPort(_port: number, size: AccessSize): number {
    // What `mayReadPort` has just let through.
    const entry = this.log?.portRead;
    if (entry === undefined || entry.taken + size > entry.data.length) return 2 ** (8 * size) - 1;
    const value = number(entry.data, entry.taken, size);
    entry.taken += size;
    return value;
  }

  writePort(port: number, size: AccessSize, value: number): void {
    const { log } = this;
    if (log === undefined) return;
    this.#parts.accessed();
    if (log.replay(AccessKind.PORT_WRITE, port, size) !== undefined) return;
    const data = new Uint8Array(size);
    putNumber(data, 0, size, value);
    const entry = log.add(AccessKind.PORT_WRITE, port, size, data);
    const { kernelPorts, eventFds } = this.#parts;
    if (kernelPorts.has(port, size)) {
      entry.done = size;
      kernelPorts.space.write(port, size, value);
      return;
    }
    const fd = eventFds.match('pio', port, size, value >>> 0);
    if (fd === undefined) return;
    entry.done = size;
    fd.signal();
  }
}

/** The largest access that is not more than so many bytes. */
function pieceOf(bytes: number): 1 | 2 | 4 | 8 {
  return bytes >= 8 ? 8 : bytes >= 4 ? 4 : bytes >= 2 ? 2 : 1;
}

/** Reads 1, 2 or 4 bytes, little-endian, unsigned. */
export function number(data: Uint8Array, at: number, bytes: number): number {
  let value = 0;
  for (let n = bytes; --n >= 0; ) value = value * 256 + (data[at + n] as number);
  return value;
}

export function putNumber(data: Uint8Array, at: number, bytes: number, value: number): void {
  for (let n = 0; n < bytes; n++) data[at + n] = value >>> (8 * n);
}

import type { AccessSize, PortDevice } from '@minusone/core';

/** A port device that says how wide the accesses are that its registers take. */
export interface SizedPortDevice extends PortDevice {
  /** 1: the bus splits wider accesses into bytes, lowest port first. The devices of this package are also sane when it does not. */
  readonly maxAccessBytes: AccessSize;
}

/**
 * A device of 8-bit registers. A wider access becomes one byte access per port, lowest port first, as the chipset does
 * for 8-bit devices on the ISA bus; so a device sees nothing but bytes, whoever dispatches to it.
 */
export abstract class BytePortDevice implements SizedPortDevice {
  readonly maxAccessBytes = 1;

  readPort(port: number, size: AccessSize): number {
    let value = this.readRegister(port) & 0xff;
    for (let byte = 1; byte < size; byte++) value |= (this.readRegister(port + byte) & 0xff) << (8 * byte);
    return value >>> 0;
  }

  writePort(port: number, size: AccessSize, value: number): void {
    for (let byte = 0; byte < size; byte++) this.writeRegister(port + byte, (value >>> (8 * byte)) & 0xff);
  }

  /** Reads the register at `port`; 0xFF where the device has none. */
  protected abstract readRegister(port: number): number;
  /** Writes the register at `port`; where the device has none, nothing happens. */
  protected abstract writeRegister(port: number, value: number): void;
}

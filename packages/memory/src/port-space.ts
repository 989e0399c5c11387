import { type AccessSize, InvalidArgumentError, type PortDevice } from '@minusone/core';
import { NotMappedError, PortOverlapError } from './errors.ts';

const PORTS = 65536;

/** A range of I/O ports that a device claims. */
export interface PortRange {
  readonly first: number;
  readonly count: number;
  readonly device: PortDevice;
}

/**
 * The 64 KiB I/O port space (SDM Vol. 1, 19.3 "I/O Address Space").
 *
 * An access whose ports all belong to one range is handed to its device whole, with its size. Otherwise it is split into
 * bytes, lowest port first, as an ISA bus does; each byte goes to whom it belongs. Where nobody claims a byte, it reads
 * 0xFF and a write is dropped. Wrap a device of 8-bit registers in `byteWide`, so that it sees bytes only.
 */
export class PortSpace {
  readonly #ranges: PortRange[] = [];
  /** Index in `#owners` by port; 0 is nobody. */
  readonly #ownerOf = new Uint16Array(PORTS);
  readonly #owners: (PortRange | undefined)[] = [undefined];

  /** In order of mapping. */
  get ranges(): readonly PortRange[] {
    return this.#ranges;
  }

  /**
   * Lets `device` claim `count` ports from `first`.
   * @throws {InvalidArgumentError} the range is empty or leaves 0 to 0xFFFF
   * @throws {PortOverlapError} another range claims one of the ports; names both
   */
  map(first: number, count: number, device: PortDevice): PortRange {
    if (!Number.isInteger(first) || !Number.isInteger(count) || first < 0 || count < 1 || first + count > PORTS) {
      throw new InvalidArgumentError(`${count} I/O ports from ${first} are not possible.`, 'Ports are 0 to 0xFFFF.', { first, count });
    }
    const range: PortRange = { first, count, device };
    const other = this.#ranges.find((each) => each.first < first + count && first < each.first + each.count);
    if (other !== undefined) throw new PortOverlapError(range, other);
    this.#ranges.push(range);
    const free = this.#owners.indexOf(undefined, 1);
    const owner = free < 0 ? this.#owners.length : free;
    this.#owners[owner] = range;
    this.#ownerOf.fill(owner, first, first + count);
    return range;
  }

  /** @throws {NotMappedError} the range is not (or no longer) mapped here */
  unmap(range: PortRange): void {
    const at = this.#ranges.indexOf(range);
    if (at < 0) throw new NotMappedError('The port range', range.first, range.count);
    this.#ranges.splice(at, 1);
    this.#owners[this.#ownerOf[range.first]!] = undefined;
    this.#ownerOf.fill(0, range.first, range.first + range.count);
  }

  /** Reads `size` bytes at `port` (0 to 0xFFFF): unsigned. Bytes past port 0xFFFF are unclaimed. */
  read(port: number, size: AccessSize): number {
    const whole = this.#wholeOwner(port, size);
    if (whole !== undefined) return truncate(whole.device.readPort(port, size), size);
    if (size === 1) return 0xff;
    let value = 0;
    for (let byte = 0; byte < size; byte++) value |= this.read(port + byte, 1) << (8 * byte);
    return value >>> 0;
  }

  /** Writes the low `size` bytes of `value` at `port` (0 to 0xFFFF). */
  write(port: number, size: AccessSize, value: number): void {
    const whole = this.#wholeOwner(port, size);
    if (whole !== undefined) {
      whole.device.writePort(port, size, truncate(value, size));
    } else if (size !== 1) {
      for (let byte = 0; byte < size; byte++) this.write(port + byte, 1, (value >>> (8 * byte)) & 0xff);
    }
  }

  /** The range that owns every port of the access. Ranges are contiguous, so its two ends tell. */
  #wholeOwner(port: number, size: AccessSize): PortRange | undefined {
    const range = port < PORTS ? this.#owners[this.#ownerOf[port]!] : undefined;
    return range !== undefined && port + size <= range.first + range.count ? range : undefined;
  }
}

/**
 * Shows a device of 8-bit registers nothing but single bytes: wider accesses become one per port, lowest first, as the
 * chipset does for 8-bit devices on the ISA bus.
 * @example
 * ports.map(0x3f8, 8, byteWide(uart));
 */
export function byteWide(device: PortDevice): PortDevice {
  return {
    readPort(port: number, size: AccessSize): number {
      let value = 0;
      for (let byte = 0; byte < size; byte++) value |= (device.readPort(port + byte, 1) & 0xff) << (8 * byte);
      return value >>> 0;
    },
    writePort(port: number, size: AccessSize, value: number): void {
      for (let byte = 0; byte < size; byte++) device.writePort(port + byte, 1, (value >>> (8 * byte)) & 0xff);
    },
  };
}

function truncate(value: number, size: AccessSize): number {
  return size === 4 ? value >>> 0 : size === 2 ? value & 0xffff : value & 0xff;
}

import { InvalidArgumentError } from '@minusone/core';
import type { EventFd } from './event-fd.ts';
import type { IrqSource } from './routing.ts';

/** `struct kvm_ioeventfd` (api.rst, 4.59 KVM_IOEVENTFD). */
export interface IoEventFdArgs {
  readonly fd: EventFd;
  /** Port, or guest-physical address. */
  readonly addr: number;
  /** Bytes of the write that signals; 0: any length. */
  readonly len: 0 | 1 | 2 | 4 | 8;
  /** KVM_IOEVENTFD_FLAG_DATAMATCH: only writes of this value. */
  readonly datamatch?: bigint;
  /** KVM_IOEVENTFD_FLAG_PIO. */
  readonly pio?: boolean;
  /** KVM_IOEVENTFD_FLAG_DEASSIGN. */
  readonly deassign?: boolean;
}

/** `struct kvm_irqfd` (api.rst, 4.75 KVM_IRQFD). */
export interface IrqFdArgs {
  readonly fd: EventFd;
  readonly gsi: number;
  /** KVM_IRQFD_FLAG_RESAMPLE: the line stays asserted until the guest's EOI, of which this one tells. */
  readonly resampleFd?: EventFd;
  /** KVM_IRQFD_FLAG_DEASSIGN. */
  readonly deassign?: boolean;
}

/** What irqfds need of an irqchip. */
export interface IrqFdTarget {
  irqLine(gsi: number, level: boolean, source?: IrqSource): number;
  onAck(listener: (gsi: number) => void): () => void;
}

interface IoEventFd {
  readonly fd: EventFd;
  readonly len: number;
  readonly isAny: boolean;
  readonly low: number;
  readonly high: number;
}

interface IrqFd {
  readonly fd: EventFd;
  readonly gsi: number;
  readonly resampleFd: EventFd | undefined;
  readonly ends: readonly (() => void)[];
}

/** The ioeventfds and irqfds of a virtual machine. */
export class EventFds {
  readonly #irqchip: () => IrqFdTarget | undefined;
  readonly #ports = new Map<number, IoEventFd[]>();
  readonly #addresses = new Map<number, IoEventFd[]>();
  #irqfds: IrqFd[] = [];

  /** @param irqchip the one that irqfds signal, once it has been made */
  constructor(irqchip: () => IrqFdTarget | undefined) {
    this.#irqchip = irqchip;
  }

  /**
   * KVM_IOEVENTFD (api.rst, 4.59): a guest's write there signals, and does not exit.
   * @throws {InvalidArgumentError} another one stands there already, or the one to deassign does not
   */
  ioeventfd(args: IoEventFdArgs): void {
    const { fd, addr, len, datamatch, pio = false, deassign = false } = args;
    if (![0, 1, 2, 4, 8].includes(len)) {
      throw new InvalidArgumentError(`An ioeventfd cannot be ${String(len)} bytes long.`, 'Use 1, 2, 4 or 8, or 0 for any length.', {
        len,
      });
    }
    if (len === 0 && datamatch !== undefined) {
      throw new InvalidArgumentError('An ioeventfd of any length cannot match data.', 'Give its length, or leave `datamatch` out.', {
        addr,
      });
    }
    const table = pio ? this.#ports : this.#addresses;
    const list = table.get(addr) ?? [];
    const value = datamatch ?? 0n;
    const made: IoEventFd = {
      fd,
      len,
      isAny: datamatch === undefined,
      low: Number(BigInt.asUintN(32, value)),
      high: Number(BigInt.asUintN(32, value >> 32n)),
    };
    const at = list.findIndex((other) => (deassign ? other.fd === fd && isSame(other, made) : overlaps(other, made)));
    if (deassign) {
      if (at < 0)
        throw new InvalidArgumentError('There is no such ioeventfd.', 'Deassign with the values it was assigned with.', { addr, len });
      list.splice(at, 1);
      if (list.length === 0) table.delete(addr);
      return;
    }
    if (at >= 0) {
      throw new InvalidArgumentError('An ioeventfd stands there already.', 'Deassign it first, or match other data.', { addr, len });
    }
    table.set(addr, [...list, made]);
  }

  /** The eventfd that a write signals: value in two unsigned halves. A write of fewer bytes than an ioeventfd is long, or of more, is none of its. */
  match(kind: 'pio' | 'mmio', address: number, size: number, low: number, high = 0): EventFd | undefined {
    const list = (kind === 'pio' ? this.#ports : this.#addresses).get(address);
    if (list === undefined) return undefined;
    for (const one of list) {
      if (one.len !== 0 && one.len !== size) continue;
      if (one.isAny || (one.low === low >>> 0 && one.high === high >>> 0)) return one.fd;
    }
    return undefined;
  }

  /**
   * KVM_IRQFD (api.rst, 4.75): a signal raises the GSI; with `resampleFd` until its EOI, which is told there, otherwise as a pulse.
   * @throws {InvalidArgumentError} there is no irqchip, the fd is in use already, or the one to deassign is not
   */
  irqfd(args: IrqFdArgs): void {
    const { fd, gsi, resampleFd, deassign = false } = args;
    const irqchip = this.#irqchip();
    if (irqchip === undefined) throw new InvalidArgumentError('An irqfd needs an irqchip.', 'Call createIrqchip first.', { gsi });
    if (deassign) {
      const found = this.#irqfds.filter((one) => one.fd === fd && one.gsi === gsi);
      if (found.length === 0)
        throw new InvalidArgumentError('There is no such irqfd.', 'Deassign with the fd and GSI it was assigned with.', { gsi });
      for (const one of found) for (const end of one.ends) end();
      this.#irqfds = this.#irqfds.filter((one) => !found.includes(one));
      if (resamplesAt(found, gsi) && !resamplesAt(this.#irqfds, gsi)) irqchip.irqLine(gsi, false, 'resample');
      return;
    }
    if (this.#irqfds.some((one) => one.fd === fd)) {
      throw new InvalidArgumentError('This eventfd is an irqfd already.', 'Use another eventfd, or deassign it first.', { gsi });
    }
    const raise = (): void => {
      fd.read();
      if (resampleFd !== undefined) {
        irqchip.irqLine(gsi, true, 'resample');
        return;
      }
      irqchip.irqLine(gsi, true);
      irqchip.irqLine(gsi, false);
    };
    const ends = [fd.onSignal(raise)];
    if (resampleFd !== undefined) {
      ends.push(
        irqchip.onAck((acked) => {
          if (acked !== gsi) return;
          irqchip.irqLine(gsi, false, 'resample');
          resampleFd.signal();
        }),
      );
    }
    this.#irqfds.push({ fd, gsi, resampleFd, ends });
  }
}

function resamplesAt(irqfds: readonly IrqFd[], gsi: number): boolean {
  return irqfds.some((one) => one.gsi === gsi && one.resampleFd !== undefined);
}

function isSame(a: IoEventFd, b: IoEventFd): boolean {
  return a.len === b.len && a.isAny === b.isAny && a.low === b.low && a.high === b.high;
}

/** Two would take the same write. */
function overlaps(a: IoEventFd, b: IoEventFd): boolean {
  const sameLength = a.len === 0 || b.len === 0 || a.len === b.len;
  return sameLength && (a.isAny || b.isAny || (a.low === b.low && a.high === b.high));
}

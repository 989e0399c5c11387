import { MinusOneError } from '@minusone/core';

/** `0x1000..0x1fff`, as error messages show a range of addresses. */
export function formatRange(first: number, bytes: number): string {
  return `0x${first.toString(16)}..0x${(first + bytes - 1).toString(16)}`;
}

/** More memory was asked for than one 32-bit linear memory of a machine may hold. */
export class MemoryLimitError extends MinusOneError {
  constructor(totalBytes: number, limitBytes: number, ramBytes: number) {
    super(
      'MEMORY_LIMIT',
      `Memory is limited to ${limitBytes / 2 ** 20} MiB in all, and ${Math.ceil(totalBytes / 2 ** 20)} MiB are needed.`,
      {
        hint: `Ask for at most ${Math.floor((ramBytes - (totalBytes - limitBytes)) / 2 ** 20) - 1} MiB of RAM.`,
        details: { totalBytes, limitBytes, ramBytes },
      },
    );
  }
}

/** The host has no room for a linear memory of this size. */
export class MemoryRefusedError extends MinusOneError {
  constructor(totalBytes: number, cause: unknown) {
    super('MEMORY_REFUSED', `The host refused ${Math.ceil(totalBytes / 2 ** 20)} MiB of memory.`, {
      hint: 'Ask for less RAM, or free memory (and address space) on the host.',
      details: { totalBytes },
      cause,
    });
  }
}

/** The area that a machine memory keeps for the engine's own structures is used up. */
export class ReservedAreaFullError extends MinusOneError {
  constructor(bytes: number, freeBytes: number) {
    super('RESERVED_AREA_FULL', `${bytes} bytes were asked of the reserved area, which has ${freeBytes} left.`, {
      hint: 'Make the memory with larger `reservedBytes`.',
      details: { bytes, freeBytes },
    });
  }
}

/** A slot would cover guest-physical addresses that another slot covers. */
export class MemorySlotOverlapError extends MinusOneError {
  constructor(slot: { id: number; gpa: number; bytes: number }, other: { id: number; gpa: number; bytes: number }) {
    super(
      'MEMORY_SLOT_OVERLAP',
      `Memory slot ${slot.id} (${formatRange(slot.gpa, slot.bytes)}) overlaps slot ${other.id} (${formatRange(other.gpa, other.bytes)}).`,
      { hint: `Remove or move slot ${other.id} first.`, details: { slot: { ...slot }, other: { ...other } } },
    );
  }
}

/** A slot with this id exists already. */
export class DuplicateMemorySlotError extends MinusOneError {
  constructor(id: number) {
    super('DUPLICATE_MEMORY_SLOT', `Memory slot ${id} exists already.`, { hint: 'Use another id, or `changeSlot`.', details: { id } });
  }
}

/** No slot has this id. */
export class UnknownMemorySlotError extends MinusOneError {
  constructor(id: number, known: readonly number[]) {
    super('UNKNOWN_MEMORY_SLOT', `There is no memory slot ${id}.`, {
      hint: known.length === 0 ? 'No slot has been added yet.' : `The slots are ${known.join(', ')}.`,
      details: { id, known },
    });
  }
}

/** A slot is to be backed by bytes that are not RAM of its machine memory. */
export class MemorySlotOutOfRamError extends MinusOneError {
  constructor(slot: { id: number; hostOffset: number; bytes: number }, ramOffset: number, ramBytes: number) {
    super(
      'MEMORY_SLOT_OUT_OF_RAM',
      `Memory slot ${slot.id} is backed by ${formatRange(slot.hostOffset, slot.bytes)} of the linear memory, but RAM is ${formatRange(ramOffset, ramBytes)}.`,
      { hint: 'Count `hostOffset` from `ramOffset`.', details: { ...slot, ramOffset, ramBytes } },
    );
  }
}

/** The dirty log of a slot was asked for, and is not on. */
export class DirtyLogOffError extends MinusOneError {
  constructor(id: number) {
    super('DIRTY_LOG_OFF', `Memory slot ${id} keeps no dirty log.`, { hint: 'Call `enableDirtyLog` first.', details: { id } });
  }
}

/** A memory-mapped region would cover addresses that another one covers. */
export class MmioOverlapError extends MinusOneError {
  constructor(region: { gpa: number; bytes: number }, other: { gpa: number; bytes: number }) {
    super(
      'MMIO_OVERLAP',
      `The MMIO region ${formatRange(region.gpa, region.bytes)} overlaps the region ${formatRange(other.gpa, other.bytes)}.`,
      {
        hint: 'Unmap the other region first.',
        details: { gpa: region.gpa, bytes: region.bytes, otherGpa: other.gpa, otherBytes: other.bytes },
      },
    );
  }
}

/** A region or port range was to be unmapped that is not mapped here. */
export class NotMappedError extends MinusOneError {
  constructor(what: string, first: number, count: number) {
    super('NOT_MAPPED', `${what} ${formatRange(first, count)} is not mapped here.`, {
      hint: 'Pass the very object that mapping returned, and once only.',
      details: { first, count },
    });
  }
}

/** Host code asked for guest-physical memory where none stands. */
export class NoMemoryAtAddressError extends MinusOneError {
  constructor(gpa: number, length: number, missingAt: number) {
    super('NO_MEMORY_AT_ADDRESS', `No RAM stands at guest-physical address 0x${missingAt.toString(16)} (of ${formatRange(gpa, length)}).`, {
      hint: 'Give the machine more memory, or use another address.',
      details: { gpa, length, missingAt },
    });
  }
}

/** Host code wrote, as a device would, to a read-only slot. */
export class ReadOnlyMemoryError extends MinusOneError {
  constructor(gpa: number, length: number, readOnlyAt: number) {
    super('READ_ONLY_MEMORY', `Guest-physical address 0x${readOnlyAt.toString(16)} (of ${formatRange(gpa, length)}) is read-only.`, {
      hint: 'Use `load` to put an image into ROM.',
      details: { gpa, length, readOnlyAt },
    });
  }
}

/** A device would claim I/O ports that another one claims. */
export class PortOverlapError extends MinusOneError {
  constructor(range: { first: number; count: number }, other: { first: number; count: number }) {
    super('PORT_OVERLAP', `I/O ports ${formatRange(range.first, range.count)} overlap ${formatRange(other.first, other.count)}.`, {
      hint: 'Unmap the other range first.',
      details: { first: range.first, count: range.count, otherFirst: other.first, otherCount: other.count },
    });
  }
}

import { MinusOneError } from '@minusone/core';

/** The host's memory has no room left for what was asked. */
export class HostMemoryExhaustedError extends MinusOneError {
  constructor(bytes: number, freeBytes: number) {
    super('HOST_MEMORY_EXHAUSTED', `The host has no ${bytes} bytes of memory in one piece; ${freeBytes} are free in all.`, {
      hint: 'Make the Kvm with more `memory`, or destroy a virtual machine.',
      details: { bytes, freeBytes },
    });
  }
}

/** Memory of another host, or of none, was to back a slot. */
export class ForeignMemoryError extends MinusOneError {
  constructor() {
    super('FOREIGN_MEMORY', "This memory is not the host's.", { hint: 'Take it from `allocateMemory` of the same Kvm.' });
  }
}

/** A slot reaches beyond the memory that is to back it. */
export class MemoryTooSmallError extends MinusOneError {
  constructor(slot: number, neededBytes: number, bytes: number) {
    super('MEMORY_TOO_SMALL', `Memory slot ${slot} needs ${neededBytes} bytes of memory, and was given ${bytes}.`, {
      hint: 'Allocate more, or make the slot smaller.',
      details: { slot, neededBytes, bytes },
    });
  }
}

/** A slot number that KVM does not have. */
export class SlotLimitError extends MinusOneError {
  constructor(slot: number, slots: number) {
    super('SLOT_LIMIT', `There is no memory slot ${slot}.`, {
      hint: `Slots are 0 to ${slots - 1}: checkExtension('KVM_CAP_NR_MEMSLOTS').`,
      details: { slot, slots },
    });
  }
}

/** What KVM_SET_USER_MEMORY_REGION cannot change of a slot that is there (api.rst, 4.35). */
export class SlotChangeError extends MinusOneError {
  constructor(slot: number, what: string) {
    super('SLOT_CHANGE', `The ${what} of memory slot ${slot} cannot be changed.`, {
      hint: 'Delete the slot first (memorySize 0), then make it anew.',
      details: { slot, what },
    });
  }
}

/** Calls came in an order that KVM refuses. */
export class WrongOrderError extends MinusOneError {
  constructor(message: string, hint: string, details: Record<string, unknown> = {}) {
    super('WRONG_ORDER', message, { hint, details });
  }
}

/** A virtual CPU with this id exists already, or cannot be. */
export class VcpuIdError extends MinusOneError {
  constructor(message: string, hint: string, id: number) {
    super('VCPU_ID', message, { hint, details: { id } });
  }
}

/** A virtual CPU that runs was to run, or its VM. */
export class VcpuBusyError extends MinusOneError {
  constructor(id: number) {
    super('VCPU_BUSY', `Virtual CPU ${id} is running.`, { hint: 'Wait until its run has come back.', details: { id } });
  }
}

/** The VM has been destroyed. */
export class VmDestroyedError extends MinusOneError {
  constructor() {
    super('VM_DESTROYED', 'This virtual machine has been destroyed.', { hint: 'Make a new one with createVm.' });
  }
}

/** KVM_ENABLE_CAP of what is not there, or not with these arguments. */
export class UnknownCapabilityError extends MinusOneError {
  constructor(name: string, why: string) {
    super('UNKNOWN_CAPABILITY', `The capability ${name} cannot be enabled: ${why}.`, {
      hint: 'checkExtension tells what there is; docs/coverage/kvm.md lists all.',
      details: { name },
    });
  }
}

/** State that a processor cannot have, where KVM refuses it with EINVAL. */
export class InvalidStateError extends MinusOneError {
  constructor(message: string, hint: string, details: Record<string, unknown> = {}) {
    super('INVALID_STATE', message, { hint, details });
  }
}

import { Vector } from './fault.ts';

/** Interruption types (SDM Vol. 3C, Table 24-15): what kind of event is being delivered. */
export const EventType = {
  EXTERNAL_INTERRUPT: 0,
  NMI: 2,
  HARDWARE_EXCEPTION: 3,
  /** INT n. */
  SOFTWARE_INTERRUPT: 4,
  /** INT1. */
  PRIVILEGED_SOFTWARE_EXCEPTION: 5,
  /** INT3, INTO. */
  SOFTWARE_EXCEPTION: 6,
} as const;
export type EventType = (typeof EventType)[keyof typeof EventType];

/** What there is to say of an event. */
export interface EventRecord {
  vector: number;
  type: EventType;
  errorCode: number;
  hasErrorCode: boolean;
  length: number;
}

/** An interrupt or exception on its way through the IDT. One object per CPU, reused. */
export class DeliveredEvent {
  /** False: nothing is being delivered. */
  active = false;
  vector = 0;
  type: EventType = EventType.EXTERNAL_INTERRUPT;
  errorCode = 0;
  hasErrorCode = false;
  /** Offset in CS that the frame returns to. */
  returnLow = 0;
  returnHigh = 0;
  /** Bytes of the instruction that a software event (INT n, INT3, INTO, INT1) ends; 0 for others. */
  length = 0;
  /** VM entry, or VMRUN, injects it: it is not intercepted itself, and CR2, DR6 and DR7 stay as they are (SDM Vol. 3C, 27.6.1). */
  isInjected = false;
  /**
   * While what the delivery of another event raised is on its way: that event (an exit then reports it as IDT-vectoring information, or EXITINTINFO); of a double fault,
   * the first of the two. Undefined: this one is the first.
   */
  during: EventRecord | undefined;
  readonly #first: EventRecord = { vector: 0, type: 0, errorCode: 0, hasErrorCode: false, length: 0 };

  /** Keeps what this event is now, before it becomes what its delivery raised. */
  keepAsFirst(): void {
    const first = this.#first;
    first.vector = this.vector;
    first.type = this.type;
    first.errorCode = this.errorCode;
    first.hasErrorCode = this.hasErrorCode;
    first.length = this.length;
    this.during = first;
  }

  set(vector: number, type: EventType, returnLow: number, returnHigh: number, errorCode = 0, withErrorCode = false): this {
    this.active = true;
    this.vector = vector;
    this.type = type;
    this.errorCode = errorCode;
    this.hasErrorCode = withErrorCode;
    this.returnLow = returnLow;
    this.returnHigh = returnHigh;
    this.length = 0;
    this.isInjected = false;
    return this;
  }

  /** INT n, INT3, INTO, INT1: the gate's DPL is checked, EXT stays 0 (but for INT1). */
  get isSoftware(): boolean {
    return this.type === EventType.SOFTWARE_INTERRUPT || this.type === EventType.SOFTWARE_EXCEPTION;
  }
}

/** How two exceptions combine (SDM Vol. 3A, Table 6-5): the second arose while the first was being delivered. */
export function combine(first: DeliveredEvent, secondVector: number): 'serial' | 'double fault' | 'shutdown' {
  const second = exceptionClass(secondVector);
  if (first.type !== EventType.HARDWARE_EXCEPTION) return 'serial';
  if (first.vector === Vector.DF) return second === 'benign' ? 'serial' : 'shutdown';
  const before = exceptionClass(first.vector);
  if (before === 'contributory' && second === 'contributory') return 'double fault';
  if (before === 'page fault' && second !== 'benign') return 'double fault';
  return 'serial';
}

/** #VE and #CP: no processor of ours raises them, but a hypervisor may inject them. */
const VIRTUALIZATION = 20;
const CONTROL_PROTECTION = 21;

/** SDM Vol. 3A, Table 6-4 "Interrupt and Exception Classes". */
export function exceptionClass(vector: number): 'benign' | 'contributory' | 'page fault' {
  if (vector === Vector.PF || vector === VIRTUALIZATION) return 'page fault';
  if (vector === Vector.DE || (vector >= Vector.TS && vector <= Vector.GP) || vector === CONTROL_PROTECTION) return 'contributory';
  return 'benign';
}

/** Faults store EFLAGS with RF set, so that instruction breakpoints do not come again (SDM Vol. 3B, 17.3.1.1). #DB says so itself. */
export function isFaultClass(vector: number): boolean {
  if (
    vector === Vector.DB ||
    vector === Vector.NMI ||
    vector === Vector.BP ||
    vector === Vector.OF ||
    vector === Vector.DF ||
    vector === Vector.MC
  )
    return false;
  return vector < 32;
}

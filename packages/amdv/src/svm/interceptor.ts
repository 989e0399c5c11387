import { type Cpu, Cr0, EventType, type InterceptEvent, Layered, State } from '@minusone/x86';
import type { SvmCapabilities } from '../capabilities/capabilities.ts';
import { SvmExit } from '../exit/codes.ts';
import { INTERCEPTS, Intercept } from '../intercepts/intercepts.ts';
import { findSuccessorOfBound } from './bound.ts';
import { ioIntercepted, msrIntercepted } from './permission-maps.ts';
import * as W from './words.ts';

/** What carries an exit out: all of #VMEXIT. `hasNextRip`: the instruction's successor is known and is saved (APM Vol. 2, 15.7.1 "State Saved on Exit"). */
export interface ExitTaker {
  exit(code: number, info1Low: number, info1High: number, info2Low: number, info2High: number, hasNextRip: boolean): true;
  /** An exit by #PF or NPF, with the instruction's bytes unless it was a fetch. */
  exitWithBytes(code: number, info1Low: number, info1High: number, info2Low: number, info2High: number, isFetch: boolean): true;
  /** The processor leaves guest mode without an exit: INIT that is not intercepted. */
  abandon(): void;
}

/** Instructions that are intercepted whole: the word and bit, and the exit code. */
interface Whole {
  readonly word: 3 | 4 | 5;
  readonly mask: number;
  readonly exit: number;
}
const wholes: ReadonlyMap<string, Whole> = new Map(
  Object.entries(INTERCEPTS).map(([name, { field, bit, exit }]) => [
    name,
    { word: Number(field.slice(-1)) as Whole['word'], mask: 1 << bit, exit },
  ]),
);

const PAGE_FAULT = 14;
const DEBUG = 1;
const BOUND_RANGE = 5;
const FETCH = 0x10;
/** EXITINFO1 of MOV CR, bit 63 (15.8.1 "MOV CRx/DRx Intercepts"). */
const MOV_CR = 1 << 31;
/** Bits of EXITINFO1 of IOIO (15.10.2 "IN and OUT Behavior"). */
const Io = { IN: 1, STRING: 4, REP: 8, SIZE_SHIFT: 4, ADDRESS_SHIFT: 6, SEGMENT_SHIFT: 10, PORT_SHIFT: 16 } as const;
/** Bits 63:32 of EXITINFO2 of TASK_SWITCH (15.14.1 "Task Switch Intercept"). */
const Task = { IRET: 1 << 4, JUMP: 1 << 6, HAS_ERROR_CODE: 1 << 12, RF: 1 << 16 } as const;

/** Decides what of a guest is intercepted, and with what EXITINFO, by the intercept vectors as VMRUN loaded them. */
export class Interceptor {
  readonly #cpu: Cpu;
  readonly #exits: ExitTaker;
  readonly #hasAssists: boolean;
  readonly #hasPauseFilter: boolean;
  readonly #hasPauseThreshold: boolean;
  #cr = 0;
  #dr = 0;
  #exceptions = 0;
  #three = 0;
  #four = 0;
  #five = 0;
  #ioMap = 0;
  #msrMap = 0;
  #pauseCount = 0;
  #pauseThreshold = 0;
  #pausesLeft = 0;
  #lastPause = 0;

  constructor(cpu: Cpu, capabilities: SvmCapabilities, exits: ExitTaker) {
    this.#cpu = cpu;
    this.#exits = exits;
    this.#hasAssists = capabilities.has('DECODEASSISTS');
    this.#hasPauseFilter = capabilities.has('PAUSEFILTER');
    this.#hasPauseThreshold = capabilities.has('PAUSEFILTERTHRESHOLD');
  }

  /** Loads the intercept vectors and what goes with them. */
  load(words: Int32Array, at: number): void {
    this.#cr = words[at + W.INTERCEPT_CR] as number;
    this.#dr = words[at + W.INTERCEPT_DR] as number;
    this.#exceptions = words[at + W.INTERCEPT_EXCEPTIONS] as number;
    this.#three = words[at + W.INTERCEPT_3] as number;
    this.#four = words[at + W.INTERCEPT_4] as number;
    this.#five = words[at + W.INTERCEPT_5] as number;
    // Bits 11:0 of both addresses are ignored (15.10.1, 15.11).
    this.#ioMap = address(words[at + W.IOPM_BASE] as number, words[at + W.IOPM_BASE + 1] as number);
    this.#msrMap = address(words[at + W.MSRPM_BASE] as number, words[at + W.MSRPM_BASE + 1] as number);
    const filter = words[at + W.PAUSE_FILTER] as number;
    this.#pauseCount = this.#pausesLeft = this.#hasPauseFilter ? filter >>> 16 : 0;
    this.#pauseThreshold = this.#hasPauseThreshold ? filter & 0xffff : 0;
  }

  /** Bits of `Layered` that these intercepts need. */
  get slowRows(): number {
    let rows = 0;
    if ((this.#three & Intercept.PUSHF) !== 0) rows |= Layered.FLAGS;
    if ((this.#three & Intercept.RDTSC) !== 0 || (this.#four & Intercept.RDTSCP) !== 0) rows |= Layered.TIME;
    if ((this.#three & Intercept.PAUSE) !== 0) rows |= Layered.PAUSE;
    return rows;
  }
  get virtualInterrupts(): boolean {
    return (this.#three & Intercept.VINTR) !== 0;
  }

  /** `Layer.intercept`. */
  intercept(event: InterceptEvent): boolean {
    switch (event.kind) {
      case 'instruction':
        return this.#instruction(event.mnemonic);
      case 'io':
        return this.#io(event);
      case 'msr':
        if ((this.#three & Intercept.MSR_PROT) === 0) return false;
        if (!msrIntercepted(this.#cpu.physical, this.#msrMap, event.index, event.write)) return false;
        return this.#exits.exit(SvmExit.MSR, event.write ? 1 : 0, 0, 0, 0, true);
      case 'control-register':
        return this.#controlRegister(event);
      case 'debug-register':
        if (((this.#dr >>> (event.register + (event.write ? 16 : 0))) & 1) === 0) return false;
        return this.#plain((event.write ? SvmExit.DR0_WRITE : SvmExit.DR0_READ) + event.register, this.#hasAssists ? event.gpr : 0);
      case 'exception':
        return this.#exception(event);
      case 'second-stage-fault': {
        const { stage, stageOnTable } = event.result;
        // Bits 32 and 33: on the final address, on a guest's table (15.25.6 "Nested versus Guest Page Faults, Fault Ordering").
        const high = stageOnTable ? 2 : 1;
        const isFetch = (stage.errorCode & FETCH) !== 0;
        return this.#exits.exitWithBytes(SvmExit.NPF, stage.errorCode, high, stage.gpa | 0, Math.floor(stage.gpa / 2 ** 32), isFetch);
      }
      case 'external-interrupt':
        return (this.#three & Intercept.INTR) !== 0 && this.#exits.exit(SvmExit.INTR, 0, 0, 0, 0, false);
      case 'nmi':
        return (this.#three & Intercept.NMI) !== 0 && this.#exits.exit(SvmExit.NMI, 0, 0, 0, 0, false);
      case 'init':
        return this.#init();
      case 'sipi':
        return false;
      case 'invlpg':
        if ((this.#three & Intercept.INVLPG) === 0) return false;
        if (!this.#hasAssists) return this.#plain(SvmExit.INVLPG, 0);
        return this.#exits.exit(SvmExit.INVLPG, event.addressLow, event.addressHigh, 0, 0, true);
      case 'descriptor-table':
        return this.#descriptorTable(event.table, event.write);
      case 'software-interrupt':
        return (this.#three & Intercept.SWINT) !== 0 && this.#plain(SvmExit.SWINT, this.#hasAssists ? event.vector : 0);
      case 'task-switch':
        return this.#taskSwitch(event);
      case 'triple-fault':
        return (this.#three & Intercept.SHUTDOWN) !== 0 && this.#exits.exit(SvmExit.SHUTDOWN, 0, 0, 0, 0, false);
    }
  }

  /** An exit by an instruction, with at most 32 bits of EXITINFO1. */
  #plain(code: number, info: number): true {
    return this.#exits.exit(code, info, 0, 0, 0, true);
  }

  #instruction(mnemonic: string): boolean {
    if (mnemonic === 'MWAIT' && (this.#four & Intercept.MWAIT) === 0) {
      const isTaken = (this.#four & Intercept.MWAIT_CONDITIONAL) !== 0 && this.#cpu.monitorArmed;
      return isTaken && this.#plain(SvmExit.MWAIT_CONDITIONAL, 0);
    }
    const row = wholes.get(mnemonic);
    if (row === undefined) return false;
    const word = row.word === 3 ? this.#three : row.word === 4 ? this.#four : this.#five;
    if ((word & row.mask) === 0) return false;
    if (mnemonic === 'PAUSE' && this.#filtersPause()) return false;
    return this.#plain(row.exit, 0);
  }

  /** 15.14.4 "Pause Intercept Filtering": a PAUSE exits when the count has run out; the threshold starts it anew after a time without one. */
  #filtersPause(): boolean {
    if (this.#pauseCount === 0) return false;
    const now = this.#cpu.timeStamp.ticks();
    if (this.#pauseThreshold !== 0 && now - this.#lastPause > this.#pauseThreshold) this.#pausesLeft = this.#pauseCount;
    this.#lastPause = now;
    return --this.#pausesLeft >= 0;
  }

  #io(event: Extract<InterceptEvent, { kind: 'io' }>): boolean {
    if ((this.#three & Intercept.IOIO_PROT) === 0) return false;
    const { port, size } = event;
    const cpu = this.#cpu;
    if (!ioIntercepted(cpu.physical, this.#ioMap, port, size)) return false;
    const info =
      (event.input ? Io.IN : 0) |
      (event.string ? Io.STRING : 0) |
      (event.rep ? Io.REP : 0) |
      (size << Io.SIZE_SHIFT) |
      (event.addressBytes << Io.ADDRESS_SHIFT) |
      // INS writes to ES, which is 0.
      (event.string && !event.input && this.#hasAssists ? event.segment << Io.SEGMENT_SHIFT : 0) |
      (port << Io.PORT_SHIFT);
    return this.#exits.exit(SvmExit.IOIO, info, 0, cpu.nextRipLow, cpu.nextRipHigh, true);
  }

  #controlRegister(event: Extract<InterceptEvent, { kind: 'control-register' }>): boolean {
    const { register, write, by, gpr } = event;
    const high = by === 'mov' && this.#hasAssists ? MOV_CR : 0;
    const info = high === 0 ? 0 : gpr;
    if (((this.#cr >>> (register + (write ? 16 : 0))) & 1) !== 0) {
      return this.#exits.exit((write ? SvmExit.CR0_WRITE : SvmExit.CR0_READ) + register, info, high, 0, 0, true);
    }
    if (!write || register !== 0 || (this.#three & Intercept.CR0_SEL_WRITE) === 0 || by === 'clts') return false;
    // LMSW exits whatever it writes (15.9 "Instruction Intercepts").
    if (by === 'mov') {
      const changed = Number(BigInt.asIntN(32, event.value)) ^ this.#cpu.registers.get32(State.cr0);
      if ((changed & ~(Cr0.TS | Cr0.MP)) === 0) return false;
    }
    return this.#exits.exit(SvmExit.CR0_SEL_WRITE, info, high, 0, 0, true);
  }

  #exception(event: Extract<InterceptEvent, { kind: 'exception' }>): boolean {
    const { vector, type } = event;
    // INT1 has an intercept of its own; that of #DB does not take it (15.12.2 "#DB (Debug)").
    if (type === EventType.PRIVILEGED_SOFTWARE_EXCEPTION) return (this.#four & Intercept.ICEBP) !== 0 && this.#plain(SvmExit.ICEBP, 0);
    if (((this.#exceptions >>> vector) & 1) === 0) return false;
    const code = SvmExit.EXCP0 + vector;
    const error = event.hasErrorCode ? event.errorCode : 0;
    if (vector === PAGE_FAULT) {
      return this.#exits.exitWithBytes(code, error, 0, event.addressLow, event.addressHigh, (error & FETCH) !== 0);
    }
    // 15.12.2: DR6 and DR7 are saved as a handler would see them.
    if (vector === DEBUG) this.#cpu.debug.record(event.debugBits);
    if (vector === BOUND_RANGE && type === EventType.HARDWARE_EXCEPTION) {
      findSuccessorOfBound(this.#cpu, this.#cpu.stage);
      return this.#exits.exit(code, 0, 0, 0, 0, true);
    }
    // 15.12.4, 15.12.5: INT3 and INTO are reported at themselves, with their successor.
    return this.#exits.exit(code, error, 0, 0, 0, type !== EventType.HARDWARE_EXCEPTION);
  }

  #descriptorTable(table: 'gdtr' | 'idtr' | 'ldtr' | 'tr', write: boolean): boolean {
    const place = table === 'idtr' ? 0 : table === 'gdtr' ? 1 : table === 'ldtr' ? 2 : 3;
    const mask = (write ? Intercept.IDTR_WRITE : Intercept.IDTR_READ) << place;
    return (this.#three & mask) !== 0 && this.#plain((write ? SvmExit.IDTR_WRITE : SvmExit.IDTR_READ) + place, 0);
  }

  #taskSwitch(event: Extract<InterceptEvent, { kind: 'task-switch' }>): boolean {
    if ((this.#three & Intercept.TASK_SWITCH) === 0) return false;
    const high =
      (event.source === 'iret' ? Task.IRET : 0) |
      (event.source === 'jmp' ? Task.JUMP : 0) |
      (event.hasErrorCode ? Task.HAS_ERROR_CODE : 0) |
      (event.resume ? Task.RF : 0);
    return this.#exits.exit(SvmExit.TASK_SWITCH, event.selector, 0, event.hasErrorCode ? event.errorCode : 0, high, false);
  }

  /** An intercepted INIT stays pending: it is the host's, once GIF is 1 (15.13.4 "INIT Intercept", 15.17). */
  #init(): boolean {
    if ((this.#three & Intercept.INIT) === 0) {
      this.#exits.abandon();
      return false;
    }
    this.#exits.exit(SvmExit.INIT, 0, 0, 0, 0, false);
    this.#cpu.raiseInit();
    return true;
  }
}

/** A page's physical address as a Number. */
function address(low: number, high: number): number {
  return (high >>> 0) * 2 ** 32 + ((low & ~0xfff) >>> 0);
}

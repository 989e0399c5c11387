import { Access, type SecondStage, StageResult } from '@minusone/mmu';
import {
  Activity,
  type Cpu,
  Cr0,
  Cr4,
  Efer,
  EventType,
  type InterceptEvent,
  InterruptShadow,
  type Layer,
  Layered,
  State,
  Vector,
} from '@minusone/x86';
import type { SvmCapabilities } from '../capabilities/capabilities.ts';
import { EventInformation, SvmEventType } from '../events/event-information.ts';
import { SvmExit } from '../exit/codes.ts';
import { VMCB_BYTES } from '../vmcb/vmcb.ts';
import { AddressSpaces } from './address-spaces.ts';
import { Checkers } from './checkers.ts';
import { ExitCounts } from './exit-counts.ts';
import { loadGuestState, saveGuestState } from './guest-state.ts';
import { HostState } from './host-state.ts';
import { storeInstructionBytes } from './instruction-bytes.ts';
import { type ExitTaker, Interceptor } from './interceptor.ts';
import { VirtualInterrupts } from './virtual-interrupts.ts';
import * as W from './words.ts';

const NP_ENABLE = 1;
const SHADOW = 1;
const pdpteResult = new StageResult();

/**
 * Guest mode of one CPU: VMRUN behind its exceptions, the layer that runs while the guest does, and #VMEXIT (APM Vol. 2, 15.5 "VMRUN Instruction", 15.6 "#VMEXIT"). No
 * BigInt and no allocation from an exit to the next entry.
 */
export class GuestMode implements Layer, ExitTaker {
  readonly counts: ExitCounts = new ExitCounts();
  readonly #cpu: Cpu;
  readonly #spaces: AddressSpaces;
  readonly #interceptor: Interceptor;
  readonly #checkers: Checkers;
  readonly #virtual: VirtualInterrupts;
  readonly #host: HostState = new HostState();
  readonly #linearAddressWidth: number;
  readonly #hasNested: boolean;
  readonly #hasNextRip: boolean;
  readonly #hasBytes: boolean;
  #isActive = false;
  /** The VMCB: its first doubleword in the machine's memory. */
  #at = 0;
  #byFace = false;
  #isNested = false;
  #slowRows = 0;
  #hostPatLow = 0;
  #hostPatHigh = 0;

  constructor(cpu: Cpu, capabilities: SvmCapabilities) {
    this.#cpu = cpu;
    this.#spaces = new AddressSpaces(cpu);
    this.#interceptor = new Interceptor(cpu, capabilities, this);
    this.#checkers = new Checkers(cpu.memory, capabilities);
    this.#virtual = new VirtualInterrupts(cpu);
    this.#linearAddressWidth = capabilities.processor.linearAddressWidth;
    this.#hasNested = capabilities.has('NP');
    this.#hasNextRip = capabilities.has('NRIPS');
    this.#hasBytes = capabilities.has('DECODEASSISTS');
  }

  /** A guest runs. */
  get isActive(): boolean {
    return this.#isActive;
  }
  /** RESET#: the CPU has left guest mode. */
  reset(): void {
    this.#isActive = false;
    this.#spaces.forget();
  }

  /**
   * VMRUN behind its exceptions (15.5.1 "Basic Operation").
   * @param page the VMCB's offset in the machine's linear memory @param ripLow, ripHigh where the host goes on @param byFace an exit is to stop `Cpu.run`
   */
  enter(page: number, ripLow: number, ripHigh: number, byFace: boolean): void {
    const cpu = this.#cpu;
    const words = cpu.memory.i32;
    const at = page >>> 2;
    this.#at = at;
    this.#byFace = byFace;
    this.#host.save(cpu, ripLow, ripHigh);

    const hostPaging = cpu.registers.get32(State.cr0) < 0;
    if (this.#checkers.of(at).firstFailure(hostPaging) !== undefined) {
      this.#refuse(words, at);
      return;
    }

    const isNested = ((words[at + W.NP_CONTROL] as number) & NP_ENABLE) !== 0 && this.#hasNested;
    this.#isNested = isNested;
    this.#spaces.select(words, at, isNested);
    this.#interceptor.load(words, at);
    loadGuestState(cpu, words, at, this.#linearAddressWidth);
    this.#virtual.load(words, at, this.#host.interruptFlag);
    if (isNested) this.#swapPat(words, at);
    cpu.msrs.setLayerTscOffset(words[at + W.TSC_OFFSET] as number, words[at + W.TSC_OFFSET + 1] as number);
    this.#slowRows = this.#rows;
    this.#isActive = true;
    cpu.layer = this;
    cpu.globalInterruptFlag = true;
    cpu.activity = Activity.ACTIVE;
    cpu.pendingDebug = 0;
    cpu.interruptShadow = ((words[at + W.INTERRUPT_SHADOW] as number) & SHADOW) !== 0 ? InterruptShadow.STI : InterruptShadow.NONE;
    if (this.#usesPae && !this.#loadPdptes()) return;
    this.#spaces.enter();
    cpu.updateMode();
    const injection = words[at + W.EVENTINJ] as number;
    if ((injection & EventInformation.VALID) !== 0) this.#inject(words, at, injection);
  }

  /** VMEXIT_INVALID: the guest was never entered; nothing but the exit code is written (15.5.1). */
  #refuse(words: Int32Array, at: number): void {
    words[at + W.EXITCODE] = SvmExit.INVALID;
    words[at + W.EXITCODE + 1] = -1;
    this.#loadHost(SvmExit.INVALID);
  }
  /** The guest's PAT is G_PAT with nested paging (15.25.4 "Nested Paging and VMRUN/#VMEXIT"). */
  #swapPat(words: Int32Array, at: number): void {
    const { registers } = this.#cpu;
    this.#hostPatLow = registers.get32(State.pat);
    this.#hostPatHigh = registers.get32(State.pat + 4);
    registers.set32(State.pat, words[at + W.G_PAT] as number);
    registers.set32(State.pat + 4, words[at + W.G_PAT + 1] as number);
  }
  /** Legacy PAE paging, which keeps PDPTEs in the processor. */
  get #usesPae(): boolean {
    const { registers } = this.#cpu;
    const paging = (registers.get32(State.cr0) & Cr0.PG) !== 0 && (registers.get32(State.cr4) & Cr4.PAE) !== 0;
    return paging && (registers.get32(State.efer) & Efer.LMA) === 0;
  }
  /** Reads the guest's PDPTEs; false: the second stage refused, and there has been an exit (15.25.10 "Legacy PAE Mode"). */
  #loadPdptes(): boolean {
    const cpu = this.#cpu;
    const { stage } = this;
    const base = (cpu.registers.get32(State.cr3) & ~0x1f) >>> 0;
    for (let i = 0; i < 4; i++) {
      let pa = base + i * 8;
      if (stage !== null) {
        if (!stage.translate(pa, Access.READ | Access.TABLE, pdpteResult, null)) {
          this.exit(SvmExit.NPF, pdpteResult.errorCode, 2, pa | 0, 0, false);
          return false;
        }
        pa = pdpteResult.pa;
      }
      cpu.registers.set32(State.pdptes + i * 8, cpu.physical.read32(pa) | 0);
      cpu.registers.set32(State.pdptes + i * 8 + 4, cpu.physical.read32(pa + 4) | 0);
    }
    return true;
  }

  /** Event injection (15.20 "Event Injection"): the event goes through the guest's IDT at once, and is not intercepted itself. */
  #inject(words: Int32Array, at: number, injection: number): void {
    const cpu = this.#cpu;
    words[at + W.EVENTINJ] = injection & ~EventInformation.VALID;
    const vector = injection & EventInformation.VECTOR;
    const type = (injection & EventInformation.TYPE_MASK) >>> EventInformation.TYPE_SHIFT;
    // With NRIP save, the frame of INT n, INT3 and INTO points to nRIP; of others, and without, to RIP.
    const isTrap = type === SvmEventType.EXCEPTION && isTrapOfInstruction(vector);
    const usesNextRip = this.#hasNextRip && (type === SvmEventType.SOFTWARE_INTERRUPT || isTrap);
    const length = usesNextRip ? difference(words, at + W.NRIP, at + W.RIP) : 0;
    cpu.inject(
      type === SvmEventType.NMI ? Vector.NMI : vector,
      // As INT3 and INTO do, #BP and #OF need the right to their gate.
      isTrap ? EventType.SOFTWARE_EXCEPTION : (EVENT_TYPES[type] ?? EventType.EXTERNAL_INTERRUPT),
      words[at + W.EVENTINJ + 1] as number,
      (injection & EventInformation.ERROR_CODE_VALID) !== 0,
      length,
    );
  }

  // Layer

  get stage(): SecondStage | null {
    return this.#spaces.stage;
  }
  get addressSpaceTag(): number {
    return this.#spaces.tag;
  }
  get slowRows(): number {
    return this.#slowRows;
  }
  /** A pending virtual interrupt must be seen as soon as the guest can take it: after STI. */
  get #rows(): number {
    return this.#interceptor.slowRows | (this.#virtual.isPending ? Layered.FLAGS : 0);
  }
  intercept(event: InterceptEvent): boolean {
    return this.#interceptor.intercept(event);
  }
  acceptsInterrupt(unmasked: boolean): boolean {
    return this.#virtual.acceptsPhysical(unmasked);
  }
  acceptsNmi(unmasked: boolean): boolean {
    return unmasked;
  }
  get wantsBoundary(): boolean {
    return this.#virtual.isDue;
  }
  boundary(): boolean {
    if (!this.#virtual.isDue) return false;
    // 15.21.6 "Virtual Interrupt Intercept": the interrupt stays pending.
    if (this.#interceptor.virtualInterrupts) return this.exit(SvmExit.VINTR, 0, 0, 0, 0, false);
    const vector = this.#virtual.take();
    this.#slowRows = this.#rows;
    this.#cpu.layerChanged();
    this.#cpu.inject(vector, EventType.EXTERNAL_INTERRUPT, 0, false);
    return true;
  }
  readCr8(): number | undefined {
    return this.#virtual.readCr8();
  }
  writeCr8(priority: number): boolean {
    return this.#virtual.writeCr8(priority);
  }

  // #VMEXIT (15.6)

  exit(code: number, info1Low: number, info1High: number, info2Low: number, info2High: number, hasNextRip: boolean): true {
    this.#cpu.memory.i32[this.#at + W.INSTRUCTION_BYTES] = 0;
    return this.#exit(code, info1Low, info1High, info2Low, info2High, hasNextRip);
  }
  exitWithBytes(code: number, info1Low: number, info1High: number, info2Low: number, info2High: number, isFetch: boolean): true {
    if (isFetch || !this.#hasBytes) return this.exit(code, info1Low, info1High, info2Low, info2High, false);
    storeInstructionBytes(this.#cpu, this.stage, (this.#at + W.INSTRUCTION_BYTES) * 4);
    return this.#exit(code, info1Low, info1High, info2Low, info2High, false);
  }
  #exit(code: number, info1Low: number, info1High: number, info2Low: number, info2High: number, hasNextRip: boolean): true {
    const cpu = this.#cpu;
    const at = this.#at;
    const words = cpu.memory.i32;
    words[at + W.EXITCODE] = code;
    words[at + W.EXITCODE + 1] = 0;
    words[at + W.EXITINFO1] = info1Low;
    words[at + W.EXITINFO1 + 1] = info1High;
    words[at + W.EXITINFO2] = info2Low;
    words[at + W.EXITINFO2 + 1] = info2High;
    this.#saveEventInDelivery(words, at, code);
    const savesNextRip = hasNextRip && this.#hasNextRip;
    words[at + W.NRIP] = savesNextRip ? cpu.nextRipLow : 0;
    words[at + W.NRIP + 1] = savesNextRip ? cpu.nextRipHigh : 0;
    words[at + W.VIRTUAL_INTERRUPT] = this.#virtual.control;
    words[at + W.INTERRUPT_SHADOW] =
      ((words[at + W.INTERRUPT_SHADOW] as number) & ~SHADOW) | (cpu.interruptShadow === InterruptShadow.NONE ? 0 : SHADOW);
    saveGuestState(cpu, words, at);
    if (this.#isNested) {
      words[at + W.G_PAT] = cpu.registers.get32(State.pat);
      words[at + W.G_PAT + 1] = cpu.registers.get32(State.pat + 4);
    }
    this.#spaces.leave(!this.#usesPae);
    this.#leaveGuest();
    this.#loadHost(code);
    return true;
  }
  abandon(): void {
    this.#leaveGuest();
  }

  /** What guest mode put into the CPU besides registers. */
  #leaveGuest(): void {
    const cpu = this.#cpu;
    this.#isActive = false;
    cpu.layer = undefined;
    cpu.msrs.setLayerTscOffset(0, 0);
    if (!this.#isNested) return;
    cpu.registers.set32(State.pat, this.#hostPatLow);
    cpu.registers.set32(State.pat + 4, this.#hostPatHigh);
  }

  #loadHost(code: number): void {
    const cpu = this.#cpu;
    cpu.globalInterruptFlag = false;
    cpu.activity = Activity.ACTIVE;
    cpu.interruptShadow = InterruptShadow.NONE;
    cpu.pendingDebug = 0;
    if (!this.#host.load(cpu)) cpu.activity = Activity.SHUTDOWN;
    this.counts.count(code);
    const { marks } = cpu.memory;
    const page = this.#at * 4;
    // Whoever watches memory is told that the VMCB was written.
    if (marks.pageFlags[page >>> 12] !== 0) marks.written(page, VMCB_BYTES);
    if (this.#byFace) cpu.stop();
  }

  /** EXITINTINFO: the event whose delivery this exit interrupted (15.7.2 "Intercepts During IDT Interrupt Delivery"). */
  #saveEventInDelivery(words: Int32Array, at: number, code: number): void {
    const { delivering } = this.#cpu;
    let info = 0;
    let error = 0;
    if (delivering.active && code !== SvmExit.SHUTDOWN) {
      const isException = code >= SvmExit.EXCP0 && code <= SvmExit.EXCP31;
      const event = isException || code === SvmExit.ICEBP ? delivering.during : delivering;
      if (event !== undefined) {
        info = EventInformation.VALID | event.vector | ((SVM_TYPES[event.type] as number) << EventInformation.TYPE_SHIFT);
        if (event.hasErrorCode) {
          info |= EventInformation.ERROR_CODE_VALID;
          error = event.errorCode;
        }
      }
    }
    words[at + W.EXITINTINFO] = info;
    words[at + W.EXITINTINFO + 1] = error;
  }
}

/** Event types of the CPU by those of EVENTINJ, and back: INT3, INTO and INT1 are exceptions to SVM. */
const EVENT_TYPES: readonly (EventType | undefined)[] = [
  EventType.EXTERNAL_INTERRUPT,
  undefined,
  EventType.NMI,
  EventType.HARDWARE_EXCEPTION,
  EventType.SOFTWARE_INTERRUPT,
];
const SVM_TYPES: Uint8Array = Uint8Array.from([
  SvmEventType.INTR,
  0,
  SvmEventType.NMI,
  SvmEventType.EXCEPTION,
  SvmEventType.SOFTWARE_INTERRUPT,
  SvmEventType.EXCEPTION,
  SvmEventType.EXCEPTION,
]);

const isTrapOfInstruction = (vector: number): boolean => vector === Vector.BP || vector === Vector.OF;

/** The difference of two addresses in the VMCB, exact for those that are near. */
function difference(words: Int32Array, a: number, b: number): number {
  const low = ((words[a] as number) >>> 0) - ((words[b] as number) >>> 0);
  return low + ((words[a + 1] as number) - (words[b + 1] as number)) * 2 ** 32;
}

import { Access, type SecondStage, StageResult } from '@minusone/mmu';
import {
  Activity,
  type Cpu,
  type CpuidResult,
  Cr0,
  Cr4,
  cr4Allowed,
  Efer,
  Eflags,
  EventType,
  type Extension,
  guestFault,
  type InstructionRow,
  type InterceptEvent,
  InterruptShadow,
  type Layer,
  Layered,
  type MsrRow,
  raise,
  State,
  Vector,
} from '@minusone/x86';
import { SvmCapabilities, type SvmPresetName, svmCapabilities } from '../capabilities/capabilities.ts';
import { SVM_FEATURES } from '../capabilities/features.ts';
import { SvmCapabilityError, SvmFaultError, SvmStateError } from '../errors.ts';
import { EventInformation, SvmEventType } from '../events/event-information.ts';
import { SvmExit } from '../exit/codes.ts';
import { type Explanation, explainVmcb } from '../explain/explain-vmcb.ts';
import { VMCB_BYTES, Vmcb } from '../vmcb/vmcb.ts';
import { AddressSpaces } from './address-spaces.ts';
import { Checkers } from './checkers.ts';
import { ExitCounts } from './exit-counts.ts';
import { loadAdditionalState, loadGuestState, saveAdditionalState, saveGuestState } from './guest-state.ts';
import { HostState } from './host-state.ts';
import { storeInstructionBytes } from './instruction-bytes.ts';
import { svmInstructions } from './instructions.ts';
import { type ExitTaker, Interceptor } from './interceptor.ts';
import { SvmMsr, svmMsrs, VmCr } from './svm-msrs.ts';
import * as W from './words.ts';

const NP_ENABLE = 1;
const SHADOW = 1;
const pdpteResult = new StageResult();

/** How SVM is made. */
export interface SvmOptions {
  /** A preset's name or capabilities; 'svm:max' by default. Processor facts (address widths, bits of CR4 and EFER) are those of the CPU that it is attached to. */
  readonly capabilities?: SvmPresetName | SvmCapabilities;
}

/**
 * AMD-V in one CPU: an extension that brings its instructions, MSRs and CPUID leaf, and the layer that runs while a guest does (APM Vol. 2, chapter 15). Guest
 * instructions and the programmatic face are the same code: `vmrun` does what VMRUN does. An exit of an entry made by a guest's VMRUN goes on behind that instruction;
 * after an entry by the face, `cpu.run` returns 'stopped'.
 *
 * @example
 * const svm = new Svm();
 * const decoder = decoderFor(amd, [svm]); // and the same extension for `Cpu`
 * svm.vmrun(0x5000); // the VMCB's physical address
 * cpu.run(1000);
 */
export class Svm implements Extension, Layer, ExitTaker {
  readonly name = 'AMD-V';
  readonly features: readonly string[] = ['SVM'];
  readonly msrs: readonly MsrRow[] = svmMsrs;
  readonly instructions: readonly InstructionRow[] = svmInstructions;
  #capabilities: SvmCapabilities;
  #cpu: Cpu | undefined;
  #parts: Parts | undefined;
  readonly #counts: ExitCounts = new ExitCounts();
  readonly #host: HostState = new HostState();
  #inGuest = false;
  /** The VMCB: its first doubleword in the machine's memory. */
  #at = 0;
  #byFace = false;
  #hasNextRip = false;
  #isNested = false;
  #virtual = 0;
  #virtualVector = 0;
  #slowRows = 0;
  #hostPatLow = 0;
  #hostPatHigh = 0;

  /** @throws {SvmCapabilityError} the capabilities have a feature that this package does not do */
  constructor(options: SvmOptions = {}) {
    const { capabilities = 'svm:max' } = options;
    this.#capabilities = capabilities instanceof SvmCapabilities ? capabilities : svmCapabilities(capabilities);
    const missing = this.#capabilities.features.filter((feature) => !SVM_FEATURES[feature].works);
    if (missing.length > 0) {
      throw new SvmCapabilityError(
        `AMD-V cannot offer ${missing.join(', ')} here.`,
        "Use 'svm:max', or capabilities.without(...); presets of real processors are for explaining.",
        { missing },
      );
    }
  }

  // Extension

  /** What CPUID Fn8000_000A says, in the processor that this is attached to. */
  get capabilities(): SvmCapabilities {
    return this.#capabilities;
  }
  /** @throws {SvmStateError} before it is attached */
  get cpu(): Cpu {
    if (this.#cpu === undefined) throw new SvmStateError('AMD-V is attached to no CPU.', 'Pass it to the CPU as an extension first.');
    return this.#cpu;
  }
  /** EFER.SVME may be set unless VM_CR.SVMDIS forbids it (15.4 "Enabling SVM"). */
  get eferBits(): number {
    const isDisabled = this.#cpu !== undefined && (this.#cpu.msrs.stored(SvmMsr.VM_CR) & VmCr.SVMDIS) !== 0n;
    return isDisabled ? 0 : Efer.SVME;
  }
  attach(cpu: Cpu): void {
    if (this.#cpu !== undefined)
      throw new SvmStateError('AMD-V is attached to a CPU already.', 'One object serves one CPU: make another one.');
    this.#cpu = cpu;
    const { model } = cpu;
    let eferMask = Efer.LMA | Efer.SVME;
    if (model.has('SYSCALL')) eferMask |= Efer.SCE;
    if (model.has('LM')) eferMask |= Efer.LME;
    if (model.has('NX')) eferMask |= Efer.NXE;
    if (model.has('FFXSR')) eferMask |= Efer.FFXSR;
    this.#capabilities = this.#capabilities.on({
      physicalAddressWidth: model.physicalBits,
      linearAddressWidth: model.has('LA57') ? 57 : 48,
      cr4Mask: cr4Allowed(cpu),
      eferMask,
      hasLongMode: model.has('LM'),
    });
    this.#parts = {
      spaces: new AddressSpaces(cpu),
      interceptor: new Interceptor(cpu, this.#capabilities, this),
      checkers: new Checkers(cpu.memory, this.#capabilities),
    };
    this.#hasNextRip = this.#capabilities.has('NRIPS');
  }
  reset(): void {
    this.#inGuest = false;
    this.#all.spaces.forget();
  }
  cpuid(_cpu: Cpu, leaf: number, _subleaf: number, result: CpuidResult): void {
    if (leaf === 0x8000_0000) result.eax = Math.max(result.eax >>> 0, 0x8000_000a) | 0;
    if (leaf === 0x8000_0001) result.ecx |= 1 << 2;
    if (leaf !== 0x8000_000a) return;
    const { revision, asids, edx } = this.#capabilities;
    Object.assign(result, { eax: revision, ebx: asids, ecx: 0, edx });
  }
  get #all(): Parts {
    if (this.#parts === undefined) throw new SvmStateError('AMD-V is attached to no CPU.', 'Pass it to the CPU as an extension first.');
    return this.#parts;
  }

  // The programmatic face

  /** A guest runs. */
  get inGuest(): boolean {
    return this.#inGuest;
  }
  /** How often each exit has been taken, by its name in the APM (without VMEXIT_). */
  get exits(): Readonly<Record<string, number>> {
    return this.#counts.byName;
  }
  /**
   * VMRUN. Afterwards `inGuest` is true, or there has been an exit at once: VMEXIT_INVALID, or one while an event was injected.
   * @param vmcb physical address, bytes
   * @throws {SvmFaultError} where the instruction would raise #UD or #GP
   */
  vmrun(vmcb: number): void {
    if (this.#inGuest) throw new SvmStateError('A guest runs already.', 'Run the CPU until the guest exits first.');
    this.#faultless('VMRUN', () => {
      this.requireEnabled();
      this.requireVmcb(vmcb);
    });
    const { registers } = this.cpu;
    this.enter(vmcb, registers.get32(State.rip), registers.get32(State.rip + 4), true);
  }
  /** VMLOAD: FS, GS, TR, LDTR and the MSRs of system calls, from a VMCB at a physical address. Errors as `vmrun`. */
  vmload(vmcb: number): void {
    this.#faultless('VMLOAD', () => this.load(vmcb));
  }
  /** VMSAVE: the same into a VMCB. Errors as `vmrun`. */
  vmsave(vmcb: number): void {
    this.#faultless('VMSAVE', () => this.save(vmcb));
  }
  /** STGI: events that waited are taken from now on. @throws {SvmFaultError} as the instruction */
  stgi(): void {
    this.#faultless('STGI', () => this.setGlobalInterruptFlag(true));
  }
  /** CLGI. @throws {SvmFaultError} as the instruction */
  clgi(): void {
    this.#faultless('CLGI', () => this.setGlobalInterruptFlag(false));
  }
  /** INVLPGA: forgets the translation of a linear address for an ASID. @throws {SvmFaultError} as the instruction */
  invlpga(linear: bigint, _asid: number): void {
    this.#faultless('INVLPGA', () => {
      this.requireEnabled();
      this.cpu.engine.invalidatePage(Number(BigInt.asIntN(32, linear)), Number(BigInt.asIntN(32, linear >> 32n)));
    });
  }

  #faultless(instruction: string, action: () => void): void {
    try {
      action();
    } catch (thrown) {
      if (thrown !== guestFault) throw thrown;
      const isUndefined = guestFault.vector === Vector.UD;
      throw new SvmFaultError(
        instruction,
        isUndefined ? Vector.UD : Vector.GP,
        isUndefined
          ? 'Set EFER.SVME, and have the CPU in protected mode.'
          : 'It needs CPL 0, and an address of RAM that is a multiple of 4096.',
      );
    }
  }

  // What instructions and face share. These raise exceptions.

  /** #UD unless EFER.SVME is 1 in protected mode; then #GP(0) unless CPL is 0 (APM Vol. 3, VMRUN and its kin). */
  requireEnabled(): void {
    const { cpu } = this;
    if ((cpu.registers.get32(State.efer) & Efer.SVME) === 0 || !cpu.isProtected) raise(Vector.UD);
    cpu.requireCpl0();
  }
  /** #GP(0) unless the address can be a VMCB's: a multiple of 4096 below the physical limit, and memory. */
  requireVmcb(address: number): number {
    const { cpu } = this;
    if (address % 4096 !== 0 || address < 0 || address >= 2 ** cpu.model.physicalBits) raise(Vector.GP, 0);
    const page = cpu.physical.hostPage(address);
    if (page < 0) raise(Vector.GP, 0);
    return page;
  }
  load(vmcb: number): void {
    this.requireEnabled();
    const page = this.requireVmcb(vmcb);
    const { cpu } = this;
    loadAdditionalState(cpu, cpu.memory.i32, page >>> 2, this.#capabilities.processor.linearAddressWidth);
    cpu.updateMode();
  }
  save(vmcb: number): void {
    this.requireEnabled();
    const page = this.requireVmcb(vmcb);
    saveAdditionalState(this.cpu, this.cpu.memory.i32, page >>> 2);
    this.#written(page);
  }
  setGlobalInterruptFlag(flag: boolean): void {
    this.requireEnabled();
    this.cpu.globalInterruptFlag = flag;
    if (flag) this.cpu.attention();
  }

  /** VMRUN behind its exceptions (15.5.1 "Basic Operation"). The host goes on at `ripLow`, `ripHigh`. */
  enter(vmcb: number, ripLow: number, ripHigh: number, byFace: boolean): void {
    const { cpu } = this;
    const { spaces, interceptor, checkers } = this.#all;
    const words = cpu.memory.i32;
    const at = cpu.physical.hostPage(vmcb) >>> 2;
    this.#at = at;
    this.#byFace = byFace;
    this.#host.save(cpu, ripLow, ripHigh);

    const hostPaging = cpu.registers.get32(State.cr0) < 0;
    if (checkers.of(at).firstFailure(hostPaging) !== undefined) {
      this.#refuse(words, at);
      return;
    }

    const isNested = ((words[at + W.NP_CONTROL] as number) & NP_ENABLE) !== 0 && this.#capabilities.has('NP');
    this.#isNested = isNested;
    spaces.select(words, at, isNested);
    interceptor.load(words, at);
    loadGuestState(cpu, words, at, this.#capabilities.processor.linearAddressWidth);
    this.#virtual = words[at + W.VIRTUAL_INTERRUPT] as number;
    this.#virtualVector = (words[at + W.VIRTUAL_VECTOR] as number) & 0xff;
    if (isNested) this.#swapPat(words, at);
    cpu.msrs.setLayerTscOffset(words[at + W.TSC_OFFSET] as number, words[at + W.TSC_OFFSET + 1] as number);
    this.#slowRows = this.#rows();
    this.#inGuest = true;
    cpu.layer = this;
    cpu.globalInterruptFlag = true;
    cpu.activity = Activity.ACTIVE;
    cpu.pendingDebug = 0;
    cpu.interruptShadow = ((words[at + W.INTERRUPT_SHADOW] as number) & SHADOW) !== 0 ? InterruptShadow.STI : InterruptShadow.NONE;
    if (this.#usesPae && !this.#loadPdptes()) return;
    spaces.enter();
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
  /**
   * What VMRUN would say to a VMCB in memory: which checks fail, with the values, and what would mend them.
   * @param vmcb physical address, bytes
   * @throws {SvmFaultError} the address is no VMCB's
   */
  explainEntry(vmcb: number): Explanation {
    this.#faultless('VMRUN', () => {
      this.requireVmcb(vmcb);
    });
    const { cpu } = this;
    const page = cpu.physical.hostPage(vmcb);
    const region = new Vmcb(cpu.memory.u8.subarray(page, page + VMCB_BYTES));
    return explainVmcb(region, this.#capabilities, { hostPaging: cpu.registers.get32(State.cr0) < 0 });
  }

  /** The guest's PAT is G_PAT with nested paging (15.25.4 "Nested Paging and VMRUN/#VMEXIT"). */
  #swapPat(words: Int32Array, at: number): void {
    const { registers } = this.cpu;
    this.#hostPatLow = registers.get32(State.pat);
    this.#hostPatHigh = registers.get32(State.pat + 4);
    registers.set32(State.pat, words[at + W.G_PAT] as number);
    registers.set32(State.pat + 4, words[at + W.G_PAT + 1] as number);
  }
  /** Legacy PAE paging, which keeps PDPTEs in the processor. */
  get #usesPae(): boolean {
    const { registers } = this.cpu;
    const paging = (registers.get32(State.cr0) & Cr0.PG) !== 0 && (registers.get32(State.cr4) & Cr4.PAE) !== 0;
    return paging && (registers.get32(State.efer) & Efer.LMA) === 0;
  }
  /** Reads the guest's PDPTEs; false: the second stage refused, and there has been an exit (15.25.10 "Legacy PAE Mode"). */
  #loadPdptes(): boolean {
    const { cpu, stage } = this;
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
    const { cpu } = this;
    words[at + W.EVENTINJ] = injection & ~EventInformation.VALID;
    const vector = injection & EventInformation.VECTOR;
    const type = (injection & EventInformation.TYPE_MASK) >>> EventInformation.TYPE_SHIFT;
    // With NRIP save, the frame of INT n, INT3 and INTO points to nRIP; of others, and without, to RIP.
    const usesNextRip =
      this.#hasNextRip && (type === SvmEventType.SOFTWARE_INTERRUPT || (type === SvmEventType.EXCEPTION && isTrapOfInstruction(vector)));
    const length = usesNextRip ? difference(words, at + W.NRIP, at + W.RIP) : 0;
    if (type === SvmEventType.NMI) cpu.nmiBlocked = true;
    cpu.inject(
      type === SvmEventType.NMI ? Vector.NMI : vector,
      EVENT_TYPES[type] ?? EventType.EXTERNAL_INTERRUPT,
      words[at + W.EVENTINJ + 1] as number,
      (injection & EventInformation.ERROR_CODE_VALID) !== 0,
      length,
    );
  }

  // Layer

  get stage(): SecondStage | null {
    return this.#all.spaces.stage;
  }
  get addressSpaceTag(): number {
    return this.#all.spaces.tag;
  }
  get slowRows(): number {
    return this.#slowRows;
  }
  /** A pending virtual interrupt must be seen as soon as the guest can take it. */
  #rows(): number {
    return this.#all.interceptor.slowRows | ((this.#virtual & W.Virtual.IRQ) !== 0 ? Layered.FLAGS : 0);
  }
  intercept(event: InterceptEvent): boolean {
    return this.#all.interceptor.intercept(event);
  }
  /** With V_INTR_MASKING the host's RFLAGS.IF masks physical interrupts, whatever the guest does (15.21.1 "Physical (INTR) Interrupt Masking in EFLAGS"). */
  acceptsInterrupt(unmasked: boolean): boolean {
    return (this.#virtual & W.Virtual.INTR_MASKING) !== 0 ? this.#host.interruptFlag : unmasked;
  }
  acceptsNmi(unmasked: boolean): boolean {
    return unmasked;
  }
  /** A virtual interrupt can be taken (15.21.4 "Injecting Virtual (INTR) Interrupts"): it is above V_TPR, the guest's RFLAGS.IF is 1, no shadow; physical events come first. */
  get wantsBoundary(): boolean {
    const control = this.#virtual;
    if ((control & W.Virtual.IRQ) === 0) return false;
    const priority = (control >>> W.Virtual.PRIO_SHIFT) & 15;
    if ((control & W.Virtual.IGN_TPR) === 0 && priority <= (control & 15)) return false;
    const { cpu } = this;
    const unmasked = cpu.interruptShadow === InterruptShadow.NONE && (cpu.registers.get32(State.eflags) & Eflags.IF) !== 0;
    if (!unmasked) return false;
    return !(cpu.nmiPending && !cpu.nmiBlocked) && !(cpu.interruptRequested && this.acceptsInterrupt(unmasked));
  }
  boundary(): boolean {
    const { interceptor } = this.#all;
    if (!this.wantsBoundary) return false;
    // 15.21.6 "Virtual Interrupt Intercept": the interrupt stays pending.
    if (interceptor.virtualInterrupts) return this.exit(SvmExit.VINTR, 0, 0, 0, 0, false);
    this.#virtual &= ~W.Virtual.IRQ;
    this.#slowRows = this.#rows();
    this.cpu.layerChanged();
    this.cpu.inject(this.#virtualVector, EventType.EXTERNAL_INTERRUPT, 0, false);
    return true;
  }
  /** 15.21.2 "Virtualizing APIC.TPR". */
  readCr8(): number | undefined {
    return (this.#virtual & W.Virtual.INTR_MASKING) !== 0 ? this.#virtual & 15 : undefined;
  }
  writeCr8(priority: number): boolean {
    if ((this.#virtual & W.Virtual.INTR_MASKING) === 0) return false;
    this.#virtual = (this.#virtual & ~W.Virtual.TPR) | priority;
    return true;
  }

  // #VMEXIT (15.6)

  exit(code: number, info1Low: number, info1High: number, info2Low: number, info2High: number, hasNextRip: boolean): true {
    const { cpu } = this;
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
    words[at + W.INSTRUCTION_BYTES] = 0;
    words[at + W.VIRTUAL_INTERRUPT] = this.#virtual;
    words[at + W.INTERRUPT_SHADOW] =
      ((words[at + W.INTERRUPT_SHADOW] as number) & ~SHADOW) | (cpu.interruptShadow === InterruptShadow.NONE ? 0 : SHADOW);
    saveGuestState(cpu, words, at);
    if (this.#isNested) {
      words[at + W.G_PAT] = cpu.registers.get32(State.pat);
      words[at + W.G_PAT + 1] = cpu.registers.get32(State.pat + 4);
    }
    this.#all.spaces.leave(!this.#usesPae);
    this.#leaveGuest();
    this.#loadHost(code);
    return true;
  }
  exitWithBytes(code: number, info1Low: number, info1High: number, info2Low: number, info2High: number, isFetch: boolean): true {
    const { cpu } = this;
    const hasBytes = !isFetch && this.#capabilities.has('DECODEASSISTS');
    // Where the bytes belong is read by the exit as 0: they are written behind it, from the guest's state, which is still there now.
    if (!hasBytes) return this.exit(code, info1Low, info1High, info2Low, info2High, false);
    const to = (this.#at + W.INSTRUCTION_BYTES) * 4;
    storeInstructionBytes(cpu, this.stage, to);
    const count = cpu.memory.i32[this.#at + W.INSTRUCTION_BYTES] as number;
    this.exit(code, info1Low, info1High, info2Low, info2High, false);
    cpu.memory.i32[this.#at + W.INSTRUCTION_BYTES] = count;
    return true;
  }
  abandon(): void {
    this.#leaveGuest();
  }

  /** What guest mode put into the CPU besides registers. */
  #leaveGuest(): void {
    const { cpu } = this;
    this.#inGuest = false;
    cpu.layer = undefined;
    cpu.msrs.setLayerTscOffset(0, 0);
    if (!this.#isNested) return;
    cpu.registers.set32(State.pat, this.#hostPatLow);
    cpu.registers.set32(State.pat + 4, this.#hostPatHigh);
  }

  #loadHost(code: number): void {
    const { cpu } = this;
    cpu.globalInterruptFlag = false;
    cpu.activity = Activity.ACTIVE;
    cpu.interruptShadow = InterruptShadow.NONE;
    cpu.pendingDebug = 0;
    if (!this.#host.load(cpu)) cpu.activity = Activity.SHUTDOWN;
    cpu.updateMode();
    this.#counts.count(code);
    this.#written(this.#at * 4);
    if (this.#byFace) cpu.stop();
  }

  /** EXITINTINFO: the event whose delivery this exit interrupted (15.7.2 "Intercepts During IDT Interrupt Delivery"). */
  #saveEventInDelivery(words: Int32Array, at: number, code: number): void {
    const { delivering } = this.cpu;
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

  /** Tells who watches memory that a VMCB was written. */
  #written(page: number): void {
    const { marks } = this.cpu.memory;
    if (marks.pageFlags[page >>> 12] !== 0) marks.written(page, 4096);
  }
}

interface Parts {
  readonly spaces: AddressSpaces;
  readonly interceptor: Interceptor;
  readonly checkers: Checkers;
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

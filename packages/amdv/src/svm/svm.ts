import {
  type Cpu,
  type CpuidResult,
  cr4Allowed,
  Efer,
  type Extension,
  guestFault,
  type InstructionRow,
  type MsrRow,
  raise,
  State,
  Vector,
} from '@minusone/x86';
import { SvmCapabilities, type SvmPresetName, svmCapabilities } from '../capabilities/capabilities.ts';
import { SVM_FEATURES } from '../capabilities/features.ts';
import { SvmCapabilityError, SvmFaultError, SvmStateError } from '../errors.ts';
import { type Explanation, explainVmcb } from '../explain/explain-vmcb.ts';
import { VMCB_BYTES, Vmcb } from '../vmcb/vmcb.ts';
import { attach } from './attached.ts';
import { GuestMode } from './guest-mode.ts';
import { loadAdditionalState, saveAdditionalState } from './guest-state.ts';
import { isUntouched, prepareHost } from './host-mode.ts';
import { svmInstructions } from './instructions.ts';
import { SvmMsr, svmMsrs, VmCr } from './svm-msrs.ts';

/** How SVM is made. */
export interface SvmOptions {
  /** A preset's name or capabilities; 'svm:max' by default. Processor facts (address widths, bits of CR4 and EFER) are those of the CPU that it is attached to. */
  readonly capabilities?: SvmPresetName | SvmCapabilities;
}

/**
 * AMD-V in one CPU: an extension that brings its instructions, MSRs and CPUID leaf, and while a guest runs the layer (APM Vol. 2, chapter 15). Guest
 * instructions and the programmatic face are the same code: `vmrun` does what VMRUN does. An exit of an entry made by a guest's VMRUN goes on behind that instruction;
 * after an entry by the face, `cpu.run` returns 'stopped'.
 *
 * @example
 * const svm = new Svm();
 * const decoder = decoderFor(amd, [svm]); // and the same extension for `Cpu`
 * svm.vmrun(0x5000); // the VMCB's physical address
 * cpu.run(1000);
 */
export class Svm implements Extension {
  readonly name = 'AMD-V';
  readonly features: readonly string[] = ['SVM'];
  readonly msrs: readonly MsrRow[] = svmMsrs;
  readonly instructions: readonly InstructionRow[] = svmInstructions;
  #capabilities: SvmCapabilities;
  #cpu: Cpu | undefined;
  #guestMode: GuestMode | undefined;
  /** Physical addresses are below this. */
  #physicalLimit = 0;

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
    this.#physicalLimit = 2 ** model.physicalBits;
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
    this.#guestMode = new GuestMode(cpu, this.#capabilities);
    attach(cpu, this);
  }
  reset(): void {
    this.#guest.reset();
  }
  cpuid(_cpu: Cpu, leaf: number, _subleaf: number, result: CpuidResult): void {
    if (leaf === 0x8000_0000) result.eax = Math.max(result.eax >>> 0, 0x8000_000a) | 0;
    if (leaf === 0x8000_0001) result.ecx |= 1 << 2;
    if (leaf !== 0x8000_000a) return;
    const { revision, asids, edx } = this.#capabilities;
    Object.assign(result, { eax: revision, ebx: asids, ecx: 0, edx });
  }
  get #guest(): GuestMode {
    if (this.#guestMode === undefined) throw new SvmStateError('AMD-V is attached to no CPU.', 'Pass it to the CPU as an extension first.');
    return this.#guestMode;
  }

  // The programmatic face

  /** A guest runs. */
  get inGuest(): boolean {
    return this.#guestMode?.isActive ?? false;
  }
  /** How often each exit has been taken, by its name in the APM (without VMEXIT_). */
  get exits(): Readonly<Record<string, number>> {
    return this.#guest.counts.byName;
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
  /**
   * VMRUN. Afterwards `inGuest` is true, or there has been an exit at once: VMEXIT_INVALID, or one while an event was injected. A processor on which no code has run yet
   * is first brought to where a hypervisor would execute it (as by every method named after an instruction): long mode, EFER.SVME.
   * @param vmcb physical address, bytes
   * @throws {SvmFaultError} where the instruction would raise #UD or #GP
   */
  vmrun(vmcb: number): void {
    if (this.inGuest) throw new SvmStateError('A guest runs already.', 'Run the CPU until the guest exits first.');
    const { cpu } = this;
    if (isUntouched(cpu)) prepareHost(cpu);
    let page: number;
    try {
      this.requireEnabled();
      page = this.requireVmcb(vmcb);
    } catch (thrown) {
      throw faultOf('VMRUN', thrown);
    }
    this.enter(page, cpu.registers.get32(State.rip), cpu.registers.get32(State.rip + 4), true);
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
    if (isUntouched(this.cpu)) prepareHost(this.cpu);
    try {
      action();
    } catch (thrown) {
      throw faultOf(instruction, thrown);
    }
  }

  // What instructions and face share. These raise exceptions.

  /** #UD unless EFER.SVME is 1 in protected mode; then #GP(0) unless CPL is 0 (APM Vol. 3, VMRUN and its kin). */
  requireEnabled(): void {
    const { cpu } = this;
    if ((cpu.registers.get32(State.efer) & Efer.SVME) === 0 || !cpu.isProtected) raise(Vector.UD);
    cpu.requireCpl0();
  }
  /**
   * #GP(0) unless the address can be a VMCB's: a multiple of 4096 below the physical limit, and memory.
   * @returns its offset in the machine's linear memory
   */
  requireVmcb(address: number): number {
    if (address % 4096 !== 0 || address < 0 || address >= this.#physicalLimit) raise(Vector.GP, 0);
    const page = this.cpu.physical.hostPage(address);
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

  /** VMRUN behind its exceptions, of the VMCB at `page` (see `requireVmcb`). The host goes on at `ripLow`, `ripHigh`. */
  enter(page: number, ripLow: number, ripHigh: number, byFace: boolean): void {
    this.#guest.enter(page, ripLow, ripHigh, byFace);
  }

  /** Tells who watches memory that a VMCB was written. */
  #written(page: number): void {
    const { marks } = this.cpu.memory;
    if (marks.pageFlags[page >>> 12] !== 0) marks.written(page, 4096);
  }
}

/** The error for an exception that an instruction raised; anything else as it is. */
function faultOf(instruction: string, thrown: unknown): unknown {
  if (thrown !== guestFault) return thrown;
  const isUndefined = guestFault.vector === Vector.UD;
  return new SvmFaultError(
    instruction,
    isUndefined ? Vector.UD : Vector.GP,
    isUndefined
      ? 'Set EFER.SVME, and have the CPU in protected mode.'
      : 'It needs CPL 0, and an address of RAM that is a multiple of 4096.',
  );
}

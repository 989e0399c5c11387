import type { Cpu, CpuidResult, Extension, InstructionRow, MsrRow } from '@minusone/x86';
import { VmxCapabilities } from '../capabilities/capabilities.ts';
import { type VmxPresetName, vmxCapabilities } from '../capabilities/presets.ts';
import { VmxFaultError, VmxInstructionError, VmxNotAttachedError } from '../errors.ts';
import { ExitReason, type ExitReasonName, exitReasonRow } from '../exit/reasons.ts';
import { type EntryExplanation, explainEntry } from '../explain/explain-entry.ts';
import { vmread, vmwrite } from '../vmcs/access.ts';
import { VM_INSTRUCTION_ERRORS, VmInstructionError } from '../vmcs/instruction-errors.ts';
import type { Vmcs } from '../vmcs/vmcs.ts';
import { enter, vmFail } from './entry.ts';
import { vmxMsrRows } from './feature-control.ts';
import { isUntouched, prepareHost } from './host-mode.ts';
import { invept, invvpid } from './instructions/invalidate.ts';
import { vmclear, vmptrld, vmxoff, vmxon } from './instructions/pointers.ts';
import { mayTurnOn, vmxRows } from './instructions/rows.ts';
import { VmxLayer } from './layer.ts';
import { capabilitiesFor, requireSupported } from './model-capabilities.ts';
import { VmxOperation } from './operation.ts';
import type { VmxOutcome } from './outcome.ts';

/** Which VMX operation each CPU has: rows are shared by all CPUs of a machine. */
const operations = new WeakMap<Cpu, VmxOperation>();
const rows = vmxRows((cpu) => operations.get(cpu) as VmxOperation);

/**
 * Intel VT-x on one CPU: the extension that the CPU is made with, and the programmatic face by which TypeScript is its hypervisor. The methods named after instructions do what
 * these do, with operands that are physical addresses of the CPU's memory (Numbers, bytes).
 *
 * @example
 * const vmx = new Vmx();
 * const cpu = new Cpu({ ..., extensions: [vmx] }); // its decoder: decoderFor(model, [vmx])
 * vmx.vmxon(0x1000); vmx.vmclear(0x2000); vmx.vmptrld(0x2000);
 * vmx.current?.assign(values);
 * vmx.vmlaunch(); cpu.run(1000); vmx.current?.low(FIELD.VM_EXIT_REASON);
 */
export class Vmx implements Extension {
  readonly name = 'VT-x';
  readonly features: readonly string[] = ['VMX'];
  readonly cr4Bits = 0x2000;
  readonly instructions: readonly InstructionRow[] = rows;
  readonly msrs: readonly MsrRow[] = vmxMsrRows(() => this.#operation());
  readonly #wanted: VmxPresetName | VmxCapabilities;
  readonly #hostExecutes: boolean;
  #op: VmxOperation | undefined;

  /**
   * @param options.capabilities what the capability MSRs say; by default 'vmx:max' as the CPU's model allows
   * @param options.hostExecutes false: the hypervisor is TypeScript alone and executes nothing on this processor. Exits from guests that `vmlaunch` and `vmresume` entered then do not load
   * the host's state, which is faster: the guest's stays in the processor, which is in shutdown until the next entry. By default true, as the manual has it
   * @throws {UnsupportedCapabilityError} they offer a control that is not there
   */
  constructor(options: { readonly capabilities?: VmxPresetName | VmxCapabilities; readonly hostExecutes?: boolean } = {}) {
    this.#wanted = options.capabilities ?? 'vmx:max';
    this.#hostExecutes = options.hostExecutes ?? true;
    requireSupported(typeof this.#wanted === 'string' ? vmxCapabilities(this.#wanted) : this.#wanted);
  }

  // Extension

  attach(cpu: Cpu): void {
    const wanted = this.#wanted;
    const capabilities = wanted instanceof VmxCapabilities ? wanted : capabilitiesFor(cpu, wanted);
    this.#op = new VmxOperation(cpu, capabilities, this.#hostExecutes);
    this.#op.layer = new VmxLayer(this.#op);
    operations.set(cpu, this.#op);
  }
  reset(): void {
    const op = this.#operation();
    op.leave();
    op.featureControl = 0;
    op.regions.clear();
  }
  /** SDM Vol. 3C, 24.8: INIT signals are blocked in VMX root operation. */
  blocksInit(): boolean {
    return this.#operation().on;
  }
  cpuid(_cpu: Cpu, leaf: number, _subleaf: number, result: CpuidResult): void {
    if (leaf === 1) result.ecx |= 0x20;
  }
  refusesControlRegister(_cpu: Cpu, register: 0 | 4, value: number): boolean {
    return this.#operation().refusesControlRegister(register, value);
  }

  // What there is

  get capabilities(): VmxCapabilities {
    return this.#operation().capabilities;
  }
  /** @throws {VmxNotAttachedError} no CPU was made with it */
  get cpu(): Cpu {
    return this.#operation().cpu;
  }
  /** The processor is in VMX operation. */
  get on(): boolean {
    return this.#operation().on;
  }
  get inNonRootOperation(): boolean {
    return this.#operation().nonRoot;
  }
  /** The current VMCS, in its page of the machine's memory. */
  get current(): Vmcs | undefined {
    return this.#operation().current?.vmcs;
  }
  /** Its physical address; -1: none. */
  get currentAddress(): number {
    return this.#operation().current?.address ?? -1;
  }
  /** How many exits there were, by the basic reason's name; reasons that never came are absent. */
  get exits(): Readonly<Record<string, number>> {
    const { exitCounts } = this.#operation();
    const counts: Partial<Record<ExitReasonName, number>> = {};
    for (const reason of Object.values(ExitReason)) {
      const count = exitCounts[reason]!;
      if (count !== 0) counts[exitReasonRow(reason)!.name] = count;
    }
    return counts;
  }
  /** The same of one basic reason, by number. */
  exitCount(reason: number): number {
    return this.#operation().exitCounts[reason] ?? 0;
  }

  // Instructions

  /**
   * A processor on which no code has run yet is first brought to where a hypervisor would execute VMXON: long mode, CR4.VMXE, IA32_FEATURE_CONTROL.
   * @throws {VmxFaultError} the instruction would raise #UD or #GP(0)
   */
  vmxon(region: number): VmxOutcome {
    const op = this.#operation();
    if (op.on) {
      this.#requireRoot('VMXON');
      return vmFail(op, VmInstructionError.VMXON_IN_VMX_ROOT);
    }
    if (isUntouched(op.cpu)) prepareHost(op);
    if (!mayTurnOn(op)) {
      throw new VmxFaultError('VMXON', '#GP(0)', 'CR0.PE, NE and PG, CR4.VMXE, and bits 0 and 2 of IA32_FEATURE_CONTROL must be 1.');
    }
    return vmxon(op, region);
  }
  vmxoff(): VmxOutcome {
    return vmxoff(this.#requireRoot('VMXOFF'));
  }
  vmclear(region: number): VmxOutcome {
    return vmclear(this.#requireRoot('VMCLEAR'), region);
  }
  vmptrld(region: number): VmxOutcome {
    return vmptrld(this.#requireRoot('VMPTRLD'), region);
  }
  /** The current-VMCS pointer; -1: none. */
  vmptrst(): number {
    return this.#requireRoot('VMPTRST').current?.address ?? -1;
  }
  /** @throws {VmxInstructionError} with the VM-instruction error, where the instruction fails */
  vmread(encoding: number): bigint {
    const vmcs = this.#currentVmcs('VMREAD');
    const result = vmread(vmcs, this.capabilities, BigInt(encoding));
    if (!result.ok) throw this.#failed('VMREAD', result.error);
    return result.value;
  }
  /** @throws {VmxInstructionError} with the VM-instruction error, where the instruction fails */
  vmwrite(encoding: number, value: bigint): void {
    const vmcs = this.#currentVmcs('VMWRITE');
    const result = vmwrite(vmcs, this.capabilities, BigInt(encoding), value);
    if (!result.ok) throw this.#failed('VMWRITE', result.error);
  }
  /**
   * Enters the guest of the current VMCS, whose launch state is "clear". After success the guest's state is loaded: `cpu.run` executes it, and comes back with 'stopped' after
   * the exit. An entry that fails at the guest's state or its MSRs succeeds here, has exited already, and says so in bit 31 of the exit reason.
   */
  vmlaunch(): VmxOutcome {
    return enter(this.#requireRoot('VMLAUNCH'), true, true);
  }
  /** The same for a VMCS that was launched. */
  vmresume(): VmxOutcome {
    return enter(this.#requireRoot('VMRESUME'), false, true);
  }
  invept(type: number, eptp: bigint): VmxOutcome {
    return invept(this.#requireRoot('INVEPT'), BigInt(type), eptp);
  }
  invvpid(type: number, vpid: number, linear: bigint): VmxOutcome {
    return invvpid(this.#requireRoot('INVVPID'), BigInt(type), vpid & 0xffff, BigInt(vpid >>> 16), linear);
  }

  /**
   * What VM entry would say to the current VMCS, with this processor's state and memory.
   * @throws {VmxInstructionError} there is no current VMCS
   */
  explainEntry(): EntryExplanation {
    const vmcs = this.#currentVmcs('VMLAUNCH');
    const op = this.#operation();
    return explainEntry(vmcs, op.capabilities, op.current!.environment(op.cpu.isLongMode));
  }

  #operation(): VmxOperation {
    if (this.#op === undefined) throw new VmxNotAttachedError();
    return this.#op;
  }
  #requireRoot(instruction: string): VmxOperation {
    const op = this.#operation();
    if (!op.on) throw new VmxFaultError(instruction, '#UD', 'Call vmxon first.');
    if (op.nonRoot) throw new VmxFaultError(instruction, '#UD', 'The guest is running: let it exit first.');
    return op;
  }
  #currentVmcs(instruction: string): Vmcs {
    const { current } = this.#requireRoot(instruction);
    if (current === undefined) throw new VmxInstructionError(instruction, 0, 'there is no current VMCS');
    return current.vmcs;
  }
  #failed(instruction: string, error: 12 | 13): VmxInstructionError {
    vmFail(this.#operation(), error);
    return new VmxInstructionError(instruction, error, VM_INSTRUCTION_ERRORS[error]);
  }
}

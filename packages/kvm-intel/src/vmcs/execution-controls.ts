import type { VendorIntercepts } from '@minusone/kvm';
import { FIELD, type VmxCapabilities } from '@minusone/vtx';
import { Vector } from '@minusone/x86';
import type { ControlStructure } from './control-structure.ts';
import { controlBit, writeControls } from './controls.ts';

const INTERRUPT_WINDOW = controlBit('primary', 'interruptWindowExiting');
const NMI_WINDOW = controlBit('primary', 'nmiWindowExiting');
const MONITOR_TRAP = controlBit('primary', 'monitorTrapFlag');
const MOV_DR = controlBit('primary', 'movDrExiting');
const CR8_LOAD = controlBit('primary', 'cr8LoadExiting');
const HLT = controlBit('primary', 'hltExiting');
const PAUSE = controlBit('primary', 'pauseExiting');
const MONITOR_AND_MWAIT = controlBit('primary', 'monitorExiting') | controlBit('primary', 'mwaitExiting');
const MACHINE_CHECK = 18;
const PRIMARY = FIELD.CPU_BASED_VM_EXEC_CONTROL;

/** What of the guest exits: the controls that change as it goes. */
export class ExecutionControls implements VendorIntercepts {
  readonly #structure: ControlStructure;

  /** @throws {UnsupportedProcessorError} the processor lacks a control that is needed */
  constructor(structure: ControlStructure, capabilities: VmxCapabilities) {
    this.#structure = structure;
    writeControls(structure.vmcs, capabilities);
    this.exception(MACHINE_CHECK, true);
    this.exception(Vector.AC, true);
  }

  #primary(bits: number, on: boolean): void {
    this.#structure.setBits(PRIMARY, bits, on ? bits : 0);
  }

  exception(vector: number, on: boolean): void {
    const bit = 1 << vector;
    this.#structure.setBits(FIELD.EXCEPTION_BITMAP, bit, on ? bit : 0);
  }
  interruptWindow(on: boolean): void {
    this.#primary(INTERRUPT_WINDOW, on);
  }
  nmiWindow(on: boolean): void {
    this.#primary(NMI_WINDOW, on);
  }
  /** An exit after one instruction. */
  monitorTrap(on: boolean): void {
    this.#primary(MONITOR_TRAP, on);
  }
  debugRegisters(on: boolean): void {
    this.#primary(MOV_DR, on);
  }
  /** MOV to CR8. */
  cr8Loads(on: boolean): void {
    this.#primary(CR8_LOAD, on);
  }
  idle(exits: { readonly hlt: boolean; readonly pause: boolean; readonly mwait: boolean }): void {
    this.#primary(HLT, exits.hlt);
    this.#primary(PAUSE, exits.pause);
    this.#primary(MONITOR_AND_MWAIT, exits.mwait);
  }
}

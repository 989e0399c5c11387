import { type PagingControls, pdpteHasReservedBits } from '@minusone/mmu';
import { type Cpu, Cr0, Cr4, Dr7, Efer, Eflags, Gpr, readEflags, State, segmentOffset, writeEflags } from '@minusone/x86';
import { setDebugControl } from './guest-state.ts';

/** ES, CS, SS and DS with their hidden parts stand together in the state. */
const SEGMENTS: number = segmentOffset(0, 'base');
const SEGMENTS_END: number = segmentOffset(4, 'base');
/** What else VMRUN saves of the host, word by word. */
const FIELDS: Int32Array = Int32Array.from([
  State.gdtrBase,
  State.gdtrBase + 4,
  State.gdtrLimit,
  State.idtrBase,
  State.idtrBase + 4,
  State.idtrLimit,
  State.cr0,
  State.cr3,
  State.cr3 + 4,
  State.cr4,
  State.efer,
  State.gpr + Gpr.RAX * 8,
  State.gpr + Gpr.RAX * 8 + 4,
  State.gpr + Gpr.RSP * 8,
  State.gpr + Gpr.RSP * 8 + 4,
]);
const CR0_INDEX = 6;
const CR3_INDEX = 7;
const CR4_INDEX = 9;
const EFER_INDEX = 10;

/**
 * The host's state while a guest runs (APM Vol. 2, 15.5.1 "Saving Host State", 15.30.4 "VM_HSAVE_PA MSR"). Where it is kept is the processor's business, and software must
 * not look: here it is on the chip, and the host save area stays as it is.
 */
export class HostState {
  readonly #fields: Int32Array = new Int32Array(FIELDS.length);
  readonly #segments: Int32Array = new Int32Array((SEGMENTS_END - SEGMENTS) / 4);
  #flags = 0;
  #ripLow = 0;
  #ripHigh = 0;
  #paging: PagingControls | undefined;

  /** RFLAGS.IF: with V_INTR_MASKING it masks physical interrupts (15.21.1). */
  get interruptFlag(): boolean {
    return (this.#flags & Eflags.IF) !== 0;
  }

  /** @param ripLow, ripHigh where the host goes on */
  save(cpu: Cpu, ripLow: number, ripHigh: number): void {
    const { registers } = cpu;
    const fields = this.#fields;
    const segments = this.#segments;
    for (let i = 0; i < fields.length; i++) fields[i] = registers.get32(FIELDS[i] as number);
    for (let i = 0; i < segments.length; i++) segments[i] = registers.get32(SEGMENTS + i * 4);
    this.#flags = readEflags(registers);
    this.#ripLow = ripLow;
    this.#ripHigh = ripHigh;
    this.#paging = cpu.paging;
  }

  /**
   * Loads the host's state (15.6 "#VMEXIT"): CPL 0, breakpoints off, RFLAGS.VM clear, CR0.PE set.
   * @returns false where the host's page-directory-pointer entries are illegal: the processor shuts down
   */
  load(cpu: Cpu): boolean {
    const { registers } = cpu;
    const fields = this.#fields;
    const segments = this.#segments;
    const cr4Changed = registers.get32(State.cr4) ^ (fields[CR4_INDEX] as number);
    for (let i = 0; i < fields.length; i++) registers.set32(FIELDS[i] as number, fields[i] as number);
    for (let i = 0; i < segments.length; i++) registers.set32(SEGMENTS + i * 4, segments[i] as number);
    registers.set32(State.cr0, (fields[CR0_INDEX] as number) | Cr0.PE);
    writeEflags(registers, this.#flags & ~Eflags.VM);
    registers.set32(State.cpl, 0);
    setDebugControl(cpu, Dr7.FIXED, cr4Changed);
    cpu.jumpTo(this.#ripLow, this.#ripHigh);
    const usesPae =
      (fields[CR0_INDEX] as number) < 0 &&
      ((fields[CR4_INDEX] as number) & Cr4.PAE) !== 0 &&
      ((fields[EFER_INDEX] as number) & Efer.LMA) === 0;
    if (usesPae) return this.#loadPdptes(cpu);
    if (this.#paging !== undefined) cpu.paging = this.#paging;
    return true;
  }

  #loadPdptes(cpu: Cpu): boolean {
    const base = ((this.#fields[CR3_INDEX] as number) & ~0x1f) >>> 0;
    for (let i = 0; i < 4; i++) {
      const low = cpu.physical.read32(base + i * 8) | 0;
      const high = cpu.physical.read32(base + i * 8 + 4) | 0;
      if (pdpteHasReservedBits(low, high, cpu.model.physicalBits)) return false;
      cpu.registers.set32(State.pdptes + i * 8, low);
      cpu.registers.set32(State.pdptes + i * 8 + 4, high);
    }
    cpu.updatePaging();
    return true;
  }
}

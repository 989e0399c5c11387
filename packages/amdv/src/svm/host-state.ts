import { type PagingControls, pdpteHasReservedBits } from '@minusone/mmu';
import { type Cpu, Cr4, Dr7, Efer, Eflags, Gpr, readEflags, State, segmentOffset, writeEflags } from '@minusone/x86';

/** Runs of doublewords of the state: ES, CS, SS and DS with their hidden parts; GDTR, IDTR, CR0 and CR4, which stand together. */
const SEGMENTS: number = segmentOffset(0, 'base') >>> 2;
const SEGMENT_WORDS: number = (segmentOffset(4, 'base') - segmentOffset(0, 'base')) >>> 2;
const TABLES: number = State.gdtrBase >>> 2;
const TABLE_WORDS: number = ((State.cr4 - State.gdtrBase) >>> 2) + 1;

/**
 * The host's state while a guest runs (APM Vol. 2, 15.5.1 "Saving Host State", 15.30.4 "VM_HSAVE_PA MSR"). Where it is kept is the processor's business, and software must
 * not look: here it is on the chip, and the host save area stays as it is.
 */
export class HostState {
  readonly #words: Int32Array = new Int32Array(SEGMENT_WORDS + TABLE_WORDS);
  #cr0 = 0;
  #cr3Low = 0;
  #cr3High = 0;
  #cr4 = 0;
  #efer = 0;
  #raxLow = 0;
  #raxHigh = 0;
  #rspLow = 0;
  #rspHigh = 0;
  #flags = 0;
  #ripLow = 0;
  #ripHigh = 0;
  #mode = 0;
  #paging: PagingControls | undefined;

  /** RFLAGS.IF: with V_INTR_MASKING it masks physical interrupts (15.21.1). */
  get interruptFlag(): boolean {
    return (this.#flags & Eflags.IF) !== 0;
  }

  /** @param ripLow, ripHigh where the host goes on */
  save(cpu: Cpu, ripLow: number, ripHigh: number): void {
    const { registers } = cpu;
    const words = this.#words;
    const { i32 } = cpu.memory;
    const at = cpu.state >>> 2;
    for (let i = 0; i < SEGMENT_WORDS; i++) words[i] = i32[at + SEGMENTS + i] as number;
    for (let i = 0; i < TABLE_WORDS; i++) words[SEGMENT_WORDS + i] = i32[at + TABLES + i] as number;
    this.#cr0 = registers.get32(State.cr0);
    this.#cr3Low = registers.get32(State.cr3);
    this.#cr3High = registers.get32(State.cr3 + 4);
    this.#cr4 = registers.get32(State.cr4);
    this.#efer = registers.get32(State.efer);
    this.#raxLow = registers.gprLow(Gpr.RAX);
    this.#raxHigh = registers.gprHigh(Gpr.RAX);
    this.#rspLow = registers.gprLow(Gpr.RSP);
    this.#rspHigh = registers.gprHigh(Gpr.RSP);
    this.#flags = readEflags(registers);
    this.#ripLow = ripLow;
    this.#ripHigh = ripHigh;
    this.#mode = registers.get32(State.mode);
    this.#paging = cpu.paging;
  }

  /**
   * Loads the host's state (15.6 "#VMEXIT"): CPL 0, breakpoints off. RFLAGS.VM and CR0.PE need no thought: VMRUN is executed in protected mode only.
   * @returns false where the host's page-directory-pointer entries are illegal: the processor shuts down
   */
  load(cpu: Cpu): boolean {
    const { registers } = cpu;
    const words = this.#words;
    const { i32 } = cpu.memory;
    const at = cpu.state >>> 2;
    const cr4Changed = registers.get32(State.cr4) ^ this.#cr4;
    for (let i = 0; i < SEGMENT_WORDS; i++) i32[at + SEGMENTS + i] = words[i] as number;
    for (let i = 0; i < TABLE_WORDS; i++) i32[at + TABLES + i] = words[SEGMENT_WORDS + i] as number;
    registers.set32(State.cr3, this.#cr3Low);
    registers.set32(State.cr3 + 4, this.#cr3High);
    registers.set32(State.efer, this.#efer);
    registers.setGprHalves(Gpr.RAX, this.#raxLow, this.#raxHigh);
    registers.setGprHalves(Gpr.RSP, this.#rspLow, this.#rspHigh);
    writeEflags(registers, this.#flags);
    registers.set32(State.cpl, 0);
    cpu.debug.loadControl(Dr7.FIXED, cr4Changed);
    cpu.jumpTo(this.#ripLow, this.#ripHigh);
    let isSound = true;
    if (this.#cr0 < 0 && (this.#cr4 & Cr4.PAE) !== 0 && (this.#efer & Efer.LMA) === 0) isSound = this.#loadPdptes(cpu);
    else if (this.#paging !== undefined) cpu.paging = this.#paging;
    cpu.restoreMode(this.#mode);
    return isSound;
  }

  #loadPdptes(cpu: Cpu): boolean {
    const base = (this.#cr3Low & ~0x1f) >>> 0;
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

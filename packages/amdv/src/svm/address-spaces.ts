import { NptStage, PagingControls as Paging, type PagingControls, type PagingKind } from '@minusone/mmu';
import { type Cpu, Cr0, Cr4, Efer, State } from '@minusone/x86';
import * as W from './words.ts';

/** ASIDs below this have the tag of their number; greater ones share the tags that follow. */
const OWN_TAGS = 0x8000;
/** What cached translations depend on besides CR3. */
const CR0_TRANSLATION = Cr0.PG | Cr0.WP;
const CR4_TRANSLATION = Cr4.PSE | Cr4.PAE | Cr4.PGE | Cr4.PCIDE | Cr4.SMEP | Cr4.SMAP | Cr4.LA57 | Cr4.PKE;
const EFER_TRANSLATION = Efer.NXE | Efer.LME | Efer.LMA;
/** Values of TLB_CONTROL (APM Vol. 2, 15.16.1 "TLB Flush"). */
const FLUSH_ALL = 1;

/** What belongs to one ASID: its tag in the TLB, its nested page tables, and the paging that its guest had when it was last left. */
class AddressSpace {
  readonly tag: number;
  asid = 0;
  isNested = false;
  rootLow = 0;
  rootHigh = 0;
  hostCr4 = 0;
  hostEfer = 0;
  stage: NptStage | null = null;
  /** Whether the guest was left before; then its registers, and its paging where that holds for the next entry. */
  wasLeft = false;
  cr0 = 0;
  cr3Low = 0;
  cr3High = 0;
  cr4 = 0;
  efer = 0;
  paging: PagingControls | undefined;

  constructor(tag: number) {
    this.tag = tag;
  }
}

/** The guests' address spaces of one CPU by ASID (APM Vol. 2, 15.16 "TLB Control"), and which of them is in force. */
export class AddressSpaces {
  readonly #cpu: Cpu;
  readonly #spaces = new Map<number, AddressSpace>();
  #current: AddressSpace = new AddressSpace(0);

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  get stage(): NptStage | null {
    return this.#current.stage;
  }
  get tag(): number {
    return this.#current.tag;
  }
  forget(): void {
    this.#spaces.clear();
    this.#current = new AddressSpace(0);
  }

  /** Selects the address space that a VMCB names, while the host's registers are still in force: they say how the nested tables are to be read (15.25.3, 15.25.5). */
  select(words: Int32Array, at: number, isNested: boolean): void {
    const asid = words[at + W.ASID] as number;
    const { registers, engine } = this.#cpu;
    const space = this.#current.asid === asid ? this.#current : this.#find(asid);
    const rootLow = isNested ? (words[at + W.N_CR3] as number) : 0;
    const rootHigh = isNested ? (words[at + W.N_CR3 + 1] as number) : 0;
    const hostCr4 = registers.get32(State.cr4);
    const hostEfer = registers.get32(State.efer);
    const isSame =
      space.asid === asid &&
      space.isNested === isNested &&
      (!isNested ||
        (space.rootLow === rootLow &&
          space.rootHigh === rootHigh &&
          ((space.hostCr4 ^ hostCr4) & CR4_TRANSLATION) === 0 &&
          ((space.hostEfer ^ hostEfer) & EFER_TRANSLATION) === 0 &&
          (hostEfer & Efer.LMA) !== 0));
    if (!isSame) {
      space.asid = asid;
      space.isNested = isNested;
      space.rootLow = rootLow;
      space.rootHigh = rootHigh;
      space.hostCr4 = hostCr4;
      space.hostEfer = hostEfer;
      space.wasLeft = false;
      space.stage = isNested ? this.#nestedStage((rootHigh >>> 0) * 2 ** 32 + (rootLow >>> 0)) : null;
      engine.flushTag(space.tag);
    }
    const control = (words[at + W.TLB_CONTROL] as number) & 0xff;
    if (control === FLUSH_ALL) engine.flushAll();
    else if (control !== 0) engine.flushTag(space.tag);
    this.#current = space;
  }

  #find(asid: number): AddressSpace {
    const number = asid >>> 0;
    const tag = number < OWN_TAGS ? number : OWN_TAGS + (number % OWN_TAGS);
    let space = this.#spaces.get(tag);
    if (space === undefined) {
      space = new AddressSpace(tag);
      this.#spaces.set(tag, space);
    }
    return space;
  }

  /** The nested tables are read in the host's paging mode; the guest's accesses count as user accesses there (15.25.5 "Nested Table Walk"). */
  #nestedStage(root: number): NptStage {
    const { registers, model, physical } = this.#cpu;
    const cr4 = registers.get32(State.cr4);
    const efer = registers.get32(State.efer);
    const long = (efer & Efer.LMA) !== 0;
    const kind: PagingKind = long ? ((cr4 & Cr4.LA57) !== 0 ? '5-level' : '4-level') : (cr4 & Cr4.PAE) !== 0 ? 'pae' : '32-bit';
    const pdpte = (i: number): bigint => (kind === 'pae' ? physical.read64(root + i * 8) : 0n);
    const controls = new Paging({
      kind,
      root,
      pdptes: [pdpte(0), pdpte(1), pdpte(2), pdpte(3)],
      wp: (registers.get32(State.cr0) & Cr0.WP) !== 0,
      nxe: (efer & Efer.NXE) !== 0,
      pse: (cr4 & Cr4.PSE) !== 0,
      pse36: model.has('PSE36'),
      gbPages: model.has('PDPE1GB'),
      maxPhyAddr: model.physicalBits,
      tableGlobalReserved: true,
    });
    return new NptStage(controls, physical);
  }

  /** Puts the guest's paging in force, once its registers are loaded. What VMRUN changed of them since the guest was left is not in the TLB's keys, so its translations go. */
  enter(): void {
    const cpu = this.#cpu;
    const { registers } = cpu;
    const space = this.#current;
    const cr0 = registers.get32(State.cr0);
    const cr4 = registers.get32(State.cr4);
    const efer = registers.get32(State.efer);
    const isSame =
      space.cr3Low === registers.get32(State.cr3) &&
      space.cr3High === registers.get32(State.cr3 + 4) &&
      ((space.cr0 ^ cr0) & CR0_TRANSLATION) === 0 &&
      ((space.cr4 ^ cr4) & CR4_TRANSLATION) === 0 &&
      ((space.efer ^ efer) & EFER_TRANSLATION) === 0;
    if (space.wasLeft && isSame && space.paging !== undefined) {
      cpu.paging = space.paging;
      return;
    }
    if (space.wasLeft && !isSame) cpu.engine.flushTag(space.tag);
    cpu.updatePaging();
  }

  /** The guest is left: notes its paging. `keeps`: false where the PDPTEs have to be read anew. */
  leave(keeps: boolean): void {
    const cpu = this.#cpu;
    const { registers } = cpu;
    const space = this.#current;
    space.cr0 = registers.get32(State.cr0);
    space.cr3Low = registers.get32(State.cr3);
    space.cr3High = registers.get32(State.cr3 + 4);
    space.cr4 = registers.get32(State.cr4);
    space.efer = registers.get32(State.efer);
    space.wasLeft = true;
    space.paging = keeps ? cpu.paging : undefined;
  }
}

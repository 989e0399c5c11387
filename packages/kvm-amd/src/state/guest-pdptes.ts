import type { MachineMemory } from '@minusone/memory';
import { Access, NptStage, PagingControls, type PhysicalMemory, StageResult } from '@minusone/mmu';

/** Host-physical memory as a walk sees it: offsets in the linear memory. */
class HostMemory implements PhysicalMemory {
  hi = 0;
  readonly #i32: Int32Array;

  constructor(memory: MachineMemory) {
    this.#i32 = memory.i32;
  }
  read32(pa: number): number {
    return this.#i32[pa / 4] ?? -1;
  }
  read64Lo(pa: number): number {
    this.hi = this.read32(pa + 4);
    return this.read32(pa);
  }
  write32(pa: number, value: number): void {
    this.#i32[pa / 4] = value;
  }
}

/**
 * The PDPTEs of a guest with PAE paging. They are no part of a VMCB: with nested paging the processor reads them where CR3 says, through the nested tables
 * (APM Vol. 2 15.25.10 "Legacy PAE Mode").
 */
export class GuestPdptes {
  readonly #memory: HostMemory;
  readonly #stage: NptStage;
  readonly #result: StageResult = new StageResult();

  constructor(memory: MachineMemory, root: number, physicalBits: number) {
    this.#memory = new HostMemory(memory);
    this.#stage = new NptStage(new PagingControls({ kind: '4-level', root, nxe: true, maxPhyAddr: physicalBits }), this.#memory);
  }

  /** @param cr3 low half @returns 0 (not present) for those that no memory stands behind */
  read(cr3: number): readonly [bigint, bigint, bigint, bigint] {
    const at = (cr3 & ~0x1f) >>> 0;
    return [this.#read64(at), this.#read64(at + 8), this.#read64(at + 16), this.#read64(at + 24)];
  }

  #read64(gpa: number): bigint {
    if (!this.#stage.translate(gpa, Access.READ | Access.INSPECT, this.#result, null)) return 0n;
    const low = this.#memory.read64Lo(this.#result.pa);
    return (BigInt(this.#memory.hi >>> 0) << 32n) | BigInt(low >>> 0);
  }
}

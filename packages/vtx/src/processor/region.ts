import { PageFlag } from '@minusone/memory';
import { type Cpu, SEGMENT_STRIDE } from '@minusone/x86';
import type { VmxCapabilities } from '../capabilities/capabilities.ts';
import { EntryChecker } from '../checks/entry-checker.ts';
import type { EntryEnvironment } from '../checks/environment.ts';
import { EntryView } from '../checks/view.ts';
import { Vmcs } from '../vmcs/vmcs.ts';
import { PagingCache } from './paging-cache.ts';

/** A VMCS region in the machine's memory, with what is remembered of it between VMPTRLD and VMCLEAR. */
export class Region {
  /** Physical address, bytes. */
  readonly address: number;
  /** Where the page stands in linear memory, in units of 4 and of 2 bytes. */
  readonly word: number;
  readonly half: number;
  readonly vmcs: Vmcs;
  readonly checker: EntryChecker;
  /** The guest's paging at its last exit. */
  readonly paging: PagingCache = new PagingCache();
  /** The guest's segment registers as the last exit found them in the CPU's state, derived parts included (words of the state). */
  readonly segments: Int32Array = new Int32Array((8 * SEGMENT_STRIDE) >>> 2).fill(-1);
  /** The same for the host: what the last exit loaded, and from which words of the VMCS. */
  readonly hostSegments: Int32Array = new Int32Array((8 * SEGMENT_STRIDE) >>> 2);
  readonly hostSegmentSources: Int32Array = new Int32Array(16).fill(-1);
  readonly #in64BitHost: EntryEnvironment;
  readonly #in32BitHost: EntryEnvironment;

  constructor(cpu: Cpu, capabilities: VmxCapabilities, address: number, page: number) {
    this.address = address;
    this.word = page >>> 2;
    this.half = page >>> 1;
    this.vmcs = new Vmcs(cpu.memory.u8.subarray(page, page + 4096));
    this.checker = new EntryChecker(new EntryView(this.vmcs, capabilities));
    const environment = (inIa32eMode: boolean): EntryEnvironment => ({
      inIa32eMode,
      inSmm: false,
      currentVmcs: address,
      read32: (hpa) => cpu.physical.read32(hpa),
    });
    this.#in64BitHost = environment(true);
    this.#in32BitHost = environment(false);
  }

  /** What VM entry looks at besides this VMCS. */
  environment(inIa32eMode: boolean): EntryEnvironment {
    return inIa32eMode ? this.#in64BitHost : this.#in32BitHost;
  }
}

/**
 * The regions that this processor has seen since each was last cleared. Software may write to a region by ordinary stores only before VMPTRLD and after VMCLEAR
 * (SDM Vol. 3C, 25.11.1 "Software Use of Virtual-Machine Control Structures"), so that what was noted of one holds in between.
 */
export class Regions {
  readonly #known = new Map<number, Region>();

  /** The region at a physical address; undefined where no RAM stands. */
  at(cpu: Cpu, capabilities: VmxCapabilities, address: number): Region | undefined {
    let region = this.#known.get(address);
    if (region !== undefined) return region;
    const page = cpu.physical.hostPage(address);
    if (page < 0 || (cpu.physical.pageFlags(address) & PageFlag.WRITABLE) === 0) return undefined;
    region = new Region(cpu, capabilities, address, page);
    this.#known.set(address, region);
    return region;
  }
  forget(address: number): void {
    this.#known.delete(address);
  }
  clear(): void {
    this.#known.clear();
  }
}

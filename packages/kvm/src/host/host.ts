import { InvalidArgumentError } from '@minusone/core';
import { MachineMemory, PhysicalAddressSpace, PortSpace } from '@minusone/memory';
import {
  CodeSpace,
  Cpu,
  CpuEngine,
  type CpuModel,
  decoderFor,
  type Extension,
  type JitOptions,
  type ReadGate,
  type TimeStampSource,
} from '@minusone/x86';
import type { KvmVendor } from '../vendor/vendor.ts';
import { HostMemory } from './host-memory.ts';
import { PageAllocator } from './page-allocator.ts';
import { bytesOf } from './sizes.ts';

export interface HostOptions {
  /** Size of the host's memory, or memory that stands already. @default '256M' */
  readonly memory?: number | string | MachineMemory | undefined;
  /** With memory that stands already: the part of it (host-physical address, bytes) that KVM may take pages from. */
  readonly spare?: { readonly hostOffset: number; readonly bytes: number } | undefined;
  /**
   * Room beside the host's memory for processors and decoded code, bytes: about 2.5 MiB for a VM with one virtual CPU. The host's operating system
   * commits it as it is used. Decoded code takes 40 MiB of it. @default 192 MiB
   */
  readonly reservedBytes?: number | undefined;
  /** Compile hot code. @default true */
  readonly jit?: boolean | JitOptions | undefined;
}

const DEFAULT_MEMORY = '256M';
const RESERVED_BYTES = 192 * 2 ** 20;

/** A processor with its extension, both made for one another. */
export interface HostCpu {
  readonly cpu: Cpu;
  readonly extension: Extension;
}

/**
 * The machine that the hypervisor runs on: one linear memory, whose offsets are the host-physical addresses, and processors of the vendor's model with its
 * extension. It has no devices: nothing of a guest hangs on the host's bus.
 */
export class Host {
  readonly vendor: KvmVendor;
  readonly memory: MachineMemory;
  readonly physical: PhysicalAddressSpace;
  readonly ports: PortSpace = new PortSpace();
  readonly pages: PageAllocator;
  readonly code: CodeSpace;
  #nextTag = 1;

  /** @throws {InvalidArgumentError} memory that stands already comes without a `spare` part of it */
  constructor(vendor: KvmVendor, options: HostOptions = {}) {
    const { memory = DEFAULT_MEMORY, spare, reservedBytes = RESERVED_BYTES, jit = true } = options;
    this.vendor = vendor;
    if (memory instanceof MachineMemory) {
      if (spare === undefined) {
        throw new InvalidArgumentError('KVM needs pages of this memory for itself.', 'Say which: `spare: { hostOffset, bytes }`.', {});
      }
      this.memory = memory;
      this.pages = new PageAllocator(memory, spare.hostOffset, spare.bytes);
    } else {
      const ramBytes = Math.ceil(bytesOf(memory) / 4096) * 4096;
      this.memory = new MachineMemory({ ramBytes, reservedBytes });
      this.pages = new PageAllocator(this.memory, this.memory.ramOffset, ramBytes);
    }
    const { ramOffset, ramBytes } = this.memory;
    this.physical = new PhysicalAddressSpace(this.memory);
    this.physical.addSlot({ id: 0, gpa: ramOffset, bytes: ramBytes, hostOffset: ramOffset });
    const decoder = decoderFor(vendor.model, [vendor.createExtension()]);
    this.code = new CodeSpace(this.memory, decoder, undefined, jit === true ? {} : jit);
    this.physical.observer = this.code;
  }

  get model(): CpuModel {
    return this.vendor.model;
  }

  /** A tag for a virtual CPU's translations: different for each that there ever was. */
  nextTag(): number {
    return this.#nextTag++;
  }

  /** Memory for slots, zeroed. @throws {HostMemoryExhaustedError} */
  allocateMemory(size: number | string): HostMemory {
    const bytes = Math.ceil(bytesOf(size) / 4096) * 4096;
    // Aligned so that the second stage can map it by large pages.
    const hostOffset = this.pages.allocateBytes(bytes, bytes >= 2 ** 21 ? 2 ** 21 : 4096);
    this.memory.u8.fill(0, hostOffset, hostOffset + bytes);
    this.memory.marks.written(hostOffset, bytes);
    return new HostMemory(this.memory, hostOffset, bytes);
  }

  freeMemory(memory: HostMemory): void {
    this.pages.freeBytesAt(memory.hostOffset, memory.bytes);
  }

  /** A processor for a virtual CPU. */
  createCpu(timeStamp: TimeStampSource): HostCpu {
    const extension = this.vendor.createExtension();
    const { memory, physical, ports, model } = this;
    // Each is the bootstrap processor of its own: the host starts no processor by another.
    const cpu = new Cpu({
      memory,
      physical,
      ports,
      model,
      index: 0,
      engine: (host) => new CpuEngine(this.code, host),
      timeStamp,
      extensions: [extension],
    });
    return { cpu, extension };
  }

  /** A processor without the extension, on another bus: for instructions that KVM executes itself. */
  createEmulator(physical: PhysicalAddressSpace, ports: PortSpace, gate: ReadGate, timeStamp: TimeStampSource): Cpu {
    const engine = (host: Cpu): CpuEngine => {
      const made = new CpuEngine(this.code, host);
      // One by one, interpreted: an emulated instruction is never part of a block.
      made.trace = () => undefined;
      return made;
    };
    return new Cpu({ memory: this.memory, physical, ports, model: this.model, index: 0, engine, timeStamp, gate });
  }
}

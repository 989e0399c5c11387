import type { HostPages, KvmVendor, SegmentState, VendorVcpu } from '@minusone/kvm';
import { MachineMemory, PhysicalAddressSpace, PortSpace } from '@minusone/memory';
import { CodeSpace, Cpu, CpuEngine, Cr0, Cr4, decoderFor, Efer, type Extension, Gpr, Segment } from '@minusone/x86';
import { testPages } from './test-pages.ts';

/** Where the guests' code, stack and tables stand. */
export const CODE = 0x1000;
export const STACK = 0x8000;
export const GDT = 0x2000;
export const IDT = 0x3000;
export const PAGE_TABLES = 0x1_0000;
const GUEST_BYTES = 0x4_0000;
/** Time goes on by reading it alone here: nothing expires. */
const NO_TIMER = { arm: () => undefined, cancel: () => undefined };

/** A vendor module's virtual CPU without KVM: guest memory of 256 KiB at 0, in second-stage tables made by hand; its registers are read and written as KVM would. */
export class VendorMachine {
  readonly memory: MachineMemory = new MachineMemory({ ramBytes: 2 ** 22, reservedBytes: 16 * 2 ** 20 });
  readonly pages: HostPages;
  readonly cpu: Cpu;
  readonly vcpu: VendorVcpu;
  readonly extension: Extension;
  readonly root: number;
  /** Host-physical address of the guest's memory. */
  readonly guest: number;
  readonly #vendor: KvmVendor;

  constructor(vendor: KvmVendor) {
    const { memory } = this;
    this.#vendor = vendor;
    const physical = new PhysicalAddressSpace(memory);
    physical.addSlot({ id: 0, gpa: memory.ramOffset, bytes: memory.ramBytes, hostOffset: memory.ramOffset });
    this.pages = testPages(memory);
    const code = new CodeSpace(memory, decoderFor(vendor.model, [vendor.createExtension()]), 2 ** 20);
    physical.observer = code;
    let ticks = 0;
    const read = (): number => ticks++;
    const timeStamp = {
      hz: vendor.model.tscHz,
      ticks: read,
      ticksPerInstruction: 0,
      ownTicks: read,
      seen: () => undefined,
      createTimer: () => NO_TIMER,
    };
    this.extension = vendor.createExtension();
    const engine = (host: Cpu): CpuEngine => new CpuEngine(code, host);
    const { model } = vendor;
    this.cpu = new Cpu({ memory, physical, ports: new PortSpace(), model, index: 0, engine, timeStamp, extensions: [this.extension] });
    this.root = this.pages.allocate();
    this.guest = this.pages.allocate(GUEST_BYTES / 4096);
    for (let gpa = 0; gpa < GUEST_BYTES; gpa += 4096) this.map(gpa, this.guest + gpa, true, true);
    this.vcpu = vendor.createVcpu({ cpu: this.cpu, extension: this.extension, pages: this.pages, root: this.root, id: 0, tag: 1 });
  }

  /** One page of 4 KiB in the second stage. */
  map(gpa: number, hpa: number, writable: boolean, executable: boolean): this {
    const { tables } = this.#vendor;
    const view = new DataView(this.memory.u8.buffer);
    let table = this.root;
    for (let level = 4; level > 1; level--) {
      const at = table + (Math.floor(gpa / 2 ** (12 + 9 * (level - 1))) % 512) * 8;
      if (!tables.isPresent(view.getUint32(at, true), view.getUint32(at + 4, true))) this.#put(at, tables.table(this.pages.allocate()));
      table = tables.address(view.getUint32(at, true), view.getUint32(at + 4, true));
    }
    this.#put(table + (Math.floor(gpa / 4096) % 512) * 8, hpa < 0 ? tables.absent : tables.leaf(hpa, 1, writable, executable));
    return this;
  }
  #put(at: number, { low, high }: { low: number; high: number }): void {
    const view = new DataView(this.memory.u8.buffer);
    view.setUint32(at, low, true);
    view.setUint32(at + 4, high, true);
  }

  load(gpa: number, bytes: ArrayLike<number>): this {
    this.memory.u8.set(bytes, this.guest + gpa);
    this.memory.marks.written(this.guest + gpa, bytes.length);
    return this;
  }
  read32(gpa: number): number {
    return new DataView(this.memory.u8.buffer).getUint32(this.guest + gpa, true);
  }
  write64(gpa: number, value: bigint): this {
    new DataView(this.memory.u8.buffer).setBigUint64(this.guest + gpa, value, true);
    return this;
  }

  gpr(index: number): number {
    return Number(this.cpu.registers.gpr(index));
  }
  setGpr(index: number, value: number | bigint): this {
    this.cpu.registers.setGpr(index, BigInt(value));
    return this;
  }
  get rip(): number {
    return this.vcpu.state.ripLow() >>> 0;
  }

  #segments(code: number, data: number, selector: number): void {
    const { vcpu } = this;
    const limit = code === 0x9b ? 0xffff : 0xffff_ffff;
    const segment: SegmentState = { selector, base: 0n, limit, attributes: code };
    vcpu.state.setSegment(Segment.CS, segment);
    for (const index of [Segment.ES, Segment.SS, Segment.DS, Segment.FS, Segment.GS]) {
      vcpu.state.setSegment(index, { selector: selector * 2, base: 0n, limit, attributes: data });
    }
  }

  /** Real-address mode, all segments at 0. */
  real(code: Uint8Array): this {
    this.load(CODE, code);
    this.#segments(0x9b, 0x93, 0);
    this.vcpu.state.setRip(CODE, 0);
    return this.setGpr(Gpr.RSP, STACK);
  }

  /** Protected mode without paging, flat. */
  flat(code: Uint8Array): this {
    this.load(CODE, code);
    this.write64(GDT + 8, 0x00cf_9b00_0000_ffffn).write64(GDT + 16, 0x00cf_9300_0000_ffffn);
    this.vcpu.controlRegisters.setCr0(Cr0.PE | Cr0.ET | Cr0.NE);
    this.#segments(0xc09b, 0xc093, 8);
    this.vcpu.state.setGdtr({ base: BigInt(GDT), limit: 0x27 });
    this.vcpu.state.setRip(CODE, 0);
    return this.setGpr(Gpr.RSP, STACK);
  }

  /** 64-bit mode, the first 2 MiB identity-mapped by one large page. */
  long(code: Uint8Array): this {
    this.flat(code);
    const { vcpu } = this;
    this.write64(GDT + 8, 0x00af_9b00_0000_ffffn);
    this.write64(PAGE_TABLES, BigInt(PAGE_TABLES + 0x1007)).write64(PAGE_TABLES + 0x1000, BigInt(PAGE_TABLES + 0x2007));
    this.write64(PAGE_TABLES + 0x2000, 0x87n);
    vcpu.controlRegisters.setCr3(BigInt(PAGE_TABLES));
    vcpu.controlRegisters.setCr4(Cr4.PAE);
    vcpu.controlRegisters.setEfer(Efer.LME | Efer.LMA | Efer.SCE);
    vcpu.controlRegisters.setCr0(Cr0.PE | Cr0.PG | Cr0.ET | Cr0.NE);
    this.#segments(0xa09b, 0xc093, 8);
    return this;
  }

  /** Sends a vector of the real-mode table, or an interrupt gate of the 32-bit or 64-bit IDT, to `handler`. */
  vector(vector: number, handler: number, bits: 16 | 32 | 64): this {
    if (bits === 16) return this.load(vector * 4, [handler & 0xff, handler >>> 8, 0, 0]);
    const gate = BigInt(handler & 0xffff) | (8n << 16n) | (0x8e00n << 32n);
    this.vcpu.state.setIdtr({ base: BigInt(IDT), limit: 0xfff });
    if (bits === 32) return this.write64(IDT + vector * 8, gate);
    return this.write64(IDT + vector * 16, gate).write64(IDT + vector * 16 + 8, 0n);
  }

  /** Enters; the exit must come within so many instructions. */
  run(instructions = 1000): this {
    if (!this.vcpu.enter(instructions))
      throw new Error(`no exit within ${instructions} instructions, at ${this.cpu.registers.rip.toString(16)}`);
    return this;
  }
}

import { MachineMemory, PhysicalAddressSpace, PortSpace } from '@minusone/memory';
import { CodeSpace, type Cpu, CpuEngine, type CpuModel, decoderFor, intel, Processors } from '@minusone/x86';
import { type SoundState, soundValues } from '../../states/sound-states.ts';
import { FIELD, type VmcsFieldName } from '../../vmcs/fields.ts';
import type { Vmcs, VmcsValues } from '../../vmcs/vmcs.ts';
import { Vmx } from '../vmx.ts';

/** Physical addresses of a test's machine. */
export const At = {
  VMXON: 0x1000,
  VMCS: 0x2000,
  VMCS2: 0x3000,
  IO_BITMAP_A: 0x4000,
  IO_BITMAP_B: 0x5000,
  MSR_BITMAP: 0x6000,
  VIRTUAL_APIC: 0x7000,
  MSR_AREA: 0x8000,
  EPT: 0x1_0000,
  /** Page tables of a 64-bit or PAE guest and of the host: 2-MByte pages, one to one. */
  PAGES: 0x2_0000,
  PAE: 0x2_4000,
  PAGES32: 0x2_5000,
  HOST_CODE: 0x3_0000,
  /** Guest-physical 0 stands here; the guest has 1 MByte. */
  GUEST: 0x10_0000,
} as const;
/** Guest-physical addresses: code, the IDT and the GDT, handlers (16 bytes each, HLT), the stack's top. */
export const Guest = { CODE: 0x1000, IDT: 0x2000, GDT: 0x3000, TSS: 0x4000, HANDLERS: 0x6000, STACK: 0x9000, DATA: 0xa000 } as const;

export interface VmxMachineOptions {
  readonly model?: CpuModel;
  /** Blocks entered so often are compiled; absent: only interpreted. */
  readonly jitThreshold?: number;
  readonly cpus?: number;
  /** As of `Vmx`. */
  readonly hostExecutes?: boolean;
}

/** A machine with VT-x and a hypervisor of a few lines, for tests: the guest's memory by EPT, from guest-physical 0 to 1 MByte. */
export class VmxMachine {
  readonly memory: MachineMemory;
  readonly physical: PhysicalAddressSpace;
  readonly ports: PortSpace = new PortSpace();
  readonly processors: Processors;
  readonly vmx: Vmx;
  readonly cpu: Cpu;

  constructor(options: VmxMachineOptions = {}) {
    const { model = intel, jitThreshold, hostExecutes = true } = options;
    this.vmx = new Vmx({ hostExecutes });
    const bytes = 4 * 2 ** 20;
    this.memory = new MachineMemory({ ramBytes: bytes, reservedBytes: 24 * 2 ** 20 });
    this.physical = new PhysicalAddressSpace(this.memory);
    this.physical.addSlot({ id: 0, gpa: 0, bytes, hostOffset: this.memory.ramOffset });
    const space = new CodeSpace(
      this.memory,
      decoderFor(model, [this.vmx]),
      2 ** 20,
      jitThreshold === undefined ? false : { threshold: jitThreshold },
    );
    this.physical.observer = space;
    const vmxs = [this.vmx];
    this.processors = new Processors({
      memory: this.memory,
      physical: this.physical,
      ports: this.ports,
      model,
      cpus: options.cpus ?? 1,
      engine: (cpu) => new CpuEngine(space, cpu),
      extensions: (index) => [index === 0 ? this.vmx : (vmxs[index] ??= new Vmx())],
    });
    this.cpu = this.processors.bootstrap;
    this.#tables();
  }

  get vmcs(): Vmcs {
    return this.vmx.current as Vmcs;
  }

  /** EPT: 256 pages of 4 KBytes, all rights, write-back; page tables that map 4 MBytes one to one. */
  #tables(): void {
    const write64 = (at: number, low: number): void => this.physical.write64(at, BigInt(low));
    write64(At.EPT, (At.EPT + 0x1000) | 7);
    write64(At.EPT + 0x1000, (At.EPT + 0x2000) | 7);
    write64(At.EPT + 0x2000, (At.EPT + 0x3000) | 7);
    for (let page = 0; page < 256; page++) this.eptEntry(page * 4096, (At.GUEST + page * 4096) | 0x37);
    for (const base of [At.PAGES, At.GUEST + 0x2_0000]) {
      const seen = base >= At.GUEST ? base - At.GUEST : base;
      write64(base, (seen + 0x1000) | 7);
      write64(base + 0x1000, (seen + 0x2000) | 7);
      for (let n = 0; n < 2; n++) write64(base + 0x2000 + n * 8, (n << 21) | 0x87);
    }
    this.physical.write32(At.VMXON, this.vmx.capabilities.revisionId);
  }

  /** The EPT entry of a guest-physical page. */
  eptEntry(gpa: number, value: number): this {
    this.physical.write64(At.EPT + 0x3000 + (gpa >>> 12) * 8, BigInt(value));
    return this;
  }

  /** VMXON, and a VMCS that would enter a guest in the given state at Guest.CODE; its exits go to At.HOST_CODE. */
  ready(state: SoundState = '64-bit', changes: VmcsValues = {}): this {
    const { vmx } = this;
    vmx.vmxon(At.VMXON);
    return this.vmcsAt(At.VMCS, state, changes);
  }
  vmcsAt(address: number, state: SoundState, changes: VmcsValues = {}): this {
    const { vmx } = this;
    this.physical.write32(address, vmx.capabilities.revisionId);
    vmx.vmclear(address);
    vmx.vmptrld(address);
    this.vmcs.assign(soundValues(state, vmx.capabilities));
    this.vmcs.assign({
      HOST_CR3: BigInt(At.PAGES),
      HOST_RIP: BigInt(At.HOST_CODE),
      HOST_RSP: 0xf000n,
      HOST_GDTR_BASE: 0x9000n,
      HOST_IDTR_BASE: 0xa000n,
      HOST_TR_BASE: 0xb000n,
      EPT_POINTER: BigInt(At.EPT | 0x1e),
      IO_BITMAP_A: BigInt(At.IO_BITMAP_A),
      IO_BITMAP_B: BigInt(At.IO_BITMAP_B),
      MSR_BITMAP: BigInt(At.MSR_BITMAP),
      VIRTUAL_APIC_PAGE_ADDR: BigInt(At.VIRTUAL_APIC),
      GUEST_CR3: 0x2_0000n,
      GUEST_RIP: BigInt(Guest.CODE),
      GUEST_RSP: BigInt(Guest.STACK),
      GUEST_IDTR_BASE: BigInt(state === 'real' ? 0 : Guest.IDT),
      GUEST_GDTR_BASE: BigInt(Guest.GDT),
      GUEST_TR_BASE: BigInt(Guest.TSS),
      ...changes,
    });
    this.#handlers(state);
    return this;
  }

  /** Every vector of the guest leads to HLT at Guest.HANDLERS + 16 n. */
  #handlers(state: SoundState): void {
    const base = At.GUEST;
    const long = state === '64-bit';
    for (let vector = 0; vector < 64; vector++) {
      const target = Guest.HANDLERS + vector * 16;
      this.physical.write8(base + target, 0xf4);
      if (state === 'real') {
        this.physical.write32(base + vector * 4, target);
        continue;
      }
      const at = base + Guest.IDT + vector * (long ? 16 : 8);
      this.physical.write32(at, (0x10 << 16) | target);
      this.physical.write32(at + 4, 0x8e00);
    }
    this.physical.write32(base + Guest.GDT + 0x10, 0xffff);
    this.physical.write32(base + Guest.GDT + 0x14, long ? 0x00af9b00 : 0x00cf9b00);
    this.physical.write32(base + Guest.GDT + 0x18, 0xffff);
    this.physical.write32(base + Guest.GDT + 0x1c, 0x00cf9300);
    this.physical.write32(base + Guest.GDT + 0x40, ((Guest.TSS & 0xffff) << 16) | 0x67);
    this.physical.write32(base + Guest.GDT + 0x44, 0x8b00);
  }

  /** Bytes of the guest, by guest-physical address; at Guest.CODE unless said otherwise. */
  code(bytes: readonly number[], at: number = Guest.CODE): this {
    for (const [i, byte] of bytes.entries()) this.physical.write8(At.GUEST + at + i, byte);
    return this;
  }
  /** Bytes at a physical address. */
  hostCode(bytes: readonly number[], at: number = At.HOST_CODE): this {
    for (const [i, byte] of bytes.entries()) this.physical.write8(at + i, byte);
    return this;
  }

  /** Sets bits of a control field. */
  turnOn(field: VmcsFieldName, mask: number): this {
    this.vmcs.write(FIELD[field], BigInt((this.vmcs.low(FIELD[field]) | mask) >>> 0));
    return this;
  }
  turnOff(field: VmcsFieldName, mask: number): this {
    this.vmcs.write(FIELD[field], BigInt((this.vmcs.low(FIELD[field]) & ~mask) >>> 0));
    return this;
  }

  /** VMLAUNCH or VMRESUME, and the guest until its exit; the basic reason. */
  enter(budget = 10_000): number {
    const outcome = this.vmcs.launchState === 'clear' ? this.vmx.vmlaunch() : this.vmx.vmresume();
    if (!outcome.ok)
      throw new Error(
        `${outcome.error} ${outcome.says} ${this.vmx
          .explainEntry()
          .failed.map((each) => each.id)
          .join(' ')}`,
      );
    return this.go(budget);
  }
  /** The guest until its exit. */
  go(budget = 10_000): number {
    if (this.vmx.inNonRootOperation) {
      const result = this.cpu.run(budget);
      if (this.vmx.inNonRootOperation) throw new Error(`no exit: ${result} at ${this.cpu.registers.rip.toString(16)}`);
    }
    return this.reason;
  }

  get reason(): number {
    return this.field('VM_EXIT_REASON');
  }
  get qualification(): number {
    return this.field('EXIT_QUALIFICATION');
  }
  field(name: VmcsFieldName): number {
    return Number(this.vmcs.read(FIELD[name]));
  }
  gpr(index: number): number {
    return Number(this.cpu.registers.gpr(index));
  }
  setGpr(index: number, value: number | bigint): this {
    this.cpu.registers.setGpr(index, BigInt(value));
    return this;
  }
}

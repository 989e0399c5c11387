import { MachineMemory, PhysicalAddressSpace, PortSpace } from '@minusone/memory';
import {
  amd,
  CodeSpace,
  type Cpu,
  CpuEngine,
  type CpuModel,
  decoderFor,
  type JitOptions,
  Processors,
  Segment,
  State,
  segmentOffset,
  setSegment,
} from '@minusone/x86';
import type { SvmCapabilities, SvmPresetName } from '../../capabilities/capabilities.ts';
import { INTERCEPTS, Intercept, type InterceptName } from '../../intercepts/intercepts.ts';
import { VMCB_FIELD, type VmcbFieldName } from '../../vmcb/fields.ts';
import { Vmcb } from '../../vmcb/vmcb.ts';
import { Svm } from '../svm.ts';

const RAM_BYTES = 2 ** 22;
/** Where things stand in the host's memory. The guest's memory is the host's from GUEST on, by nested paging. */
export const Place = {
  VMCB: 0x1000,
  HOST_TABLES: 0x2000,
  NESTED_TABLES: 0x6000,
  IOPM: 0x1_0000,
  MSRPM: 0x1_4000,
  HOST_CODE: 0x2_0000,
  HSAVE: 0x2_1000,
  GUEST: 0x10_0000,
} as const;
/** Where things stand in the guest's memory. */
export const Guest = { CODE: 0x1000, GDT: 0x2000, IDT: 0x3000, TSS: 0x4000, STACK: 0x9000, TABLES: 0x1_0000, HANDLERS: 0x6000 } as const;
export const GUEST_BYTES = 0x10_0000;

/** A 64-bit host with one VMCB, whose guest has 1 MiB by nested paging. */
export class TestHost {
  readonly memory: MachineMemory = new MachineMemory({ ramBytes: RAM_BYTES, reservedBytes: 16 * 2 ** 20 });
  readonly physical: PhysicalAddressSpace = new PhysicalAddressSpace(this.memory);
  readonly ports: PortSpace = new PortSpace();
  readonly svm: Svm;
  readonly processors: Processors;
  readonly cpu: Cpu;
  readonly vmcb: Vmcb;

  constructor(options: { model?: CpuModel; capabilities?: SvmPresetName | SvmCapabilities; jit?: JitOptions } = {}) {
    this.svm = new Svm(options.capabilities === undefined ? {} : { capabilities: options.capabilities });
    const model = options.model ?? amd;
    this.physical.addSlot({ id: 0, gpa: 0, bytes: RAM_BYTES, hostOffset: this.memory.ramOffset });
    const space = new CodeSpace(this.memory, decoderFor(model, [this.svm]), 2 ** 20, options.jit ?? false);
    this.physical.observer = space;
    this.processors = new Processors({
      memory: this.memory,
      physical: this.physical,
      ports: this.ports,
      model,
      cpus: 1,
      engine: (cpu) => new CpuEngine(space, cpu),
      extensions: () => [this.svm],
    });
    this.cpu = this.processors.bootstrap;
    const page = this.physical.hostPage(Place.VMCB);
    this.vmcb = new Vmcb(this.memory.u8.subarray(page, page + 4096));
    this.#host();
    this.#nestedTables();
    this.physical.write(Place.IOPM, new Uint8Array(0x3000).fill(0xff));
    this.physical.write(Place.MSRPM, new Uint8Array(0x2000).fill(0xff));
    this.set({
      INTERCEPT_3: mask('INTR', 'NMI', 'INIT', 'CPUID', 'HLT', 'IOIO_PROT', 'MSR_PROT', 'TASK_SWITCH', 'SHUTDOWN'),
      INTERCEPT_4: mask('VMRUN', 'VMMCALL', 'VMLOAD', 'VMSAVE', 'STGI', 'CLGI'),
      IOPM_BASE_PA: BigInt(Place.IOPM),
      MSRPM_BASE_PA: BigInt(Place.MSRPM),
      GUEST_ASID: 1n,
      NP_ENABLE: 1n,
      N_CR3: BigInt(Place.NESTED_TABLES),
      G_PAT: 0x0007_0406_0007_0406n,
      V_INTR_MASKING: 1n,
    });
  }

  /** 64-bit mode, the first 2 MiB and more mapped one to one, EFER.SVME. */
  #host(): void {
    const { cpu, physical } = this;
    const { registers } = cpu;
    physical.write64(Place.HOST_TABLES, BigInt(Place.HOST_TABLES + 0x1007));
    physical.write64(Place.HOST_TABLES + 0x1000, BigInt(Place.HOST_TABLES + 0x2007));
    physical.write64(Place.HOST_TABLES + 0x2000, 0x87n);
    physical.write64(Place.HOST_TABLES + 0x2008, 0x20_0087n);
    registers.set32(State.cr0, 0x8001_0033 | 0);
    registers.set32(State.cr4, 0x20);
    registers.set64(State.cr3, BigInt(Place.HOST_TABLES));
    registers.set64(State.efer, 0x1d01n);
    setSegment(registers, Segment.CS, 8, 0xa09b, 0xffff_ffff, 0);
    for (const segment of [0, 2, 3]) setSegment(registers, segment, 16, 0xc093, 0xffff_ffff, 0);
    registers.setGpr(4, 0x3_0000n);
    registers.rip = BigInt(Place.HOST_CODE);
    cpu.updatePaging();
    cpu.engine.flushAll();
    cpu.updateMode();
    cpu.msrs.write(0xc001_0117, BigInt(Place.HSAVE));
  }

  /** 4-KByte pages: guest-physical 0 to GUEST_BYTES. */
  #nestedTables(): void {
    const { physical } = this;
    const at = Place.NESTED_TABLES;
    physical.write64(at, BigInt(at + 0x1007));
    physical.write64(at + 0x1000, BigInt(at + 0x2007));
    physical.write64(at + 0x2000, BigInt(at + 0x3007));
    for (let page = 0; page < GUEST_BYTES / 4096; page++) this.nestedEntry(page * 4096, BigInt(Place.GUEST + page * 4096) | 7n);
  }
  /** Writes the last nested table entry of a guest-physical address. */
  nestedEntry(gpa: number, entry: bigint): this {
    this.physical.write64(Place.NESTED_TABLES + 0x3000 + (gpa >>> 12) * 8, entry);
    return this;
  }

  set(values: { readonly [Name in VmcbFieldName]?: bigint }): this {
    this.vmcb.assign(values);
    return this;
  }
  get(name: VmcbFieldName): bigint {
    return this.vmcb.read(VMCB_FIELD[name]);
  }
  num(name: VmcbFieldName): number {
    return Number(this.get(name));
  }
  /** Bytes in the guest's memory. */
  bytes(gpa: number, bytes: readonly number[]): this {
    this.physical.write(Place.GUEST + gpa, Uint8Array.from(bytes));
    return this;
  }
  write64(gpa: number, value: bigint): this {
    this.physical.write64(Place.GUEST + gpa, value);
    return this;
  }
  read64(gpa: number): bigint {
    return this.physical.read64(Place.GUEST + gpa);
  }

  /** Real-address mode at 0000:1000. */
  real(): this {
    return this.set({
      ...segments(['CS'], { SELECTOR: 0n, ATTRIBUTES: 0x9bn, LIMIT: 0xffffn, BASE: 0n }),
      ...segments(['SS', 'DS', 'ES', 'FS', 'GS'], { SELECTOR: 0n, ATTRIBUTES: 0x93n, LIMIT: 0xffffn, BASE: 0n }),
      IDTR_LIMIT: 0x3ffn,
      CR0: 0x10n,
      EFER: 0x1000n,
      RFLAGS: 2n,
      RIP: BigInt(Guest.CODE),
      RSP: BigInt(Guest.STACK),
      DR6: 0xffff_0ff0n,
      DR7: 0x400n,
    });
  }

  /** 64-bit mode at CPL 0, the guest's memory mapped one to one; interrupt gates for vectors 0 to 63 that lead to HLT at HANDLERS + 16 n. */
  long(): this {
    this.write64(Guest.TABLES, BigInt(Guest.TABLES + 0x1007));
    this.write64(Guest.TABLES + 0x1000, BigInt(Guest.TABLES + 0x2007));
    this.write64(Guest.TABLES + 0x2000, BigInt(Guest.TABLES + 0x3007));
    for (let page = 0; page < 256; page++) this.write64(Guest.TABLES + 0x3000 + page * 8, BigInt(page * 4096) | 7n);
    this.write64(Guest.GDT + 8, 0x00af_9b00_0000_ffffn).write64(Guest.GDT + 16, 0x00cf_9300_0000_ffffn);
    this.write64(Guest.GDT + 0x18, 0x00af_fb00_0000_ffffn).write64(Guest.GDT + 0x20, 0x00cf_f300_0000_ffffn);
    for (let vector = 0; vector < 64; vector++) {
      const target = BigInt(Guest.HANDLERS + vector * 16);
      this.write64(Guest.IDT + vector * 16, (8n << 16n) | (target & 0xffffn) | (0x8e00n << 32n)).write64(Guest.IDT + vector * 16 + 8, 0n);
      this.bytes(Guest.HANDLERS + vector * 16, [0xf4]);
    }
    return this.set({
      ...segments(['CS'], { SELECTOR: 8n, ATTRIBUTES: 0xa9bn, LIMIT: 0xffff_ffffn, BASE: 0n }),
      ...segments(['SS', 'DS', 'ES'], { SELECTOR: 16n, ATTRIBUTES: 0xc93n, LIMIT: 0xffff_ffffn, BASE: 0n }),
      ...segments(['TR'], { SELECTOR: 0x28n, ATTRIBUTES: 0x8bn, LIMIT: 0x67n, BASE: BigInt(Guest.TSS) }),
      GDTR_LIMIT: 0x3fn,
      GDTR_BASE: BigInt(Guest.GDT),
      IDTR_LIMIT: 0x3ffn,
      IDTR_BASE: BigInt(Guest.IDT),
      CR0: 0x8001_0033n,
      CR3: BigInt(Guest.TABLES),
      CR4: 0x20n,
      EFER: 0x1d01n,
      RFLAGS: 2n,
      RIP: BigInt(Guest.CODE),
      RSP: BigInt(Guest.STACK),
      DR6: 0xffff_0ff0n,
      DR7: 0x400n,
      CPL: 0n,
    });
  }
  code(...bytes: number[]): this {
    return this.bytes(Guest.CODE, bytes);
  }
  /** Code at an address of the guest. */
  load(bytes: Uint8Array, gpa: number = Guest.CODE): this {
    return this.bytes(gpa, [...bytes]);
  }
  /** Turns intercepts on, besides those that are. */
  intercept(...names: readonly InterceptName[]): this {
    for (const name of names) {
      const { field, bit } = INTERCEPTS[name];
      this.vmcb.write(VMCB_FIELD[field], this.get(field) | (1n << BigInt(bit)));
    }
    return this;
  }
  /** Turns intercepts off. */
  allow(...names: readonly InterceptName[]): this {
    for (const name of names) {
      const { field, bit } = INTERCEPTS[name];
      this.vmcb.write(VMCB_FIELD[field], this.get(field) & ~(1n << BigInt(bit)));
    }
    return this;
  }

  /** What #VMEXIT is to give back to the host, in words (DR7 and GIF apart). */
  get hostState(): readonly (readonly [string, bigint])[] {
    const { cpu } = this;
    const { registers } = cpu;
    const fields = ['rip', 'gdtrBase', 'idtrBase', 'cr3', 'efer', 'pat', 'tscOffset'] as const;
    const words = ['gdtrLimit', 'idtrLimit', 'cr0', 'cr4', 'cpl', 'eflags'] as const;
    return [
      ...fields.map((name) => [name, registers.get64(State[name])] as const),
      ...words.map((name) => [name, BigInt(registers.get32(State[name]) >>> 0)] as const),
      ['rax', registers.gpr(0)],
      ['rsp', registers.gpr(4)],
      ...[0, 1, 2, 3].flatMap((segment) =>
        [0, 8, 16, 24, 32].map((part) => [`segment ${segment}`, registers.get64(segmentOffset(segment, 'base') + part)] as const),
      ),
    ];
  }

  /** VMRUN through the face, and on until the guest exits (or the budget is used up). Gives the exit code. */
  enter(budget = 1000): number {
    this.svm.vmrun(Place.VMCB);
    return this.go(budget);
  }
  go(budget = 1000): number {
    if (this.svm.inGuest) this.cpu.run(budget);
    return this.svm.inGuest ? Number.NaN : this.vmcb.low(VMCB_FIELD.EXITCODE) | 0;
  }
}

/** Intercepts of one word. */
export function mask(...names: readonly InterceptName[]): bigint {
  return BigInt.asUintN(32, BigInt(names.reduce((bits, name) => bits | Intercept[name], 0)));
}

function segments<const Name extends 'CS' | 'SS' | 'DS' | 'ES' | 'FS' | 'GS' | 'TR'>(
  names: readonly Name[],
  values: Readonly<Record<'SELECTOR' | 'ATTRIBUTES' | 'LIMIT' | 'BASE', bigint>>,
): { readonly [Field in VmcbFieldName]?: bigint } {
  return Object.fromEntries(names.flatMap((name) => Object.entries(values).map(([part, value]) => [`${name}_${part}`, value])));
}

import { asm16, assemble } from '@minusone/asm';
import { Kvm, type KvmVendor, type Vcpu, type VcpuExit, type Vm } from '@minusone/kvm';
import type { JitOptions } from '@minusone/x86';
import { Isolation } from './isolation.ts';

/** Where an attacker's things stand: 4 MiB of RAM at 0, code in the second half of its first megabyte. */
export const Place = {
  /** Three pages that map the first GiB to itself. */
  TABLES: 0x1000,
  GDT: 0x4000,
  IDT: 0x6000,
  STACK: 0x9000,
  USER_STACK: 0xa000,
  /** A task-state segment. */
  TSS: 0xb000,
  SCRATCH: 0xc000,
  CODE: 0x10000,
  HANDLERS: 0x20000,
  /** Pages that attacks may make tables of. */
  OWN_TABLES: 0x40000,
  RAM_BYTES: 0x40_0000,
  /** No memory, no device. */
  HOLE: 0x2000_0000,
} as const;

export const Selector = { CODE: 8, DATA: 0x10, USER_CODE: 0x1b, USER_DATA: 0x23, TSS: 0x28, LDT: 0x38, FREE: 0x48 } as const;

/** Addresses of the host that an attack may aim at. */
export interface Targets {
  /** Host-physical address of the neighbour's RAM, of the host's first page of RAM, of the root of the attacker's own second stage. */
  readonly neighbour: number;
  readonly host: number;
  readonly root: number;
  readonly physicalBits: number;
  readonly vendor: 'intel' | 'amd';
}

/** Exits after which the VMM has seen enough of one attack. */
const MOST_EXITS = 24;

/** Ports that the handlers report to. */
const Report = { VECTOR: 0xe0, ERROR: 0xe1, ADDRESS: 0xe2 } as const;
const NAMES = [
  '#DE',
  '#DB',
  'NMI',
  '#BP',
  '#OF',
  '#BR',
  '#UD',
  '#NM',
  '#DF',
  '',
  '#TS',
  '#NP',
  '#SS',
  '#GP',
  '#PF',
  '',
  '#MF',
  '#AC',
  '#MC',
  '#XM',
];
const WITH_CODE = new Set([8, 10, 11, 12, 13, 14, 17]);

/** A handler that says which exception came, then waits. */
function handler64(vector: number): Uint8Array {
  const code = WITH_CODE.has(vector) ? 'pop rbx' : 'xor ebx, ebx';
  const source = `
        ${code}
        mov   al, ${vector}
        out   ${Report.VECTOR}, al
        mov   eax, ebx
        out   ${Report.ERROR}, eax
        mov   rax, cr2
        out   ${Report.ADDRESS}, eax
        hlt`;
  return assemble(source, { bits: 64 }).bytes;
}
const HANDLERS: readonly Uint8Array[] = Array.from({ length: 32 }, (_, vector) => handler64(vector));
const HANDLER_BYTES = 0x40;

const descriptor = (low: number, high: number): number[] =>
  [low, high].flatMap((word) => [0, 8, 16, 24].map((shift) => (word >>> shift) & 0xff));
/** The lower half of a system descriptor: TSS (type 9), LDT (2). */
export function systemDescriptor(base: bigint, limit: number, type: number): Uint8Array {
  const low = Number(base & 0xffffffffn);
  return Uint8Array.from([
    ...descriptor(
      (limit & 0xffff) | ((low & 0xffff) << 16),
      ((low >>> 16) & 0xff) | ((0x80 | type) << 8) | (limit & 0xf0000) | (low & 0xff000000),
    ),
    ...descriptor(Number((base >> 32n) & 0xffffffffn), 0),
  ]);
}
const GDT = Uint8Array.from([
  ...descriptor(0, 0),
  ...descriptor(0x0000ffff, 0x00af9b00),
  ...descriptor(0x0000ffff, 0x00cf9300),
  ...descriptor(0x0000ffff, 0x00affb00),
  ...descriptor(0x0000ffff, 0x00cff300),
  ...systemDescriptor(BigInt(Place.TSS), 0x67, 9),
  ...systemDescriptor(BigInt(Place.SCRATCH), 0xfff, 2),
  ...descriptor(0, 0),
  ...descriptor(0, 0),
]);

export interface ArenaOptions {
  readonly jit: boolean | JitOptions;
  readonly irqchip: boolean;
}

/**
 * A host with two guests: one that attacks, and its neighbour, which has been half through its work and is never disturbed. What an attack leaves behind is judged by `isolation`.
 */
export class Arena {
  readonly kvm: Kvm;
  readonly vm: Vm;
  readonly vcpu: Vcpu;
  readonly neighbour: Vcpu;
  readonly isolation: Isolation;
  readonly targets: Targets;

  constructor(vendor: KvmVendor, { jit, irqchip }: ArenaOptions) {
    this.kvm = new Kvm(vendor, { memory: '16M', jit });
    Isolation.fill(this.kvm);
    const { kvm } = this;
    const other = kvm.createVm({ memory: '256K' });
    this.neighbour = other.createVcpu(0);
    other.memory.write(
      0x1000,
      asm16`
  next: mov   cx, 100
  more: add   [0x3000], cx
        loop  more
        mov   ax, [0x3000]
        out   0x10, ax
        jmp   next`,
    );
    this.neighbour.start({ mode: 'real', ip: 0x1000, sp: 0x8000 });
    this.neighbour.run();
    // From here on every page is the attacker's.
    this.isolation = new Isolation(kvm, [this.neighbour]);
    let root = 0;
    const { createVcpu } = kvm.vendor;
    (kvm.vendor as { createVcpu: typeof createVcpu }).createVcpu = (parts) => {
      root = parts.root;
      return createVcpu(parts);
    };
    this.vm = kvm.createVm({ memory: Place.RAM_BYTES });
    if (irqchip) this.vm.createIrqchip();
    this.vcpu = this.vm.createVcpu(0);
    const { ramOffset } = kvm.host.memory;
    this.targets = {
      neighbour: ramOffset + 0x1000,
      host: ramOffset,
      root,
      physicalBits: kvm.vendor.model.physicalBits,
      vendor: kvm.vendor.model.vendor,
    };
  }

  /** The attacker at its beginning: RAM but for the code (what was compiled of it stays), tables, handlers; the processor reset. */
  reset(): void {
    const { vm, vcpu } = this;
    vm.memory.write(Place.TABLES, new Uint8Array(Place.CODE - Place.TABLES));
    vm.memory.write(Place.OWN_TABLES, new Uint8Array(0x20000));
    vcpu.start({ mode: 'long', ip: Place.CODE, tables: Place.TABLES, sp: Place.STACK });
    vm.memory.write(Place.GDT, GDT);
    for (const [vector] of HANDLERS.entries()) {
      const at = Place.HANDLERS + vector * HANDLER_BYTES;
      vm.memory.write(
        Place.IDT + vector * 16,
        Uint8Array.from([...descriptor((at & 0xffff) | (Selector.CODE << 16), (at & 0xffff0000) | 0x8e00), ...descriptor(0, 0)]),
      );
    }
    vcpu.setSregs({
      ...vcpu.getSregs(),
      gdt: { base: BigInt(Place.GDT), limit: GDT.length - 1 },
      idt: { base: BigInt(Place.IDT), limit: 0x1ff },
    });
    vcpu.setVcpuEvents({ ...vcpu.getVcpuEvents(), nmi: { injected: false, pending: false, masked: false } });
  }

  /** Writes the code of an attack, and the handlers. */
  load(code: Uint8Array): void {
    this.vm.memory.write(Place.CODE, code);
    for (const [vector, bytes] of HANDLERS.entries()) this.vm.memory.write(Place.HANDLERS + vector * HANDLER_BYTES, bytes);
  }

  /** What the VMM sees of an attack, a word each, until it waits, ends, or has had its time. Reads are answered with all ones, as by a bus where nothing stands. */
  watch(instructions = 100_000): string[] {
    const seen: string[] = [];
    const { vcpu } = this;
    for (let n = 0; n < MOST_EXITS; n++) {
      const exit = vcpu.run({ instructions });
      if (exit.reason === 'io' && exit.direction === 'out' && exit.port === Report.VECTOR) {
        seen.push(this.#exception(exit.data[0] as number));
        return seen;
      }
      seen.push(word(exit));
      if ((exit.reason === 'io' && exit.direction === 'in') || (exit.reason === 'mmio' && !exit.isWrite)) exit.data.fill(0xff);
      if (exit.reason !== 'io' && exit.reason !== 'mmio' && exit.reason !== 'setTpr') return seen;
    }
    seen.push('...');
    return seen;
  }

  /** What a handler says: vector, error code, CR2. */
  #exception(vector: number): string {
    const value = (): number => {
      const exit = this.vcpu.run({ instructions: 1000 });
      if (exit.reason !== 'io') throw new Error(`a handler was interrupted by ${exit.reason}`);
      return new DataView(exit.data.buffer, exit.data.byteOffset, 4).getUint32(0, true);
    };
    const code = value();
    const address = value();
    const name = NAMES[vector] ?? `vector ${vector}`;
    return `${name}${WITH_CODE.has(vector) ? `(${code.toString(16)})` : ''}${vector === 14 ? ` at ${address.toString(16)}` : ''}`;
  }

  /** The neighbour's next word, which has to be what it would have said without anybody beside it. */
  neighbourSays(): number {
    const exit = this.neighbour.run({ instructions: 10_000 });
    if (exit.reason !== 'io') throw new Error(`the neighbour gave ${exit.reason}`);
    return new DataView(exit.data.buffer, exit.data.byteOffset, 2).getUint16(0, true);
  }
}

function word(exit: VcpuExit): string {
  const hex = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  switch (exit.reason) {
    case 'io':
      return `${exit.direction} ${exit.port.toString(16)} ${exit.size}x${exit.count}${exit.direction === 'out' ? ` ${hex(exit.data)}` : ''}`;
    case 'mmio':
      return exit.isWrite
        ? `write ${exit.physAddr.toString(16)} ${hex(exit.data)}`
        : `read ${exit.physAddr.toString(16)} ${exit.data.length}`;
    case 'internalError':
      return `internalError ${exit.suberror}`;
    default:
      return exit.reason;
  }
}

import type { Kvm, Vcpu } from '@minusone/kvm';
import { STATE_BYTES } from '@minusone/x86';

const PATTERN = 0xa5;

/** A run of bytes of the host's memory that have to stay what they are. */
interface Kept {
  readonly from: number;
  readonly to: number;
}

/**
 * Who owns which page of the host's memory, and a copy of all that does not belong to one guest. Pages that nobody owns count too: they are filled with a pattern first, so
 * that a write of zeros shows.
 */
export class Isolation {
  readonly #kvm: Kvm;
  readonly #attackers = new Set<number>();
  #before: Uint8Array = new Uint8Array(0);
  /** Processors that serve other guests: their state stands below the host's RAM, among the engine's own. */
  readonly #others: readonly Vcpu[];
  #states: Uint8Array[] = [];

  /** Notes from now on, as the attacker's, every page that is handed out. */
  constructor(kvm: Kvm, others: readonly Vcpu[]) {
    this.#kvm = kvm;
    this.#others = others;
    const { pages } = kvm.host;
    const allocate = pages.allocateBytes.bind(pages);
    pages.allocateBytes = (bytes, alignment) => {
      const at = allocate(bytes, alignment);
      for (let page = at; page < at + bytes; page += 4096) this.#attackers.add(page);
      return at;
    };
  }

  /** Fills a new host's RAM with the pattern. */
  static fill(kvm: Kvm): void {
    const { u8, ramOffset, ramBytes } = kvm.host.memory;
    u8.fill(PATTERN, ramOffset, ramOffset + ramBytes);
  }

  #kept(): Kept[] {
    const { ramOffset, ramBytes } = this.#kvm.host.memory;
    const runs: { from: number; to: number }[] = [];
    for (let page = ramOffset; page < ramOffset + ramBytes; page += 4096) {
      if (this.#attackers.has(page)) continue;
      const last = runs[runs.length - 1];
      if (last?.to === page) last.to += 4096;
      else runs.push({ from: page, to: page + 4096 });
    }
    return runs;
  }

  /** Bytes that are watched. */
  get watchedBytes(): number {
    return this.#kept().reduce((sum, { from, to }) => sum + to - from, 0);
  }
  owns(hpa: number): boolean {
    return this.#attackers.has(hpa - (hpa % 4096));
  }

  remember(): void {
    const { u8, ramOffset, ramBytes } = this.#kvm.host.memory;
    if (this.#before.length !== ramBytes) this.#before = new Uint8Array(ramBytes);
    this.#before.set(u8.subarray(ramOffset, ramOffset + ramBytes));
    this.#states = this.#others.map((vcpu) => stateOf(vcpu).slice());
  }

  /** The first host-physical address that is not what it was and not the attacker's; undefined: nothing has changed. */
  firstChange(): string | undefined {
    const { u8, ramOffset } = this.#kvm.host.memory;
    for (const { from, to } of this.#kept()) {
      const now = Buffer.from(u8.buffer, u8.byteOffset + from, to - from);
      const before = this.#before.subarray(from - ramOffset, to - ramOffset);
      if (now.equals(before)) continue;
      const at = now.findIndex((byte, n) => byte !== before[n]);
      return `host-physical 0x${(from + at).toString(16)}: 0x${(before[at] as number).toString(16)} is 0x${(now[at] as number).toString(16)}`;
    }
    const changed = this.#others.findIndex((vcpu, n) => !Buffer.from(stateOf(vcpu)).equals(this.#states[n] as Uint8Array));
    return changed < 0 ? undefined : `the processor of another guest's virtual CPU ${changed}`;
  }

  /** Every page that a second stage maps, checked against what its guest owns: the first that is not. */
  firstForeignMapping(root: number): string | undefined {
    const { memory, vendor } = this.#kvm.host;
    const { tables: format } = vendor;
    const walk = (table: number, level: number, gpa: number): string | undefined => {
      if (!this.owns(table)) return `a table at 0x${table.toString(16)}`;
      for (let index = 0; index < 512; index++) {
        const [low = 0, high = 0] = memory.u32.subarray((table + index * 8) / 4, (table + index * 8) / 4 + 2);
        if (!format.isPresent(low, high)) continue;
        const size = 2 ** (12 + 9 * (level - 1));
        const address = format.address(low, high);
        const at = gpa + index * size;
        if (level > 1 && !format.isLeaf(low, high, level)) {
          const found = walk(address, level - 1, at);
          if (found !== undefined) return found;
          continue;
        }
        for (let page = address; page < address + size; page += 4096) {
          if (!this.owns(page)) return `guest-physical 0x${at.toString(16)} at host-physical 0x${page.toString(16)}`;
        }
      }
      return undefined;
    };
    return walk(root, 4, 0);
  }
}

function stateOf(vcpu: Vcpu): Uint8Array {
  const { cpu } = vcpu;
  return cpu.memory.u8.subarray(cpu.state, cpu.state + STATE_BYTES);
}

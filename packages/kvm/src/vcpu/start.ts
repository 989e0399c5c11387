import { InvalidArgumentError } from '@minusone/core';
import { Cr0, Cr4, Efer } from '@minusone/x86';
import type { VcpuCore } from './core.ts';
import { setRegs } from './state/regs.ts';
import { getSregs, type KvmSegment, setSregs } from './state/sregs.ts';

/** How `Vcpu.start` is to leave a virtual CPU. */
export type StartState =
  /** Real-address mode. `ip` below 64 KiB, in the segment `cs` (0). */
  | { readonly mode: 'real'; readonly ip: number; readonly cs?: number; readonly sp?: number }
  /** Protected mode without paging, flat 32-bit segments. */
  | { readonly mode: 'protected'; readonly ip: number; readonly sp?: number }
  /** 64-bit mode. `cr3`: page tables that stand; or `tables`: three pages where tables are built that map the first GiB to itself. */
  | {
      readonly mode: 'long';
      readonly ip: number | bigint;
      readonly sp?: number | bigint;
      readonly cr3?: number | bigint;
      readonly tables?: number;
    };

const CODE: KvmSegment = {
  base: 0n,
  limit: 0xffffffff,
  selector: 8,
  type: 11,
  present: 1,
  dpl: 0,
  db: 1,
  s: 1,
  l: 0,
  g: 1,
  avl: 0,
  unusable: 0,
};
const DATA: KvmSegment = { ...CODE, selector: 16, type: 3 };
const PRESENT_WRITABLE = 3n;
const LARGE = 0x80n;

/**
 * Puts a virtual CPU where a guest's code begins: sound segments and control registers for the mode, all other registers zero, interrupts off.
 * @throws {InvalidArgumentError} an address that the mode cannot have, or 64-bit mode without page tables
 * @throws {NoMemoryAtAddressError} no RAM stands at `tables`
 */
export function start(core: VcpuCore, state: StartState): void {
  core.reset(false);
  core.mpState = 'runnable';
  const sregs = getSregs(core);
  if (state.mode === 'real') {
    const { ip, cs = 0, sp = 0 } = state;
    if (ip < 0 || ip > 0xffff || cs < 0 || cs > 0xffff) {
      throw new InvalidArgumentError(`${cs.toString(16)}:${ip.toString(16)} is no real-mode address.`, 'Segment and offset have 16 bits.', {
        ip,
        cs,
      });
    }
    sregs.cs = { ...sregs.cs, selector: cs, base: BigInt(cs) << 4n };
    setSregs(core, sregs);
    begin(core, BigInt(ip), BigInt(sp));
    return;
  }
  sregs.cs = state.mode === 'long' ? { ...CODE, db: 0, l: 1 } : { ...CODE };
  for (const name of ['ds', 'es', 'fs', 'gs', 'ss'] as const) sregs[name] = { ...DATA };
  sregs.cr0 = BigInt(Cr0.PE | Cr0.ET | Cr0.NE);
  if (state.mode === 'long') {
    sregs.cr3 = state.cr3 === undefined ? identityTables(core, state.tables) : BigInt(state.cr3);
    sregs.cr0 |= 0x80000000n;
    sregs.cr4 = BigInt(Cr4.PAE | Cr4.OSFXSR | Cr4.OSXMMEXCPT);
    sregs.efer = BigInt(Efer.LME | Efer.LMA);
  }
  setSregs(core, sregs);
  begin(core, BigInt(state.ip), BigInt(state.sp ?? 0));
}

function begin(core: VcpuCore, rip: bigint, rsp: bigint): void {
  setRegs(core, { rip, rsp, rflags: 2n, rdx: 0n });
}

function identityTables(core: VcpuCore, at: number | undefined): bigint {
  if (at === undefined || at % 4096 !== 0) {
    throw new InvalidArgumentError(
      '64-bit mode needs page tables.',
      'Give `cr3`, or in `tables` the address of three pages to build them in.',
      { tables: at },
    );
  }
  const bytes = new Uint8Array(3 * 4096);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(at + 4096) | PRESENT_WRITABLE, true);
  view.setBigUint64(4096, BigInt(at + 8192) | PRESENT_WRITABLE, true);
  for (let n = 0; n < 512; n++) view.setBigUint64(8192 + n * 8, BigInt(n * 2 ** 21) | PRESENT_WRITABLE | LARGE, true);
  core.vm.physical.write(at, bytes);
  return BigInt(at);
}

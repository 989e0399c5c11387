import { Access, formatTranslation, type Translation, translate } from '@minusone/mmu';
import { disassemble, readEflags, Segment, State, segmentOffset } from '@minusone/x86';
import type { VendorVcpu } from '../vendor/vendor.ts';
import type { GuestPhysical } from '../vm/guest-physical.ts';
import type { Emulator } from './emulator.ts';

const LONGEST_INSTRUCTION = 15;
const GPR_NAMES = ['RAX', 'RCX', 'RDX', 'RBX', 'RSP', 'RBP', 'RSI', 'RDI', 'R8', 'R9', 'R10', 'R11', 'R12', 'R13', 'R14', 'R15'] as const;

function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}

/** The guest's own walk of a linear address, every step on record. */
export function walkOf(emulator: Emulator, physical: GuestPhysical, linear: bigint, access: number): Translation {
  return translate(emulator.cpu.paging, physical, linear, access | Access.INSPECT);
}

/** What stands where a guest is: its instruction, registers, and the walk of the address concerned (by default that of the instruction). */
export function explainGuest(emulator: Emulator, physical: GuestPhysical, vendor: VendorVcpu, about: string, linear?: bigint): string {
  emulator.load(vendor);
  const { cpu } = emulator;
  const { registers } = cpu;
  const base = cpu.is64Bit ? 0n : registers.get64(segmentOffset(Segment.CS, 'base'));
  const at = BigInt.asUintN(cpu.is64Bit ? 64 : 32, base + registers.rip);
  const bytes = codeAt(emulator, physical, at);
  const [line] = [...disassemble(bytes, { bits: cpu.codeBits, address: registers.rip })];
  const shown =
    line === undefined ? 'cannot be read' : `${[...line.bytes].map((b) => b.toString(16).padStart(2, '0')).join(' ')}  ${line.text}`;
  const mode = cpu.is64Bit
    ? '64-bit'
    : cpu.isVirtual8086
      ? 'virtual-8086'
      : cpu.isRealMode
        ? 'real-address'
        : `${cpu.codeBits}-bit protected`;
  const gprs = GPR_NAMES.map((name, n) => `${name} ${hex(registers.gpr(n))}`);
  return [
    about,
    `instruction at ${hex(registers.rip)} (linear ${hex(at)}, ${mode} mode, CPL ${cpu.cpl}): ${shown}`,
    gprs.slice(0, 8).join('  '),
    gprs.slice(8).join('  '),
    `GDTR ${hex(registers.get64(State.gdtrBase))} limit ${hex(registers.get32(State.gdtrLimit))}  IDTR ${hex(registers.get64(State.idtrBase))} limit ${hex(registers.get32(State.idtrLimit))}`,
    `RFLAGS ${hex(readEflags(registers) >>> 0)}  CR0 ${hex(registers.get32(State.cr0) >>> 0)}  CR2 ${hex(registers.get64(State.cr2))}  CR3 ${hex(registers.get64(State.cr3))}  CR4 ${hex(registers.get32(State.cr4) >>> 0)}  EFER ${hex(registers.get64(State.efer))}`,
    `walk of ${hex(linear ?? at)}:`,
    ...formatTranslation(walkOf(emulator, physical, linear ?? at, linear === undefined ? Access.EXECUTE : Access.READ)).map(
      (text) => `  ${text}`,
    ),
  ].join('\n');
}

/** The bytes at a linear address that can be fetched; the emulator holds the guest's state. */
function codeAt(emulator: Emulator, physical: GuestPhysical, linear: bigint): Uint8Array {
  const bytes: number[] = [];
  for (let n = 0; n < LONGEST_INSTRUCTION; n++) {
    const { ok, gpa } = walkOf(emulator, physical, linear + BigInt(n), Access.EXECUTE);
    if (!ok || gpa === undefined || physical.isDeviceRead(gpa)) break;
    bytes.push(physical.read8(gpa));
  }
  return Uint8Array.from(bytes);
}

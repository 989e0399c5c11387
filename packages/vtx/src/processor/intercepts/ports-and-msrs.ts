import { Gpr, type InterceptEvent, linearBase, Segment } from '@minusone/x86';
import { ExitReason } from '../../exit/reasons.ts';
import { Primary } from '../controls.ts';
import { stringIoInformation } from '../instruction-information.ts';
import type { VmxOperation } from '../operation.ts';
import { instructionExit, setInstructionInformation, setLinearAddress } from './instruction-exit.ts';

type IoEvent = Extract<InterceptEvent, { kind: 'io' }>;
type MsrEvent = Extract<InterceptEvent, { kind: 'msr' }>;

/** IN, INS, OUT, OUTS (SDM Vol. 3C, 26.1.3; bitmaps 25.6.4). */
export function interceptIo(op: VmxOperation, event: IoEvent): boolean {
  const { controls, cpu } = op;
  const { port, size } = event;
  if (controls.hasPrimary(Primary.useIoBitmaps)) {
    if (!portExits(op, port, size)) return false;
  } else if (!controls.hasPrimary(Primary.unconditionalIoExiting)) return false;
  const qualification =
    (size - 1) | (event.input ? 8 : 0) | (event.string ? 0x10 : 0) | (event.rep ? 0x20 : 0) | (event.immediate ? 0x40 : 0) | (port << 16);
  if (event.string) {
    const segment = event.input ? Segment.ES : event.segment;
    const index = event.input ? Gpr.RDI : Gpr.RSI;
    const low = cpu.registers.gprLow(index);
    const bytes = event.addressBytes;
    linearBase(cpu, segment, bytes === 2 ? low & 0xffff : low, bytes === 8 ? cpu.registers.gprHigh(index) : 0);
    setLinearAddress(op, cpu.linearLow, cpu.linearHigh);
    setInstructionInformation(op, stringIoInformation(bytes, segment));
  }
  return instructionExit(op, ExitReason.IO_INSTRUCTION, qualification);
}

/** A bit of any port accessed, or an access that wraps from FFFFH to 0. */
function portExits(op: VmxOperation, port: number, size: number): boolean {
  if (port + size > 0x1_0000) return true;
  const { physical } = op.cpu;
  for (let each = port; each < port + size; each++) {
    const bitmap = each < 0x8000 ? op.controls.ioBitmapA : op.controls.ioBitmapB;
    if ((physical.read8(bitmap + ((each & 0x7fff) >>> 3)) & (1 << (each & 7))) !== 0) return true;
  }
  return false;
}

const WRITES = 0x800;
const HIGH_MSRS = 0x400;

/** RDMSR and WRMSR (26.1.3; bitmaps 25.6.9): without bitmaps, and outside their two ranges, they exit always. */
export function interceptMsr(op: VmxOperation, event: MsrEvent): boolean {
  const { index, write } = event;
  if (op.controls.hasPrimary(Primary.useMsrBitmaps)) {
    const range = index & 0xffff_e000;
    if (range === 0 || range === (0xc000_0000 | 0)) {
      const offset = (write ? WRITES : 0) + (range === 0 ? 0 : HIGH_MSRS) + ((index & 0x1fff) >>> 3);
      if ((op.cpu.physical.read8(op.controls.msrBitmap + offset) & (1 << (index & 7))) === 0) return false;
    }
  }
  return instructionExit(op, write ? ExitReason.MSR_WRITE : ExitReason.MSR_READ);
}

import type { SecondStage } from '@minusone/mmu';
import { type Cpu, type Decoder, decoderFor, State } from '@minusone/x86';
import { fetchInstructionBytes, INSTRUCTION_BYTES } from './instruction-bytes.ts';

const bytes = new Uint8Array(INSTRUCTION_BYTES);
let decoder: Decoder | undefined;

/**
 * Puts the successor of the BOUND at CS:rIP into `cpu.nextRipLow` and `nextRipHigh`: its #BR comes from compiled code, which does not know it, and an exit reports it
 * (APM Vol. 2, 15.7.1 "State Saved on Exit"). BOUND does not exist in 64-bit mode.
 */
export function findSuccessorOfBound(cpu: Cpu, stage: SecondStage | null): void {
  decoder ??= decoderFor(cpu.model);
  const insn = decoder.decode(bytes, 0, fetchInstructionBytes(cpu, stage, bytes, 0), cpu.codeBits);
  const next = (cpu.registers.get32(State.rip) >>> 0) + (typeof insn === 'string' ? 0 : insn.length);
  cpu.nextRipLow = cpu.codeBits === 16 && !cpu.isProtected ? next & 0xffff : next | 0;
  cpu.nextRipHigh = 0;
}

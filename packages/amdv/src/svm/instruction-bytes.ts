import { Access, type SecondStage, WalkResult, walk } from '@minusone/mmu';
import { type Cpu, Segment, State, segmentOffset } from '@minusone/x86';

/** An instruction is never longer. */
export const INSTRUCTION_BYTES = 15;
const result = new WalkResult();

/**
 * Copies up to 15 bytes of the instruction at CS:rIP; fewer where the next page cannot be fetched. Flags of page tables stay as they are.
 * @returns how many
 */
export function fetchInstructionBytes(cpu: Cpu, stage: SecondStage | null, into: Uint8Array, at: number): number {
  const { registers, physical } = cpu;
  const in64Bit = cpu.is64Bit;
  const rip = registers.get32(State.rip);
  const base = in64Bit ? 0 : registers.get32(segmentOffset(Segment.CS, 'base'));
  let low = (base + rip) | 0;
  let high = in64Bit ? registers.get32(State.rip + 4) : 0;
  const access = Access.EXECUTE | Access.INSPECT | (cpu.cpl === 3 ? Access.USER : 0);
  let count = 0;
  while (count < INSTRUCTION_BYTES) {
    if (!walk(cpu.paging, physical, low, high, access, stage, result)) break;
    const inPage = Math.min(INSTRUCTION_BYTES - count, 0x1000 - (low & 0xfff));
    for (let i = 0; i < inPage; i++) into[at + count + i] = physical.read8(result.pa + i);
    count += inPage;
    low = (low + inPage) | 0;
    if (low === 0 && in64Bit) high = (high + 1) | 0;
  }
  return count;
}

/**
 * Decode assists for #PF and NPF (APM Vol. 2, 15.8.4 "Nested and Intercepted #PF"): writes the count and the bytes of the instruction.
 * @param to place of the count in the machine's memory, in bytes
 */
export function storeInstructionBytes(cpu: Cpu, stage: SecondStage | null, to: number): void {
  const { u8 } = cpu.memory;
  const count = fetchInstructionBytes(cpu, stage, u8, to + 1);
  u8[to] = count;
  u8.fill(0, to + 1 + count, to + 1 + INSTRUCTION_BYTES);
}

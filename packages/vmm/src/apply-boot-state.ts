import type { BootState, RegisterName, SegmentName } from '@minusone/loader';
import { type Cpu, Gpr, Segment, State, setSegment, writeEflags } from '@minusone/x86';

const SEGMENTS: Readonly<Record<SegmentName, number>> = {
  es: Segment.ES,
  cs: Segment.CS,
  ss: Segment.SS,
  ds: Segment.DS,
  fs: Segment.FS,
  gs: Segment.GS,
  ldtr: Segment.LDTR,
  tr: Segment.TR,
};

const high = (value: number): number => Math.floor(value / 2 ** 32) | 0;

/** Puts a CPU that has just been reset into the state in which a loader wants its image started. */
export function applyBootState(cpu: Cpu, state: BootState): void {
  const { registers } = cpu;
  if (!state.keepsReset) {
    for (const index of Object.values(Gpr)) registers.setGprHalves(index, 0, 0);
    for (const [name, value] of Object.entries(state.registers) as [RegisterName, number][]) {
      registers.setGprHalves(Gpr[name.toUpperCase() as keyof typeof Gpr], value | 0, high(value));
    }
  }
  for (const [name, segment] of Object.entries(state.segments) as [SegmentName, BootState['segments'][SegmentName]][]) {
    setSegment(registers, SEGMENTS[name], segment.selector, segment.attributes, segment.limit, segment.base | 0, high(segment.base));
  }
  for (const [base, limit, table] of [
    [State.gdtrBase, State.gdtrLimit, state.gdtr],
    [State.idtrBase, State.idtrLimit, state.idtr],
  ] as const) {
    registers.set64(base, BigInt(table.base));
    registers.set32(limit, table.limit);
  }
  registers.set32(State.cr0, state.cr0 | 0);
  registers.set64(State.cr3, BigInt(state.cr3));
  registers.set32(State.cr4, state.cr4);
  registers.set64(State.efer, BigInt(state.efer));
  registers.rip = BigInt(state.rip);
  writeEflags(registers, state.rflags);
  registers.set32(State.cpl, 0);
  cpu.updatePaging();
  cpu.updateMode();
  cpu.engine.flushAll();
}

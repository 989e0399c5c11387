/**
 * The public face of `@minusone/x86`, by folder: `table/` and `instructions/` (the table, and what makes rows), `semantics/` (what a row's effect is written against),
 * `decode/` and `disassemble/` (bytes to instructions to text), `state/` (registers in linear memory), `cpu/` (processors, events, models, MSRs, local APICs, extensions),
 * `engine/` (what runs instructions).
 */

export * from './cpu/index.ts';
export * from './decode/decoder.ts';
export * from './decode/insn.ts';
export * from './decode/operand-size.ts';
export * from './decode/operands.ts';
export * from './decode/resolve-operands.ts';
export { decoderFor } from './decoder-for.ts';
export * from './disassemble/disassemble.ts';
export * from './disassemble/format.ts';
export { CpuEngine } from './engine/cpu-engine.ts';
export type { AccessRights, Engine, EngineHost, EngineStatistics, LinearAccess, ReadGate } from './engine/engine.ts';
export { Exit } from './engine/exit.ts';
export { type Block, CodeSpace, type CodeUser } from './engine/interpreter/code-space.ts';
export type { JitOptions, RegionCache } from './engine/jit/region-cache.ts';
export type { RegionLimits } from './engine/jit/region-graph.ts';
export { instructionTable } from './instructions/index.ts';
export * from './instructions/system/operand-access.ts';
export type { Emit, FlagsEmit, FpuEmit, Operand, Value } from './semantics/emit.ts';
export { type Subroutine, subroutine } from './semantics/subroutine.ts';
export * from './state/layout.ts';
export * from './state/mode.ts';
export { Registers } from './state/registers.ts';
export * from './table/form.ts';
export * from './table/instruction-table.ts';
export * from './table/row.ts';

import type { Cpu } from '../cpu.ts';

/**
 * One model-specific register, or a run of alike ones. `read` and `write` get the index, for runs. They raise #GP(0) by throwing `raise(...)`;
 * where `write` is missing every write is #GP(0).
 */
export interface MsrRow {
  readonly index: number;
  /** How many consecutive registers (default 1). */
  readonly count?: number;
  /** As the manual names it. */
  readonly name: string;
  /** Manual section, or `APM` with one. */
  readonly section: string;
  /** Only on this vendor's processors. */
  readonly vendor?: 'intel' | 'amd';
  /** Only where the model has it. */
  readonly feature?: string;
  readonly read: (cpu: Cpu, index: number) => bigint;
  readonly write?: (cpu: Cpu, value: bigint, index: number) => void;
  /** Value after reset of one that is plain storage (see `storage`). */
  readonly reset?: bigint;
}

import type { MachineMemory, PhysicalAddressSpace, PortSpace } from '@minusone/memory';
import type { Engine, LinearAccess } from '../engine/engine.ts';
import type { Registers } from '../state/registers.ts';

/** The CPU as system rows see it. (To be replaced by the class of this name, which has these members.) */
export interface Cpu {
  readonly state: number;
  readonly memory: MachineMemory;
  readonly physical: PhysicalAddressSpace;
  readonly ports: PortSpace;
  readonly registers: Registers;
  readonly engine: Engine;
  readonly linear: LinearAccess;
  raise(vector: number, errorCode?: number): never;
}

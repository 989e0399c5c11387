import { TestCpu } from '../../test-machine.ts';

/** So many blocks, each a region of its own. */
const BLOCKS = 4096;
const BLOCK_BYTES = 16;

/**
 * A guest that has ever new regions compiled: a ring of blocks, more of them than regions may live, each entered once a round.
 */
export function manyRegions(options: { maxRegions: number }): { readonly cpu: TestCpu; readonly run: (regions: number) => void } {
  const limits = { blocks: 1, instructions: 400 };
  const cpu = new TestCpu({ origin: 0x1_0000, jit: { threshold: 1, limits, ...options } });
  // INC RAX; JMP to the next block; the last one jumps to the first.
  for (let n = 0; n < BLOCKS; n++) cpu.load([0x48, 0xff, 0xc0, 0xeb, BLOCK_BYTES - 5], 0x1_0000 + n * BLOCK_BYTES);
  const back = -((BLOCKS - 1) * BLOCK_BYTES + 8);
  cpu.load(
    [0x48, 0xff, 0xc0, 0xe9, back & 0xff, (back >> 8) & 0xff, (back >> 16) & 0xff, (back >> 24) & 0xff],
    0x1_0000 + (BLOCKS - 1) * BLOCK_BYTES,
  );
  return { cpu, run: (regions) => void cpu.run(2 * regions + 2) };
}

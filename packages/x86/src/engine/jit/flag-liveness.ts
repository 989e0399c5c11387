import type { Insn } from '../../decode/insn.ts';
import type { RegionBlock } from './region-graph.ts';

/** Instructions that set all six arithmetic flags, look at none, and cannot fault on registers and immediates. */
const DEFINES = new Set('ADD SUB CMP AND OR XOR TEST NEG IMUL MUL'.split(' '));
/** Those that do neither, and cannot fault on registers. */
const TRANSPARENT = new Set('MOV MOVZX MOVSX MOVSXD NOP ENDBR64 ENDBR32 NOT BSWAP XCHG CBW/CWDE/CDQE CWD/CDQ/CQO'.split(' '));

function accessesMemory(insn: Insn): boolean {
  return (
    !insn.isRegisterForm || insn.form.operands.some(({ method }) => method === 'O' || method === 'X' || method === 'Y' || method === 'M')
  );
}

/**
 * Whether the arithmetic flags that stand at the start of a block are never seen: it sets them all before it looks at any, and before any place where it could
 * leave. Then they need not be in the state when the block is entered.
 */
export function flagsAreDeadAt(block: RegionBlock): boolean {
  for (const insn of block.insns) {
    const { mnemonic } = insn.form;
    if (mnemonic === 'LEA') continue;
    if (accessesMemory(insn) && mnemonic !== 'NOP') return false;
    if (DEFINES.has(mnemonic)) return true;
    if (!TRANSPARENT.has(mnemonic)) return false;
  }
  return false;
}

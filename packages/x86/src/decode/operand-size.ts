import type { Insn } from './insn.ts';

/** Bytes that the size letters of an operand stand for (SDM Vol. 2D, A.2.2 "Codes for Operand Type"). */
export function operandBytesOf(letters: string, insn: Pick<Insn, 'operandBytes' | 'vectorBytes'>): number {
  const { operandBytes } = insn;
  switch (letters) {
    case 'b':
      return 1;
    case 'w':
      return 2;
    case 'd':
    case 'ss':
      return 4;
    case 'q':
    case 'sd':
      return 8;
    case 'v':
      return operandBytes;
    case 'z':
      return operandBytes === 2 ? 2 : 4;
    case 'y':
      return operandBytes === 8 ? 8 : 4;
    case 't':
      return 10;
    case 'dq':
      return 16;
    case 'qq':
      return 32;
    case 'x':
    case 'ps':
    case 'pd':
      return insn.vectorBytes === 0 ? 16 : insn.vectorBytes;
    case 'p':
      return 2 + operandBytes;
    case 'a':
      return 2 * operandBytes;
    default:
      return 0;
  }
}

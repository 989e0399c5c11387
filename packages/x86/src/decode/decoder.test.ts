import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatInsn } from '../disassemble/format.ts';
import { instructionTable } from '../instructions/index.ts';
import { Segment } from '../state/layout.ts';
import { InstructionTable } from '../table/instruction-table.ts';
import { instruction } from '../table/row.ts';
import { type DecodeFailure, Decoder } from './decoder.ts';
import type { Insn } from './insn.ts';

const decoder = new Decoder(instructionTable);
const parse = (text: string) => Uint8Array.from(text.split(' ').filter(Boolean), (byte) => Number.parseInt(byte, 16));

function decode(text: string, bits: 16 | 32 | 64 = 64, from: Decoder = decoder): Insn | DecodeFailure {
  const bytes = parse(text);
  return from.decode(bytes, 0, bytes.length, bits);
}

/** The instruction that these bytes are, whole. */
function insnOf(text: string, bits: 16 | 32 | 64 = 64, from: Decoder = decoder): Insn {
  const insn = decode(text, bits, from);
  if (typeof insn === 'string') throw new Error(`${text}: ${insn}`);
  expect(insn.length).toBe(parse(text).length);
  return insn;
}

/** What the disassembler prints for bytes, or why they are no instruction. */
function text(source: string, bits: 16 | 32 | 64 = 64): string {
  const insn = decode(source, bits);
  return typeof insn === 'string' ? insn : formatInsn(insn);
}

describe('operand and address size (SDM Vol. 1, Table 3-3 and 3-4)', () => {
  test.each([
    [16, '01 c8', 'add ax, cx'],
    [16, '66 01 c8', 'add eax, ecx'],
    [32, '01 c8', 'add eax, ecx'],
    [32, '66 01 c8', 'add ax, cx'],
    [64, '01 c8', 'add eax, ecx'],
    [64, '66 01 c8', 'add ax, cx'],
    [64, '48 01 c8', 'add rax, rcx'],
    [64, '66 48 01 c8', 'add rax, rcx'],
    [64, '66 66 01 c8', 'add ax, cx'],
    [16, '8b 07', 'mov ax, [bx]'],
    [16, '67 8b 07', 'mov ax, [edi]'],
    [32, '67 8b 07', 'mov eax, [bx]'],
    [64, '67 8b 07', 'mov eax, [edi]'],
    [64, '67 67 8b 07', 'mov eax, [edi]'],
    [64, '50', 'push rax'],
    [64, '66 50', 'push ax'],
    [64, '48 50', 'push rax'],
    [64, 'e8 00 00 00 00', 'call 0x5'],
    [64, '66 e8 00 00 00 00', 'call 0x6'],
    [16, '66 e8 00 00 00 00', 'call 0x6'],
  ] as const)('%i-bit code: %s is %s', (bits, bytes, expected) => expect(text(bytes, bits)).toBe(expected));
});

describe('REX (SDM Vol. 2A, 2.2.1)', () => {
  test('counts only directly before the opcode', () => {
    expect(text('48 01 c8')).toBe('add rax, rcx');
    expect(text('48 66 01 c8')).toBe('add ax, cx');
    expect(text('66 48 01 c8')).toBe('add rax, rcx');
    expect(text('48 2e 01 c8')).toBe('add eax, ecx');
    expect(text('48 f0 01 08')).toBe('lock add [rax], ecx');
  });

  test('of two the last counts', () => {
    expect(text('48 40 01 c8')).toBe('add eax, ecx');
    expect(text('40 48 01 c8')).toBe('add rax, rcx');
  });

  test('stands after a mandatory prefix and before 0F', () => {
    expect(text('f2 48 0f 2a c0')).toBe('cvtsi2sd xmm0, rax');
    expect(text('48 f2 0f 2a c0')).toBe('cvtsi2sd xmm0, eax');
  });

  test('is INC and DEC outside of 64-bit mode', () => {
    expect(text('40', 32)).toBe('inc eax');
    expect(text('48', 16)).toBe('dec ax');
  });

  test('makes SPL to DIL of AH to BH, whatever its bits', () => {
    expect(text('88 e0')).toBe('mov al, ah');
    expect(text('40 88 e0')).toBe('mov al, spl');
  });

  test('does not reach segment, MMX and x87 registers', () => {
    expect(text('45 8e c0')).toBe('mov es, r8w');
    expect(text('45 0f 6f c0')).toBe('movq mm0, mm0');
    expect(text('41 d8 c1')).toBe('fadd st0, st1');
  });
});

describe('NOP, PAUSE and XCHG share 90 (SDM Vol. 2B "NOP")', () => {
  test.each([
    ['90', 'nop'],
    ['66 90', 'nop'],
    ['48 90', 'nop'],
    ['f3 90', 'pause'],
    ['41 90', 'xchg r8d, eax'],
    ['49 90', 'xchg r8, rax'],
    ['91', 'xchg ecx, eax'],
  ])('%s is %s', (bytes, expected) => expect(text(bytes)).toBe(expected));
});

describe('segment overrides', () => {
  test('the last one counts', () => {
    expect(insnOf('2e 36 8b 07', 32).segment).toBe(Segment.SS);
  });
  test('in 64-bit mode only FS and GS are heard (SDM Vol. 1, 3.3.7.1)', () => {
    expect(insnOf('2e 8b 00').segmentOverride).toBe(-1);
    expect(insnOf('64 2e 8b 00').segment).toBe(Segment.FS);
    expect(insnOf('65 64 8b 00').segment).toBe(Segment.FS);
  });
  test.each([
    [32, '8b 45 00', Segment.SS],
    [32, '8b 04 24', Segment.SS],
    [32, '8b 44 05 00', Segment.SS],
    [32, '8b 04 2d 00 00 00 00', Segment.DS], // EBP as an index
    [16, '8b 46 00', Segment.SS],
    [16, '8b 02', Segment.SS],
    [16, '8b 06 00 00', Segment.DS],
    [32, '8b 00', Segment.DS],
  ] as const)(
    '%i-bit code: %s speaks of its default segment: SS with BP, EBP or ESP as base (SDM Vol. 1, Table 3-5)',
    (bits, bytes, segment) => {
      expect(insnOf(bytes, bits).segment).toBe(segment);
    },
  );
});

describe('mandatory prefixes (SDM Vol. 2A, 2.1.2): F2 and F3 win over 66, the last of F2 and F3 wins', () => {
  test.each([
    ['0f 58 c1', 'addps xmm0, xmm1'],
    ['66 0f 58 c1', 'addpd xmm0, xmm1'],
    ['f3 0f 58 c1', 'addss xmm0, xmm1'],
    ['f2 0f 58 c1', 'addsd xmm0, xmm1'],
    ['66 f3 0f 58 c1', 'addss xmm0, xmm1'],
    ['f3 66 0f 58 c1', 'addss xmm0, xmm1'],
    ['f2 f3 0f 58 c1', 'addss xmm0, xmm1'],
    ['f3 f2 0f 58 c1', 'addsd xmm0, xmm1'],
    ['f3 0f bc c1', 'tzcnt eax, ecx'],
    ['66 f3 0f bc c1', 'tzcnt ax, cx'],
    ['0f bc c1', 'bsf eax, ecx'],
    ['f3 0f b8 c1', 'popcnt eax, ecx'],
  ])('%s is %s', (bytes, expected) => {
    const known = instructionTable.forms.some(({ mnemonic }) => mnemonic.toLowerCase() === expected.split(' ')[0]);
    if (known) expect(text(bytes)).toBe(expected);
    else expect(text(bytes)).not.toBe(expected);
  });

  test('a repeat prefix is one where it is no mandatory prefix', () => {
    expect(insnOf('f3 a4').rep).toBe(0xf3);
    expect(insnOf('f2 f3 a4').rep).toBe(0xf3);
    expect(insnOf('f3 0f 58 c1').rep).toBe(0);
    expect(text('f2 ae')).toBe('repne scasb');
    expect(text('f3 01 c8')).toBe('add eax, ecx');
  });
});

describe('LOCK (SDM Vol. 2A, "LOCK"): with a memory destination of these instructions, and #UD everywhere else', () => {
  const lockable = [
    'add',
    'adc',
    'and',
    'btc',
    'btr',
    'bts',
    'cmpxchg',
    'cmpxchg8b',
    'cmpxchg16b',
    'dec',
    'inc',
    'neg',
    'not',
    'or',
    'sbb',
    'sub',
    'xor',
    'xadd',
    'xchg',
  ];

  test('the table says so of these and no other', () => {
    const marked = new Set(
      instructionTable.forms
        .filter(({ lock }) => lock)
        .map(({ mnemonic }) => mnemonic.toLowerCase().replace('cmpxchg8b/cmpxchg8b/cmpxchg16b', 'cmpxchg8b')),
    );
    const names = [...marked].flatMap((name) => name.split('/'));
    expect(lockable.filter((name) => !name.startsWith('cmpxchg1') && !names.includes(name))).toEqual([]);
    expect(names.filter((name) => !lockable.includes(name))).toEqual([]);
  });

  test.each([
    ['f0 01 08', 'lock add [rax], ecx'],
    ['f0 48 0f c7 08', 'lock cmpxchg16b [rax]'],
    ['f0 86 08', 'lock xchg [rax], cl'],
    ['f0 0f ba 28 01', 'lock bts dword [rax], 0x1'],
    ['f0 01 c8', 'undefined'], // register destination
    ['f0 03 08', 'undefined'], // memory source
    ['f0 39 08', 'undefined'], // CMP
    ['f0 89 08', 'undefined'], // MOV
    ['f0 90', 'undefined'],
    ['f0 a4', 'undefined'], // MOVS
    ['f0 0f ba 20 01', 'undefined'], // BT
    ['f0 0f 58 00', 'undefined'], // ADDPS
    ['f0 f4', 'undefined'], // HLT
    ['f0 d9 00', 'undefined'], // FLD
  ])('%s: %s', (bytes, expected) => expect(text(bytes)).toBe(expected));
});

describe('length (SDM Vol. 2A, 2.3.11): at most 15 bytes', () => {
  test('fifteen are an instruction, sixteen are not', () => {
    const prefixes = (count: number) => '66 '.repeat(count);
    expect(insnOf(`${prefixes(13)}01 c8`).length).toBe(15);
    expect(decode(`${prefixes(14)}01 c8`)).toBe('too-long');
    expect(decode(prefixes(20))).toBe('too-long');
    expect(decode(`${prefixes(7)}81 84 08 00 00 00 00 34 12`)).toBe('too-long'); // 7 + 1 + 1 + 1 + 4 + 2 = 16
    expect(insnOf(`${prefixes(6)}81 84 08 00 00 00 00 34 12`).length).toBe(15);
  });

  test('bytes that are missing are asked for, at every place', () => {
    for (const whole of [
      '66 f0 48 81 84 88 01 02 03 04 05 06 07 08',
      'c4 e2 79 00 c0',
      '48 b8 01 02 03 04 05 06 07 08',
      '0f 38 00 c0',
      'ea 01 02 03 04 05 06',
    ]) {
      const bytes = parse(whole);
      for (const bits of [16, 32, 64] as const) {
        const insn = decoder.decode(bytes, 0, bytes.length, bits);
        const length = typeof insn === 'string' ? (insn === 'truncated' ? bytes.length : 1) : insn.length;
        for (let end = 0; end < length; end++) {
          if (typeof insn !== 'string')
            expect(decoder.decode(bytes, 0, end, bits), `${whole}, ${end} bytes, ${bits}-bit`).toBe('truncated');
        }
      }
    }
  });

  test('decoding begins where it is told to', () => {
    const insn = decoder.decode(parse('90 90 01 c8 90'), 2, 5, 64);
    expect(typeof insn === 'string' ? insn : formatInsn(insn)).toBe('add eax, ecx');
  });
});

describe('which code sizes know what', () => {
  test.each(['06', '27', '37', '60', '62 00', '9a 00 00 00 00 00 00', 'ce', 'd4 0a', 'ea 00 00 00 00 00 00', '82 c0 01'])(
    '%s is an instruction in 32-bit code, and undefined in 64-bit code',
    (bytes) => {
      expect(typeof decode(bytes, 32)).toBe('object');
      expect(decode(bytes)).toBe('undefined');
    },
  );
  test('63 is ARPL or MOVSXD', () => {
    expect(text('63 c8', 32)).toBe('arpl ax, cx');
    expect(text('48 63 c8')).toBe('movsxd rcx, eax');
  });
  test('there are six segment registers (SDM Vol. 2A, Table 2-1 note)', () => {
    expect(text('8e e8')).toBe('mov gs, ax');
    expect(decode('8e f0')).toBe('undefined');
    expect(decode('8c f8')).toBe('undefined');
  });
  test('MOV to and from control and debug registers ignores mod (SDM Vol. 2B)', () => {
    expect(text('0f 20 00')).toBe('mov rax, cr0');
    expect(text('0f 22 44')).toBe('mov cr0, rsp');
  });
});

describe('VEX (SDM Vol. 2A, 2.3)', () => {
  const vexTable = new InstructionTable([
    instruction('VADDPS', ['VEX.128.NP.0F.WIG 58 /r Vx,Hx,Wx', 'VEX.256.NP.0F.WIG 58 /r Vx,Hx,Wx'], () => {}, { unit: 'avx' }),
    instruction('VMOVAPS', ['VEX.128.NP.0F.WIG 28 /r Vx,Wx'], () => {}, { unit: 'avx' }),
    instruction('ANDN', ['VEX.LZ.NP.0F38.W0 F2 /r Gy,By,Ey', 'VEX.LZ.NP.0F38.W1 F2 /r Gy,By,Ey'], () => {}),
    ...instructionTable.rows,
  ]);
  const vex = new Decoder(vexTable);
  const named = (bytes: string, bits: 16 | 32 | 64 = 64) => {
    const insn = decode(bytes, bits, vex);
    return typeof insn === 'string' ? insn : formatInsn(insn);
  };

  test('two and three bytes say the same', () => {
    expect(named('c5 e8 58 cb')).toBe('vaddps xmm1, xmm2, xmm3');
    expect(named('c4 e1 68 58 cb')).toBe('vaddps xmm1, xmm2, xmm3');
    expect(named('c5 ec 58 cb')).toBe('vaddps ymm1, ymm2, ymm3');
  });
  test('R, X, B and vvvv are inverted and extend the registers in 64-bit code', () => {
    expect(named('c5 28 58 cb')).toBe('vaddps xmm9, xmm10, xmm3');
    expect(named('c4 41 28 58 cb')).toBe('vaddps xmm9, xmm10, xmm11');
    expect(named('c4 a1 68 58 0c b0')).toBe('vaddps xmm1, xmm2, [rax + r14*4]');
  });
  test('vvvv that names no operand must be 1111B, else #UD (SDM Vol. 2A, 2.3.5.6)', () => {
    expect(named('c5 f8 28 cb')).toBe('vmovaps xmm1, xmm3');
    expect(named('c5 f0 28 cb')).toBe('undefined');
  });
  test('L and W select the form', () => {
    expect(named('c4 e2 78 f2 c1')).toBe('andn eax, eax, ecx');
    expect(named('c4 e2 f8 f2 c1')).toBe('andn rax, rax, rcx');
    expect(named('c4 e2 7c f2 c1')).toBe('undefined');
  });
  test.each(['66', 'f2', 'f3', 'f0', '48'])('after %s it is undefined (SDM Vol. 2A, 2.3.2, 2.3.3)', (prefix) => {
    expect(named(`${prefix} c5 e8 58 cb`)).toBe('undefined');
  });
  test('segment and address-size prefixes are allowed', () => {
    expect(named('64 67 c5 e8 58 08')).toContain('fs:[eax]');
  });
  test('maps 0 and above 3 are undefined', () => {
    expect(named('c4 e0 68 58 cb')).toBe('undefined');
    expect(named('c4 e4 68 58 cb')).toBe('undefined');
  });
  test('outside of 64-bit mode C4 and C5 are LES and LDS unless the next byte says a register (SDM Vol. 2A, 2.3.5.1)', () => {
    expect(named('c5 07', 16)).toBe('lds ax, [bx]'.replace('[', 'dword ['));
    expect(named('c4 00', 32)).toContain('les eax,');
    expect(named('c5 e8 58 cb', 32)).toBe('vaddps xmm1, xmm2, xmm3');
    expect(named('c5 e8 58 cb', 16)).toBe('vaddps xmm1, xmm2, xmm3');
    expect(named('c5 07', 64)).toBe('truncated');
  });
});

test('a decoder of fewer features does not know what needs another one', () => {
  const plain = new Decoder(instructionTable, new Set());
  expect(decode('0f 58 c1', 64, plain)).toBe('undefined');
  expect(typeof decode('01 c8', 64, plain)).toBe('object');
});

test('whatever the bytes: an answer, of at most 15 bytes, that more bytes do not change', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 18 }), fc.constantFrom(16 as const, 32 as const, 64 as const), (bytes, bits) => {
      const insn = decoder.decode(bytes, 0, bytes.length, bits);
      if (typeof insn === 'string') return;
      expect(insn.length).toBeLessThanOrEqual(Math.min(15, bytes.length));
      const longer = decoder.decode(Uint8Array.from([...bytes, 0, 0, 0]), 0, bytes.length + 3, bits);
      expect(longer).toEqual(insn);
      expect(decoder.decode(bytes, 0, insn.length, bits)).toEqual(insn);
      formatInsn(insn);
    }),
    { numRuns: 3000 },
  );
});

test.each([
  ['CX8', '0f c7 0b'], // cmpxchg8b [rbx]
  ['CMOV', '0f 44 c3'], // cmove eax, ebx
  ['CMOV', 'db f1'], // fcomi st0, st1
])('%s brings %s (SDM Vol. 2A, CPUID.1:EDX)', (feature, bytes) => {
  const features = new Set(['FPU', 'CX8', 'CMOV']);
  expect(decode(bytes, 64, new Decoder(instructionTable, features))).not.toBe('undefined');
  features.delete(feature);
  expect(decode(bytes, 64, new Decoder(instructionTable, features))).toBe('undefined');
});

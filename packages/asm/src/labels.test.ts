import fc from 'fast-check';
import { expect, test } from 'vitest';
import { assemble } from './assemble.ts';
import { assembled } from './testing/hex.ts';

test('labels before and after, several on one place, one on a line with its instruction', () => {
  expect(assembled('a: b: jmp c\n nop\n c: jmp a')).toBe('eb 01 90 eb fb');
});

test('a label that begins with a dot belongs to the last one that does not, and can be reached from elsewhere by its whole name', () => {
  expect(assembled('f: .l: nop\n jmp .l\n g: nop\n .l: jmp .l\n jmp f.l')).toBe('90 eb fd 90 eb fe eb f8');
});

test('$ is the jump itself', () => {
  expect(assembled('jmp $')).toBe('eb fe');
  expect(assembled('nop\n call $ + 5')).toBe('90 e8 00 00 00 00');
});

/** A jump over `gap` bytes, forwards. */
const forwards = (jump: string, gap: number) => `${jump} there\n times ${gap} nop\n there:`;
/** And backwards. */
const backwards = (jump: string, gap: number) => `there: times ${gap} nop\n ${jump} there`;
const lengthOf = (source: string, gap: number, bits: 16 | 32 | 64, origin = 0) => assemble(source, { bits, origin }).bytes.length - gap;

test.each([
  ['jmp', 16, 3],
  ['jmp', 32, 5],
  ['jmp', 64, 5],
  ['jz', 16, 4],
  ['jz', 32, 6],
  ['jz', 64, 6],
] as const)('%s in %i-bit code is short up to the limit of a signed byte, and %i bytes beyond', (jump, bits, near) => {
  for (const origin of [0, 0x7c00]) {
    expect(lengthOf(forwards(jump, 127), 127, bits, origin)).toBe(2);
    expect(lengthOf(forwards(jump, 128), 128, bits, origin)).toBe(near);
    expect(lengthOf(backwards(jump, 126), 126, bits, origin)).toBe(2);
    expect(lengthOf(backwards(jump, 127), 127, bits, origin)).toBe(near);
  }
});

test('one jump that grows may make others grow', () => {
  // Each of the jumps is just within reach while the one that it jumps over is short.
  const source = 'a: jmp x\n jmp y\n times 123 nop\n db 0, 0\n x: nop\n nop\n y: nop';
  const { bytes } = assemble(source, { bits: 32 });
  expect(bytes[0]).toBe(0xeb);
  const longer = assemble(source.replace('123', '126'), { bits: 32 }).bytes;
  expect([longer[0], longer[5]]).toEqual([0xe9, 0xe9]);
});

test('whatever the gaps, every jump lands on its label', () => {
  const shape = fc.array(
    fc.record({ target: fc.nat(), gap: fc.integer({ min: 0, max: 140 }), jump: fc.constantFrom('jmp', 'jz', 'call') }),
    {
      minLength: 1,
      maxLength: 12,
    },
  );
  fc.assert(
    fc.property(shape, (jumps) => {
      const lines = jumps.map(({ target, gap, jump }, i) => `l${i}: ${jump} l${target % jumps.length}\n times ${gap} nop`);
      const { bytes, symbols } = assemble(lines.join('\n'), { bits: 32, origin: 0x1000 });
      const view = new DataView(bytes.buffer);
      for (const [i, { target }] of jumps.entries()) {
        const at = Number(symbols.get(`l${i}`)) - 0x1000;
        const opcode = bytes[at] as number;
        const isShort = opcode === 0xeb || opcode === 0x74;
        const length = isShort ? 2 : opcode === 0x0f ? 6 : 5;
        const displacement = isShort ? view.getInt8(at + 1) : view.getInt32(at + length - 4, true);
        expect(0x1000 + at + length + displacement).toBe(Number(symbols.get(`l${target % jumps.length}`)));
      }
    }),
    { numRuns: 60 },
  );
});

test('short and near force the form', () => {
  expect(assembled('a: jmp near a')).toBe('e9 fb ff ff ff');
  expect(assembled('a: jz near a')).toBe('0f 84 fa ff ff ff');
  expect(assembled('jmp short a\n a:', { origin: 0xffff_ffff_8000_0000n })).toBe('eb 00');
});

test('a jump of 16-bit code wraps around at 64 KiB (SDM Vol. 2A, "JMP": EIP is truncated)', () => {
  expect(assembled('jmp 0', { bits: 16, origin: 0xfffe })).toBe('eb 00');
  expect(assembled('jmp 0xffff', { bits: 16, origin: 0 })).toBe('eb fd');
});

test('loop and jcxz reach as far as a byte and count by the address size', () => {
  expect(assembled('a: loop a\n loope a\n loopnz a')).toBe('e2 fe e1 fc e0 fa');
  expect(assembled('a: jcxz a\n jecxz a', { bits: 16 })).toBe('e3 fe 67 e3 fb');
  expect(assembled('a: jecxz a\n jrcxz a')).toBe('67 e3 fd e3 fb');
  expect(assembled('a: a32 loop a')).toBe('67 e2 fd');
});

test('names that come later take the shortest encoding that holds, without filling', () => {
  expect(assembled('add eax, [rbx + later]\n later equ 4')).toBe('03 43 04');
  expect(assembled('add eax, later\n later equ 4')).toBe('83 c0 04');
  expect(assembled('add eax, later\n later equ 400')).toBe('05 90 01 00 00');
  expect(assembled('shl eax, later\n later equ 1')).toBe('d1 e0');
  expect(assembled('shl eax, later\n later equ 2')).toBe('c1 e0 02');
  expect(assembled('mov rax, later\n later equ 0x123456789')).toBe('48 b8 89 67 45 23 01 00 00 00');
});

test('[rel label] counts from the end of the instruction, an immediate included', () => {
  expect(assembled('mov eax, [rel x]\n x:')).toBe('8b 05 00 00 00 00');
  expect(assembled('mov dword [rel x], 5\n x:')).toBe('c7 05 00 00 00 00 05 00 00 00');
  expect(assembled('x: lea rax, [rel x]', { origin: 0xffff_ffff_8000_0000n })).toBe('48 8d 05 f9 ff ff ff');
});

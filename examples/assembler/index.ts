// Assembling and disassembling: one instruction table serves both.
import { asm64 } from '@minusone/asm';
import { disassemble } from '@minusone/x86';

const { bytes, symbols } = asm64.with({ origin: 0x1000 }).assembly`
  ; rax = greatest common divisor of rdi and rsi
  gcd:    mov   rax, rdi
          test  rsi, rsi
          jz    .done
          xor   edx, edx
          div   rsi
          mov   rdi, rsi
          mov   rsi, rdx
          jmp   gcd
  .done:  ret`;

const names = new Map([...symbols].map(([name, address]) => [address, name]));
for (const line of disassemble(bytes, { address: 0x1000, name: (address) => names.get(address) })) {
  const hex = [...line.bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  console.log(`${line.address.toString(16)}  ${hex.padEnd(10)}  ${line.text}`);
}

/** Printing to port 0xE9, in 16, 32 and 64-bit code. Needs nothing but CS with base 0 and the right to OUT. */

export type Bits = 16 | 32 | 64;

/** General registers in PUSHAD's order, lowest address first. */
export const SAVED = {
  16: ['edi', 'esi', 'ebp', 'esp', 'ebx', 'edx', 'ecx', 'eax'],
  32: ['edi', 'esi', 'ebp', 'esp', 'ebx', 'edx', 'ecx', 'eax'],
  64: ['r15', 'r14', 'r13', 'r12', 'r11', 'r10', 'r9', 'r8', 'rdi', 'rsi', 'rbp', 'rbx', 'rdx', 'rcx', 'rax'],
} as const;

/** The register of this code size: `reg(64, 'bp')` is rbp. */
export const reg = (bits: Bits, name: string): string => `${bits === 16 ? '' : bits === 32 ? 'e' : 'r'}${name}`;

/**
 * `say`: prints the text that follows the CALL, up to a zero byte. Clobbers AL and SI.
 * `hex`: prints the lowest CL digits of EAX (RAX). Clobbers EAX, EBX, ECX.
 * `newline`: clobbers AL.
 */
export function printRoutines(bits: Bits): string {
  const si = reg(bits, 'si');
  const [ax, bx] = bits === 64 ? ['rax', 'rbx'] : ['eax', 'ebx'];
  return `
    bits ${bits}
    say${bits}:
      pop ${si}
    .next:
      mov al, [cs:${si}]
      inc ${si}
      test al, al
      jz .done
      out 0xe9, al
      jmp .next
    .done:
      jmp ${si}
    hex${bits}:
      mov ${bx}, ${ax}
    .digit:
      sub cl, 1
      jc .done
      mov ${ax}, ${bx}
      shl cl, 2
      shr ${ax}, cl
      shr cl, 2
      and al, 15
      cmp al, 10
      jb .decimal
      add al, 39
    .decimal:
      add al, 48
      out 0xe9, al
      jmp .digit
    .done:
      ret
    newline${bits}:
      mov al, 10
      out 0xe9, al
      ret`;
}

/** Prints text. Clobbers AL and SI. */
export const say = (bits: Bits, text: string): string => `call say${bits}\ndb ${JSON.stringify(text)}, 0`;

/** Prints a register, memory operand or number with so many hexadecimal digits. Clobbers EAX, EBX, ECX. */
export const hex = (bits: Bits, operand: string, digits: number): string =>
  `mov ${bits === 64 ? 'rax' : 'eax'}, ${operand}\nmov cl, ${digits}\ncall hex${bits}`;

/** ` name=value`, all registers kept. Memory operands must not be relative to SP. */
export function show(bits: Bits, name: string, operand: string, digits: number = bits === 64 ? 16 : 8): string {
  const names = bits === 64 ? ['rax', 'rbx', 'rcx', 'rsi'] : ['eax', 'ebx', 'ecx', 'esi'];
  const flags = bits === 64 ? 'pushfq' : bits === 32 ? 'pushfd' : 'pushf';
  const popFlags = flags.replace('push', 'pop');
  return [
    flags,
    ...names.map((register) => `push ${register}`),
    digits <= 4 && !operand.includes('[') && /^[c-gs]s$/.test(operand) ? `mov ax, ${operand}` : `mov ${names[0]}, ${operand}`,
    `push ${names[0]}`,
    say(bits, ` ${name}=`),
    `pop ${names[0]}`,
    `mov cl, ${digits}`,
    `call hex${bits}`,
    ...names.reverse().map((register) => `pop ${register}`),
    popFlags,
  ].join('\n');
}

/** Prints the general registers that are not 0, saved at [BP] in the order of `SAVED`. Clobbers. */
export function printSavedRegisters(bits: Bits): string {
  const bp = reg(bits, 'bp');
  const size = bits === 64 ? 8 : 4;
  const ax = bits === 64 ? 'rax' : 'eax';
  return [...SAVED[bits]]
    .map((name, i) => ({ name, at: `[${bp} + ${i * size}]` }))
    .filter(({ name }) => name !== 'esp')
    .reverse()
    .map(
      ({ name, at }) => `
      mov ${ax}, ${at}
      test ${ax}, ${ax}
      jz .no_${name}
      ${say(bits, ` ${name}=`)}
      ${hex(bits, at, size * 2)}
    .no_${name}:`,
    )
    .join('\n');
}

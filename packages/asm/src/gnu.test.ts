import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Decoder, formatInsn, instructionTable } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { assemble } from './assemble.ts';
import { hex } from './testing/hex.ts';
import { generator, randomBytes, seedOf } from './testing/random-encodings.ts';

const decoder = new Decoder(instructionTable);
const hasObjdump = spawnSync('objdump', ['--version']).status === 0;
const hasAs = spawnSync('as', ['--version']).status === 0;

/** Source that both assemblers read alike. */
const readable = [
  'start: mov eax, 1',
  'mov rax, qword ptr [rbx + rcx*4 + 0x100]',
  'mov byte ptr [r12], 5',
  'mov word ptr [r13 + 1], 0x1234',
  'lea rsi, [rsp + 8]',
  'add rax, 0x7f',
  'sub r9d, 0x80',
  'imul rdx, r8, 100',
  'test al, 1',
  'cmp dword ptr [rbp - 4], -1',
  'jne start',
  'jmp end',
  'call start',
  'movzx eax, byte ptr [rdi]',
  'movsx rcx, word ptr [rsi]',
  'movsxd rax, ecx',
  'shl rax, 3',
  'sar ebx, cl',
  'setne al',
  'cmovg rax, rbx',
  'lock xadd dword ptr [rdx], ecx',
  'rep movsb',
  'push r15',
  'pop rbp',
  'bswap rdi',
  'bt eax, 3',
  'cpuid',
  'rdtsc',
  'syscall',
  'mov cr3, rax',
  'movdqa xmm0, xmmword ptr [rax]',
  'pshufd xmm1, xmm2, 0x4e',
  'cvttsd2si rax, xmm3',
  'ucomisd xmm0, xmm1',
  'fld qword ptr [rax]',
  'fistp dword ptr [rsp]',
  'xchg rbx, rax',
  'end: ret',
];

/** Instructions stand this far apart, so that one misread length does not spoil the next. */
const STRIDE = 32;

interface Sample {
  readonly encoding: string;
  readonly bytes: Uint8Array;
  readonly length: number;
  readonly text: string;
  readonly addressBytes: number;
}

/** The same encodings every time; another number tries others. */
const SEED = Number(process.env.GNU_SEED ?? 1);

/** Random encodings of every form, each followed by NOPs. */
function samplesOf(bits: 16 | 32 | 64, perForm: number): Sample[] {
  const samples: Sample[] = [];
  for (const form of instructionTable.forms) {
    const next = generator(seedOf(form, bits, SEED));
    for (let done = 0, attempt = 0; done < perForm && attempt < 40; attempt++) {
      const bytes = Uint8Array.from(randomBytes(form, next, bits));
      const insn = decoder.decode(bytes, 0, bytes.length, bits);
      if (typeof insn === 'string' || insn.form !== form) continue;
      done++;
      const alone = new Uint8Array(STRIDE).fill(0x90);
      alone.set(bytes.subarray(0, insn.length));
      samples.push({
        encoding: form.encoding,
        bytes: alone,
        length: insn.length,
        text: formatInsn(insn, BigInt(samples.length * STRIDE)),
        addressBytes: insn.addressBytes,
      });
    }
  }
  return samples;
}

/** What objdump makes of the first instruction of every sample: its length and text. */
function objdump(samples: readonly Sample[], bits: 16 | 32 | 64): { length: number; text: string }[] {
  const folder = mkdtempSync(join(tmpdir(), 'objdump-'));
  try {
    const file = join(folder, 'samples.bin');
    writeFileSync(file, Buffer.concat(samples.map(({ bytes }) => bytes)));
    const machine = { 16: 'i8086', 32: 'i386', 64: 'i386:x86-64' }[bits];
    const listing = execFileSync('objdump', ['-D', '-b', 'binary', '-m', machine, '-M', 'intel,intel64', '-w', file], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    const result = samples.map(() => ({ length: 0, text: '' }));
    for (const line of listing.split('\n')) {
      const match = /^\s*([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*\t?(.*)$/.exec(line);
      const at = Number.parseInt(match?.[1] ?? '1', 16);
      if (match !== null && at % STRIDE === 0)
        result[at / STRIDE] = { length: (match[2] as string).trim().split(' ').length, text: (match[3] as string).trim() };
    }
    return result;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const STRING = /^(movs|cmps|scas|lods|stos|ins|outs)[bwdq]?$/;
const PREFIX = /^(?:data16|data32|addr16|addr32|rex(?:\.\w+)?|lock|rep|repz|repe|repnz|repne|[c-gs]s|[oa](?:16|32|64))\s+(?=\S)/;
const NAMES: Readonly<Record<string, string>> = { jmpf: 'jmp', callf: 'call', movabs: 'mov' };

/** Where objdump reads something else on purpose or by mistake. Lengths are compared all the same, where it reads anything. */
const DEPARTURES: readonly { readonly encoding: RegExp; readonly why: string }[] = [
  { encoding: /\balt\b|^D6 i64|^D9 D8\+i/, why: 'undocumented or reserved encodings, which it does not read or names otherwise' },
  { encoding: /^NP 0F AE F[08]\+i/, why: 'it knows one ModRM byte of eight; MFENCE and SFENCE ignore rm (SDM Vol. 2)' },
  { encoding: /^90$/, why: 'it calls NOP with an operand-size prefix XCHG' },
  { encoding: /^0F 09$/, why: 'it does not read WBINVD with an operand-size prefix' },
  { encoding: /^9B$/, why: 'it takes a REX before FWAIT for an instruction' },
  { encoding: /^0F 0[23] |^8E /, why: 'it prints the 16-bit register of LAR, LSL and MOV to a segment wider' },
  { encoding: /^F3 0F AE \/[0-3] |\bGd,|^F[23] 0F D6 /, why: 'it lets prefixes that have no effect change the register it prints' },
  { encoding: /^63 \/r Gv,Ed/, why: 'with an operand-size prefix Intel documents a source of 16 bits (which it prints), AMD one of 32' },
  { encoding: /0F C2 .*Ib$/, why: 'it prints pseudo-operations: CMPEQPS and its kin' },
  { encoding: /^D[8D] (?:D0|D8|E0|E8)\+i ST0,STi/, why: 'it leaves out ST(0)' },
];

/**
 * The end of an operand in memory, its displacement as it is added: modulo the address size. Where neither base nor index stands before it, we print an address; objdump does so
 * too, but for a SIB byte: then it prints the displacement with its sign, behind an index that is none (`eiz*4`).
 */
function displacement(before: string, value: bigint, addressBytes: number): string {
  const added = BigInt.asUintN(addressBytes * 8, before.endsWith('-') ? -value : value);
  if (before.startsWith('[')) return `[0x${added.toString(16)}]`;
  return added === 0n ? ']' : `+0x${added.toString(16)}]`;
}

/** An instruction without what is taste: blanks, sizes, prefixes, the spelling of mnemonics. `end`: address of the next instruction. */
function normal(source: string, end: number, addressBytes: number): string {
  let text = source
    .replace(/\s+[#;].*$/, '')
    .replace(/\s+<.*>$|\(\d+ only\)$/, '')
    .trim();
  for (let match = PREFIX.exec(text); match !== null; match = PREFIX.exec(text)) text = text.slice(match[0].length);
  const [, word = '', rest = ''] = /^(\S+)\s*(.*)$/.exec(text) ?? [];
  const operands = rest
    .replace(/\b(?:byte|word|dword|qword|tword|tbyte|fword|oword|xmmword|far)\b(?: ptr)? ?/gi, '')
    .replace(/\bst\((\d)\)/g, 'st$1')
    .replace(/\bst\b/g, 'st0')
    .replace(/\s/g, '')
    .replace(/[er]iz(?:\*\d)?\+?/g, '')
    .replace(/\*1\b/g, '')
    .replace(/\+\]/g, ']')
    .replace(/(?<![\w])(-?)(\d+)(?![\w])/g, (_, sign: string, digits: string) => `${sign}0x${Number(digits).toString(16)}`)
    .replace(/0x0*([0-9a-f]+)/g, '0x$1')
    .replace(/\+-/g, '-')
    .replace(/(\[[+-]?|[+-])(0x[0-9a-f]+)\]/g, (_, before: string, digits: string) => displacement(before, BigInt(digits), addressBytes))
    .replace(/\b([c-gs]s):(0x[0-9a-f]+)/g, '[$1:$2]')
    .replace(/\[ds:(0x[0-9a-f]+)\]/g, '[$1]')
    .replace(/\[(0x[0-9a-f]+)\]/g, '[$1]')
    .replace(/\b([c-gs]s):\[(0x[0-9a-f]+)\]/g, '[$1:$2]')
    .replace(
      /\[[re]ip([+-])(0x[0-9a-f]+)\]/g,
      (_, sign: string, digits: string) =>
        `[rel0x${BigInt.asUintN(addressBytes * 8, BigInt(end) + (sign === '-' ? -1n : 1n) * BigInt(digits)).toString(16)}]`,
    );
  return `${NAMES[word] ?? word} ${STRING.test(word) || word.startsWith('xlat') ? '' : operands}`.trim();
}

/** The same but for a letter of size at the mnemonic's end: GNU and we print it in other places. */
function isSame(ours: string, theirs: string): boolean {
  const [ourName, ...ourOperands] = ours.split(' ');
  const [theirName, ...theirOperands] = theirs.split(' ');
  const names = [ourName ?? '', theirName ?? ''].sort((a, b) => a.length - b.length) as [string, string];
  return (
    ourOperands.join() === theirOperands.join() && /^(?:[bwdq]|64)?$/.test(names[1].slice(names[0].length)) && names[1].startsWith(names[0])
  );
}

describe.skipIf(!hasObjdump).each([16, 32, 64] as const)('GNU objdump reads %i-bit code as we do', (bits) => {
  const samples = samplesOf(bits, 4);
  const theirs = hasObjdump ? objdump(samples, bits) : [];

  test('lengths, for random encodings of every form', () => {
    const wrong = samples.flatMap(({ encoding, bytes, length, text }, i) => {
      const read = theirs[i];
      const isLength = read?.length === length || read?.text.includes('(bad)') || encoding === '9B';
      return isLength
        ? []
        : [`${encoding}: ${hex(bytes.subarray(0, length))} '${text}': objdump reads ${read?.length} bytes: ${read?.text}`];
    });
    expect(wrong).toEqual([]);
    expect(samples.length).toBeGreaterThan(3000);
  });

  test('mnemonics and operands', () => {
    const wrong = samples.flatMap(({ encoding, bytes, length, text, addressBytes }, i) => {
      if (DEPARTURES.some((departure) => departure.encoding.test(encoding))) return [];
      const end = i * STRIDE + length;
      const [a, b] = [normal(text, end, addressBytes), normal(theirs[i]?.text ?? '', end, addressBytes)];
      return isSame(a, b) ? [] : [`${encoding}: ${hex(bytes.subarray(0, length))}: '${a}', objdump '${b}'`];
    });
    expect(wrong).toEqual([]);
  });
});

test.skipIf(!hasAs)('GNU as and our assembler agree on what it assembles by hand', () => {
  const lines = readable;
  const folder = mkdtempSync(join(tmpdir(), 'as-'));
  try {
    const source = join(folder, 'a.s');
    writeFileSync(source, `.intel_syntax noprefix\n${lines.join('\n')}\n`);
    execFileSync('as', ['--64', '-o', join(folder, 'a.o'), source]);
    execFileSync('objcopy', ['-O', 'binary', '-j', '.text', join(folder, 'a.o'), join(folder, 'a.bin')]);
    const bytes = readFileSync(join(folder, 'a.bin'));
    expect(hex(assemble(lines.join('\n')).bytes)).toBe(hex(bytes));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

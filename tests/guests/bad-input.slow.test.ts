import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asm16, asm32 } from '@minusone/asm';
import { main } from 'minusone';
import { afterAll, describe, expect, test } from 'vitest';
import { memoryIo } from '../cli/memory-io.ts';
import { elf } from './small-kernels/elf.ts';
import * as kernels from './small-kernels/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'minusone-bad-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, data: Uint8Array): string {
  writeFileSync(join(folder, name), data);
  return join(folder, name);
}

const ACCELERATORS = ['none', 'vtx', 'amdv'] as const;
/** Wall time, seconds, for what ends by itself: generous, since other tests run meanwhile. */
const PATIENCE = '200';
const PATIENCE_MS = 240_000;

async function run(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const io = memoryIo();
  const status = await main(['run', '--memory', '32M', ...args], io);
  return { status, out: io.stdout, err: io.stderr };
}

/** One line that names the mistake. */
const NAMED = /^minusone: [^\n]*\[[A-Z0-9_]+\]\n$/;

/** Bytes from a seed: xorshift32, so that a failure can be repeated. */
function random(seed: number, length: number): Uint8Array {
  let state = seed * 2654435761 + 1;
  return Uint8Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 24;
  });
}

const KERNELS = {
  bzImage: kernels.bzImage(),
  PVH: kernels.elfPvh(),
  ELF64: kernels.elf64(),
  Multiboot: kernels.multiboot(),
  'Multiboot ELF': kernels.multibootElf(),
};

describe('a kernel that is cut short is a named error, or boots where all that matters is there', () => {
  test.each(Object.entries(KERNELS))('%s', async (_kind, image) => {
    for (const part of [0, 0.001, 0.01, 0.1, 0.2, 0.4, 0.6, 0.8]) {
      const cut = file('kernel', image.subarray(0, Math.floor(image.length * part)));
      const { status, err } = await run('--kernel', cut, '--timeout', '0.3');
      if (err !== '' && status === 1) expect(err).toMatch(/^minusone: [^\n]*\n$/);
      expect(err).not.toMatch(/defect/);
    }
    expect((await run('--kernel', file('kernel', image.subarray(0, 300)))).err).toMatch(image.length > 600 ? NAMED : /^/);
  });
});

describe('random bytes for a kernel are a named error, also behind the magic numbers of a real one', () => {
  test.each([
    ['nothing else', []],
    ['an ELF header', [...KERNELS.ELF64.subarray(0, 20)]],
    ['a Linux setup header', [...KERNELS.bzImage.subarray(0, 0x210)]],
  ])('%s', async (_what, head) => {
    for (let seed = 1; seed <= 30; seed++) {
      const image = random(seed, 5000);
      image.set(head);
      const { status, err } = await run('--kernel', file('kernel', image), '--timeout', '0.3');
      expect(status, `seed ${seed}`).not.toBe(0);
      expect(err, `seed ${seed}`).toMatch(/^minusone: [^\n]*\n$/);
      expect(err, `seed ${seed}`).not.toMatch(/defect/);
    }
  });
});

describe('images and RAM', () => {
  test('an initrd larger than memory', async () => {
    const images = ['--kernel', file('kernel', KERNELS.bzImage), '--initrd', file('initrd', new Uint8Array(40 << 20))];
    expect(await run(...images)).toMatchObject({ status: 1, err: expect.stringMatching(/\[INITRD_DOES_NOT_FIT\]/) });
  });

  test('a kernel that asks for more memory than there is', async () => {
    const far = elf({ bits: 64, code: new Uint8Array(16), address: 0x1000_0000, entry: 0x1000_0000 });
    expect(await run('--kernel', file('kernel', far))).toMatchObject({ status: 1, err: expect.stringMatching(/\[DOES_NOT_FIT\]/) });
  });

  test('a flat image that does not fit', async () => {
    const image = `${file('flat', new Uint8Array(2 << 20))}@0x7c00`;
    expect((await run('--flat', image, '--memory', '1M')).err).toMatch(NAMED);
  });

  test('a command line that is longer than the kernel takes', async () => {
    const args = ['--kernel', file('kernel', KERNELS.bzImage), '--append', 'x'.repeat(300)];
    expect((await run(...args)).err).toMatch(/\[COMMAND_LINE_TOO_LONG\]/);
  });

  test('an empty flat image runs what memory holds, up to the time-out or a fault', async () => {
    expect([1, 124]).toContain((await run('--flat', `${file('flat', new Uint8Array(0))}@0x7c00`, '--timeout', '0.3')).status);
  });
});

/** Statuses of a machine that ended in some way; and no word of a defect. */
function expectSomeEnd({ status, err }: { status: number; err: string }, what: string): void {
  expect(status, what).toBeGreaterThanOrEqual(0);
  expect(err, what).toMatch(/^(minusone: [^\n]*\n)?$/);
  expect(err, what).not.toMatch(/defect|INTERNAL/);
}

describe.each(ACCELERATORS)('%s: a guest that runs garbage ends in some way, and we do not', (accel) => {
  const SEEDS = 12;

  test.each([
    ['real mode', (code: Uint8Array) => ['--flat', `${file('flat', code)}@0x7c00`]],
    ['32-bit protected mode', (code: Uint8Array) => ['--kernel', file('kernel', multibootOf(code))]],
    ['64-bit mode', (code: Uint8Array) => ['--kernel', file('kernel', elf({ bits: 64, code, address: 0x20_0000, entry: 0x20_0000 }))]],
    ['the reset vector', (code: Uint8Array) => ['--bios', file('bios', code)]],
  ])('%s', async (_mode, images) => {
    for (let seed = 1; seed <= SEEDS; seed++)
      expectSomeEnd(await run('--accel', accel, ...images(random(seed, 0x10000)), '--timeout', '0.2'), `seed ${seed}`);
  });

  function multibootOf(code: Uint8Array): Uint8Array {
    const header = asm32.with({ origin: 0x20_0000 })`
      header: dd 0x1badb002, 0x10000, ${-(0x1badb002 + 0x10000) >>> 0}
      dd header, header, 0, 0, header + 32`;
    return Uint8Array.from([...header, ...code]);
  }
});

describe.each(ACCELERATORS)('%s: a guest that writes and reads every port with every size', { timeout: PATIENCE_MS }, (accel) => {
  /** All ports but debug exit, upwards; then exit by it. */
  const hammer = (value: number): Uint8Array => asm16.with({ origin: 0x7c00 })`
      cli
      xor dx, dx
    next:
      mov eax, ${value}
      cmp dx, 0xf1            ; a dword there reaches debug exit
      jb allowed
      cmp dx, 0xf7
      jbe skip
    allowed:
      out dx, al
      mov eax, ${value}
      out dx, ax
      mov eax, ${value}
      out dx, eax
      in al, dx
      in ax, dx
      in eax, dx
    skip:
      inc dx
      jnz next
      mov al, 9
      out 0xf4, al
      hlt`;

  test('zeros: comes through, and leaves by debug exit', async () => {
    const { status, err } = await run('--accel', accel, '--flat', `${file('flat', hammer(0))}@0x7c00`, '--timeout', PATIENCE);
    expect([status, err]).toEqual([19, '']);
  });

  const values = accel === 'none' ? [0xffffffff, 0x55555555, 0xaaaaaaaa, 0x01010101, 0x80808080] : [0xffffffff];
  test.each(values)('%s: comes through or ends in some way', async (value) => {
    expectSomeEnd(await run('--accel', accel, '--flat', `${file('flat', hammer(value))}@0x7c00`, '--timeout', PATIENCE), String(value));
  });

  test('every device page below 4 GiB, with every size and alignment', async () => {
    // 32-bit protected mode: IOAPIC, local APIC, and the holes around them.
    const code = asm32.with({ origin: 0x20_0000 })`
        fninit                    ; all floating-point exceptions masked
        mov edi, 0xfec00000
      next:
        mov eax, 0
        mov [edi], al
        mov [edi + 1], ax
        mov [edi], eax
        mov [edi + 3], eax
        mov al, [edi]
        mov ax, [edi + 1]
        mov eax, [edi + 3]
        fld qword [edi]
        fstp qword [edi]
        add edi, 8
        cmp edi, 0xfee01000
        jb again
        mov al, 4
        out 0xf4, al
      again:
        mov eax, edi
        and eax, 0xfff
        jnz next
        and edi, 0xfffff000
        cmp edi, 0xfec01000       ; from the IOAPIC straight to the local APIC
        jne next
        mov edi, 0xfee00000
        jmp next`;
    const image = elf({ bits: 32, code: Uint8Array.from([...multibootHeader, ...code]), address: 0x20_0000 - 12, entry: 0x20_0000 });
    expect(await run('--accel', accel, '--kernel', file('kernel', image), '--timeout', PATIENCE)).toMatchObject({ status: 9, err: '' });
  });

  const multibootHeader = asm32`dd 0x1badb002, 0, ${-0x1badb002 >>> 0}`;
});

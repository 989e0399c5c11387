import { beforeAll, describe, expect, test } from 'vitest';
import { runOnSilicon, type SiliconCase, type SiliconResult, siliconAvailable, WINDOW_BYTES, WINDOWS, windowContents } from './harness.ts';

const REGS = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'] as const;
const [RAX, RCX] = [0, 1];
const { code: CODE, data: DATA, stack: STACK } = WINDOWS;
const START = CODE + 0x800;
const unavailable = siliconAvailable();

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const regs = (values: Partial<Record<(typeof REGS)[number], number | bigint>>): bigint[] =>
  Array.from({ length: 16 }, (_, i) => BigInt(values[REGS[i] as (typeof REGS)[number]] ?? (i === 4 ? STACK + 0x800 : 0)));

async function run(code: string, state: Omit<SiliconCase, 'code'> = {}): Promise<SiliconResult> {
  const [result] = await runOnSilicon([{ code: hex(code), ...state }]);
  return result as SiliconResult;
}

/** An FXSAVE image (SDM Vol. 1, "Layout of the 64-bit Mode FXSAVE64 Map"). */
function fxsave({ mxcsr = 0x1f80, fcw = 0x37f, fsw = 0, tags = 0, st = [] as string[], xmm = [] as Uint8Array[] }): Uint8Array {
  const image = new Uint8Array(512);
  const view = new DataView(image.buffer);
  view.setUint16(0, fcw, true);
  view.setUint16(2, fsw, true);
  view.setUint8(4, tags);
  view.setUint32(24, mxcsr, true);
  st.forEach((bytes, i) => {
    image.set(hex(bytes), 32 + 16 * i);
  });
  xmm.forEach((bytes, i) => {
    image.set(bytes, 160 + 16 * i);
  });
  return image;
}
const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from({ length: 4 }, (_, i) => values[i] ?? 0).buffer);

describe.skipIf(unavailable)('the silicon harness', () => {
  describe('one instruction', () => {
    test('ADD completes, with its result, flags and RIP', async () => {
      const result = await run('4801c8', { regs: regs({ rax: 1, rcx: 2 }) });
      expect(result).toMatchObject({
        status: 'ok',
        instructions: 1,
        rip: BigInt(START + 3),
        rflags: 0x206,
        selectors: { cs: 0x33, ss: 0x2b, ds: 0x2b },
      });
      expect(result.regs[RAX]).toBe(3n);
    });

    const faults: [what: string, code: string, vector: number, state: Omit<SiliconCase, 'code'>][] = [
      ['DIV by zero is #DE', 'f7f1', 0, { regs: regs({ rax: 1 }) }],
      ['INT1 is #DB', 'f1', 1, {}],
      ['INT3 is #BP', 'cc', 3, {}],
      ['INTO with OF is #OF', 'ce', 4, { mode: 32, rflags: 0x802 }],
      ['UD2 is #UD', '0f0b', 6, {}],
      ['a non-canonical address through SS is #SS', '8b4500', 12, { regs: regs({ rbp: 1n << 62n }) }],
      ['HLT at CPL 3 is #GP', 'f4', 13, {}],
      ['a non-canonical address is #GP', '8b00', 13, { regs: regs({ rax: 1n << 62n }) }],
      ['an unaligned access with AC is #AC', '8b00', 17, { regs: regs({ rax: DATA + 1 }), rflags: 0x40002 }],
      ['DIVSS by zero with ZM clear is #XM', 'f30f5ec1', 19, { fxsave: fxsave({ mxcsr: 0, xmm: [floats(1), floats(0)] }) }],
    ];
    test.each(faults)('%s', async (_what, code, vector, state) => {
      expect(await run(code, state)).toMatchObject({ status: 'exception', vector });
    });

    test('#PF reports CR2 and the error code, and RIP stays at the instruction', async () => {
      const result = await run('8b00', { regs: regs({ rax: 0x1234 }) });
      expect(result).toMatchObject({ status: 'exception', vector: 14, cr2: 0x1234n, errorCode: 4, rip: BigInt(START), instructions: 0 });
    });

    test('a jump completes though its target is not mapped', async () => {
      expect(await run('ffe0', { regs: regs({ rax: 0xdead0000 }) })).toMatchObject({ status: 'ok', rip: 0xdead0000n });
    });

    test('CALL pushes its return address: the only memory that changed', async () => {
      const { memory } = await run('e800010000', { memory: [{ address: STACK + 0x7f8, bytes: hex('ffffffffffffffff') }] });
      expect(memory).toEqual([{ address: STACK + 0x7f8, bytes: hex('0508001000000000') }]);
    });

    test('REP STOSB is stepped to its end and counts once', async () => {
      const result = await run('f3aa', { regs: regs({ rax: 0x5a, rcx: 300, rdi: DATA }) });
      expect(result).toMatchObject({ status: 'ok', instructions: 1, memory: [{ address: DATA, bytes: new Uint8Array(300).fill(0x5a) }] });
      expect(result.regs[RCX]).toBe(0n);
    });

    test('a REP that faults stops at the iteration that faulted', async () => {
      const result = await run('f3aa', { regs: regs({ rcx: 100, rdi: DATA + WINDOW_BYTES - 40 }) });
      expect(result).toMatchObject({ status: 'exception', vector: 14, cr2: BigInt(DATA + WINDOW_BYTES), errorCode: 6, rip: BigInt(START) });
      expect(result.regs[RCX]).toBe(60n);
    });

    test('MOV SS holds the single-step trap for one instruction (SDM Vol. 3A, "Masking Exceptions and Interrupts When Switching Stacks")', async () => {
      expect(await run('8ed0', { regs: regs({ rax: 0x2b }) })).toMatchObject({ status: 'ok', rip: BigInt(START + 3) });
    });

    test('40 is INC eAX in 32-bit and 16-bit code; 16-bit code has IP from the start of the window', async () => {
      const in32 = await run('40', { mode: 32 });
      expect(in32).toMatchObject({ status: 'ok', rip: BigInt(START + 1), selectors: { cs: 0x23 } });
      expect(in32.regs[RAX]).toBe(1n);
      const in16 = await run('40', { mode: 16, regs: regs({ rax: 0x1ffff }) });
      expect(in16).toMatchObject({ status: 'ok', rip: 0x801n });
      expect(in16.regs[RAX]).toBe(0x10000n);
    });

    test('with window segments, 16-bit addresses count from the data window, and a limit violation is #GP', async () => {
      const load = { mode: 16, windowSegments: true, memory: [{ address: DATA + 0x10, bytes: hex('3412') }] } as const;
      const result = await run('8b07', { ...load, regs: regs({ rbx: 0x10, rsp: 0x800 }) }); // mov ax, [bx]
      expect(result.regs[RAX]).toBe(0x1234n);
      expect(result.selectors).toMatchObject({ ds: 0x17, es: 0x17, ss: 0x1f });
      expect(await run('8b07', { ...load, regs: regs({ rbx: 0x1fff }) })).toMatchObject({ status: 'exception', vector: 13 });
    });

    test('SSE, AVX and x87 registers go in and come out', async () => {
      const addss = await run('f30f58c1', { fxsave: fxsave({ xmm: [floats(1, 2), floats(1, 2)] }) });
      expect(addss.fxsave?.slice(160, 176)).toEqual(floats(2, 2));
      const faddp = await run('dec1', {
        fxsave: fxsave({ tags: 0xc0, fsw: 0x3000, st: ['0000000000000080ff3f', '0000000000000080ff3f'] }),
      });
      expect(faddp.fxsave?.slice(32, 42)).toEqual(hex('00000000000000800040'));
      const xmm = [new Uint8Array(16), new Uint8Array(16), new Uint8Array(16).fill(0x11)];
      const vpbroadcastd = await run('c4e27d58c2', { ymmHigh: new Uint8Array(256), fxsave: fxsave({ xmm }) });
      if (vpbroadcastd.vector !== 6) expect(vpbroadcastd.ymmHigh?.slice(0, 16)).toEqual(xmm[2]); // a host without AVX2 has #UD
    });

    test('patches, FS base and an 8-byte absolute address reach memory', async () => {
      const value = hex('8877665544332211');
      expect((await run('48a10001002000000000', { memory: [{ address: DATA + 0x100, bytes: value }] })).regs[RAX]).toBe(
        0x1122334455667788n,
      );
      const fs = await run('64488b042508000000', { fsBase: BigInt(DATA + 8), memory: [{ address: DATA + 16, bytes: value }] });
      expect(fs.regs[RAX]).toBe(0x1122334455667788n);
    });

    test('accesses and instructions cross from one page of a window to the next', async () => {
      const memory = [{ address: DATA + 0xffd, bytes: hex('0102030405060708') }];
      const result = await run('488b00', { rip: CODE + 0xffe, regs: regs({ rax: DATA + 0xffd }), memory });
      expect(result).toMatchObject({ status: 'ok', rip: BigInt(CODE + 0x1001) });
      expect(result.regs[RAX]).toBe(0x0807060504030201n);
    });

    test('code that runs off its window faults there', async () => {
      const result = await run('488b00', { rip: CODE + WINDOW_BYTES - 2 });
      expect(result).toMatchObject({ status: 'exception', vector: 14, cr2: BigInt(CODE + WINDOW_BYTES) });
    });
  });

  describe('what is held back', () => {
    test.each([
      ['SYSCALL', '0f05', {}],
      ['INT 80h', 'cd80', {}],
      ['INT 80h in 32-bit code', 'cd80', { mode: 32 }],
      ['SYSCALL running free', '0f05', { instructions: 'free' }],
      ['INT 80h running free', '6690cd80', { mode: 32, instructions: 'free' }],
      ['SYSCALL as a later step', '900f05', { instructions: 5 }],
    ] as const)('%s never reaches the kernel', async (_what, code, state) => {
      expect(await run(code, { regs: regs({ rax: 60 }), ...state })).toMatchObject({ status: 'system-call' });
    });

    test.each([
      ['RDTSC', '0f31'],
      ['WRPKRU', '0f01ef'],
      ['CPUID', '0fa2'],
    ])('%s is refused unless allowed', async (_what, code) => {
      expect((await run(code)).status).toBe('refused');
      expect((await run(code, { instructions: 'free' })).status).toBe('refused');
      expect((await run(`90${code}`, { instructions: 2 })).status).toBe('refused');
    });
    test('CPUID runs when allowed', async () => {
      const result = await run('0fa2', { allowHostDependent: true });
      expect(result.status).toBe('ok');
      expect(result.regs[RAX]).toBeGreaterThan(0n);
    });

    test('a case outside the code window is refused, and the cases after it run', async () => {
      const results = await runOnSilicon([{ code: hex('90'), rip: DATA }, { code: hex('90') }]);
      expect(results.map(({ status }) => status)).toEqual(['refused', 'ok']);
    });
  });

  describe('sequences', () => {
    /** Sums 10 .. 1: `top: add rax, rcx; dec rcx; jnz top`, then `mov [rdi], rax`. */
    const sum = { code: hex('4801c8 48ffc9 75f8 488907'), regs: regs({ rcx: 10, rdi: DATA }) };

    test('a loop runs free to the end of its code', async () => {
      const [result] = await runOnSilicon([{ ...sum, instructions: 'free', memory: [{ address: DATA, bytes: new Uint8Array(8) }] }]);
      expect(result).toMatchObject({ status: 'ok', rip: BigInt(START + 11), rflags: 0x246, memory: [{ address: DATA, bytes: hex('37') }] });
      expect(result?.regs[RAX]).toBe(55n);
    });

    test('stepping leaves the same state, and counts instructions', async () => {
      const [free, stepped] = await runOnSilicon([
        { ...sum, instructions: 'free' },
        { ...sum, instructions: 1000 },
      ]);
      expect({ ...stepped, instructions: 0 }).toEqual(free);
      expect(stepped?.instructions).toBe(31);
    });

    test('a limit ends it in the middle of the loop', async () => {
      const [result] = await runOnSilicon([{ ...sum, instructions: 7 }]); // two turns, and one ADD
      expect(result).toMatchObject({ status: 'limit', instructions: 7, rip: BigInt(START + 3) });
      expect(result?.regs[RAX]).toBe(27n);
    });

    test('a fault in the middle leaves what came before it, and nothing of the instruction', async () => {
      // mov rax,[rsi]; add rsi,8; jmp back: until it leaves the window.
      const walk = { code: hex('488b06 4883c608 ebf7'), regs: regs({ rsi: DATA + WINDOW_BYTES - 32 }) };
      const [free, stepped] = await runOnSilicon([
        { ...walk, instructions: 'free' },
        { ...walk, instructions: 1000 },
      ]);
      expect(free).toMatchObject({ status: 'exception', vector: 14, cr2: BigInt(DATA + WINDOW_BYTES), rip: BigInt(START) });
      expect({ ...stepped, instructions: 0 }).toEqual(free);
      expect(stepped?.instructions).toBe(12);
    });

    test('256 bytes of code run; an INT3 of their own is told from the one at the end', async () => {
      const code = new Uint8Array(256).fill(0x90);
      expect((await runOnSilicon([{ code, instructions: 'free' }]))[0]).toMatchObject({ status: 'ok', rip: BigInt(START + 256) });
      code[100] = 0xcc;
      expect((await runOnSilicon([{ code, instructions: 'free' }]))[0]).toMatchObject({
        status: 'exception',
        vector: 3,
        rip: BigInt(START + 101),
      });
    });

    test('16-bit code runs free to its end', async () => {
      const result = await run('40 40 e2fc', { mode: 16, regs: regs({ rcx: 5 }), instructions: 'free' }); // inc ax; inc ax; loop
      expect(result).toMatchObject({ status: 'ok', rip: 0x804n });
      expect(result.regs[RAX]).toBe(10n);
    });

    test('an endless loop is a hang, and the cases after it run', async () => {
      const results = await runOnSilicon([
        { code: hex('ebfe'), instructions: 'free' },
        { code: hex('90') },
        { code: hex('ebfe'), instructions: 50 },
      ]);
      expect(results.map(({ status }) => status)).toEqual(['hang', 'ok', 'limit']);
    });
  });

  test('memory is as windowContents says, whatever ran before', async () => {
    const seeds = [0, 1, 0xdeadbeef, 1];
    const offsets = [0, 8, 0x800, 0xff8, WINDOW_BYTES - 8];
    const scribble = { code: hex('48ab'), regs: regs({ rax: 0x5555, rdi: DATA + 8 }), seed: 1 };
    for (const [name, base] of [
      ['data', DATA],
      ['stack', STACK],
    ] as const) {
      const cases = seeds.flatMap((seed) =>
        offsets.flatMap((offset) => [scribble, { code: hex('488b00'), seed, regs: regs({ rax: base + offset }) }]),
      );
      const read = (await runOnSilicon(cases)).filter((_, i) => i % 2 === 1).map((result) => result.regs[RAX]);
      const expected = seeds.flatMap((seed) =>
        offsets.map((offset) => new DataView(windowContents(name, seed).buffer).getBigUint64(offset, true)),
      );
      expect(read).toEqual(expected);
    }
  });

  describe('many cases', () => {
    let cases: SiliconCase[];
    beforeAll(() => {
      let x = 12345;
      const random = (): number => {
        x ^= x << 13;
        x ^= x >>> 17;
        x ^= x << 5;
        return x >>> 0;
      };
      const value = (): bigint =>
        [BigInt(random()) << 32n, BigInt(random() & 255), BigInt(DATA + (random() & 4095))][random() % 3] as bigint;
      cases = Array.from({ length: 20_000 }, () => ({
        code: Uint8Array.from({ length: 15 }, () => random()),
        mode: ([64, 32, 16] as const)[random() % 3] ?? 64,
        regs: Array.from({ length: 16 }, (_, i) => (i === 4 ? BigInt(STACK + 0x800) : value())),
        rflags: random() & 0xcd5,
      }));
    });

    test('random bytes neither crash nor hang it, and leave the same state twice', async () => {
      const [first, second] = await Promise.all([runOnSilicon(cases), runOnSilicon(cases)]);
      expect(first).toHaveLength(cases.length);
      expect(first.filter(({ status }) => status === 'crash' || status === 'hang')).toEqual([]);
      const differing = first.findIndex((result, i) => !sameState(result, second[i]));
      expect(differing).toBe(-1);
    });
  });

  test('a malformed case is refused by name', async () => {
    await expect(runOnSilicon([{ code: new Uint8Array(257) }])).rejects.toThrow('257 bytes of code');
    await expect(runOnSilicon([{ code: hex('90'), fxsave: new Uint8Array(500) }])).rejects.toThrow('FXSAVE image of 500 bytes');
  });
});

function sameState(a: SiliconResult, b: SiliconResult | undefined): boolean {
  const flat = (result: SiliconResult | undefined): string =>
    JSON.stringify(result, (_key, value) => (typeof value === 'bigint' ? String(value) : value));
  return flat(a) === flat(b);
}

test('where silicon is not available, the reason is given', () => {
  expect(unavailable === undefined || unavailable.startsWith('the silicon harness needs')).toBe(true);
});

import { main } from 'minusone';
import { afterAll, describe, expect, test } from 'vitest';
import { type MemoryIo, memoryIo } from './memory-io.ts';
import { GuestFiles, type SMALL_GUESTS } from './small-guests.ts';

const files = new GuestFiles();
afterAll(() => files.remove());

const ACCELERATORS = ['none', 'vtx', 'amdv'] as const;

describe.each(ACCELERATORS)('--accel %s', (accel) => {
  async function run(
    guest: keyof typeof SMALL_GUESTS,
    args: readonly string[] = [],
    io: MemoryIo = memoryIo(),
  ): Promise<[number, MemoryIo]> {
    return [await main(['run', '--accel', accel, '--memory', '16M', '--flat', files.flat(guest), ...args], io), io];
  }

  describe('the exit status says how the machine ended, and one line on standard error says why where it failed', () => {
    test('power-off: 0, and nothing to say', async () => {
      const [status, io] = await run('powerOff');
      expect([status, io.stderr]).toEqual([0, '']);
    });

    test("a value v at the debug-exit port: 2v+1, as QEMU's isa-debug-exit does", async () => {
      expect((await run('debugExit5'))[0]).toBe(11);
      expect((await run('debugExit255'))[0]).toBe((2 * 255 + 1) & 0xff);
    });

    test('triple fault: 1', async () => {
      const [status, io] = await run('tripleFault');
      expect(status).toBe(1);
      expect(io.stderr).toMatch(/^minusone: .*triple fault\n$/);
    });

    test('reset: 1', async () => {
      const [status, io] = await run('reset');
      expect(status).toBe(1);
      expect(io.stderr).toMatch(/^minusone: .*reset.*\n$/);
    });

    test.each(['loopForEver', 'haltForEver', 'chatter'] as const)('time-out: 124, whatever the guest does: %s', async (guest) => {
      const [status, io] = await run(guest, ['--timeout', '0.3']);
      expect(status).toBe(124);
      expect(io.stderr).toMatch(/^minusone: .*stopped after 0\.3 s\n$/);
    });

    test.each([['host'], ['virtual']])('time-out of a guest that waits for ever, on the %s clock', async (clock) => {
      expect((await run('haltForEver', ['--timeout', '0.2', '--clock', clock]))[0]).toBe(124);
    });

    test('a machine that waits for ever, when no input can come and no time-out is set, has ended: 1', async () => {
      const [status, io] = await run('haltForEver');
      expect(status).toBe(1);
      expect(io.stderr).toMatch(/nothing is left that could wake one/);
    });
  });

  describe('standard streams', () => {
    test('serial port and debug port go to standard output, in the order in which the guest wrote', async () => {
      const [, io] = await run('bothPorts');
      expect(io.stdout).toBe('AcBd');
    });

    test('a pipe on standard input is fed as it comes, and its end ends nothing', async () => {
      const [status, io] = await run('echoByInterrupt', ['--timeout', '50'], memoryIo({ stdin: ['he', 'llo', '.'] }));
      expect([status, io.stdout]).toEqual([1, 'hello.']);
    });

    test('a guest that takes its input by interrupts and halts in between gets every byte', async () => {
      const text = `${'line after line\n'.repeat(3)}the end.`;
      const [status, io] = await run('echoByInterrupt', ['--timeout', '50', '--input', files.write('lines', text)]);
      expect([status, io.stdout]).toEqual([1, text]);
    });

    test('--input FILE is read whole before the guest starts, and standard input is left alone', async () => {
      const input = files.write('input', 'from a file.');
      const [status, io] = await run('echoByInterrupt', ['--timeout', '50', '--input', input], memoryIo({ stdin: ['not this'] }));
      expect([status, io.stdout]).toEqual([1, 'from a file.']);
    });

    test('--input - reads standard input whole', async () => {
      const [status, io] = await run('echoByInterrupt', ['--timeout', '50', '--input', '-'], memoryIo({ stdin: ['a', 'b.'] }));
      expect([status, io.stdout]).toEqual([1, 'ab.']);
    });

    test('on a terminal: raw mode while the machine runs, and not after; Ctrl-A x leaves with 0', async () => {
      const io = memoryIo({ isTerminal: true, stdin: ['typed', '\x01x'] });
      expect((await run('loopForEver', ['--timeout', '50'], io))[0]).toBe(0);
      expect(io.rawModes[0]).toBe(true);
      expect(io.rawModes.at(-1)).toBe(false);
      expect(io.stderr).toMatch(/Ctrl-A x leaves/);
    });

    test('the terminal is restored when the guest fails, too', async () => {
      const io = memoryIo({ isTerminal: true });
      expect((await run('tripleFault', [], io))[0]).toBe(1);
      expect(io.rawModes.at(-1)).toBe(false);
    });
  });

  describe('--stats', () => {
    test.each(['powerOff', 'tripleFault', 'reset'] as const)('the last line on standard error is one JSON object: %s', async (guest) => {
      const [, io] = await run(guest, ['--stats']);
      const statistics = JSON.parse(io.stderr.trimEnd().split('\n').at(-1) as string);
      expect(statistics).toMatchObject({ instructions: expect.any(Number), seconds: expect.any(Number), exits: expect.any(Object) });
      expect(statistics.instructions).toBeGreaterThan(0);
      expect(statistics.seconds).toBeGreaterThan(0);
    });

    test('the number of instructions is exact: MOV, OUT, and the machine has ended', async () => {
      const [, io] = await run('debugExit5', ['--stats']);
      expect(JSON.parse(io.stderr).instructions).toBe(2);
    });

    test("exits are counted by the manuals' names: one OUT, and the second stage that filled the page of code; none on the bare CPU", async () => {
      const [, io] = await run('debugExit5', ['--stats']);
      const exits = { none: {}, vtx: { EPT_VIOLATION: 1, IO_INSTRUCTION: 1 }, amdv: { NPF: 1, IOIO: 1 } };
      expect(JSON.parse(io.stderr).exits).toEqual(exits[accel]);
    });

    test('the virtual clock, and the same input, give the same number of instructions every time, with or without JIT', async () => {
      const input = files.write('input', 'ab.');
      const counts = [];
      for (const more of [[], [], ['--no-jit']]) {
        const [, io] = await run('echoByInterrupt', ['--stats', '--input', input, '--clock', 'virtual', ...more]);
        counts.push(JSON.parse(io.stderr).instructions);
      }
      expect(new Set(counts).size).toBe(1);
    });
  });

  test('a guest may have 64 processors', async () => {
    expect((await run('debugExit5', ['--cpus', '64']))[0]).toBe(11);
  });
});

test.each([
  ['nothing said', [], 'EPT_VIOLATION'],
  ['an Intel CPU', ['--model', 'intel'], 'EPT_VIOLATION'],
  ['an AMD CPU', ['--model', 'amd'], 'NPF'],
])('without --accel: VT-x, or what the CPU model has: %s', async (_what, args, exit) => {
  const io = memoryIo();
  expect(await main(['run', '--flat', files.flat('debugExit5'), '--stats', ...args], io)).toBe(11);
  expect(JSON.parse(io.stderr).exits).toHaveProperty(exit);
});

test('the bare CPU and both extensions execute the same instructions, whatever the model', async () => {
  const input = files.write('input', '.');
  const counts = [];
  for (const more of [
    ['--accel', 'none'],
    ['--accel', 'none', '--model', 'amd'],
    ['--accel', 'vtx'],
    ['--accel', 'amdv'],
  ]) {
    const io = memoryIo();
    await main(['run', '--memory', '16M', '--flat', files.flat('echo'), '--input', input, '--clock', 'virtual', '--stats', ...more], io);
    counts.push(JSON.parse(io.stderr).instructions);
  }
  expect(new Set(counts).size).toBe(1);
});

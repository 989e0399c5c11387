import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ROOT } from '../../scripts/workspace.mjs';
import { GuestFiles } from './small-guests.ts';

// The command as a process, on the sources: what only a process shows.
const files = new GuestFiles();
afterAll(() => files.remove());
const COMMAND = [
  '--import',
  join(ROOT, 'node_modules/tsx/dist/loader.mjs'),
  '--conditions=@minusone/source',
  join(ROOT, 'packages/minusone/src/main.ts'),
];

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(...args: string[]) {
  const child = spawn(process.execPath, [...COMMAND, ...args], { stdio: 'pipe' });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (data) => (said.stdout += data));
  child.stderr.on('data', (data) => (said.stderr += data));
  const ended = new Promise<Ended>((resolve) => child.on('close', (status) => resolve({ status, ...said })));
  return { child, said, ended };
}

/** Resolves when a condition holds. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe.concurrent('minusone as a process', () => {
  test('the status of the process is what main returns; a mistake is one line on standard error', async () => {
    const { status, stdout, stderr } = await start('run', '--kernel').ended;
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^minusone: .*\[USAGE\]\n$/);
  });

  test('output into a pipe is whole before the process ends', async () => {
    const zeros = files.write('zeros', new Uint8Array(200_000));
    const { status, stdout } = await start('disasm', zeros).ended;
    expect([status, stdout.trimEnd().split('\n').length]).toEqual([0, 100_000]);
  });

  test('standard input that stays open does not keep the process', async () => {
    expect((await start('run', '--flat', files.flat('debugExit5')).ended).status).toBe(11);
  });

  test('what comes through the pipe later reaches the guest later', async () => {
    const { child, said, ended } = start('run', '--flat', files.flat('echoByInterrupt'), '--timeout', '50');
    child.stdin.write('one ');
    await until(() => said.stdout === 'one ');
    child.stdin.write('two.');
    expect(await ended).toMatchObject({ status: 1, stdout: 'one two.' });
  });

  test('the end of standard input ends nothing', async () => {
    const { child, ended } = start('run', '--flat', files.flat('loopForEver'), '--timeout', '1');
    child.stdin.end();
    expect((await ended).status).toBe(124);
  });

  test('nobody reads standard output any more (EPIPE): the process ends with 1 and one line at most', async () => {
    const { child, said, ended } = start('run', '--flat', files.flat('chatter'));
    child.stdout.once('data', () => child.stdout.destroy());
    expect((await ended).status).toBe(1);
    expect(said.stderr).toMatch(/^(minusone: .*\n)?$/);
  });
});

// util-linux's `script` gives a command a terminal of its own.
describe.skipIf(spawnSync('script', ['--version']).status !== 0 || !existsSync('/bin/stty'))('on a real terminal', () => {
  /** @param onReady called when the machine runs and the terminal is its own */
  function onTerminal(command: string, onReady: (child: ChildProcessWithoutNullStreams) => void) {
    const before = files.write('before', '');
    const after = files.write('after', '');
    const line = `stty -a > ${before}; ${command}; echo "status $?"; stty -a > ${after}`;
    const child = spawn('script', ['-qec', line, '/dev/null'], { stdio: 'pipe' });
    let output = '';
    let isReady = false;
    child.stdout.on('data', (data) => {
      output += data;
      if (isReady || !output.includes('Ctrl-A x leaves')) return;
      isReady = true;
      setTimeout(() => onReady(child), 500);
    });
    return new Promise<{ output: string; before: string; after: string }>((resolve) =>
      child.on('close', () => resolve({ output, before: readFileSync(before, 'utf8'), after: readFileSync(after, 'utf8') })),
    );
  }
  const type = (keys: string) => (child: ChildProcessWithoutNullStreams) => child.stdin.write(keys);
  const minusone = [process.execPath, ...COMMAND].join(' ');

  test('Ctrl-A x leaves with status 0, and the terminal is as it was', async () => {
    const { output, before, after } = await onTerminal(
      `${minusone} run --flat ${files.flat('loopForEver')} --timeout 50`,
      type('abc\x01x'),
    );
    expect(output).toMatch('status 0');
    expect(after).toBe(before);
  });

  test('Ctrl-C goes to the guest', async () => {
    const { output } = await onTerminal(`${minusone} run --flat ${files.flat('echo')} --timeout 50`, type('\x03.'));
    expect(output).toMatch('\x03.');
    expect(output).toMatch('status 1');
  });

  test('after SIGTERM the terminal is as it was', async () => {
    const pid = files.write('pid', '');
    const command = `(${minusone} run --flat ${files.flat('loopForEver')} < /dev/tty & echo $! > ${pid}; wait $!)`;
    const { output, before, after } = await onTerminal(command, () => process.kill(Number(readFileSync(pid, 'utf8')), 'SIGTERM'));
    expect(output).toMatch('Ctrl-A x leaves');
    expect(output).toMatch('status 143');
    expect(after).toBe(before);
  });
});

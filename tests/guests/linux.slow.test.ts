import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildInitramfs } from 'minusone';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../../scripts/workspace.mjs';
import { fetchedGuests } from './fetched.ts';

// Debian's kernel and busybox on our CPU and under KVM on its extensions, as a user runs them: `minusone linux` as a process.
const execute = promisify(execFile);
/** Generous: how long it takes is not what is tested, and other tests run meanwhile. */
const BOOT_MS = 900_000;
const MINUSONE = [
  '--import',
  join(ROOT, 'node_modules/tsx/dist/loader.mjs'),
  '--conditions=@minusone/source',
  join(ROOT, 'packages/minusone/src/main.ts'),
];
const KNOWN_FILE = 'What is typed is what is hashed.\n';
/** Makes kvmclock the guest's clock, where there is one: what follows is timed by it. */
const CLOCK_SCRIPT = `#!/bin/sh
cd /sys/devices/system/clocksource/clocksource0
cat available_clocksource
echo kvm-clock > current_clocksource
cat current_clocksource
`;
const COMMANDS = [
  'uname -a',
  'nproc',
  'cat /proc/cpuinfo',
  '/root/clock',
  'sha256sum /root/known',
  '/root/program',
  'dmesg | tail -n 4',
  'poweroff -f',
];

interface Run {
  readonly output: string;
  readonly statistics: {
    readonly instructions: number;
    readonly seconds: number;
    readonly instructionsInRegions: number;
    readonly exits: Readonly<Record<string, number>>;
  };
  readonly status: number;
}

const folder = mkdtempSync(join(tmpdir(), 'minusone-linux-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let kernel = '';
let missing: string | undefined;
/** What the program prints on the host; undefined where there is no gcc. */
let onHost: string | undefined;

beforeAll(async () => {
  const guests = await fetchedGuests();
  if (typeof guests === 'string') {
    missing = guests;
    return;
  }
  kernel = guests.kernel;
  const program = join(folder, 'program');
  const files: Record<string, Uint8Array | string> = { '/root/known': KNOWN_FILE, '/root/clock': CLOCK_SCRIPT };
  if (process.arch === 'x64' && process.platform === 'linux' && buildProgram(program)) {
    files['/root/program'] = readFileSync(program);
    onHost = (await execute(program)).stdout;
  }
  writeFileSync(join(folder, 'initrd'), buildInitramfs({ busybox: readFileSync(guests.busybox), files }));
  writeFileSync(join(folder, 'input'), `${COMMANDS.join('\n')}\n`);
}, BOOT_MS);

/** Builds program.c by the host's gcc. False where there is none. */
function buildProgram(program: string): boolean {
  const { error, status, stderr } = spawnSync('gcc', ['-static', '-O2', '-o', program, join(import.meta.dirname, 'program.c'), '-lm']);
  if (error !== undefined) return false;
  expect(String(stderr)).toBe('');
  return status === 0;
}

async function boot(accel: string, cpus: number): Promise<Run> {
  const options = [
    '--accel',
    accel,
    '--cpus',
    String(cpus),
    '--clock',
    'virtual',
    '--input',
    join(folder, 'input'),
    '--stats',
    '--timeout',
    '850',
  ];
  const args = [...MINUSONE, 'linux', '--kernel', kernel, '--initrd', join(folder, 'initrd'), '--memory', '256M', ...options];
  const { stdout, stderr, code } = await execute(process.execPath, args, { maxBuffer: 1 << 26 }).then(
    (done) => ({ ...done, code: 0 }),
    (failed: { stdout: string; stderr: string; code: number }) => failed,
  );
  const last = stderr.trimEnd().split('\n').at(-1) ?? '';
  expect(last, `standard error: ${stderr}; the output ends: ${stdout.slice(-500)}`).toMatch(/^\{/);
  // The shell asks where the cursor is (CSI 6n) before it edits a line.
  return { output: stdout.replaceAll('\r', '').replaceAll('\x1b[6n', ''), statistics: JSON.parse(last), status: code };
}

/** What a command printed: from its echo to the next prompt. */
function answer(output: string, command: string): string {
  const start = output.indexOf(`# ${command}\n`);
  if (start < 0) throw new Error(`${command} was not seen: ${output.slice(-1000)}`);
  const end = output.indexOf('~ # ', start);
  return output.slice(start + command.length + 3, end < 0 ? undefined : end);
}

/** Exits that a guest's own memory management would cause without a second stage (EPT, NPT). */
const PAGING_EXITS = ['INVLPG', 'INVPCID', 'EXCEPTION_NMI', 'EXCP14', 'VMEXIT_EXCP14', 'READ_CR3', 'WRITE_CR3'];

describe.each([
  ['none', 1],
  ['none', 2],
  ['vtx', 1],
  ['vtx', 2],
  ['amdv', 1],
  ['amdv', 2],
] as const)('Debian on %s with %d CPUs', (accel, cpus) => {
  let runs: readonly Run[] = [];

  beforeAll(async () => {
    if (missing === undefined) runs = await Promise.all([boot(accel, cpus), boot(accel, cpus)]);
  }, BOOT_MS);

  const first = (skip: (why: string) => void): Run => {
    if (missing !== undefined) skip(missing);
    return runs[0] as Run;
  };

  test('reaches the shell and answers uname -a, nproc, cat /proc/cpuinfo', ({ skip }) => {
    const { output } = first(skip);
    expect(answer(output, 'uname -a')).toMatch(/^Linux minusone \S+-cloud-amd64 .* x86_64 GNU\/Linux\n$/);
    expect(answer(output, 'nproc')).toBe(`${cpus}\n`);
    const cpuinfo = answer(output, 'cat /proc/cpuinfo');
    expect(cpuinfo.match(/^processor\t: \d+$/gm)).toHaveLength(cpus);
    expect(cpuinfo).toMatch(accel === 'amdv' ? /^vendor_id\t: AuthenticAMD$/m : /^vendor_id\t: GenuineIntel$/m);
    expect(cpuinfo).toMatch(/^flags\t.*\bfpu\b.*\bsse2\b.*\blm\b/m);
  });

  test('sha256sum of a known file is what it is', ({ skip }) => {
    const digest = createHash('sha256').update(KNOWN_FILE).digest('hex');
    expect(answer(first(skip).output, 'sha256sum /root/known')).toBe(`${digest}  /root/known\n`);
  });

  test('dmesg | tail shows the end of the kernel log, and no processor or driver complained on the way', ({ skip }) => {
    const { output } = first(skip);
    expect(answer(output, 'dmesg | tail -n 4')).toMatch(/^(\[ *\d+\.\d+\] .*\n){4}$/);
    expect(output).not.toMatch(/BUG:|Oops|WARNING: CPU|Call Trace|soft lockup|Hardware Error|\[Firmware Bug\]/);
  });

  test('poweroff -f ends with 0', ({ skip }) => {
    expect(first(skip).status).toBe(0);
  });

  test('a C program of integers, SSE2, long double, sorting and memory prints what it prints on the host', ({ skip }) => {
    const { output } = first(skip);
    if (onHost === undefined) return skip('there is no gcc for x86-64 Linux here');
    expect(onHost.split('\n')).toHaveLength(6);
    expect(answer(output, '/root/program')).toBe(onHost);
  });

  test('the same boot twice on the virtual clock, with the same input: the same instruction count and output', ({ skip }) => {
    const one = first(skip);
    const two = runs[1] as Run;
    expect(two.statistics.instructions).toBe(one.statistics.instructions);
    expect(two.output).toBe(one.output);
  });

  test('the kernel finds KVM and keeps its time by kvmclock; of what a hypervisor may offer besides, it finds nothing', ({ skip }) => {
    const { output } = first(skip);
    const [available, ...switched] = answer(output, '/root/clock').trimEnd().split('\n');
    if (accel === 'none') {
      expect(output).not.toContain('Hypervisor detected');
      expect(available).not.toContain('kvm-clock');
      return;
    }
    expect(output).toContain('Hypervisor detected: KVM');
    expect(output).toContain('clocksource: Switched to clocksource kvm-clock');
    expect(available).toContain('kvm-clock');
    expect(switched.at(-1)).toBe('kvm-clock');
    // Linux's words where it sets up steal time, asynchronous page faults, IPIs and TLB flushes by a hypervisor's help.
    expect(output).not.toMatch(/stealtime|async PF|PV IPIs|PV sched yield|remote TLB flush/i);
  });

  test('exits are counted by name; the guest manages its memory without any', ({ skip }) => {
    const { exits } = first(skip).statistics;
    if (accel === 'none') {
      expect(exits).toEqual({});
      return;
    }
    expect(exits).toMatchObject(
      accel === 'vtx'
        ? { CPUID: expect.any(Number), EPT_VIOLATION: expect.any(Number) }
        : { CPUID: expect.any(Number), NPF: expect.any(Number) },
    );
    for (const name of PAGING_EXITS) expect(exits[name] ?? 0, name).toBe(0);
  });

  test('hot code runs in regions', ({ skip }) => {
    const { instructions, instructionsInRegions } = first(skip).statistics;
    expect(instructionsInRegions / instructions).toBeGreaterThan(0.5);
  });
});

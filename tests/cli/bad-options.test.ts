import { main } from 'minusone';
import { afterAll, describe, expect, test } from 'vitest';
import { memoryIo } from './memory-io.ts';
import { GuestFiles } from './small-guests.ts';

const files = new GuestFiles();
afterAll(() => files.remove());
const guest = files.flat('debugExit5');
const kernel = files.write('kernel', 'no kernel at all, but it is long enough to be looked at');

/** What is typed, and what the one line on standard error says. */
const MISTAKES: readonly (readonly [what: string, args: readonly string[], says: RegExp])[] = [
  ['no command', [], /no command\..*run, linux, guests, disasm, explain, demo.*\[USAGE\]/],
  ['an unknown command', ['walk'], /no command 'walk'/],
  ['an unknown option', ['run', '--colour', '--flat', guest], /no option '--colour'/],
  ['an unknown option that resembles one', ['run', '--kern', 'x'], /no option '--kern'.*Did you mean --kernel\?/],
  ['an unknown short option', ['run', '-q'], /no option '-q'/],
  ['a superfluous argument', ['run', 'extra', '--flat', guest], /'extra' is one argument too many/],
  ['a missing value', ['run', '--kernel'], /--kernel needs a value.*--kernel FILE/],
  ['a value for a switch', ['run', '--stats=yes', '--flat', guest], /--stats takes no value/],
  ['nothing to boot', ['run'], /nothing to boot.*--kernel FILE, --flat FILE@ADDR and --bios FILE/],
  ['two things to boot', ['run', '--flat', guest, '--bios', kernel], /--flat and --bios exclude each other/],
  ['an initrd without a kernel', ['run', '--flat', guest, '--initrd', kernel], /--initrd is for a kernel/],
  ['a command line without a kernel', ['run', '--flat', guest, '--append', 'quiet'], /--append is for a kernel/],
  ['a missing file', ['run', '--kernel', `${kernel}.missing`], /\.missing' cannot be read: there is no such file.*\[FILE_UNREADABLE\]/],
  ['a folder for a file', ['run', '--bios', files.folder], /cannot be read: it is a folder/],
  ['a missing input file', ['run', '--flat', guest, '--input', `${kernel}.missing`], /there is no such file/],
  ['a flat image without an address', ['run', '--flat', kernel], /does not say where the image goes.*FILE@ADDR/],
  ['a flat image above 1 MiB', ['run', '--flat', `${kernel}@0x100000`], /'0x100000' is no possible address/],
  ['a flat image at no number', ['run', '--flat', `${kernel}@seven`], /'seven' is no possible address/],
  ['an unknown accelerator', ['run', '--flat', guest, '--accel', 'kvm'], /no accelerator 'kvm'.*Use none or vtx or amdv/],
  ['an unknown CPU model', ['run', '--flat', guest, '--model', 'z80'], /no CPU model 'z80'.*intel.*amd/],
  [
    'VT-x in an AMD CPU',
    ['run', '--flat', guest, '--accel', 'vtx', '--model', 'amd'],
    /model amd has no VT-x.*--model intel.*--accel amdv/,
  ],
  ['AMD-V in an Intel CPU', ['run', '--flat', guest, '--accel', 'amdv', '--model', 'intel'], /model intel has no AMD-V.*--accel vtx/],
  ['an unknown clock', ['run', '--flat', guest, '--clock', 'sun'], /no clock 'sun'.*virtual or host/],
  ['no processors', ['run', '--flat', guest, '--cpus', '0'], /'0' is no possible number of processors.*1 to 64/],
  ['too many processors', ['run', '--flat', guest, '--cpus', '65'], /'65' is no possible number of processors/],
  ['a part of a processor', ['run', '--flat', guest, '--cpus', '1.5'], /'1\.5' is no possible number of processors/],
  ['memory that is no size', ['run', '--flat', guest, '--memory', 'much'], /'much' is not a memory size.*\[INVALID_SIZE\]/],
  ['too little memory', ['run', '--flat', guest, '--memory', '4K'], /at least 1M/],
  ['memory of half a page', ['run', '--flat', guest, '--memory', '1050000'], /multiple of 4 KiB/],
  ['no time', ['run', '--flat', guest, '--timeout', '0'], /'0' is no possible time/],
  ['a time before now', ['run', '--flat', guest, '--timeout=-5'], /'-5' is no possible time/],
  ['a file that is no kernel', ['run', '--kernel', kernel], /\[IMAGE_UNRECOGNIZED\]/],
  ['firmware of an odd size', ['run', '--bios', kernel], /\[BIOS_IMAGE_SIZE\]/],
  ['linux: what a kernel has no use for', ['linux', '--flat', guest], /no option '--flat'/],
  ['disasm: no file', ['disasm'], /nothing to disassemble/],
  ['disasm: an odd code size', ['disasm', '--bits', '8', kernel], /no code size '8'.*16 or 32 or 64/],
  ['disasm: an address that is none', ['disasm', '--address', 'here', kernel], /'here' is no possible address/],
  ['disasm: an address of 65 bits', ['disasm', '--address', '0x10000000000000000', kernel], /at most 64 bits/],
  ['disasm: an offset beyond the end', ['disasm', '--offset', '9999', kernel], /'9999' is no possible offset/],
  ['disasm: a length beyond the end', ['disasm', '--offset', '1', '--length', '9999', kernel], /'9999' is no possible length/],
];

describe('a mistake in the command line: status 1, one line that names it, no stack trace', () => {
  test.each(MISTAKES)('%s', async (_what, args, says) => {
    const io = memoryIo();
    expect(await main(args, io)).toBe(1);
    expect(io.stderr).toMatch(says);
    expect(io.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(io.stdout).toBe('');
  });

  test('more memory than a machine can have is a named error', async () => {
    const io = memoryIo();
    expect(await main(['run', '--flat', guest, '--memory', '64G'], io)).toBe(1);
    expect(io.stderr).toMatch(/^minusone: .*\[[A-Z_]+\]\n$/);
    expect(io.stderr).not.toMatch(/defect/);
  });

  test('MINUSONE_DEBUG=1 shows where it was found', async () => {
    const io = memoryIo({ env: { MINUSONE_DEBUG: '1' } });
    await main(['run'], io);
    expect(io.stderr).toMatch(/nothing to boot.*(\n.*)+\n {4}at /);
  });
});

describe('help and version', () => {
  test.each([['--help'], ['-h'], ['help']])('%s lists the commands', async (flag) => {
    const io = memoryIo();
    expect(await main([flag], io)).toBe(0);
    for (const name of ['run', 'linux', 'guests', 'disasm', 'explain', 'demo']) expect(io.stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
  });

  test.each([['run'], ['linux'], ['guests'], ['disasm'], ['explain'], ['demo']])(
    '%s --help lists its options, whatever else is given',
    async (name) => {
      const io = memoryIo();
      expect(await main([name, 'a', 'b', '--help'], io)).toBe(0);
      expect(io.stdout).toMatch(`usage: minusone ${name}`);
      expect(io.stdout).toMatch(/^ {2}--help /m);
    },
  );

  test('run --help names every option of the command line', async () => {
    const io = memoryIo();
    await main(['run', '--help'], io);
    const options = ['accel', 'memory', 'cpus', 'kernel', 'initrd', 'append', 'flat', 'bios', 'input', 'timeout', 'clock', 'stats'];
    for (const name of [...options, 'model', 'no-jit']) expect(io.stdout).toMatch(new RegExp(`^  --${name}[ \\n]`, 'm'));
  });

  test('--version', async () => {
    const io = memoryIo();
    expect(await main(['--version'], io)).toBe(0);
    expect(io.stdout).toMatch(/^minusone \d+\.\d+\.\d+\S*\n$/);
  });
});

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { finished } from 'node:stream/promises';
import { extensionMachines } from './extensions.ts';
import type { RomMachine } from './rom.ts';

/** How a ROM's run ended. */
export type RomEnd = 'shutdown' | 'triple fault' | 'time-out';

/** What a ROM printed on port 0xE9, and how it ended. */
export interface RomRun {
  readonly output: string;
  readonly end: RomEnd;
}

/** Wall time after which a run is given up. */
const LIMIT_MS = 30_000;

const installed = (program: string): boolean =>
  (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));

/** The peers that this host has: Debian's packages `bochs`, `bochs-term`, `bochsbios`, `vgabios`; `qemu-system-x86`. */
export const peerInstalled = {
  bochs: (): boolean => installed('bochs') && existsSync(VGA_BIOS),
  qemu: (): boolean => installed('qemu-system-x86_64'),
} as const;

const VGA_BIOS = '/usr/share/bochs/VGABIOS-lgpl-latest';

interface ProcessResult {
  readonly stdout: string;
  readonly status: number | undefined;
  readonly timedOut: boolean;
}

async function run(program: string, args: readonly string[]): Promise<ProcessResult> {
  return new Promise((resolve) => {
    const child = execFile(
      program,
      args,
      { timeout: LIMIT_MS, killSignal: 'SIGKILL', encoding: 'latin1', maxBuffer: 1 << 24 },
      (error, stdout) => {
        const status = error === null ? 0 : typeof error.code === 'number' ? error.code : undefined;
        resolve({ stdout, status, timedOut: error?.killed === true });
      },
    );
    child.stdin?.end();
    if (child.stdin !== null) finished(child.stdin).catch(() => {});
  });
}

async function withFolder<T>(rom: Uint8Array, work: (folder: string, file: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'rom-'));
  try {
    const file = join(folder, 'rom.bin');
    await writeFile(file, rom);
    return await work(folder, file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The processor of Bochs that ROMs without an extension run on. */
const BOCHS_MODEL = 'corei7_skylake_x';

/** Runs a 64 KiB ROM in Bochs (2.7) without a window. It ends when the ROM writes `Shutdown` to port 0x8900. */
export function runOnBochs(rom: Uint8Array, { extension, cpus = 1 }: RomMachine = {}): Promise<RomRun> {
  const model = extension === undefined ? BOCHS_MODEL : extensionMachines[extension].bochsModel;
  return withFolder(rom, async (folder, file) => {
    const log = join(folder, 'log');
    const configuration = `plugin_ctrl: unmapped=1, biosdev=0, speaker=0, extfpuirq=1, parallel=0, serial=0
config_interface: textconfig
display_library: term
memory: host=64, guest=64
romimage: file="${file}"
vgaromimage: file="${VGA_BIOS}"
boot: disk
ata0: enabled=0
cpu: count=${cpus}, model=${model}, ips=50000000, reset_on_triple_fault=0, ignore_bad_msrs=0
clock: sync=none, time0=0
port_e9_hack: enabled=1
log: ${log}
panic: action=fatal
error: action=report
`;
    await writeFile(join(folder, 'rc'), configuration);
    await writeFile(join(folder, 'go'), 'c\n');
    const { stdout, timedOut } = await run('bochs', ['-q', '-f', join(folder, 'rc'), '-rc', join(folder, 'go')]);
    // The ROM's output stands between the debugger's first lines, one a processor, and its last, which may follow text that ends in no newline.
    const first = /(?:^\(\d\) \[.*\n)+/m.exec(stdout);
    const rest = first === null ? '' : stdout.slice(first.index + first[0].length);
    const spoken = /\(\d\)\.\[\d.*\n?/g;
    const last = [...rest.matchAll(spoken)].at(-1)?.index;
    // It speaks at a triple fault that a hypervisor intercepts, too.
    const own = rest.slice(0, last).replace(spoken, '');
    // The debugger speaks up once more where it cannot disassemble the last instruction.
    const output = own.replace(/^bx_dbg_read.*\n/gm, '');
    const text = await readFile(log, 'latin1').catch(() => '');
    const end = text.includes('Shutdown port') ? 'shutdown' : timedOut ? 'time-out' : 'triple fault';
    if (end === 'triple fault' && !/shutdown|3rd/i.test(text)) throw new Error(`Bochs failed:\n${text.slice(-2000)}`);
    return { output: `${output.trimEnd()}\n`, end };
  });
}

/** Runs a ROM in QEMU (7.2, TCG, `-cpu max`, which has SVM). It ends when the ROM writes to port 0xF4, or by a triple fault. */
export function runOnQemu(rom: Uint8Array, { cpus = 1 }: RomMachine = {}): Promise<RomRun> {
  return withFolder(rom, async (_folder, file) => {
    const machine = [
      '-accel',
      'tcg,thread=single',
      '-cpu',
      'max',
      '-smp',
      String(cpus),
      '-m',
      '64',
      '-nodefaults',
      '-no-user-config',
      '-display',
      'none',
      '-no-reboot',
    ];
    const devices = ['-debugcon', 'stdio', '-device', 'isa-debug-exit,iobase=0xf4,iosize=1'];
    const { stdout, status, timedOut } = await run('qemu-system-x86_64', [...machine, ...devices, '-bios', file]);
    return { output: `${stdout.trimEnd()}\n`, end: timedOut ? 'time-out' : status === 1 ? 'shutdown' : 'triple fault' };
  });
}

import type { BootOptions, ClockKind } from '@minusone/vmm';
import type { CpuModel } from '@minusone/x86';
import { UsageError } from '../errors.ts';
import type { CliIo } from '../terminal/cli-io.ts';
import {
  ACCELERATOR_MODELS,
  ACCELERATOR_TITLES,
  ACCELERATORS,
  type AcceleratorName,
  acceleratorOf,
  defaultAccelerator,
} from './accelerators.ts';
import { type OptionRow, oneOf, type ParsedOptions, seconds, wholeNumber } from './option.ts';
import { readNamedFile } from './read-file.ts';

const MAX_CPUS = 64;
const HIGHEST_FLAT_ADDRESS = 0xfffff;
const CLOCKS = ['virtual', 'host'] as const;

/** Options of every command that runs a machine. */
export const MACHINE_OPTIONS: readonly OptionRow[] = [
  {
    name: 'accel',
    value: 'none|vtx|amdv',
    help: 'what runs the processors: the bare emulated CPU, or KVM on emulated VT-x or AMD-V; default vtx, but with --model amd amdv',
  },
  { name: 'memory', value: 'SIZE', help: 'RAM, with K, M or G; default 512M' },
  { name: 'cpus', value: 'N', help: `processors, 1 to ${MAX_CPUS}; default 1` },
  { name: 'model', value: 'intel|amd', help: 'the CPU that the guest sees; default intel, but with --accel amdv amd' },
  { name: 'input', value: 'FILE', help: "what is typed to the guest, read whole before it starts; '-': standard input" },
  { name: 'timeout', value: 'SECONDS', help: 'end with status 124 after so much wall time' },
  { name: 'clock', value: 'virtual|host', help: 'time by instructions executed, or by the wall; default: host on a terminal' },
  { name: 'no-jit', help: 'interpret only' },
  { name: 'stats', help: 'print instructions, seconds and exits as JSON, the last line on standard error' },
];

/** What to boot. */
export const IMAGE_OPTIONS: readonly OptionRow[] = [
  { name: 'kernel', value: 'FILE', help: 'a bzImage, an ELF file (PVH, Multiboot, or plain ELF64) or a Multiboot image' },
  { name: 'initrd', value: 'FILE', help: "the kernel's initial RAM disk" },
  { name: 'append', value: 'TEXT', help: "the kernel's command line; default console=ttyS0" },
  { name: 'flat', value: 'FILE@ADDR', help: 'raw bytes at ADDR, started there in real mode' },
  { name: 'bios', value: 'FILE', help: 'firmware below 4 GiB, started at the reset vector' },
];

/** How a machine is run, apart from what it is. */
export interface RunSettings {
  readonly boot: BootOptions;
  /** Standard input is the serial line. False: `--input` is all that the guest gets. */
  readonly isInteractive: boolean;
  readonly printsStatistics: boolean;
}

/** Reads the options of `MACHINE_OPTIONS`; `accelerator` stands in for `--accel`. @throws {UsageError} @throws {UnreadableFileError} */
export async function machineSettings(options: ParsedOptions, io: CliIo, accelerator?: AcceleratorName): Promise<RunSettings> {
  const { parseMemorySize } = await import('@minusone/vmm');
  const { cpuModels } = await import('@minusone/x86');
  const memory = options.value('memory');
  const cpus = options.value('cpus');
  const timeout = options.value('timeout');
  const clock = options.value('clock');
  const isOnTerminal = io.input.isTerminal && io.isOutputTerminal;
  const chosenClock: ClockKind = clock === undefined ? (isOnTerminal ? 'host' : 'virtual') : oneOf('clock', clock, CLOCKS);
  const modelNamed = options.value('model');
  const modelGiven = modelNamed === undefined ? undefined : cpuModels[oneOf('CPU model', modelNamed, Object.keys(cpuModels))];
  const accelNamed = options.value('accel');
  const accelGiven = accelNamed === undefined ? undefined : oneOf('accelerator', accelNamed, ACCELERATORS);
  const accel = accelerator ?? accelGiven ?? defaultAccelerator(modelGiven);
  const model = modelGiven ?? (cpuModels[ACCELERATOR_MODELS[accel]] as CpuModel);
  requireExtension(accel, model);
  const boot: BootOptions = {
    accel: await acceleratorOf(accel, model),
    clock: chosenClock,
    model,
    jit: !options.isSet('no-jit'),
    ...(memory === undefined ? {} : { memory: parseMemorySize(memory) }),
    ...(cpus === undefined ? {} : { cpus: wholeNumber('number of processors', cpus, 1, MAX_CPUS) }),
    ...(timeout === undefined ? {} : { timeoutMs: seconds('time', timeout) * 1000 }),
  };
  // Last, since it may wait for the end of a pipe.
  const input = options.value('input');
  const data = input === undefined ? {} : { input: input === '-' ? await io.input.readAll() : await readNamedFile(input) };
  return { boot: { ...boot, ...data }, isInteractive: input === undefined, printsStatistics: options.isSet('stats') };
}

/** VT-x is Intel's and AMD-V AMD's. */
function requireExtension(accel: AcceleratorName, model: CpuModel): void {
  if (accel === 'none' || ACCELERATOR_MODELS[accel] === model.vendor) return;
  const other = ACCELERATORS.find((name) => name !== 'none' && ACCELERATOR_MODELS[name] === model.vendor);
  const hint = `Use --model ${ACCELERATOR_MODELS[accel]}, or --accel ${other}.`;
  throw new UsageError(`A CPU of the model ${model.name} has no ${ACCELERATOR_TITLES[accel]}.`, hint, { accel, model: model.name });
}

/** Reads the files that `IMAGE_OPTIONS` name. @throws {UsageError} @throws {UnreadableFileError} */
export async function bootImages(
  options: ParsedOptions,
): Promise<Pick<BootOptions, 'kernel' | 'initrd' | 'commandLine' | 'flat' | 'bios'>> {
  const given = ['kernel', 'flat', 'bios'].filter((name) => options.isSet(name));
  if (given.length === 0) throw new UsageError('There is nothing to boot.', 'Give one of --kernel FILE, --flat FILE@ADDR and --bios FILE.');
  if (given.length > 1)
    throw new UsageError(`--${given.join(' and --')} exclude each other.`, 'Give one of --kernel, --flat and --bios.', { given });
  for (const name of ['initrd', 'append']) {
    if (options.isSet(name) && !options.isSet('kernel'))
      throw new UsageError(`--${name} is for a kernel.`, 'Give --kernel FILE too, or leave it out.', { option: name });
  }
  const flat = options.value('flat');
  if (flat !== undefined) return { flat: await flatImage(flat) };
  const bios = options.value('bios');
  if (bios !== undefined) return { bios: await readNamedFile(bios) };
  return kernelImages(options);
}

/** Reads `--kernel`, `--initrd` and `--append`, as far as they are given. */
export async function kernelImages(options: ParsedOptions): Promise<Pick<BootOptions, 'kernel' | 'initrd' | 'commandLine'>> {
  const kernel = options.value('kernel');
  const initrd = options.value('initrd');
  const append = options.value('append');
  return {
    ...(kernel === undefined ? {} : { kernel: await readNamedFile(kernel) }),
    ...(initrd === undefined ? {} : { initrd: await readNamedFile(initrd) }),
    ...(append === undefined ? {} : { commandLine: append }),
  };
}

async function flatImage(text: string): Promise<{ readonly image: Uint8Array; readonly address: number }> {
  const at = text.lastIndexOf('@');
  if (at <= 0)
    throw new UsageError(`'${text}' does not say where the image goes.`, 'Write --flat FILE@ADDR, such as boot.bin@0x7c00.', { text });
  const address = wholeNumber('address of a flat image', text.slice(at + 1), 0, HIGHEST_FLAT_ADDRESS);
  return { image: await readNamedFile(text.slice(0, at)), address };
}

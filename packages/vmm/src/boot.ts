import type { InterruptLine } from '@minusone/core';
import { InvalidArgumentError } from '@minusone/core';
import { I8259Pair } from '@minusone/devices';
import { type BootState, loadBios, loadFlat, loadKernel, memoryMap, putAcpiTables } from '@minusone/loader';
import { PortSpace } from '@minusone/memory';
import { type CpuModel, cpuModels, type JitOptions } from '@minusone/x86';
import type { Accelerator, ClockKind } from './accelerator.ts';
import { bareCpu } from './bare-cpu.ts';
import { Machine } from './machine.ts';
import { type MemorySize, parseMemorySize } from './memory-size.ts';
import { PcBoard } from './pc/board.ts';
import { GuestRam } from './pc/guest-ram.ts';
import { Power } from './pc/power.ts';
import { InputFeeder } from './serial/input-feeder.ts';
import { SerialConsole } from './serial/serial-console.ts';

/** What to boot, and on what machine. One of `kernel`, `flat` and `bios` is required. */
export interface BootOptions {
  /** A bzImage, an ELF file (PVH, Multiboot, or plain ELF64) or a Multiboot image: told apart by itself. */
  readonly kernel?: Uint8Array;
  readonly initrd?: Uint8Array;
  /** Kernel command line. Default for a kernel: `console=ttyS0`. */
  readonly commandLine?: string;
  /** Raw bytes at an address, started in real mode there (CS = address >> 4, IP = address & 15). */
  readonly flat?: { readonly image: Uint8Array; readonly address: number };
  /** Firmware: mapped below 4 GiB, its last 128 KiB below 1 MiB too, started at the reset vector. */
  readonly bios?: Uint8Array;
  /** RAM. Default 512M. */
  readonly memory?: MemorySize;
  /** 1 to 64 processors. Default 1. */
  readonly cpus?: number;
  /** What runs the processors: `none` is the bare emulated CPU; `kvmAccelerator(intel())` is KVM on emulated VT-x. */
  readonly accel?: 'none' | Accelerator;
  /** Default `virtual`: time is a function of instructions executed. */
  readonly clock?: ClockKind;
  /** CPU model: a preset's name or a model. Default `intel`. */
  readonly model?: string | CpuModel;
  /** Whether what is hot is compiled, and when. Default true; false: interpret only. */
  readonly jit?: boolean | JitOptions;
  /** Bytes that the guest reads from COM1, fed at its own pace, the same in every run. */
  readonly input?: Uint8Array;
  /** Wall time after which the machine ends. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Bytes that the guest writes to port 0xE9. */
  readonly onDebug?: (byte: number) => void;
  /** What the real-time clock shows at the start, seconds since 1970. Default: 2000-01-01, or the host's time on the host clock. */
  readonly startEpochSeconds?: number;
}

/** 2000-01-01. */
const START_OF_2000_SECONDS = 946_684_800;

function chooseModel(model: string | CpuModel | undefined): CpuModel {
  if (model !== undefined && typeof model !== 'string') return model;
  const preset = cpuModels[model ?? 'intel'];
  if (preset === undefined) {
    throw new InvalidArgumentError(`There is no CPU model '${model}'.`, `Use ${Object.keys(cpuModels).join(' or ')}.`, { model });
  }
  return preset;
}

/**
 * Boots a machine and lets it run.
 *
 * @returns the machine, already running; it needs the host's event loop
 * @throws {InvalidArgumentError} nothing, or too much, to boot; processors outside 1 to 64; an unknown model
 * @throws {ImageError} of `@minusone/loader`, where an image is not what it should be
 * @example
 * const machine = await boot({ kernel, initrd, memory: '512M', cpus: 2 });
 * await machine.serial.waitFor('~ # ');
 */
export async function boot(options: BootOptions): Promise<Machine> {
  const { kernel, flat, bios } = options;
  const cpus = options.cpus ?? 1;
  if ([kernel, flat, bios].filter((image) => image !== undefined).length !== 1) {
    throw new InvalidArgumentError('There is not one thing to boot.', 'Give exactly one of kernel, flat and bios.');
  }
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > 64)
    throw new InvalidArgumentError(`${cpus} processors are not possible.`, 'Use 1 to 64.', { cpus });
  const model = chooseModel(options.model);
  const ramBytes = parseMemorySize(options.memory ?? '512M');
  const firmware = bios === undefined ? undefined : loadBios(bios);
  const accelerator = options.accel === undefined || options.accel === 'none' ? bareCpu : options.accel;
  const ram = new GuestRam(ramBytes, firmware?.roms ?? [], accelerator.spareBytes?.(ramBytes, cpus) ?? 0);
  const ports = new PortSpace();
  const clock = options.clock ?? 'virtual';
  const startEpochSeconds = options.startEpochSeconds ?? (clock === 'host' ? Math.floor(Date.now() / 1000) : START_OF_2000_SECONDS);

  let intr: InterruptLine | undefined;
  const pic = new I8259Pair({ intr: { set: (asserted) => intr?.set(asserted) } });
  const processors = accelerator.createProcessors({
    memory: ram.memory,
    physical: ram.physical,
    ports,
    model,
    cpus,
    clock,
    startEpochSeconds,
    jit: options.jit ?? true,
    spare: ram.spare,
    interruptAcknowledge: pic,
  });
  intr = processors.intr;

  const power = new Power(() => processors.stop());
  let feeder: InputFeeder | undefined;
  let machine: Machine | undefined;
  const serial = new SerialConsole(() => {
    feeder?.wake();
    machine?.wake();
  });
  const board = new PcBoard({
    processors,
    pic,
    physical: ram.physical,
    ports,
    power,
    ramBelow4GiB: ram.below4GiB,
    ramAbove4GiB: ram.above4GiB,
    onSerial: (byte) => serial.transmitted(byte),
    onDebug: options.onDebug ?? (() => {}),
    onSerialSpace: () => feeder?.wake(),
    onA20: (enabled) => ram.setA20(enabled),
    startEpochSeconds,
  });
  feeder = new InputFeeder(
    processors.clock,
    board.uart,
    () => serial.nextInput(),
    () => processors.idleCount,
  );
  if (options.input !== undefined) serial.send(options.input);

  processors.start(firmware?.state ?? load(options, ram, ramBytes, cpus));
  machine = new Machine({ serial, ram, board, processors, power, timeoutMs: options.timeoutMs, signal: options.signal });
  return machine;
}

/** Puts a kernel or a flat image into RAM. */
function load(options: BootOptions, ram: GuestRam, ramBytes: number, cpus: number): BootState {
  if (options.flat !== undefined) return loadFlat(ram.physical, options.flat.image, options.flat.address).state;
  const map = memoryMap(ramBytes);
  const acpiRsdp = putAcpiTables(ram.physical, map, { cpus });
  return loadKernel(ram.physical, map, options.kernel as Uint8Array, {
    commandLine: options.commandLine ?? 'console=ttyS0',
    acpiRsdp,
    ...(options.initrd === undefined ? {} : { initrd: options.initrd }),
  }).state;
}

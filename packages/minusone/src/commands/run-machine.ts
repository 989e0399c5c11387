import { boot, type Machine, type MachineEnd } from '@minusone/vmm';
import type { RunSettings } from '../options/machine-options.ts';
import { reportError } from '../report-error.ts';
import type { CliIo } from '../terminal/cli-io.ts';
import { SerialTerminal } from '../terminal/serial-terminal.ts';

/** Exit statuses: those of GNU timeout and of QEMU's isa-debug-exit, where they have one. */
const TIME_OUT_STATUS = 124;
const FAILURE_STATUS = 1;

/** What a run came to. */
export interface RunResult {
  readonly status: number;
  readonly instructions: number;
  readonly seconds: number;
  /** VM exits by the manual's names. */
  readonly exits: Readonly<Record<string, number>>;
}

/**
 * Boots a machine with its serial line on the standard streams, and waits for its end. Says on standard error how it ended, unless it turned
 * itself off or the user left it.
 *
 * @throws {MinusOneError} it cannot be booted
 */
export async function runMachine(settings: RunSettings, io: CliIo): Promise<RunResult> {
  const terminal = new SerialTerminal(io);
  const machine = await boot({ ...settings.boot, onDebug: (byte) => terminal.debugByte(byte) });
  let isOutputClosed = false;
  let status: number;
  try {
    terminal.attach(machine, { isInteractive: settings.isInteractive, endsWithInput: settings.boot.timeoutMs === undefined });
    io.onOutputClosed(() => {
      isOutputClosed = true;
      machine.stop();
    });
    const end = await machine.ended;
    terminal.detach();
    const message = isOutputClosed ? 'nobody reads standard output any more' : describe(end, settings);
    if (message !== undefined) io.err(`minusone: ${message}\n`);
    status = isOutputClosed ? FAILURE_STATUS : statusOf(end);
  } catch (error) {
    terminal.detach();
    reportError(error, io);
    status = FAILURE_STATUS;
  }
  if (settings.printsStatistics) io.err(`${statisticsLine(machine)}\n`);
  const { instructions, seconds, exits } = machine.statistics;
  return { status, instructions, seconds, exits };
}

function statisticsLine(machine: Machine): string {
  const { instructions, seconds, exits, instructionsInRegions } = machine.statistics;
  return JSON.stringify({ instructions, seconds, exits, instructionsInRegions });
}

function statusOf(end: MachineEnd): number {
  if (end.reason === 'power-off') return end.status;
  if (end.reason === 'time-out') return TIME_OUT_STATUS;
  return end.reason === 'stopped' ? 0 : FAILURE_STATUS;
}

function describe(end: MachineEnd, { boot: { timeoutMs } }: RunSettings): string | undefined {
  switch (end.reason) {
    case 'power-off':
    case 'stopped':
      return undefined;
    case 'time-out':
      return `the guest was stopped after ${(timeoutMs as number) / 1000} s`;
    case 'reset':
      return `the guest reset the machine (${end.by})`;
    case 'triple-fault':
      return `processor ${end.cpu} of the guest shut down: triple fault`;
    case 'dead-idle':
      return 'every processor of the guest waits, and nothing is left that could wake one';
  }
}

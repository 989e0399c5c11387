import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { GuestProgram } from '../guests.ts';

/** Why the host's KVM cannot be asked, or undefined. */
export function nativeKvmUnavailable(): string | undefined {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return '/dev/kvm is missing, or not ours to open';
  }
  try {
    compiled();
    return undefined;
  } catch (error) {
    return `kvm-run.c cannot be compiled: ${error instanceof Error ? error.message.split('\n')[0] : error}`;
  }
}

/** The host is a virtual machine itself. */
export function hostIsVirtual(): boolean {
  return /^flags.*\bhypervisor\b/m.test(readFileSync('/proc/cpuinfo', 'latin1'));
}

let program: string | undefined;

/** The C program of this folder, compiled once. */
function compiled(): string {
  if (program !== undefined) return program;
  const output = join(mkdtempSync(join(tmpdir(), 'minusone-kvm-')), 'kvm-run');
  execFileSync('cc', ['-O1', '-Wall', '-o', output, fileURLToPath(new URL('kvm-run.c', import.meta.url))], { stdio: 'pipe' });
  program = output;
  return output;
}

/** A guest as the C program reads it. */
export function describeGuest(guest: GuestProgram): string {
  const hex = (value: number): string => (value >>> 0).toString(16);
  return [
    `memory ${hex(guest.memoryBytes)}`,
    ...guest.load.map(({ address, bytes }) => `load ${hex(address)} ${Buffer.from(bytes).toString('hex')}`),
    `mode ${guest.mode}`,
    ...Object.entries(guest.registers).map(([name, value]) => `register ${name} ${hex(value)}`),
    ...guest.cpuid.map((entry) => `cpuid ${entry.map(hex).join(' ')}`),
    ...guest.interrupts.map((vector) => `interrupt ${hex(vector)}`),
    ...(guest.singleStep ? ['singlestep'] : []),
    ...(guest.breakpoint === undefined ? [] : [`breakpoint ${hex(guest.breakpoint)}`]),
    ...(guest.softwareBreakpoints ? ['swbreak'] : []),
    ...(guest.irqchip ? ['irqchip'] : []),
    ...guest.irqs.map((gsi) => `irq ${hex(gsi)}`),
    ...(guest.userMsrs === undefined ? [] : [`userMsrs ${hex(guest.userMsrs.base)} ${hex(guest.userMsrs.count)}`]),
    ...(guest.dirtyLog ? ['dirtylog'] : []),
    `exits ${hex(guest.limit)}`,
    '',
  ].join('\n');
}

/** The exits of a guest under the host's KVM, a line each, then the registers; it has ten seconds. */
export function runNatively(guest: GuestProgram): string[] {
  const { stdout, stderr, status, error } = spawnSync(compiled(), { input: describeGuest(guest), timeout: 10_000, encoding: 'utf8' });
  if (error !== undefined || status !== 0) throw new Error(`${guest.name}: ${error?.message ?? `status ${status}`} ${stderr}\n${stdout}`);
  return stdout.trimEnd().split('\n');
}

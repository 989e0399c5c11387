import { spawn, spawnSync } from 'node:child_process';

const PROMPT = '~ # ';
const LIMIT_MS = 400_000;

/** How a command that boots Linux went. */
export interface Boot {
  /** Wall time from process start to the shell's prompt. */
  readonly seconds: number;
  /** Peak resident memory at the prompt in MiB (Linux). */
  readonly memory: number;
  /** Standard error, to the end. */
  readonly errors: string;
}

/**
 * Runs a command until its output shows the prompt of a shell, and then ends it, or lets it end.
 * @param andOn lets the guest go on to its end
 */
export function untilPrompt(command: string, args: readonly string[], andOn = false): Promise<Boot> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
    let output = '';
    let errors = '';
    let seconds: number | undefined;
    let memory = 0;
    child.stderr.on('data', (bytes: Buffer) => {
      errors = (errors + bytes.toString('latin1')).slice(-4096);
    });
    child.stdout.on('data', (bytes: Buffer) => {
      output = (output + bytes.toString('latin1')).slice(-4096);
      if (seconds !== undefined || !output.includes(PROMPT)) return;
      seconds = (performance.now() - start) / 1000;
      memory = peakMemory(child.pid ?? 0);
      if (!andOn) child.kill('SIGKILL');
    });
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(limit);
      if (seconds === undefined) reject(new Error(`${command} did not reach the prompt; it ended with:\n${output.slice(-600)}\n${errors}`));
      else resolve({ seconds, memory, errors });
    });
  });
}

/** VmHWM of a process in MiB (Linux). */
function peakMemory(pid: number): number {
  const { stdout } = spawnSync('sh', ['-c', `grep VmHWM /proc/${pid}/status`], { encoding: 'utf8' });
  return Math.round(Number(/(\d+)/.exec(stdout)?.[1] ?? 0) / 1024);
}

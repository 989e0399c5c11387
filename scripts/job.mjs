import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/**
 * Runs a command in this process's place: it gets the same streams, arguments as they are and the signals sent to us; its status becomes the result.
 *
 * @param {string[]} command
 * @param {{ cwd?: string, env?: Record<string, string | undefined>, stdin?: 'inherit' | 'ignore' }} [options]
 * @returns {Promise<number>} the exit status; 128 + n after signal n
 */
export function runJob([file, ...args], { cwd, env, stdin = 'inherit' } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd, env: { ...process.env, ...env }, stdio: [stdin, 'inherit', 'inherit'] });
    const forward = (signal) => {
      // A terminal has sent its interrupt to the whole process group already.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    };
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, forward);
    child.on('error', reject);
    child.on('exit', (status, signal) => {
      for (const name of signals) process.off(name, forward);
      resolve(signal ? 128 + constants.signals[signal] : status);
    });
  });
}

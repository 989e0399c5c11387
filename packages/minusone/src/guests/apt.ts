import { execFile } from 'node:child_process';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { GuestsUnavailableError } from '../errors.ts';

const execute = promisify(execFile);
const TOOLS = ['apt-get', 'apt-cache', 'dpkg-deb'];
const MAX_OUTPUT_BYTES = 1 << 26;
const ARCHITECTURE = 'amd64';

/** Runs a tool; what it says is English and is returned. */
async function run(command: string, args: readonly string[], cwd?: string): Promise<string> {
  const env = { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' };
  const { stdout } = await execute(command, args, { cwd, env, maxBuffer: MAX_OUTPUT_BYTES });
  return stdout;
}

/** The last line that a failed tool said, which is where apt says why. */
function reasonOf(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string };
  const lines = (stderr ?? '').trim().split('\n');
  return (lines.findLast((line) => line.startsWith('E:')) ?? lines.at(-1) ?? '').replace(/^E: /, '').replace(/\.$/, '') || message;
}

/**
 * Debian's packages, by apt. Package lists are those of the system, or, where these are missing or outdated, a set of our own that needs no root and
 * changes nothing of the system.
 */
export class Apt {
  readonly #ownState: string;
  readonly #report: (line: string) => void;
  #options: readonly string[] = ['-qq', '-o', 'APT::Sandbox::User=root'];
  /** `:amd64` on a machine of another architecture. */
  #suffix = '';

  /**
   * @param stateFolder where own package lists are kept
   * @param report hears of steps that take time
   */
  constructor(stateFolder: string, report: (line: string) => void) {
    this.#ownState = stateFolder;
    this.#report = report;
  }

  /** @throws {GuestsUnavailableError} where there is no apt: says what to do instead */
  async check(): Promise<void> {
    for (const tool of TOOLS) {
      try {
        await run(tool, ['--version']);
      } catch (error) {
        throw new GuestsUnavailableError(
          `there is no ${tool} here`,
          "On a system that is not Debian's kind, take the packages linux-image-*-cloud-amd64 and busybox-static from another machine or a mirror of Debian, " +
            'unpack them, and use `minusone run --kernel vmlinuz --initrd initrd.img`; or run `minusone guests` in a Debian container and copy what it makes.',
          error,
        );
      }
    }
    const native = (await run('dpkg', ['--print-architecture'])).trim();
    if (native !== ARCHITECTURE) this.#suffix = `:${ARCHITECTURE}`;
  }

  /**
   * Downloads and unpacks packages.
   *
   * @param choose names the packages, from what `dependenciesOf` and the like say
   * @returns the folder of each package's files, by package
   * @throws {GuestsUnavailableError} no network, no such package ...
   */
  async fetch(choose: (apt: Apt) => Promise<readonly string[]>, folder: string): Promise<ReadonlyMap<string, string>> {
    try {
      return await this.#fetchOnce(await choose(this), folder);
    } catch {
      // No lists, or older ones than the archive: those of our own are new.
      await this.#update();
      try {
        return await this.#fetchOnce(await choose(this), folder);
      } catch (error) {
        const hint = this.#suffix === '' ? '' : ` On this machine, \`dpkg --add-architecture ${ARCHITECTURE}\` may be missing.`;
        throw new GuestsUnavailableError(reasonOf(error), `Check the network and /etc/apt/sources.list.${hint}`, error);
      }
    }
  }

  /** The packages that a package depends on. */
  async dependenciesOf(name: string): Promise<string[]> {
    const text = await run('apt-cache', [...this.#options, 'depends', '--important', name + this.#suffix]);
    return [...text.matchAll(/^ *\|?(?:Pre)?Depends: ([^\s<>:]+)/gm)].map((match) => match[1] as string);
  }

  async #fetchOnce(names: readonly string[], folder: string): Promise<ReadonlyMap<string, string>> {
    const unpacked = new Map<string, string>();
    for (const name of names) {
      const into = join(folder, name);
      await mkdir(into, { recursive: true });
      this.#report(`fetching ${name}`);
      await run('apt-get', [...this.#options, 'download', name + this.#suffix], into);
      const archive = (await readdir(into)).find((file) => file.endsWith('.deb'));
      if (archive === undefined) throw new Error(`apt-get download ${name} left no package`);
      await run('dpkg-deb', ['-x', join(into, archive), join(into, 'files')]);
      unpacked.set(name, join(into, 'files'));
    }
    return unpacked;
  }

  async #update(): Promise<void> {
    const lists = join(this.#ownState, 'lists');
    const cache = join(this.#ownState, 'cache');
    await mkdir(join(lists, 'partial'), { recursive: true });
    await mkdir(join(cache, 'archives/partial'), { recursive: true });
    this.#options = [...this.#options, '-o', `Dir::State::Lists=${lists}`, '-o', `Dir::Cache=${cache}`];
    this.#report("fetching Debian's package lists");
    try {
      await run('apt-get', [...this.#options, 'update']);
    } catch (error) {
      throw new GuestsUnavailableError(reasonOf(error), 'Check the network and /etc/apt/sources.list.', error);
    }
  }
}

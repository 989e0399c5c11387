import type { RomRun } from './peers.ts';
import type { Departure, Rom } from './rom.ts';

/** A ROM's output by attempt: label, and the lines after it. The run's end is the last one, labelled `end`. */
export type Attempts = ReadonlyMap<string, string>;

/** Splits output at the lines that are not indented; a line is `label: what came of it`. */
export function attemptsOf({ output, end }: RomRun): Attempts {
  const attempts = new Map<string, string>();
  let label = '';
  for (const line of output.split('\n')) {
    const match = /^(\S[^:]*): ?(.*)$/.exec(line);
    if (match !== null) {
      label = match[1] as string;
      attempts.set(label, (match[2] as string).trimEnd());
    } else if (line.trim() !== '') attempts.set(label, `${attempts.get(label) ?? ''}\n${line.trimEnd()}`);
  }
  attempts.set('end', end);
  return attempts;
}

/** The text of a file in `expected/`. */
export const textOf = (attempts: Attempts): string => [...attempts].map(([label, text]) => `${label}: ${text}\n`).join('');

/** Reads a file in `expected/` back. */
export function attemptsFrom(text: string): Attempts {
  const end = /^end: (.*)\n$/m.exec(text)?.[1] as RomRun['end'];
  return attemptsOf({ output: text.replace(/^end: .*\n$/m, ''), end });
}

/** Attempts without the text that some of the peers do not print. */
function audible(rom: Rom, peers: readonly Departure['peer'][], attempts: Attempts): Attempts {
  const silent = peers.flatMap((peer) => rom.silent?.[peer] ?? []);
  const clean = (text: string): string =>
    silent
      .reduce((rest, pattern) => rest.replace(pattern, ''), text)
      .replace(/\n+/g, '\n')
      .trimEnd();
  return silent.length === 0 ? attempts : new Map([...attempts].map(([label, text]) => [label, clean(text)]));
}

const departuresOf = (rom: Rom, peer: Departure['peer']): readonly Departure[] =>
  (rom.departures ?? []).filter((departure) => departure.peer === peer);

/** What is wrong with a peer's run, line by line: it must show what is expected, but for its known departures, which must still be there. */
export function differencesFromPeer(rom: Rom, peer: Departure['peer'], run: RomRun, all: Attempts): string[] {
  const attempts = audible(rom, [peer], attemptsOf(run));
  const expected = audible(rom, [peer], all);
  const known = new Set(departuresOf(rom, peer).map(({ label }) => label));
  return differences(attempts, expected)
    .filter(({ label }) => !known.has(label))
    .map(({ text }) => text)
    .concat([...known].filter((label) => attempts.get(label) === expected.get(label)).map((label) => `${label}: no departure any more`));
}

/** Every attempt in which two runs differ. */
export function differences(actual: Attempts, expected: Attempts): { label: string; text: string }[] {
  return [...new Set([...expected.keys(), ...actual.keys()])]
    .filter((label) => actual.get(label) !== expected.get(label))
    .map((label) => ({ label, text: `${label}:\n    expected ${expected.get(label)}\n    shows    ${actual.get(label)}` }));
}

/**
 * What the manual asks for, made of what the peers show: where they differ, one of them must be known to depart from it.
 *
 * @returns the expected attempts, and the labels for which nobody has decided yet
 */
export function reconcile(rom: Rom, runs: { readonly bochs: RomRun; readonly qemu: RomRun }): { expected: Attempts; undecided: string[] } {
  const bochs = attemptsOf(runs.bochs);
  const qemu = attemptsOf(runs.qemu);
  const expected = new Map<string, string>();
  const undecided: string[] = [];
  const [bochsAlone, qemuAlone] = [audible(rom, ['bochs'], bochs), audible(rom, ['qemu'], qemu)];
  const [bochsPart, qemuPart] = [bochs, qemu].map((attempts) => audible(rom, ['bochs', 'qemu'], attempts)) as [Attempts, Attempts];
  for (const label of new Set([...bochs.keys(), ...qemu.keys()])) {
    const departures = (rom.departures ?? []).filter((departure) => departure.label === label);
    const manual = departures.find((departure) => departure.manual !== undefined)?.manual;
    const departs = new Set(departures.map(({ peer }) => peer));
    const text = manual ?? (departs.has('bochs') ? qemuAlone.get(label) : bochsAlone.get(label));
    if (manual === undefined && (departs.size === 2 || (departs.size === 0 && bochsPart.get(label) !== qemuPart.get(label))))
      undecided.push(label);
    if (text !== undefined) expected.set(label, [text, ...[rom.manual?.[label] ?? []].flat()].join('\n'));
  }
  const end = expected.get('end');
  if (end !== undefined) {
    expected.delete('end');
    expected.set('end', end);
  }
  return { expected, undecided };
}

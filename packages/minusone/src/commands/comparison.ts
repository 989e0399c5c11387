/** One column of the table. */
export interface Contender {
  readonly title: string;
  readonly instructions: number;
  readonly seconds: number;
  /** VM exits by the manual's names. */
  readonly exits: Readonly<Record<string, number>>;
}

const MARGIN = 4;

/**
 * The same guest on several accelerators, side by side: instructions, time, time relative to the first, and exits by the manuals' names, the most frequent first.
 * @returns lines, each ended
 */
export function comparison(contenders: readonly Contender[]): string {
  const first = contenders[0];
  if (first === undefined) return '';
  const rows: (readonly string[])[] = [
    ['', ...contenders.map(({ title }) => title)],
    ['instructions', ...contenders.map(({ instructions }) => count(instructions))],
    ['time', ...contenders.map(({ seconds }) => `${seconds.toFixed(2)} s`)],
  ];
  if (contenders.length > 1) rows.push([`time / ${first.title}`, ...contenders.map(({ seconds }) => (seconds / first.seconds).toFixed(2))]);
  if (contenders.some(({ exits }) => total(exits) > 0)) {
    rows.push(['exits', ...contenders.map(({ exits }) => count(total(exits)))]);
    for (const name of namesOf(contenders)) rows.push([`  ${name}`, ...contenders.map(({ exits }) => count(exits[name] ?? 0))]);
  }
  const widths = contenders.map((_, column) => Math.max(...rows.map((row) => (row[column + 1] as string).length)));
  const left = Math.max(...rows.map((row) => (row[0] as string).length));
  return rows
    .map(
      ([label, ...cells]) =>
        `${(label as string).padEnd(left)}${cells.map((cell, i) => cell.padStart((widths[i] as number) + MARGIN)).join('')}\n`,
    )
    .join('');
}

function count(value: number): string {
  return value === 0 ? '-' : value.toLocaleString('en');
}

function total(exits: Contender['exits']): number {
  return Object.values(exits).reduce((sum, value) => sum + value, 0);
}

function namesOf(contenders: readonly Contender[]): string[] {
  const most = new Map<string, number>();
  for (const { exits } of contenders)
    for (const [name, value] of Object.entries(exits)) if (value > 0) most.set(name, Math.max(value, most.get(name) ?? 0));
  return [...most].sort(([a, x], [b, y]) => y - x || a.localeCompare(b)).map(([name]) => name);
}

/** What every page begins with. */
export function generatedFrom(folder: string): string {
  return `<!-- Written by \`npm run coverage\` from the tables in ${folder}. Do not edit. -->`;
}

/** A table in Markdown. Cells are text; bars in them are escaped. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Text as code, each item by itself. */
export function code(items: readonly string[], separator = ' '): string {
  return items.map((item) => `\`${item}\``).join(separator);
}

/** A 32-bit number as the manuals write it. */
export function hex(value: number, digits = 0): string {
  return `${(value >>> 0).toString(16).toUpperCase().padStart(digits, '0')}H`;
}

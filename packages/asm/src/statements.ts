import { registerNamed } from './registers.ts';

/** One line of source: label, words, line number. */
export interface Statement {
  readonly line: number;
  readonly source: string;
  readonly label: string | undefined;
  readonly text: string;
}

function withoutComment(line: string): string {
  let quote = '';
  for (let i = 0; i < line.length; i++) {
    const character = line[i] as string;
    if (quote !== '') {
      if (character === quote && line[i - 1] !== '\\') quote = '';
    } else if (character === "'" || character === '"') quote = character;
    else if (character === ';') return line.slice(0, i);
  }
  return line;
}

/** Splits source into statements: comments gone, labels apart from what follows them. */
export function parseStatements(source: string): Statement[] {
  return source.split('\n').flatMap((raw, i) => {
    let text = withoutComment(raw).trim();
    const statements: Statement[] = [];
    for (;;) {
      const label = /^([A-Za-z_.$?][\w.$?]*):(?!:)\s*/.exec(text);
      // `es:` before a bracket is a segment, not a label.
      if (label === null || registerNamed(label[1] as string) !== undefined) break;
      statements.push({ line: i + 1, source: raw, label: label[1], text: '' });
      text = text.slice(label[0].length);
    }
    if (text !== '') statements.push({ line: i + 1, source: raw, label: undefined, text });
    return statements;
  });
}

// Which modules a TypeScript source imports, and on which line. A scanner, no parser: the checks need no more, and it knows comments and strings.

/**
 * @typedef {{ specifier: string, line: number, typeOnly: boolean }} Import  typeOnly: erased by the compiler, nothing is loaded
 * @param {string} source
 * @returns {Import[]} static imports, re-exports, type imports, dynamic imports of a literal
 */
export function importsOf(source) {
  const code = withoutComments(source);
  const statement =
    /^[ \t]*(?:import|export)\b[^;'"`]*?\bfrom\s*(['"])(.+?)\1|^[ \t]*import\s*(['"])(.+?)\3|\bimport\(\s*(['"`])([^'"`$]+)\5\s*[,)]/gm;
  return [...code.matchAll(statement)].map((match) => {
    const specifier = match[2] ?? match[4] ?? match[6];
    const at = match.index + match[0].lastIndexOf(specifier);
    return { specifier, typeOnly: /^\s*(?:import|export)\s+type\b/.test(match[0]), line: code.slice(0, at).split('\n').length };
  });
}

/** Blanks comments, keeping lines. Comment marks in strings stay; a string ends at its line's end, so that a quote in a regular expression does no further harm. */
function withoutComments(source) {
  return source.replace(/\/\/[^\n]*|\/\*.*?\*\/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/gs, (token) =>
    token.startsWith('/')
      ? token.replace(/[^\n]/g, ' ')
      : token.startsWith('`') && /[\n$]/.test(token)
        ? token.replace(/[^\n`]/g, ' ')
        : token,
  );
}

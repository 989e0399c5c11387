// Imports run only downwards, only to what is declared, only to public faces, and never in a circle. Run by `npm run lint`; tested in tests/layers.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { importsOf } from './imports.mjs';
import { LEVELS, NODE_ONLY, SAME_LEVEL } from './layers.mjs';
import { isTestFile, ROOT, workspacePackages } from './workspace.mjs';

/**
 * Checks a checkout.
 *
 * @param {string} root
 * @returns {string[]} one line per violation: `packages/x86/src/a.ts:3: what is wrong`
 */
export function checkLayers(root) {
  const packages = workspacePackages(root);
  const folderOf = new Map(packages.map(({ folder, manifest }) => [manifest.name, folder]));
  const checkable = packages.map((entry) => ({
    ...entry,
    sources: join(entry.path, 'src'),
    level: LEVELS[entry.folder],
    libraryRules: true,
  }));
  // Examples are users: they import public faces only, but may use Node.
  const examples = join(root, 'examples');
  if (existsSync(join(examples, 'package.json')))
    checkable.push({
      folder: 'examples',
      path: examples,
      manifest: JSON.parse(readFileSync(join(examples, 'package.json'), 'utf8')),
      sources: examples,
      level: Number.POSITIVE_INFINITY,
      libraryRules: false,
    });

  return checkable.flatMap((importer) => {
    if (importer.level === undefined)
      return [`packages/${importer.folder}/package.json:1: the package stands on no level of scripts/layers.mjs`];
    const files = typescriptFiles(importer.sources).map((file) => ({ file, imports: importsOf(readFileSync(file, 'utf8')) }));
    const violations = files.flatMap(({ file, imports }) =>
      imports.flatMap(({ specifier, line }) => {
        const wrong = judge(specifier, file, importer, folderOf, packages, root);
        return wrong ? [`${relative(root, file).split(sep).join('/')}:${line}: ${wrong}`] : [];
      }),
    );
    return [...violations, ...cycles(files, root)];
  });
}

/** What is wrong with one import, or undefined. */
function judge(specifier, file, importer, folderOf, packages, root) {
  const isTest = isTestFile(relative(root, file));
  if (specifier.startsWith('.')) {
    const target = resolve(dirname(file), specifier);
    // What tests of several packages share, such as the silicon harness, stands in `tests/`.
    const isWithinReach = target.startsWith(importer.path + sep) || (isTest && target.startsWith(join(root, 'tests') + sep));
    if (!isWithinReach) return `'${specifier}' reaches into another package's files`;
    if (!existsSync(target)) return `'${specifier}' does not exist`;
    return !isTest && isTestFile(relative(root, target)) ? `'${specifier}' is a test` : undefined;
  }
  if (specifier.startsWith('node:'))
    return isTest || !importer.libraryRules || NODE_ONLY.includes(importer.folder)
      ? undefined
      : `'${specifier}': a library runs in browsers too and imports nothing of Node's`;

  const name = specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
  const folder = folderOf.get(name);
  if (folder === undefined) {
    const { dependencies, peerDependencies, devDependencies } = importer.manifest;
    const isDeclared = name in { ...dependencies, ...peerDependencies, ...(isTest ? devDependencies : {}) };
    return isDeclared || isTest || !importer.libraryRules ? undefined : `'${name}' is not declared in package.json`;
  }
  if (folder === importer.folder) return isTest ? undefined : `'${specifier}' is the package itself`;
  if (!(LEVELS[folder] < importer.level) && SAME_LEVEL[importer.folder] !== folder)
    return `'${specifier}' (level ${LEVELS[folder]}) is not below ${importer.folder} (level ${importer.level})`;
  if (!(name in (importer.manifest.dependencies ?? {})) && !(isTest && name in (importer.manifest.devDependencies ?? {})))
    return `'${name}' is not declared in package.json`;
  const exported = packages.find((candidate) => candidate.folder === folder)?.manifest.exports ?? {};
  const face = `.${specifier.slice(name.length)}`;
  return face in exported ? undefined : `'${specifier}' is not among the public faces of ${name}`;
}

/** Circles in which a package's own files load each other (types may refer to each other: they load nothing), each reported once, at the import that closes it. */
function cycles(files, root) {
  const graph = new Map(
    files.map(({ file, imports }) => [
      file,
      imports
        .filter(({ specifier, typeOnly }) => specifier.startsWith('.') && !typeOnly)
        .map(({ specifier, line }) => ({ target: resolve(dirname(file), specifier), line })),
    ]),
  );
  const show = (file) => relative(root, file).split(sep).join('/');
  const found = [];
  const finished = new Set();
  const visit = (file, path) => {
    for (const { target, line } of graph.get(file) ?? []) {
      const from = path.indexOf(target);
      if (from >= 0) found.push(`${show(file)}:${line}: closes an import cycle: ${[...path.slice(from), target].map(show).join(' -> ')}`);
      else if (!finished.has(target)) visit(target, [...path, target]);
    }
    finished.add(file);
  };
  for (const file of graph.keys()) if (!finished.has(file)) visit(file, [file]);
  return found;
}

function typescriptFiles(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name !== 'node_modules' && name !== 'dist' && !name.startsWith('.'))
    .map((name) => join(folder, name))
    .flatMap((path) => (statSync(path).isDirectory() ? typescriptFiles(path) : path.endsWith('.ts') ? [path] : []));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const violations = checkLayers(ROOT);
  for (const violation of violations) console.error(violation);
  console.log(violations.length === 0 ? 'layers: every import runs downwards' : `layers: ${violations.length} violation(s)`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}

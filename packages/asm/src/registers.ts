/** A register named in assembly source. `bytes` is its width; `needsRex`: SPL, BPL, SIL, DIL; `high`: AH, CH, DH, BH. */
export interface Register {
  readonly kind: 'gpr' | 'segment' | 'control' | 'debug' | 'vector' | 'mmx' | 'st' | 'ip';
  readonly index: number;
  readonly bytes: number;
  readonly needsRex: boolean;
  readonly high: boolean;
}

const registers = new Map<string, Register>();
const define = (
  name: string,
  kind: Register['kind'],
  index: number,
  bytes: number,
  flags: { needsRex?: boolean; high?: boolean } = {},
): void => {
  registers.set(name, { kind, index, bytes, needsRex: flags.needsRex ?? false, high: flags.high ?? false });
};

['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'].forEach((name, index) => {
  define(name, 'gpr', index, 2);
  define(`e${name}`, 'gpr', index, 4);
  define(`r${name}`, 'gpr', index, 8);
});
['al', 'cl', 'dl', 'bl'].forEach((name, index) => {
  define(name, 'gpr', index, 1);
});
['ah', 'ch', 'dh', 'bh'].forEach((name, index) => {
  define(name, 'gpr', index, 1, { high: true });
});
['spl', 'bpl', 'sil', 'dil'].forEach((name, index) => {
  define(name, 'gpr', index + 4, 1, { needsRex: true });
});
for (let n = 8; n < 16; n++) {
  define(`r${n}`, 'gpr', n, 8);
  define(`r${n}d`, 'gpr', n, 4);
  define(`r${n}w`, 'gpr', n, 2);
  define(`r${n}b`, 'gpr', n, 1);
}
['es', 'cs', 'ss', 'ds', 'fs', 'gs'].forEach((name, index) => {
  define(name, 'segment', index, 2);
});
for (let n = 0; n < 16; n++) {
  define(`cr${n}`, 'control', n, 8);
  define(`dr${n}`, 'debug', n, 8);
  define(`xmm${n}`, 'vector', n, 16);
  define(`ymm${n}`, 'vector', n, 32);
}
for (let n = 0; n < 8; n++) {
  define(`mm${n}`, 'mmx', n, 8);
  define(`st${n}`, 'st', n, 10);
  define(`st(${n})`, 'st', n, 10);
}
define('st', 'st', 0, 10);
define('rip', 'ip', 0, 8);

/** The register of this name (any case), or undefined. */
export function registerNamed(name: string): Register | undefined {
  return registers.get(name.toLowerCase());
}

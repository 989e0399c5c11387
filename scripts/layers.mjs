// The rule of docs/architecture.md: imports run only downwards, level by level. As data here; scripts/check-layers.mjs walks the sources.

/** Which level each package stands on, by folder. A package imports only from lower levels. */
export const LEVELS = {
  core: -1,
  memory: 0,
  mmu: 0,
  wasm: 0,
  x86: 1,
  asm: 1,
  ia64: 1,
  vtx: 2,
  amdv: 2,
  vti: 2,
  devices: 2,
  loader: 2,
  kvm: 3,
  'kvm-intel': 3,
  'kvm-amd': 3,
  'kvm-ia64': 3,
  'kvm-linux': 3,
  vmm: 4,
  web: 5,
  minusone: 5,
};

/** Imports within a level that are allowed: importer to imported. */
export const SAME_LEVEL = {
  asm: 'x86',
  'kvm-intel': 'kvm',
  'kvm-amd': 'kvm',
  'kvm-ia64': 'kvm',
  'kvm-linux': 'kvm',
};

/** The packages that may import `node:*`; all others run in browsers too. */
export const NODE_ONLY = ['minusone', 'kvm-linux'];

// The bits of registers and of non-register state that the checks of VM entry look at.

/** CR0 (SDM Vol. 3A, 2.5). */
export const CR0_BITS = {
  pe: { bit: 0, name: 'PE' },
  mp: { bit: 1, name: 'MP' },
  em: { bit: 2, name: 'EM' },
  ts: { bit: 3, name: 'TS' },
  et: { bit: 4, name: 'ET' },
  ne: { bit: 5, name: 'NE' },
  wp: { bit: 16, name: 'WP' },
  am: { bit: 18, name: 'AM' },
  nw: { bit: 29, name: 'NW' },
  cd: { bit: 30, name: 'CD' },
  pg: { bit: 31, name: 'PG' },
} as const;

/** CR4 (SDM Vol. 3A, 2.5). */
export const CR4_BITS = {
  vme: { bit: 0, name: 'VME' },
  pvi: { bit: 1, name: 'PVI' },
  tsd: { bit: 2, name: 'TSD' },
  de: { bit: 3, name: 'DE' },
  pse: { bit: 4, name: 'PSE' },
  pae: { bit: 5, name: 'PAE' },
  mce: { bit: 6, name: 'MCE' },
  pge: { bit: 7, name: 'PGE' },
  pce: { bit: 8, name: 'PCE' },
  osfxsr: { bit: 9, name: 'OSFXSR' },
  osxmmexcpt: { bit: 10, name: 'OSXMMEXCPT' },
  umip: { bit: 11, name: 'UMIP' },
  la57: { bit: 12, name: 'LA57' },
  vmxe: { bit: 13, name: 'VMXE' },
  smxe: { bit: 14, name: 'SMXE' },
  fsgsbase: { bit: 16, name: 'FSGSBASE' },
  pcide: { bit: 17, name: 'PCIDE' },
  osxsave: { bit: 18, name: 'OSXSAVE' },
  smep: { bit: 20, name: 'SMEP' },
  smap: { bit: 21, name: 'SMAP' },
  pke: { bit: 22, name: 'PKE' },
  cet: { bit: 23, name: 'CET' },
  pks: { bit: 24, name: 'PKS' },
} as const;

/** RFLAGS, the bits that VM entry looks at (SDM Vol. 1, 3.4.3). */
export const RFLAGS_BITS = {
  tf: { bit: 8, name: 'TF' },
  if: { bit: 9, name: 'IF' },
  vm: { bit: 17, name: 'VM' },
} as const;

/** IA32_EFER (SDM Vol. 3A, 2.2.1). */
export const EFER_BITS = {
  sce: { bit: 0, name: 'SCE' },
  lme: { bit: 8, name: 'LME' },
  lma: { bit: 10, name: 'LMA' },
  nxe: { bit: 11, name: 'NXE' },
} as const;

/** IA32_DEBUGCTL (SDM Vol. 3B, 18.4.1). */
export const DEBUGCTL_BITS = {
  lbr: { bit: 0, name: 'LBR' },
  btf: { bit: 1, name: 'BTF' },
} as const;

/** Guest interruptibility state (SDM Vol. 3C, 25.4.2, "Format of Interruptibility State"). */
export const INTERRUPTIBILITY_BITS = {
  blockingBySti: { bit: 0, name: 'Blocking by STI' },
  blockingByMovSs: { bit: 1, name: 'Blocking by MOV SS' },
  blockingBySmi: { bit: 2, name: 'Blocking by SMI' },
  blockingByNmi: { bit: 3, name: 'Blocking by NMI' },
  enclaveInterruption: { bit: 4, name: 'Enclave interruption' },
} as const;

/** Pending debug exceptions (SDM Vol. 3C, 25.4.2, "Format of Pending-Debug-Exceptions"). */
export const PENDING_DEBUG_BITS = {
  b0: { bit: 0, name: 'B0' },
  b1: { bit: 1, name: 'B1' },
  b2: { bit: 2, name: 'B2' },
  b3: { bit: 3, name: 'B3' },
  enabledBreakpoint: { bit: 12, name: 'Enabled breakpoint' },
  bs: { bit: 14, name: 'BS' },
  rtm: { bit: 16, name: 'RTM' },
} as const;

/** Segment access rights (SDM Vol. 3C, 25.4.1, "Format of Access Rights"). */
export const ACCESS_RIGHTS_BITS = {
  accessed: { bit: 0, name: 'Type: accessed' },
  writable: { bit: 1, name: 'Type: writable, or readable (code)' },
  expandDown: { bit: 2, name: 'Type: expand-down, or conforming (code)' },
  code: { bit: 3, name: 'Type: code' },
  s: { bit: 4, name: 'S' },
  p: { bit: 7, name: 'P' },
  avl: { bit: 12, name: 'AVL' },
  l: { bit: 13, name: 'L' },
  db: { bit: 14, name: 'D/B' },
  g: { bit: 15, name: 'G' },
  unusable: { bit: 16, name: 'Segment unusable' },
} as const;

import { type GuestOptions, type VtxAttempt, vt } from '../../prelude/vtx-attempt.ts';
import { VtxMemory } from '../../prelude/vtx-memory.ts';

const { eptPml4, eptPdpt, eptDirectories, eptTable, free } = VtxMemory;

/** Bits of EPT entries. */
export const Ept = { R: 1n, W: 2n, X: 4n, RWX: 7n, WB: 0x30n, PAGE: 0x80n, A: 0x100n, D: 0x200n } as const;

/** INVEPT of all contexts. An entry that was changed is used from then on. Clobbers RAX. */
export const INVEPT_ALL = 'mov eax, 2\ninvept rax, [vtx_eptp]';

/** An EPT entry of the prelude's identity mapping, by the level: where it lies, what it is. */
export interface EptEntry {
  readonly at: number;
  readonly whole: bigint;
}
const entry = (at: number, whole: number): EptEntry => ({ at, whole: BigInt(whole) });
/** The entry of a 4-KByte page of the first 2 MiB. */
export const pte = (gpa: number): EptEntry => entry(eptTable + (gpa >>> 12) * 8, (gpa & ~0xfff) | 0x37);
/** The entry of a 2-MByte page; the first references a table. */
export const pde = (gpa: number): EptEntry =>
  entry(eptDirectories + (gpa >>> 21) * 8, gpa < 0x20_0000 ? eptTable | 7 : ((gpa & ~0x1f_ffff) >>> 0) + 0xb7);
export const pdpte = (gpa: number): EptEntry => entry(eptPdpt + (gpa >>> 30) * 8, (eptDirectories + 0x1000 * (gpa >>> 30)) | 7);
export const pml4e: EptEntry = entry(eptPml4, eptPdpt | 7);

/** An entry that is something else for one attempt. */
export interface EptChange extends EptEntry {
  readonly value: bigint;
}
/** The entry with these of R, W and X. */
export const allow = (what: EptEntry, rights: bigint): EptChange => ({ ...what, value: (what.whole & ~Ept.RWX) | rights });
/** The entry with all of these bits besides. */
export const withBits = (what: EptEntry, bits: bigint): EptChange => ({ ...what, value: what.whole | bits });
export const put = (what: EptEntry, value: bigint | number): EptChange => ({ ...what, value: BigInt(value) });
export const absent = (what: EptEntry): EptChange => put(what, 0);

/** Stores an entry of 8 bytes. */
export const store64 = (at: number, value: bigint | number): string =>
  `mov dword [${at}], ${BigInt(value) & 0xffff_ffffn}\nmov dword [${at + 4}], ${BigInt(value) >> 32n}`;
/** Puts entries back. Clobbers RAX. */
export const mend = (changes: readonly EptChange[]): string =>
  `${changes.map(({ at, whole }) => store64(at, whole)).join('\n')}\n${INVEPT_ALL}`;

/** An attempt with EPT, some of whose entries are changed; they are put back afterwards. */
export function ept(label: string, code: string, changes: readonly EptChange[], options: GuestOptions = {}): VtxAttempt {
  const { controls = {}, before = '', afterwards = '' } = options;
  return vt(label, code, {
    ...options,
    controls: { ...controls, secondary: ['enableEpt', ...(controls.secondary ?? [])] },
    before: `${changes.map(({ at, value }) => store64(at, value)).join('\n')}\n${INVEPT_ALL}\n${before}`,
    afterwards: `${afterwards}\n${mend(changes)}`,
  });
}

/** INVVPID of all contexts: of every VPID but the host's. Clobbers RAX. */
export const INVVPID_ALL = 'mov eax, 2\ninvvpid rax, [vtx_eptp]';
/** Descriptors of INVEPT, INVVPID and INVPCID. */
export const DESCRIPTOR: number = free + 0x8000;
/** INVEPT or INVVPID with a descriptor of two halves. Clobbers RAX. */
export const invalidate = (mnemonic: 'invept' | 'invvpid', type: number, low: number | bigint, high: number | bigint = 0): string =>
  `${store64(DESCRIPTOR, low)}\n${store64(DESCRIPTOR + 8, high)}\nmov eax, ${type}\n${mnemonic} rax, [${DESCRIPTOR}]`;

/** Copies what a label or an address leads to. Clobbers RCX, RSI, RDI. */
export const copyBytes = (from: string | number, to: number, bytes: number): string =>
  `mov esi, ${from}\nmov edi, ${to}\nmov ecx, ${bytes}\nrep movsb`;
/** Copies one table after the other, and lets each but the last begin with the next of the copies. */
export const copyHierarchy = (tables: readonly number[], to: number): string =>
  [
    ...tables.map((table, n) => copyBytes(table, to + 0x1000 * n, 0x1000)),
    ...tables.slice(1).map((_, n) => store64(to + 0x1000 * n, to + 0x1000 * (n + 1) + 7)),
  ].join('\n');

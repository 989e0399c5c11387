import type { MsrHost } from './msr-host.ts';

/** One virtual CPU's MSRs, as rows see them. */
export interface GuestMsrState {
  readonly host: MsrHost;
  /** Value of a register that is plain storage of KVM's own. */
  stored(index: number): bigint;
  store(index: number, value: bigint): void;
  /** KVM_CAP_ENFORCE_PV_FEATURE_CPUID: a paravirtual MSR is there only if CPUID shows it. */
  readonly enforcesPvFeatures: boolean;
}

/** One MSR of a guest, or a run of alike ones. */
export interface GuestMsrRow {
  readonly index: number;
  /** How many consecutive registers (default 1). */
  readonly count?: number;
  readonly name: string;
  /** Manual section, or the document of KVM's own. */
  readonly section: string;
  /** On this vendor's processors only. */
  readonly vendor?: 'intel' | 'amd';
  /** `state`: in KVM_GET_MSR_INDEX_LIST. `feature`: in KVM_GET_MSR_FEATURE_INDEX_LIST too. */
  readonly list?: 'state' | 'feature';
  /** After RESET, of what is plain storage. */
  readonly reset?: bigint;
  /** undefined: #GP(0). `isHost`: KVM_GET_MSRS asks. */
  readonly read: (state: GuestMsrState, index: number, isHost: boolean) => bigint | undefined;
  /** false: #GP(0). Left out: it cannot be written. */
  readonly write?: (state: GuestMsrState, value: bigint, index: number, isHost: boolean) => boolean;
}

type Common = Pick<GuestMsrRow, 'count' | 'vendor' | 'list'>;
type Check = (state: GuestMsrState, value: bigint, index: number, isHost: boolean) => boolean;

/** A register of KVM's own that keeps what is written, if `holds` says that it may be. */
export function storage(
  index: number,
  name: string,
  section: string,
  options: Common & { readonly reset?: bigint; readonly writable?: bigint; readonly holds?: Check; readonly hostOnly?: boolean } = {},
): GuestMsrRow {
  const { writable, holds, hostOnly, reset = 0n, ...common } = options;
  return {
    index,
    name,
    section,
    reset,
    ...common,
    read: (state, at) => state.stored(at),
    write: (state, value, at, isHost) => {
      if (hostOnly === true && !isHost) return false;
      if (writable !== undefined && (value & ~writable) !== 0n) return false;
      if (holds !== undefined && !holds(state, value, at, isHost)) return false;
      state.store(at, value);
      return true;
    },
  };
}

/** A register that always reads the same. `ignoresWrites`: a guest's writes do nothing, instead of #GP(0). */
export function constant(
  index: number,
  name: string,
  section: string,
  value: bigint,
  options: Common & { readonly ignoresWrites?: boolean } = {},
): GuestMsrRow {
  const { ignoresWrites, ...common } = options;
  const write =
    ignoresWrites === true
      ? () => true
      : (_state: GuestMsrState, written: bigint, _index: number, isHost: boolean) => isHost && written === value;
  return { index, name, section, ...common, read: () => value, write };
}

/** A register that the hardware itself works with: in the control block, or in the processor, which a guest has to itself. */
export function hardware(
  index: number,
  name: string,
  section: string,
  options: Common & {
    readonly holds?: Check;
    /** What is kept of a value (AMD's 64-bit SYSENTER registers). */
    readonly keeps?: (state: GuestMsrState, value: bigint) => bigint;
    /** The guest must be shown one of these features. */
    readonly features?: readonly string[];
  } = {},
): GuestMsrRow {
  const { holds, keeps, features, ...common } = options;
  const isShown = ({ host }: GuestMsrState): boolean => features === undefined || features.some((feature) => host.cpuid.has(feature));
  return {
    index,
    name,
    section,
    ...common,
    read: (state, at, isHost) => (isHost || isShown(state) ? (state.host.controlBlockMsr(at) ?? state.host.processorMsr(at)) : undefined),
    write: (state, value, at, isHost) => {
      if (!isHost && !isShown(state)) return false;
      if (holds !== undefined && !holds(state, value, at, isHost)) return false;
      const kept = keeps === undefined ? value : keeps(state, value);
      return state.host.setControlBlockMsr(at, kept) || state.host.setProcessorMsr(at, kept);
    },
  };
}

/** Bits of a canonical address of this guest. */
function linearBits({ host }: GuestMsrState): number {
  return host.cpuid.has('LA57') ? 57 : 48;
}

/** SDM Vol. 1, 3.3.7.1 "Canonical Addressing". */
export function isCanonical(state: GuestMsrState, value: bigint): boolean {
  return BigInt.asUintN(64, BigInt.asIntN(linearBits(state), value)) === value;
}
export function canonicalized(state: GuestMsrState, value: bigint): bigint {
  return BigInt.asUintN(64, BigInt.asIntN(linearBits(state), value));
}

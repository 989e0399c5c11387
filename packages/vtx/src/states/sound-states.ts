import type { VmxCapabilities } from '../capabilities/capabilities.ts';
import { bitsSet } from '../controls/bits.ts';
import { CONTROL_WORDS, type ControlKey } from '../controls/tables.ts';
import type { VmcsValues } from '../vmcs/vmcs.ts';
import { Vmcs } from '../vmcs/vmcs.ts';

/** The guests that a sound VMCS may hold. */
export type SoundState = '64-bit' | 'real' | 'protected' | 'pae' | 'v86';

/** All states, in words. `real` needs "unrestricted guest". */
export const SOUND_STATES: Readonly<Record<SoundState, string>> = {
  '64-bit': '64-bit mode, flat segments, privilege level 0',
  real: 'real-address mode at 0000:1000, under "unrestricted guest"',
  protected: 'protected mode with 32-bit paging, flat segments, privilege level 0',
  pae: 'protected mode with PAE paging, flat segments, privilege level 0',
  v86: 'virtual-8086 mode',
};

type Segments = Readonly<Record<'CS' | 'SS' | 'DS' | 'ES' | 'FS' | 'GS', { selector: bigint; base: bigint; limit: bigint; ar: bigint }>>;

const sixOf = (cs: Segments['CS'], data: Segments['SS']): Segments => ({ CS: cs, SS: data, DS: data, ES: data, FS: data, GS: data });
const FLAT_LIMIT = 0xffff_ffffn;

/** Access rights: A09B 64-bit code, C09B 32-bit code, C093 32-bit data, 9B and 93 real mode, F3 virtual-8086. */
const SEGMENTS: Readonly<Record<SoundState, Segments>> = {
  '64-bit': sixOf(
    { selector: 0x10n, base: 0n, limit: FLAT_LIMIT, ar: 0xa09bn },
    { selector: 0x18n, base: 0n, limit: FLAT_LIMIT, ar: 0xc093n },
  ),
  real: sixOf({ selector: 0n, base: 0n, limit: 0xffffn, ar: 0x9bn }, { selector: 0n, base: 0n, limit: 0xffffn, ar: 0x93n }),
  protected: sixOf(
    { selector: 0x10n, base: 0n, limit: FLAT_LIMIT, ar: 0xc09bn },
    { selector: 0x18n, base: 0n, limit: FLAT_LIMIT, ar: 0xc093n },
  ),
  pae: sixOf({ selector: 0x10n, base: 0n, limit: FLAT_LIMIT, ar: 0xc09bn }, { selector: 0x18n, base: 0n, limit: FLAT_LIMIT, ar: 0xc093n }),
  v86: sixOf(
    { selector: 0x100n, base: 0x1000n, limit: 0xffffn, ar: 0xf3n },
    { selector: 0x200n, base: 0x2000n, limit: 0xffffn, ar: 0xf3n },
  ),
};

const REGISTERS: Readonly<Record<SoundState, VmcsValues>> = {
  '64-bit': { GUEST_CR0: 0x8001_0033n, GUEST_CR4: 0x20a0n, GUEST_IA32_EFER: 0xd01n, GUEST_RFLAGS: 2n },
  real: { GUEST_CR0: 0x30n, GUEST_CR4: 0x2000n, GUEST_IA32_EFER: 0n, GUEST_RFLAGS: 2n },
  protected: { GUEST_CR0: 0x8001_0033n, GUEST_CR4: 0x2000n, GUEST_IA32_EFER: 0n, GUEST_RFLAGS: 2n },
  pae: { GUEST_CR0: 0x8001_0033n, GUEST_CR4: 0x2020n, GUEST_IA32_EFER: 0n, GUEST_RFLAGS: 2n },
  v86: { GUEST_CR0: 0x8001_0033n, GUEST_CR4: 0x2000n, GUEST_IA32_EFER: 0n, GUEST_RFLAGS: 0x2_0002n },
};

function controls<Word extends keyof typeof CONTROL_WORDS>(
  capabilities: VmxCapabilities,
  word: Word,
  wanted: readonly ControlKey<Word>[],
): bigint {
  const bits = Number(bitsSet(CONTROL_WORDS[word] as never, wanted as never));
  return BigInt(((bits & capabilities.allowed1(word)) | capabilities.allowed0(word)) >>> 0);
}

/**
 * The values of a VMCS that every check of VM entry passes: a 64-bit host at 0xffff8000_00000000, and a guest in the named state with EPT and VPID where the processor
 * has them. Addresses are examples; their contents are the user's. On a processor without "unrestricted guest", `real` is not sound.
 *
 * @example soundValues('64-bit', vmxCapabilities('vmx:max')).GUEST_RIP // 0x1000n
 */
export function soundValues(state: SoundState, capabilities: VmxCapabilities): VmcsValues {
  const isLong = state === '64-bit';
  const segments: Record<string, bigint> = {};
  for (const [name, { selector, base, limit, ar }] of Object.entries(SEGMENTS[state])) {
    segments[`GUEST_${name}_SELECTOR`] = selector;
    segments[`GUEST_${name}_BASE`] = base;
    segments[`GUEST_${name}_LIMIT`] = limit;
    segments[`GUEST_${name}_AR_BYTES`] = ar;
  }
  const host = 0xffff_8000_0000_0000n;
  return {
    PIN_BASED_VM_EXEC_CONTROL: controls(capabilities, 'pinBased', ['externalInterruptExiting', 'nmiExiting']),
    CPU_BASED_VM_EXEC_CONTROL: controls(capabilities, 'primary', ['hltExiting', 'unconditionalIoExiting', 'activateSecondaryControls']),
    SECONDARY_VM_EXEC_CONTROL: controls(
      capabilities,
      'secondary',
      state === 'real' ? ['enableEpt', 'enableVpid', 'unrestrictedGuest'] : ['enableEpt', 'enableVpid'],
    ),
    VM_EXIT_CONTROLS: controls(capabilities, 'exit', [
      'hostAddressSpaceSize',
      'acknowledgeInterruptOnExit',
      'saveIa32Efer',
      'loadIa32Efer',
    ]),
    VM_ENTRY_CONTROLS: controls(
      capabilities,
      'entry',
      isLong ? ['ia32eModeGuest', 'loadDebugControls', 'loadIa32Efer'] : ['loadDebugControls', 'loadIa32Efer'],
    ),
    VIRTUAL_PROCESSOR_ID: 1n,
    EPT_POINTER: 0x1_001en, // write-back, page-walk length 4
    TSC_MULTIPLIER: 1n << 48n,
    IO_BITMAP_A: 0x2_0000n,
    IO_BITMAP_B: 0x2_1000n,
    MSR_BITMAP: 0x2_2000n,
    VIRTUAL_APIC_PAGE_ADDR: 0x2_3000n,
    APIC_ACCESS_ADDR: 0xfee0_0000n,
    VMCS_LINK_POINTER: 0xffff_ffff_ffff_ffffn,

    HOST_CR0: 0x8001_0033n,
    HOST_CR3: 0x3_0000n,
    HOST_CR4: 0x20a0n,
    HOST_IA32_EFER: 0xd01n,
    HOST_IA32_PAT: 0x0007_0406_0007_0406n,
    HOST_CS_SELECTOR: 0x10n,
    HOST_SS_SELECTOR: 0x18n,
    HOST_TR_SELECTOR: 0x40n,
    HOST_GDTR_BASE: host,
    HOST_IDTR_BASE: host + 0x1000n,
    HOST_TR_BASE: host + 0x2000n,
    HOST_RSP: host + 0x4000n,
    HOST_RIP: host + 0x5000n,

    ...REGISTERS[state],
    ...(segments as VmcsValues),
    GUEST_CR3: 0x4_0000n,
    GUEST_DR7: 0x400n,
    GUEST_IA32_PAT: 0x0007_0406_0007_0406n,
    GUEST_RIP: 0x1000n,
    GUEST_RSP: 0x8000n,
    GUEST_LDTR_AR_BYTES: 0x1_0000n, // unusable
    GUEST_TR_SELECTOR: state === 'real' ? 0n : 0x40n,
    GUEST_TR_LIMIT: 0xffffn,
    GUEST_TR_AR_BYTES: 0x8bn, // busy TSS
    GUEST_GDTR_LIMIT: 0xffffn,
    GUEST_IDTR_LIMIT: 0xffffn,
  };
}

/** A VMCS with the values of `soundValues`, and the processor's revision identifier. */
export function soundVmcs(state: SoundState, capabilities: VmxCapabilities): Vmcs {
  const vmcs = new Vmcs();
  vmcs.revisionId = capabilities.revisionId;
  vmcs.assign(soundValues(state, capabilities));
  return vmcs;
}

import type { SvmCapabilities } from '../capabilities/capabilities.ts';
import { Intercept, type InterceptName } from '../intercepts/intercepts.ts';
import { Vmcb, type VmcbValues } from '../vmcb/vmcb.ts';

/** The guests that a sound VMCB may hold. */
export type SoundVmcb = '64-bit' | 'real' | 'protected' | 'pae' | 'v86' | 'paged-real';

/** All states, in words. */
export const SOUND_VMCBS: Readonly<Record<SoundVmcb, string>> = {
  '64-bit': '64-bit mode, flat segments, privilege level 0',
  real: 'real-address mode at 0000:1000',
  protected: 'protected mode with 32-bit paging, flat segments, privilege level 0',
  pae: 'protected mode with PAE paging, flat segments, privilege level 0',
  v86: 'virtual-8086 mode',
  'paged-real': 'paged real mode (APM Vol. 2, 15.19 "Paged Real Mode"), PAE paging',
};

interface SegmentValues {
  readonly selector: bigint;
  readonly base: bigint;
  readonly limit: bigint;
  readonly attributes: bigint;
}
const flat = (selector: bigint, attributes: bigint): SegmentValues => ({ selector, base: 0n, limit: 0xffff_ffffn, attributes });
const realMode = (attributes: bigint): SegmentValues => ({ selector: 0n, base: 0n, limit: 0xffffn, attributes });
const v86 = (selector: bigint): SegmentValues => ({ selector, base: selector << 4n, limit: 0xffffn, attributes: 0xf3n });

/** Code, then data: A9B 64-bit code, C9B 32-bit code, C93 32-bit data, 9B and 93 real mode, F3 virtual-8086. */
const SEGMENTS: Readonly<Record<SoundVmcb, readonly [SegmentValues, SegmentValues]>> = {
  '64-bit': [flat(0x10n, 0xa9bn), flat(0x18n, 0xc93n)],
  real: [realMode(0x9bn), realMode(0x93n)],
  protected: [flat(0x10n, 0xc9bn), flat(0x18n, 0xc93n)],
  pae: [flat(0x10n, 0xc9bn), flat(0x18n, 0xc93n)],
  v86: [v86(0x100n), v86(0x200n)],
  'paged-real': [realMode(0x9bn), realMode(0x93n)],
};

const REGISTERS: Readonly<Record<SoundVmcb, VmcbValues>> = {
  '64-bit': { CR0: 0x8001_0033n, CR4: 0xa0n, EFER: 0x1d01n, RFLAGS: 2n },
  real: { CR0: 0x10n, CR4: 0n, EFER: 0x1000n, RFLAGS: 2n },
  protected: { CR0: 0x8001_0033n, CR4: 0n, EFER: 0x1000n, RFLAGS: 2n },
  pae: { CR0: 0x8001_0033n, CR4: 0x20n, EFER: 0x1000n, RFLAGS: 2n },
  v86: { CR0: 0x8001_0033n, CR4: 0n, EFER: 0x1000n, RFLAGS: 0x2_0002n, CPL: 3n },
  'paged-real': { CR0: 0x8000_0010n, CR4: 0x20n, EFER: 0x1000n, RFLAGS: 2n },
};

/** Intercepts that every hypervisor wants. */
const INTERCEPTED_3: readonly InterceptName[] = ['INTR', 'NMI', 'INIT', 'CPUID', 'HLT', 'IOIO_PROT', 'MSR_PROT', 'SHUTDOWN'];
const INTERCEPTED_4: readonly InterceptName[] = ['VMRUN', 'VMMCALL', 'VMLOAD', 'VMSAVE', 'STGI', 'CLGI', 'SKINIT'];
const masks = (names: readonly InterceptName[]): bigint => BigInt(names.reduce((bits, name) => bits | Intercept[name], 0) >>> 0);

/**
 * The values of a VMCB that every check of VMRUN passes: a guest in the named state, with nested paging where the processor has it.
 *
 * @example soundVmcbValues('64-bit', svmCapabilities('svm:max')).EFER // 0x1d01n
 */
export function soundVmcbValues(state: SoundVmcb, capabilities: SvmCapabilities): VmcbValues {
  const [code, data] = SEGMENTS[state];
  const segments = (['ES', 'CS', 'SS', 'DS', 'FS', 'GS'] as const).flatMap((name) => {
    const { selector, base, limit, attributes } = name === 'CS' ? code : data;
    return Object.entries({ SELECTOR: selector, BASE: base, LIMIT: limit, ATTRIBUTES: attributes }).map(
      ([part, value]): [string, bigint] => [`${name}_${part}`, value],
    );
  });
  return {
    ...(Object.fromEntries(segments) as VmcbValues),
    INTERCEPT_3: masks(INTERCEPTED_3),
    INTERCEPT_4: masks(INTERCEPTED_4),
    IOPM_BASE_PA: 0x10_0000n,
    MSRPM_BASE_PA: 0x10_4000n,
    GUEST_ASID: 1n,
    ...(capabilities.has('NP') ? { NP_ENABLE: 1n, N_CR3: 0x10_8000n, G_PAT: 0x0007_0406_0007_0406n } : {}),
    LDTR_ATTRIBUTES: 0x82n,
    LDTR_LIMIT: 0xffffn,
    TR_SELECTOR: 0x28n,
    TR_ATTRIBUTES: 0x8bn,
    TR_LIMIT: 0x67n,
    GDTR_LIMIT: 0xffffn,
    IDTR_LIMIT: 0xffffn,
    CR3: 0x2000n,
    DR6: 0xffff_0ff0n,
    DR7: 0x400n,
    RIP: 0x1000n,
    RSP: 0x8000n,
    ...REGISTERS[state],
  };
}

/** A VMCB of its own with the values of `soundVmcbValues`. */
export function soundVmcb(state: SoundVmcb, capabilities: SvmCapabilities): Vmcb {
  const vmcb = new Vmcb();
  vmcb.assign(soundVmcbValues(state, capabilities));
  return vmcb;
}

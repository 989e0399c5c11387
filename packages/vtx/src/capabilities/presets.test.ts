import { describe, expect, test } from 'vitest';
import { UnknownCapabilityError } from '../errors.ts';
import type { VmxCapabilities } from './capabilities.ts';
import { vmxMsrs } from './declaration.ts';
import type { VmxMsrName } from './msrs.ts';
import { VMX_PRESETS, type VmxPresetName, vmxCapabilities } from './presets.ts';

test("vmx:skylake gives the capability MSRs that an i7-6700K's silicon reports, bit for bit", () => {
  // Read on the processor: MSRs 480H to 491H.
  expect(vmxMsrs(VMX_PRESETS['vmx:skylake'].declaration)).toEqual({
    IA32_VMX_BASIC: 0x00da_0400_0000_0004n,
    IA32_VMX_PINBASED_CTLS: 0x0000_007f_0000_0016n,
    IA32_VMX_PROCBASED_CTLS: 0xfff9_fffe_0401_e172n,
    IA32_VMX_EXIT_CTLS: 0x01ff_ffff_0003_6dffn,
    IA32_VMX_ENTRY_CTLS: 0x0003_ffff_0000_11ffn,
    IA32_VMX_MISC: 0x7004_c1e7n,
    IA32_VMX_CR0_FIXED0: 0x8000_0021n,
    IA32_VMX_CR0_FIXED1: 0xffff_ffffn,
    IA32_VMX_CR4_FIXED0: 0x2000n,
    IA32_VMX_CR4_FIXED1: 0x37_27ffn,
    IA32_VMX_VMCS_ENUM: 0x2en,
    IA32_VMX_PROCBASED_CTLS2: 0x001f_fcff_0000_0000n,
    IA32_VMX_EPT_VPID_CAP: 0x0000_0f01_0633_4141n,
    IA32_VMX_TRUE_PINBASED_CTLS: 0x0000_007f_0000_0016n,
    IA32_VMX_TRUE_PROCBASED_CTLS: 0xfff9_fffe_0400_6172n,
    IA32_VMX_TRUE_EXIT_CTLS: 0x01ff_ffff_0003_6dfbn,
    IA32_VMX_TRUE_ENTRY_CTLS: 0x0003_ffff_0000_11fbn,
    IA32_VMX_VMFUNC: 1n,
  });
});

/** The words that a hypervisor demands, as it reads them: MSR, and the allowed-1 bits that must be there. */
interface Demand {
  readonly name: string;
  readonly presets: readonly VmxPresetName[];
  readonly allowed1: Partial<Record<VmxMsrName, number>>;
  /** Bits that the MSR itself must have. */
  readonly bits?: Partial<Record<VmxMsrName, bigint>>;
}

const bitsOf = (...bits: number[]): number => bits.reduce((mask, bit) => (mask | (1 << bit)) >>> 0, 0);

const DEMANDS: readonly Demand[] = [
  {
    name: "Linux 6.1's kvm_intel",
    presets: ['vmx:minimal', 'vmx:skylake', 'vmx:max'],
    allowed1: {
      IA32_VMX_PINBASED_CTLS: bitsOf(0, 3),
      IA32_VMX_PROCBASED_CTLS: bitsOf(2, 3, 7, 9, 10, 11, 15, 16, 19, 20, 23, 24, 29),
      IA32_VMX_EXIT_CTLS: bitsOf(2, 9, 15),
      IA32_VMX_ENTRY_CTLS: bitsOf(2, 9),
    },
  },
  {
    name: 'Xen 4.16',
    presets: ['vmx:skylake', 'vmx:max'],
    allowed1: {
      IA32_VMX_PINBASED_CTLS: bitsOf(0, 3),
      IA32_VMX_PROCBASED_CTLS: bitsOf(2, 3, 7, 9, 10, 12, 15, 16, 19, 20, 23, 25, 29),
      IA32_VMX_EXIT_CTLS: bitsOf(9, 15),
    },
    bits: { IA32_VMX_EPT_VPID_CAP: (1n << 14n) | (1n << 6n) | (1n << 26n) | (1n << 42n) },
  },
  {
    name: 'a hypervisor that wants EPT, unrestricted guest, execute-only pages and all of INVVPID',
    presets: ['vmx:skylake', 'vmx:max'],
    allowed1: { IA32_VMX_PROCBASED_CTLS2: bitsOf(1, 2, 3, 5, 7, 12), IA32_VMX_TRUE_PROCBASED_CTLS: bitsOf(25, 28, 31) },
    bits: { IA32_VMX_EPT_VPID_CAP: 0xf01_0000_0000n | (1n << 0n) | (1n << 16n) | (1n << 20n) | (1n << 25n) | (1n << 26n) },
  },
];

describe('what hypervisors demand before they load', () => {
  for (const { name, presets, allowed1, bits } of DEMANDS) {
    for (const preset of presets) {
      test(`${name} on ${preset}`, () => {
        const msrs = vmxMsrs(VMX_PRESETS[preset].declaration);
        for (const [msr, mask] of Object.entries(allowed1)) {
          const offered = Number((msrs[msr as VmxMsrName] ?? 0n) >> 32n);
          expect((offered & mask) >>> 0, msr).toBe(mask);
        }
        for (const [msr, mask] of Object.entries(bits ?? {})) expect((msrs[msr as VmxMsrName] ?? 0n) & mask, msr).toBe(mask);
        // Region at most a page, write-back, addresses not limited to 32 bits.
        const basic = msrs.IA32_VMX_BASIC!;
        expect((basic >> 32n) & 0x1fffn).toBeLessThanOrEqual(4096n);
        expect((basic >> 50n) & 15n).toBe(6n);
        expect((basic >> 48n) & 1n).toBe(0n);
      });
    }
  }

  test('vmx:minimal has no secondary controls, so neither EPT nor the MSRs that speak of it (SDM Vol. 3D, A.3.3, A.10)', () => {
    const msrs = vmxMsrs(VMX_PRESETS['vmx:minimal'].declaration);
    expect([msrs.IA32_VMX_PROCBASED_CTLS2, msrs.IA32_VMX_EPT_VPID_CAP, msrs.IA32_VMX_TRUE_PINBASED_CTLS]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('capabilities', () => {
  const all = Object.keys(VMX_PRESETS) as VmxPresetName[];
  test.each(all)('%s: what must be 1 may be 1; controls that go in pairs are offered in pairs (Linux refuses others)', (name) => {
    const capabilities: VmxCapabilities = vmxCapabilities(name);
    for (const word of ['pinBased', 'primary', 'secondary', 'exit', 'entry'] as const) {
      expect(capabilities.allowed0(word) & ~capabilities.allowed1(word)).toBe(0);
    }
    for (const [entry, exit] of [
      ['loadIa32PerfGlobalCtrl', 'loadIa32PerfGlobalCtrl'],
      ['loadIa32Pat', 'loadIa32Pat'],
      ['loadIa32Efer', 'loadIa32Efer'],
      ['loadIa32Bndcfgs', 'clearIa32Bndcfgs'],
      ['loadIa32RtitCtl', 'clearIa32RtitCtl'],
    ] as const) {
      expect([entry, capabilities.offers('entry', entry)]).toEqual([entry, capabilities.offers('exit', exit)]);
    }
    // "Unrestricted guest" makes MISC[5] 1 (SDM Vol. 3D, A.6).
    if (capabilities.offers('secondary', 'unrestrictedGuest')) expect(capabilities.msrs.IA32_VMX_MISC! & 0x20n).toBe(0x20n);
  });

  test('the TRUE MSRs let CR3-load and CR3-store exiting be 0, the plain ones do not (SDM Vol. 3D, A.3.2)', () => {
    expect(vmxCapabilities('vmx:max').allowed0('primary') & 0x1_8000).toBe(0);
    expect(vmxCapabilities('vmx:minimal').allowed0('primary') & 0x1_8000).toBe(0x1_8000);
  });

  test('an unknown preset is a named error', () => {
    expect(() => vmxCapabilities('vmx:pentium' as VmxPresetName)).toThrow(UnknownCapabilityError);
  });
});

import { describe, expect, test } from 'vitest';
import { vmxCapabilities } from '../capabilities/presets.ts';
import { vmread, vmwrite } from './access.ts';
import { FIELD, type VmcsFieldName } from './fields.ts';
import { Vmcs } from './vmcs.ts';

const max = vmxCapabilities('vmx:max');
const minimal = vmxCapabilities('vmx:minimal');
const unsupported = { ok: false, error: 12 };

describe('VMREAD and VMWRITE (SDM Vol. 3C, chapter 31; error numbers 31.4)', () => {
  test('an encoding that no field has, or with reserved bits, is error 12', () => {
    const vmcs = new Vmcs();
    for (const encoding of [0x6_0000n, 0x1000n, 0x681en | (1n << 32n), 0x681fn, 0x0006n, 0x8000_681en]) {
      expect(vmread(vmcs, max, encoding), encoding.toString(16)).toEqual(unsupported);
      expect(vmwrite(vmcs, max, encoding, 0n), encoding.toString(16)).toEqual(unsupported);
    }
  });

  test('a field exists only where the control that it belongs to may be 1 (SDM Vol. 3D, Appendix B)', () => {
    const exists = (capabilities: typeof max, name: VmcsFieldName): boolean => vmread(new Vmcs(), capabilities, BigInt(FIELD[name])).ok;
    for (const name of [
      'EPT_POINTER',
      'VIRTUAL_PROCESSOR_ID',
      'MSR_BITMAP',
      'GUEST_IA32_EFER',
      'VMX_PREEMPTION_TIMER_VALUE',
      'GUEST_PDPTR0',
    ] as const) {
      expect([name, exists(max, name), exists(minimal, name)]).toEqual([name, true, false]);
    }
    for (const name of ['EOI_EXIT_BITMAP0', 'TSC_MULTIPLIER', 'POSTED_INTR_NV', 'EPTP_LIST_ADDRESS', 'GUEST_SSP'] as const) {
      expect([name, exists(max, name), exists(vmxCapabilities('vmx:manual'), name)]).toEqual([name, false, true]);
    }
    for (const name of ['GUEST_RIP', 'IO_BITMAP_A', 'EXIT_QUALIFICATION', 'CR3_TARGET_VALUE3', 'GUEST_SMBASE'] as const)
      expect(exists(minimal, name)).toBe(true);
    expect(exists(vmxCapabilities('vmx:max', { declaration: { misc: { ...maxMisc(), cr3Targets: 2 } } }), 'CR3_TARGET_VALUE2')).toBe(false);
  });

  test('VMWRITE to VM-exit information is error 13, but where IA32_VMX_MISC[29] is 1 it writes', () => {
    const vmcs = new Vmcs();
    expect(vmwrite(vmcs, minimal, BigInt(FIELD.VM_EXIT_REASON), 1n)).toEqual({ ok: false, error: 13 });
    expect(vmcs.read(FIELD.VM_EXIT_REASON)).toBe(0n);
    expect(vmwrite(vmcs, max, BigInt(FIELD.VM_EXIT_REASON), 1n)).toEqual({ ok: true });
    expect(vmcs.read(FIELD.VM_EXIT_REASON)).toBe(1n);
  });

  test('in 64-bit mode the operand is cut to the field; a 16-bit field reads zero-extended', () => {
    const vmcs = new Vmcs();
    vmwrite(vmcs, max, BigInt(FIELD.GUEST_CS_SELECTOR), 0xffff_ffff_1234_5678n);
    expect(vmread(vmcs, max, BigInt(FIELD.GUEST_CS_SELECTOR))).toEqual({ ok: true, value: 0x5678n });
    vmwrite(vmcs, max, BigInt(FIELD.EXCEPTION_BITMAP), 0x1_2345_6789n);
    expect(vmread(vmcs, max, BigInt(FIELD.EXCEPTION_BITMAP))).toEqual({ ok: true, value: 0x2345_6789n });
  });

  test('outside 64-bit mode a full access to 64 bits reads the low half, and writing clears bits 63:32; "high" reaches them', () => {
    const vmcs = new Vmcs();
    vmcs.write(FIELD.TSC_OFFSET, 0xaaaa_bbbb_cccc_ddddn);
    expect(vmread(vmcs, max, BigInt(FIELD.TSC_OFFSET), 32)).toEqual({ ok: true, value: 0xcccc_ddddn });
    expect(vmread(vmcs, max, BigInt(FIELD.TSC_OFFSET | 1), 32)).toEqual({ ok: true, value: 0xaaaa_bbbbn });
    vmwrite(vmcs, max, BigInt(FIELD.TSC_OFFSET), 5n, 32);
    expect(vmcs.read(FIELD.TSC_OFFSET)).toBe(5n);
    vmwrite(vmcs, max, BigInt(FIELD.TSC_OFFSET | 1), 7n, 32);
    expect(vmcs.read(FIELD.TSC_OFFSET)).toBe(0x7_0000_0005n);
  });
});

function maxMisc(): {
  preemptionTimerRate: number;
  storesEferLma: boolean;
  activityStates: [];
  writesReadOnlyData: boolean;
  zeroLengthInjection: boolean;
  otherBits: number;
} {
  return {
    preemptionTimerRate: 5,
    storesEferLma: true,
    activityStates: [],
    writesReadOnlyData: true,
    zeroLengthInjection: true,
    otherBits: 0,
  };
}

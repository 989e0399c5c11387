import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VMX_PRESETS, type VmxPresetName, vmxCapabilities } from '../capabilities/presets.ts';
import { explainEntry } from '../explain/explain-entry.ts';
import { SOUND_STATES, type SoundState, soundVmcs } from '../states/sound-states.ts';
import { fieldBytes } from '../vmcs/encoding.ts';
import { FIELD, VMCS_FIELD_NAMES, type VmcsFieldName, vmcsFieldName } from '../vmcs/fields.ts';
import { Vmcs } from '../vmcs/vmcs.ts';
import { ENTRY_CHECKS } from './all-checks.ts';
import { breakCheck } from './break-check.ts';
import { dependencies } from './row.ts';
import { EntryView } from './view.ts';

/** A VMCS that notes which fields are read. */
class ObservedVmcs extends Vmcs {
  readonly seen: Set<VmcsFieldName> = new Set();
  override read(encoding: number): bigint {
    this.seen.add(vmcsFieldName(encoding)!);
    return super.read(encoding);
  }
  override low(encoding: number): number {
    this.seen.add(vmcsFieldName(encoding)!);
    return super.low(encoding);
  }
  override high(encoding: number): number {
    this.seen.add(vmcsFieldName(encoding)!);
    return super.high(encoding);
  }
}

describe('a sound VMCS passes every check of VM entry (SDM Vol. 3C, 27.2, 27.3)', () => {
  for (const preset of Object.keys(VMX_PRESETS) as VmxPresetName[]) {
    for (const state of Object.keys(SOUND_STATES) as SoundState[]) {
      if (preset === 'vmx:minimal' && state === 'real') continue;
      test(`${state} on ${preset}`, () => {
        const capabilities = vmxCapabilities(preset);
        expect(explainEntry(soundVmcs(state, capabilities), capabilities)).toEqual({ ok: true, failed: [] });
      });
    }
  }

  test('real mode without "unrestricted guest" is refused: CR0.PE and CR0.PG are fixed to 1 (SDM Vol. 3C, 24.8)', () => {
    const capabilities = vmxCapabilities('vmx:minimal');
    expect(explainEntry(soundVmcs('real', capabilities), capabilities).failed.map(({ id }) => id)).toContain('guest.cr0.fixed');
  });
});

describe('each rule, broken alone, is the only one that fails, and its suggestion mends it', () => {
  for (const check of ENTRY_CHECKS) {
    test(`${check.section} ${check.id}`, () => {
      const { vmcs, capabilities, environment } = breakCheck(check);
      const { failed, failure, ok } = explainEntry(vmcs, capabilities, environment);
      expect(failed.map(({ id }) => id)).toEqual([check.id]);
      expect(ok).toBe(false);
      expect(failure).toMatch(
        check.section.startsWith('27.2.1')
          ? /^VMfailValid 7$/
          : check.section.startsWith('27.2')
            ? /^VMfailValid 8$/
            : check.section === '27.4'
              ? /^exit reason 34, qualification 2$/
              : /^exit reason 33, qualification [0234]$/,
      );
      expect(failed[0]!.says).toMatch(/\w{3}/);
      vmcs.assign(failed[0]!.suggestion);
      expect(explainEntry(vmcs, capabilities, environment).failed).toEqual([]);
    });
  }
});

test('ids are unique', () => {
  const ids = ENTRY_CHECKS.map(({ id }) => id);
  expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
});

test('a rule reads no field but those it names (and the words that gate them), so that an incremental check is sound', () => {
  // Every rule's broken guest is one state to read in.
  const views = ENTRY_CHECKS.map((start) => {
    const { vmcs, capabilities, environment } = breakCheck(start);
    const observed = new ObservedVmcs(vmcs.region);
    return { observed, view: new EntryView(observed, capabilities, environment) };
  });
  const wrong: string[] = [];
  for (const check of ENTRY_CHECKS) {
    const allowed = dependencies(check);
    for (const { observed, view } of views) {
      observed.seen.clear();
      check.holds(view);
      for (const field of observed.seen) if (!allowed.has(field)) wrong.push(`${check.id}: ${field}`);
    }
  }
  expect([...new Set(wrong)]).toEqual([]);
});

test('exit qualifications: 2 for PDPTEs, 4 for the VMCS link pointer, else 0: 3 is for an NMI in the shadow of STI, which is not refused (SDM Vol. 3C, 27.8)', () => {
  const capabilities = vmxCapabilities('vmx:max');
  const failureOf = (change: (vmcs: Vmcs) => void, state: SoundState = '64-bit'): string | undefined => {
    const vmcs = soundVmcs(state, capabilities);
    change(vmcs);
    return explainEntry(vmcs, capabilities).failure;
  };
  expect(failureOf((vmcs) => vmcs.write(FIELD.GUEST_PDPTR2, 0x3n), 'pae')).toBe('exit reason 33, qualification 2');
  expect(
    failureOf((vmcs) => {
      vmcs.write(FIELD.VM_ENTRY_INTR_INFO_FIELD, 0x8000_0202n);
      vmcs.write(FIELD.GUEST_INTERRUPTIBILITY_INFO, 2n);
    }),
  ).toBe('exit reason 33, qualification 0');
  expect(
    failureOf((vmcs) => {
      vmcs.write(FIELD.VM_ENTRY_INTR_INFO_FIELD, 0x8000_0202n);
      vmcs.write(FIELD.GUEST_INTERRUPTIBILITY_INFO, 1n);
      vmcs.write(FIELD.GUEST_RFLAGS, 0x202n);
    }),
  ).toBeUndefined();
  expect(failureOf((vmcs) => vmcs.write(FIELD.VMCS_LINK_POINTER, 0x1234n))).toBe('exit reason 33, qualification 4');
  expect(failureOf((vmcs) => vmcs.write(FIELD.GUEST_RFLAGS, 0n))).toBe('exit reason 33, qualification 0');
});

test('controls are judged before host state, host state before guest state (SDM Vol. 3C, 27.2, 27.3)', () => {
  const capabilities = vmxCapabilities('vmx:max');
  const vmcs = soundVmcs('64-bit', capabilities);
  vmcs.write(FIELD.GUEST_RFLAGS, 0n);
  vmcs.write(FIELD.HOST_CR0, 0n);
  expect(explainEntry(vmcs, capabilities).failure).toBe('VMfailValid 8');
  vmcs.write(FIELD.CR3_TARGET_COUNT, 5n);
  const { failure, failed } = explainEntry(vmcs, capabilities);
  expect(failure).toBe('VMfailValid 7');
  expect(failed.map(({ id }) => id)).toEqual(['control.cr3-target-count', 'host.cr0.fixed', 'guest.rflags.bit-1']);
});

test('mending one failure after the other ends in a VM entry that succeeds', () => {
  const capabilities = vmxCapabilities('vmx:max');
  // Single bits flipped, or whole values replaced.
  const write = fc.record({
    name: fc.constantFrom(...VMCS_FIELD_NAMES),
    bit: fc.nat(63),
    value: fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
  });
  fc.assert(
    fc.property(fc.array(write, { maxLength: 12 }), (writes) => {
      const vmcs = soundVmcs('64-bit', capabilities);
      for (const { name, bit, value } of writes) {
        vmcs.write(FIELD[name], BigInt.asUintN(8 * fieldBytes(FIELD[name]), value ?? vmcs.read(FIELD[name]) ^ (1n << BigInt(bit))));
      }
      for (let steps = 0; steps < 60; steps++) {
        const first = explainEntry(vmcs, capabilities).failed[0];
        if (first === undefined) return;
        vmcs.assign(first.suggestion);
      }
      expect(explainEntry(vmcs, capabilities).failed.map(({ id }) => id)).toEqual([]);
    }),
    { numRuns: 200 },
  );
});

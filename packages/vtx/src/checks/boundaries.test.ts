import { describe, expect, test } from 'vitest';
import { vmxCapabilities } from '../capabilities/presets.ts';
import { explainEntry } from '../explain/explain-entry.ts';
import { type SoundState, soundVmcs } from '../states/sound-states.ts';
import type { VmcsValues } from '../vmcs/vmcs.ts';

// Where a rule begins and ends: values from the manual's words, on both sides of the border.

const capabilities = vmxCapabilities('vmx:max');

function failedWith(values: VmcsValues, state: SoundState = '64-bit'): readonly string[] {
  const vmcs = soundVmcs(state, capabilities);
  vmcs.assign(values);
  return explainEntry(vmcs, capabilities).failed.map(({ id }) => id);
}
const info = (type: number, vector: number, errorCode = false): bigint =>
  BigInt((0x8000_0000 + (type << 8) + vector + (errorCode ? 0x800 : 0)) >>> 0);

test('canonical: bits 63:47 alike; RIP: only bits 63:48 (SDM Vol. 1, 3.3.7.1; Vol. 3C, 27.3.1.3, 27.3.1.4)', () => {
  for (const [address, canonical, rip] of [
    [0x0000_7fff_ffff_ffffn, true, true],
    [0x0000_8000_0000_0000n, false, true],
    [0x0001_0000_0000_0000n, false, false],
    [0xfffe_ffff_ffff_ffffn, false, false],
    [0xffff_7fff_ffff_ffffn, false, true],
    [0xffff_8000_0000_0000n, true, true],
  ] as const) {
    expect([address, failedWith({ GUEST_GDTR_BASE: address })]).toEqual([address, canonical ? [] : ['guest.gdtr.base.canonical']]);
    expect([address, failedWith({ GUEST_RIP: address })]).toEqual([address, rip ? [] : ['guest.rip.linear-address-width']]);
  }
});

test('a hardware exception delivers an error code exactly for #DF, #TS, #NP, #SS, #GP, #PF, #AC, and never in real mode (27.2.1.3)', () => {
  const withErrorCode = [8, 10, 11, 12, 13, 14, 17];
  for (let vector = 0; vector < 32; vector++) {
    for (const errorCode of [false, true]) {
      const id = 'control.injection.deliver-error-code';
      const expected = withErrorCode.includes(vector) === errorCode ? [] : [id];
      expect([vector, errorCode, failedWith({ VM_ENTRY_INTR_INFO_FIELD: info(3, vector, errorCode) })]).toEqual([
        vector,
        errorCode,
        expected,
      ]);
      expect(failedWith({ VM_ENTRY_INTR_INFO_FIELD: info(3, vector, errorCode) }, 'real')).toEqual(errorCode ? [id] : []);
    }
  }
});

test('what may be injected in which activity state (27.3.1.5)', () => {
  const events = {
    'external interrupt': info(0, 0x20),
    NMI: info(2, 2),
    '#DB': info(3, 1),
    '#MC': info(3, 18),
    '#UD': info(3, 6),
    'INT n': info(4, 0x80),
    INT1: info(5, 1),
    INT3: info(6, 3),
    'pending MTF': info(7, 0),
  };
  const allowed = (state: bigint): readonly string[] =>
    Object.entries(events).flatMap(([name, event]) => {
      const values = { GUEST_ACTIVITY_STATE: state, VM_ENTRY_INTR_INFO_FIELD: event, GUEST_RFLAGS: 0x202n, VM_ENTRY_INSTRUCTION_LEN: 2n };
      return failedWith(values).length === 0 ? [name] : [];
    });
  expect(allowed(0n)).toEqual(Object.keys(events));
  expect(allowed(1n)).toEqual(['external interrupt', 'NMI', '#DB', '#MC', 'pending MTF']);
  expect(allowed(2n)).toEqual(['NMI', '#MC']);
  expect(allowed(3n)).toEqual([]);
});

describe('segment types (27.3.1.2)', () => {
  const fitting = (
    field: 'GUEST_CS_AR_BYTES' | 'GUEST_SS_AR_BYTES' | 'GUEST_DS_AR_BYTES' | 'GUEST_TR_AR_BYTES',
    ar: number,
    state: SoundState,
  ): number[] =>
    Array.from({ length: 16 }, (_, type) => type).filter((type) => failedWith({ [field]: BigInt((ar & ~15) | type) }, state).length === 0);
  test('CS: 9, 11, 13, 15; with "unrestricted guest" 3 too', () => {
    expect(fitting('GUEST_CS_AR_BYTES', 0xa090, '64-bit')).toEqual([9, 11, 13, 15]);
    expect(fitting('GUEST_CS_AR_BYTES', 0x90, 'real')).toEqual([3, 9, 11, 13, 15]);
  });
  test('SS: 3, 7; DS: accessed, and readable if code', () => {
    expect(fitting('GUEST_SS_AR_BYTES', 0xc090, '64-bit')).toEqual([3, 7]);
    expect(fitting('GUEST_DS_AR_BYTES', 0xc090, '64-bit')).toEqual([1, 3, 5, 7, 11, 15]);
  });
  test('TR: 11 in IA-32e mode, else 3 or 11', () => {
    expect(fitting('GUEST_TR_AR_BYTES', 0x80, '64-bit')).toEqual([11]);
    expect(fitting('GUEST_TR_AR_BYTES', 0x80, 'protected')).toEqual([3, 11]);
  });
  test('an unusable SS, DS, ES, FS, GS or LDTR may hold anything else; TR and CS may not be so', () => {
    for (const name of ['DS', 'ES', 'FS', 'GS', 'LDTR'] as const)
      expect(failedWith({ [`GUEST_${name}_AR_BYTES`]: 0xffff_ffffn })).toEqual([]);
    // SS keeps DPL = RPL (0 here), usable or not.
    expect(failedWith({ GUEST_SS_AR_BYTES: 0xffff_ff9fn })).toEqual([]);
    expect(failedWith({ GUEST_TR_AR_BYTES: 0x1_008bn })).toEqual(['guest.tr.usable']);
  });
});

test('granularity: byte limits need bits 31:20 clear, page limits bits 11:0 set (27.3.1.2)', () => {
  const ds = (limit: bigint, ar: bigint): readonly string[] => failedWith({ GUEST_DS_LIMIT: limit, GUEST_DS_AR_BYTES: ar });
  expect(ds(0xf_ffffn, 0x4093n)).toEqual([]);
  expect(ds(0xf_ffffn, 0xc093n)).toEqual([]);
  expect(ds(0xf_fffen, 0x4093n)).toEqual([]);
  expect(ds(0xf_fffen, 0xc093n)).toEqual(['guest.ds.granularity-bytes']);
  expect(ds(0x10_0fffn, 0x4093n)).toEqual(['guest.ds.granularity-pages']);
  expect(ds(0x10_0000n, 0xc093n)).toEqual(['guest.ds.granularity-bytes']);
});

test('PAT: 0, 1, 4, 5, 6 and 7 in any byte, nothing else (27.3.1.1)', () => {
  const load = { VM_ENTRY_CONTROLS: 0xd3ffn };
  for (let type = 0; type < 256; type++) {
    for (const shift of [0n, 24n, 32n, 56n]) {
      const isType = [0, 1, 4, 5, 6, 7].includes(type);
      expect([type, failedWith({ ...load, GUEST_IA32_PAT: BigInt(type) << shift })]).toEqual([
        type,
        isType ? [] : ['guest.pat.memory-types'],
      ]);
    }
  }
});

test('the processor decides: EPT-violation #VE, posted interrupts and 5-level EPT are refused where its MSRs do not have them', () => {
  expect(failedWith({ SECONDARY_VM_EXEC_CONTROL: 0x4_0022n })).toContain('control.secondary.settings');
  expect(failedWith({ PIN_BASED_VM_EXEC_CONTROL: 0x9fn })).toContain('control.pin-based.settings');
  expect(failedWith({ EPT_POINTER: 0x1_0026n })).toEqual(['control.eptp.page-walk-length']);
});

import { InvalidArgumentError } from '@minusone/core';
import { amd, type CpuidResult, cpuidBits, intel, modelLeaf } from '@minusone/x86';
import { expect, test } from 'vitest';
import { type CpuidEntry, KvmFeature } from './cpuid-entry.ts';
import { type CpuidRuntime, CpuidTable } from './cpuid-table.ts';
import { guestCpuid, supportedCpuid } from './supported-cpuid.ts';

const RUNTIME: CpuidRuntime = { cr4: 0, xcr0: 1, apicEnabled: true };

function tableOf(entries: readonly CpuidEntry[]): CpuidTable {
  const table = new CpuidTable();
  table.set(entries);
  return table;
}
function query(table: CpuidTable, leaf: number, subleaf = 0, runtime = RUNTIME): CpuidResult {
  const r = table.query(leaf, subleaf, runtime, { eax: 0, ebx: 0, ecx: 0, edx: 0 });
  return { eax: r.eax >>> 0, ebx: r.ebx >>> 0, ecx: r.ecx >>> 0, edx: r.edx >>> 0 };
}

test.each([intel, amd])(
  '$name: the guest is shown the model, less MONITOR and TSC_DEADLINE, with HYPERVISOR and x2APIC (api.rst, KVM_GET_SUPPORTED_CPUID)',
  (base) => {
    const model = base.with('MONITOR', 'VMX', 'SVM').without('X2APIC');
    const table = tableOf(supportedCpuid(model));
    const expected = [...cpuidBits.keys()].filter((name) => model.has(name) && name !== 'MONITOR' && name !== 'TSC_DEADLINE');
    const shown = [...cpuidBits.keys()].filter((name) => table.has(name));
    expect(shown.sort()).toEqual([...expected, 'HYPERVISOR', 'X2APIC'].sort());
    const one = query(table, 1);
    expect([(one.ecx >>> 5) & 1, (one.ecx >>> 24) & 1, (one.ecx >>> 31) & 1]).toEqual([0, 0, 1]); // VMX, TSC_DEADLINE
    expect((query(table, 0x80000001).ecx >>> 2) & 1).toBe(0); // SVM
    expect([table.isAmd, table.physicalBits]).toEqual([model.vendor === 'amd', model.physicalBits]);
    // The topology is for the VMM to say.
    expect(query(table, 0xb, 0)).toEqual({ eax: 0, ebx: 0, ecx: 0, edx: 0 });
  },
);

test('leaf 40000000H is the signature of KVM, 40000001H kvmclock with its stable bit, and nothing that is not there (cpuid.rst)', () => {
  const table = tableOf(supportedCpuid(intel));
  const { eax, ebx, ecx, edx } = query(table, 0x40000000);
  const text = [ebx, ecx, edx].map((word) => String.fromCharCode(...[0, 8, 16, 24].map((shift) => (word >>> shift) & 0xff))).join('');
  expect([eax, text]).toEqual([0x40000001, 'KVMKVMKVM\0\0\0']);
  const offered = Object.entries(KvmFeature).filter(([, bit]) => table.hasKvmFeature(bit));
  expect(offered.map(([name]) => name)).toEqual(['CLOCKSOURCE', 'NOP_IO_DELAY', 'CLOCKSOURCE2', 'CLOCKSOURCE_STABLE_BIT']);
  expect(query(table, 0x40000001).eax).toBe(0x0100000b);
});

test('entries of leaves that depend on ECX say so, and no entry is there twice (KVM_CPUID_FLAG_SIGNIFCANT_INDEX)', () => {
  const entries = supportedCpuid(intel.with('XSAVE', 'AVX', 'XSAVEOPT'));
  const keys = entries.map((one) => `${one.function}.${one.index}`);
  expect(new Set(keys).size).toBe(keys.length);
  expect(entries.filter(({ flags }) => flags === 1).map(({ function: leaf }) => leaf)).toEqual([
    4, 4, 4, 4, 4, 7, 0xb, 0xd, 0xd, 0xd, 0xf, 0x10, 0x12, 0x14,
  ]);
  expect(entries.filter((one) => one.function === 0xd).map((one) => one.index)).toEqual([0, 1, 2]);
  expect(entries.every((one) => [one.eax, one.ebx, one.ecx, one.edx].every((word) => word >= 0))).toBe(true);
  const table = tableOf(entries);
  // Another sub-leaf of leaf 4 is "no more caches"; leaf 1 does not look at ECX.
  expect([query(table, 4, 9).eax, query(table, 1, 9)]).toEqual([0, query(table, 1, 0)]);
});

test('Intel: beyond the highest leaf comes the data of the highest basic one; AMD: zeros (SDM Vol. 2A, CPUID)', () => {
  const entries: CpuidEntry[] = [...supportedCpuid(intel).filter((one) => one.function !== 0x16)];
  entries.push({ function: 0x16, index: 0, flags: 0, eax: 1, ebx: 2, ecx: 3, edx: 4 });
  const highest = { eax: 1, ebx: 2, ecx: 3, edx: 4 };
  const table = tableOf(entries);
  for (const leaf of [0x17, 0x3fffffff, 0x40000002, 0x40000100, 0x80000009, 0xc0000000]) expect(query(table, leaf)).toEqual(highest);
  expect(query(table, 0x14)).toEqual({ eax: 0, ebx: 0, ecx: 0, edx: 0 }); // within, and empty
  const zeros = tableOf(supportedCpuid(amd));
  for (const leaf of [0x17, 0x40000002, 0x80000009]) expect(query(zeros, leaf)).toEqual({ eax: 0, ebx: 0, ecx: 0, edx: 0 });
});

test('OSXSAVE, OSPKE, APIC and the size of the XSAVE area follow the state of the virtual CPU (SDM Vol. 1, 13.2)', () => {
  const entries = supportedCpuid(intel.with('XSAVE', 'AVX', 'XSAVEC'));
  const table = tableOf(entries.map((one) => (one.function === 7 ? { ...one, ecx: one.ecx | 8 } : one)));
  const at = (runtime: Partial<CpuidRuntime>) => {
    const state = { ...RUNTIME, ...runtime };
    const [one, seven] = [query(table, 1, 0, state), query(table, 7, 0, state)];
    return [
      (one.ecx >>> 27) & 1,
      (one.edx >>> 9) & 1,
      (seven.ecx >>> 4) & 1,
      query(table, 0xd, 0, state).ebx,
      query(table, 0xd, 1, state).ebx,
    ];
  };
  expect(at({})).toEqual([0, 1, 0, 576, 576]);
  expect(at({ cr4: (1 << 18) | (1 << 22), xcr0: 7, apicEnabled: false })).toEqual([1, 0, 1, 832, 832]);
  expect(query(table, 0xd, 0).ecx).toBe(832); // what may be enabled
  expect(query(table, 0xd, 2)).toMatchObject({ eax: 256, ebx: 576 });
  // Without XSAVEC and XSAVES, EBX of sub-leaf 1 is not a size.
  const plain = tableOf(supportedCpuid(intel.with('XSAVE', 'XSAVEOPT')).map((one) => (one.index === 1 ? { ...one, ebx: 0 } : one)));
  expect(query(plain, 0xd, 1).ebx).toBe(0);
});

test('guestCpuid: APIC ids and topology of each virtual CPU, TSC deadline, frequencies; an invalid sub-leaf of BH still has the x2APIC id', () => {
  const table = tableOf(guestCpuid(intel, { apicId: 2, cpus: 4 }));
  const model = { apicId: 2, cpus: 4 };
  expect(query(table, 1).ebx).toBe(modelLeaf(intel, 1, 0, model, 1).ebx >>> 0);
  expect([query(table, 0xb, 0), query(table, 0xb, 1)]).toEqual([
    { eax: 0, ebx: 1, ecx: 0x100, edx: 2 },
    { eax: 2, ebx: 4, ecx: 0x201, edx: 2 },
  ]);
  expect(query(table, 0xb, 5)).toEqual({ eax: 0, ebx: 0, ecx: 5, edx: 2 });
  expect([table.has('TSC_DEADLINE'), query(table, 0x15).ecx]).toEqual([true, 25_000_000]);
  expect(tableOf(guestCpuid(intel, { apicId: 0, cpus: 1, tscDeadline: false })).has('TSC_DEADLINE')).toBe(false);
});

test('too many entries, and linear addresses of a width that does not exist, are refused (api.rst, KVM_SET_CPUID2: E2BIG, EINVAL)', () => {
  const table = new CpuidTable();
  const one = supportedCpuid(intel)[0]!;
  expect(() => table.set(Array(257).fill(one))).toThrow(InvalidArgumentError);
  expect(() => table.set([{ ...one, function: 0x80000008, eax: 0x2f28 }])).toThrow(InvalidArgumentError);
  expect([table.get(), table.physicalBits, query(table, 0).eax]).toEqual([[], 36, 0]);
  table.set([one]);
  expect(table.get()).toEqual([one]);
});

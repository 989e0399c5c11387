import { expect, test } from 'vitest';
import { svmCapabilities } from '../capabilities/capabilities.ts';
import { SECTION_TITLES } from '../checks/row.ts';
import { documentExits, documentIntercepts, documentSvmFeatures, documentVmcbFields, documentVmrunChecks } from './tables.ts';

const named = <Row extends { readonly name: string }>(rows: readonly Row[], name: string): Row | undefined =>
  rows.find((row) => row.name === name);

test('a row of each page says what the tables say', () => {
  expect(named(documentVmcbFields(), 'N_CR3')).toEqual({
    name: 'N_CR3',
    offset: 0x0b0,
    bit: 0,
    bits: 64,
    title: 'nested page table CR3',
    section: '15.25.3',
    isUsed: true,
  });
  expect(named(documentIntercepts(), 'CPUID')).toEqual({
    name: 'CPUID',
    field: 'INTERCEPT_3',
    bit: 18,
    title: 'CPUID',
    section: '15.9',
    isMet: true,
  });
  expect(documentVmrunChecks().find(({ id }) => id === 'control.asid')).toMatchObject({ section: '15.16', fields: ['GUEST_ASID'] });
});

test('the sections of checks are those that have a title', () => {
  const sections = new Set(documentVmrunChecks().map(({ section }) => section));
  expect([...sections].sort()).toEqual(Object.keys(SECTION_TITLES).sort());
});

test('a feature is offered exactly where the greatest preset announces it', () => {
  const capabilities = svmCapabilities('svm:max');
  for (const { name, isOffered } of documentSvmFeatures()) expect(isOffered, name).toBe(capabilities.has(name));
});

test('an exit is made unless its intercept is never met or its register does not exist; otherwise it says why', () => {
  const exits = documentExits();
  const made = (name: string): boolean | undefined => named(exits, name)?.isMade;
  expect(['CPUID', 'NPF', 'INVALID', 'CR8_WRITE', 'DR7_READ', 'EXCP14', 'MWAIT_CONDITIONAL'].map(made)).not.toContain(false);
  expect(named(exits, 'CR1_READ')).toMatchObject({ isMade: false, why: 'there is no such register' });
  expect(named(exits, 'SMI')).toMatchObject({ isMade: false, why: 'the CPU does not have it' });
  expect(named(exits, 'AVIC_NOACCEL')).toMatchObject({ isMade: false, why: 'AVIC is not announced' });
  for (const { name, isMade, why } of exits) expect(isMade, name).toBe(why === '');
});

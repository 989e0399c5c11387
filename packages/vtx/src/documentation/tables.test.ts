import { expect, test } from 'vitest';
import { vmxCapabilities } from '../capabilities/presets.ts';
import { SECTION_TITLES } from '../checks/row.ts';
import { documentChecks, documentControls, documentExits, documentFields } from './tables.ts';

test('a row of each page says what the tables say', () => {
  const capabilities = vmxCapabilities('vmx:max');
  expect(documentFields(capabilities).find(({ name }) => name === 'EPT_POINTER')).toEqual({
    name: 'EPT_POINTER',
    encoding: 0x201a,
    title: 'EPT pointer (EPTP)',
    section: '25.6.11',
    access: 'full',
    index: 13,
    type: 'control',
    width: '64-bit',
    exists: true,
  });
  const settings = Object.fromEntries(documentControls(capabilities).map(({ word, key, settings }) => [`${word}.${key}`, settings]));
  expect([settings['secondary.enableEpt'], settings['secondary.useTscScaling']]).toEqual(['0 or 1', '0']);
  expect(documentControls(vmxCapabilities('vmx:minimal')).find(({ key }) => key === 'cr3LoadExiting')?.settings).toBe('1');
  expect(documentChecks().find(({ id }) => id === 'guest.cr4.pcide-needs-ia32e')).toEqual({
    id: 'guest.cr4.pcide-needs-ia32e',
    section: '27.3.1.1',
    fields: ['VM_ENTRY_CONTROLS', 'GUEST_CR4'],
    failure: 'exit reason 33, qualification 0',
    example: 'CR4.PCIDE is 1, but the VM-entry control "IA-32e mode guest" is 0',
  });
});

test('the sections named are those of the manual, and each of 27.2.1.1 to 27.3.1.6 has rows', () => {
  const sections = new Set(documentChecks().map(({ section }) => section));
  expect([...sections].sort()).toEqual(Object.keys(SECTION_TITLES).sort());
});

test('every exit reason is made, or says why not', () => {
  const exits = documentExits();
  expect(exits).toHaveLength(72);
  expect(exits.find(({ name }) => name === 'EPT_VIOLATION')).toEqual({
    reason: 48,
    name: 'EPT_VIOLATION',
    title: 'EPT violation',
    qualification: 'eptViolation',
    hasInstructionLength: false,
    isMade: true,
    why: '',
  });
  expect(exits.find(({ name }) => name === 'SMI')).toMatchObject({ isMade: false, why: 'there is no system-management mode' });
});

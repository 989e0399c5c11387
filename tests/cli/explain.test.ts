import { EXPLAIN_PRESETS as SVM_PRESETS } from '@minusone/amdv';
import { EXPLAIN_PRESETS as VMX_PRESETS } from '@minusone/vtx';
import { main } from 'minusone';
import { describe, expect, test } from 'vitest';
import { memoryIo } from './memory-io.ts';

interface Said {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function explain(json: string, ...args: string[]): Promise<Said> {
  const io = memoryIo({ stdin: [json] });
  const status = await main(['explain', ...args, '-'], io);
  return { status, stdout: io.stdout, stderr: io.stderr };
}

describe('a VMCS', () => {
  test('fields left out are those of a sound guest: nothing said, nothing wrong', async () => {
    expect(await explain('{}')).toEqual({ status: 0, stdout: 'VM entry succeeds.\n', stderr: '' });
  });

  test('a failed check is named with its section, the values and what would mend it: RFLAGS bit 1 must be 1 (SDM Vol. 3C 27.3.1.4)', async () => {
    const { status, stdout } = await explain('{ "GUEST_RFLAGS": "0x0" }');
    expect(status).toBe(1);
    expect(stdout).toContain('guest.rflags.bit-1: SDM Vol. 3C 27.3.1.4');
    expect(stdout).toContain('GUEST_RFLAGS = 0x0');
    expect(stdout).toMatch(/suggest: GUEST_RFLAGS = 0x2/);
  });

  test('numbers and strings of digits mean the same', async () => {
    const hex = await explain('{ "GUEST_CR4": "0x2000" }');
    expect(await explain('{ "GUEST_CR4": 8192 }')).toEqual(hex);
    expect(await explain('{ "GUEST_CR4": "8192" }')).toEqual(hex);
    expect(hex.status).toBe(1);
  });

  test('the processor decides which controls there are', async () => {
    const withEpt = '{ "CPU_BASED_VM_EXEC_CONTROL": "0x8401e172", "SECONDARY_VM_EXEC_CONTROL": "0x2" }';
    expect((await explain(withEpt, '--vmx', 'vmx:minimal')).stdout).toContain('SECONDARY');
  });
});

describe('a VMCB', () => {
  test('is known by its names, and each failed check by its section, values and suggestion: EFER.SVME must be 1 (APM Vol. 2 15.5.1)', async () => {
    const { status, stdout } = await explain('{ "EFER": "0xd01", "GUEST_ASID": 0 }');
    expect(status).toBe(1);
    expect(stdout).toMatch(/^VMRUN fails: VMEXIT_INVALID/);
    expect(stdout).toContain('guest.efer.svme: APM Vol. 2 15.5.1');
    expect(stdout).toContain('EFER = 0xd01');
    expect(stdout).toContain('suggest: EFER = 0x1d01');
    expect(stdout).toMatch(/control\.asid: APM Vol\. 2 15\.16.*\n.*\n.*GUEST_ASID = 0x0\n/);
  });

  test('names that both have mean a VMCB with --svm or beside one of its own: CR4 bit 31 is reserved', async () => {
    const reserved = '"GUEST_CR4": "0x800000a0"';
    expect((await explain(`{ ${reserved} }`)).stdout).toMatch(/^VM entry fails/);
    expect((await explain(`{ ${reserved} }`, '--svm', 'svm:max')).stdout).toMatch(/^VMRUN fails/);
    expect((await explain(`{ ${reserved}, "GUEST_ASID": 1 }`)).stdout).toMatch(/^VMRUN fails/);
  });

  test('sound: status 0', async () => {
    expect(await explain('{ "RIP": 4096 }')).toEqual({ status: 0, stdout: 'VMRUN succeeds.\n', stderr: '' });
    for (const preset of SVM_PRESETS) expect((await explain('{}', '--svm', preset)).status, preset).toBe(0);
  });
});

/** Bad input: what, the text, what the one line on standard error says. */
const BAD: readonly (readonly [what: string, json: string, says: RegExp])[] = [
  ['no JSON', '{ GUEST_RIP', /not JSON.*\[EXPLAIN_INPUT\]/],
  ['JSON that breaks off', '{ "GUEST_RIP": 1', /not JSON.*\[EXPLAIN_INPUT\]/],
  ['no JSON, over several lines and with codes for a terminal', '{\n  "GUEST_RIP": \x1b[2J\n}', /^[^\p{Cc}]*not JSON[^\p{Cc}]*\n$/u],
  ['nothing', '', /not JSON.*\[EXPLAIN_INPUT\]/],
  ['an array', '[1]', /not an object.*\[EXPLAIN_INPUT\]/],
  ['null', 'null', /not an object.*\[EXPLAIN_INPUT\]/],
  ['a string', '"GUEST_RIP"', /not an object.*\[EXPLAIN_INPUT\]/],
  ['an unknown field', '{ "GUEST_RPI": 0 }', /"GUEST_RPI".*\[UNKNOWN_VMCS_FIELD\]/],
  ['an unknown field, with one that resembles it', '{ "guest_rip": 0 }', /Did you mean GUEST_RIP/],
  ['an unknown field of a VMCB', '{ "EFER": "0x1d01", "CR5": 0 }', /"CR5".*\[UNKNOWN_VMCB_FIELD\]/],
  ['names of objects', '{ "__proto__": 1, "constructor": 2 }', /"__proto__".*\[UNKNOWN_VMCS_FIELD\]/],
  ['fields of both', '{ "GUEST_ASID": 1, "VM_ENTRY_CONTROLS": 0 }', /VM_ENTRY_CONTROLS .*VMCS.*GUEST_ASID .*VMCB.*\[USAGE\]/],
  ['a word for a value', '{ "GUEST_RIP": "up" }', /GUEST_RIP cannot be "up".*\[VMCS_VALUE\]/],
  ['an empty value', '{ "GUEST_RIP": "" }', /GUEST_RIP cannot be "".*\[VMCS_VALUE\]/],
  ['an unfinished value', '{ "GUEST_RIP": "0x" }', /GUEST_RIP cannot be "0x".*\[VMCS_VALUE\]/],
  ['a value below 0', '{ "GUEST_RIP": -1 }', /GUEST_RIP cannot be -1.*\[VMCS_VALUE\]/],
  ['a part of a number', '{ "GUEST_RIP": 0.5 }', /GUEST_RIP cannot be 0\.5.*\[VMCS_VALUE\]/],
  ['a number that JSON does not keep', '{ "GUEST_RIP": 9007199254740993 }', /write a greater one as a string.*\[VMCS_VALUE\]/],
  ['a truth for a value', '{ "GUEST_RIP": true }', /GUEST_RIP cannot be true.*\[VMCS_VALUE\]/],
  ['nothing for a value', '{ "GUEST_RIP": null }', /GUEST_RIP cannot be null.*\[VMCS_VALUE\]/],
  ['an object for a value', '{ "GUEST_RIP": { "low": 1 } }', /GUEST_RIP cannot be .*\[VMCS_VALUE\]/],
  ['17 bits for 16', '{ "GUEST_CS_SELECTOR": "0x10000" }', /GUEST_CS_SELECTOR cannot be 0x10000.*\[VMCS_VALUE\]/],
  ['33 bits for 32', '{ "VM_ENTRY_CONTROLS": "0x100000000" }', /VM_ENTRY_CONTROLS cannot be 0x100000000.*\[VMCS_VALUE\]/],
  ['65 bits for 64', '{ "GUEST_RIP": "0x10000000000000000" }', /GUEST_RIP cannot be 0x10000000000000000.*\[VMCS_VALUE\]/],
  ['two bits for the one of a VMCB', '{ "NP_ENABLE": 2 }', /NP_ENABLE cannot be 0x2.*\[VMCB_VALUE\]/],
  ['33 bits for 32 of a VMCB', '{ "GUEST_ASID": "0x100000000" }', /GUEST_ASID cannot be 0x100000000.*\[VMCB_VALUE\]/],
];

describe('bad input: status 2, one line that names it, no stack trace', () => {
  test.each(BAD)('%s', async (_what, json, says) => {
    const { status, stdout, stderr } = await explain(json);
    expect(stderr).toMatch(says);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect([status, stdout]).toEqual([2, '']);
  });

  test.each([
    ['an unknown processor', ['--vmx', 'vmx:none', '-'], /no processor 'vmx:none'/],
    ['an unknown processor of AMD', ['--svm', 'vmx:max', '-'], /no processor 'vmx:max'/],
    ['two processors', ['--vmx', 'vmx:max', '--svm', 'svm:max', '-'], /exclude each other/],
    ['no file', [], /nothing to explain/],
    ['a missing file', ['/no/such/file'], /there is no such file/],
    ['an unknown option', ['--amd', '-'], /no option '--amd'/],
    ['two files', ['-', '-'], /one argument too many/],
  ])('%s', async (_what, args, says) => {
    const io = memoryIo({ stdin: ['{}'] });
    expect(await main(['explain', ...args], io)).toBe(2);
    expect(io.stderr).toMatch(says);
    expect(io.stderr.trimEnd().split('\n')).toHaveLength(1);
  });
});

test('every processor that the tables know may be named', async () => {
  for (const preset of VMX_PRESETS) expect((await explain('{}', '--vmx', preset)).status, preset).toBe(0);
  const io = memoryIo();
  await main(['explain', '--help'], io);
  for (const preset of [...VMX_PRESETS, ...SVM_PRESETS]) expect(io.stdout).toContain(preset);
});

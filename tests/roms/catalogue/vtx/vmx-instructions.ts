import { FIELD, type VmcsFieldName } from '@minusone/vtx';
import { Selector } from '../../prelude/memory-map.ts';
import type { VtxAttempt } from '../../prelude/vtx-attempt.ts';
import { note, vmread, vmwrite } from '../../prelude/vtx-host.ts';
import { EPTP, VtxMemory } from '../../prelude/vtx-memory.ts';
import { OPERAND, operand, type RootOptions, root } from '../../prelude/vtx-root.ts';
import type { Rom } from '../../rom.ts';
import { LONG_CR0, TOO_WIDE } from './entries.ts';
import { vtxRom } from './vtx-rom.ts';

const { vmcs, otherVmcs, vmxonRegion } = VtxMemory;
const VMXON = `vmxon qword [${OPERAND}]`;
const HOST_CR4 = 0x20a0;

/** An instruction that takes a pointer to a region. */
const pointed = (label: string, mnemonic: string, pointer: number | bigint, options: RootOptions = {}): VtxAttempt =>
  root(label, `${mnemonic} qword [${OPERAND}]`, { ...options, setup: `${options.setup ?? ''}\n${operand(pointer)}` });
/** There is no current VMCS. */
const NO_VMCS = `vmclear qword [vtx_vmcs_pointer]`;
/** Outside VMX operation; goes back there. */
const off = (options: RootOptions = {}): RootOptions => ({
  ...options,
  setup: `vmxoff\n${options.setup ?? ''}`,
  restore: `${options.restore ?? ''}\nvmxon qword [vtx_vmxon_pointer]`,
});
const setCr0 = (change: string): RootOptions => ({
  setup: `${operand(vmxonRegion)}\nmov rax, cr0\n${change}\nmov cr0, rax`,
  restore: `mov eax, ${LONG_CR0}\nmov cr0, rax`,
});
const setCr4 = (change: string): RootOptions => ({
  setup: `${operand(vmxonRegion)}\nmov rax, cr4\n${change}\nmov cr4, rax`,
  restore: `mov eax, ${HOST_CR4}\nmov cr4, rax`,
});
/** The first doubleword of a region, for one attempt. */
const revision = (region: number, change: string): RootOptions => ({
  setup: `${change.replace('REVISION', `dword [${region}]`)}`,
  restore: `mov eax, [${vmxonRegion}]\nmov [${region}], eax`,
});

/** The same code in ring 3, in 64-bit mode. */
const inRing3 = (code: string): string => `
    push ${Selector.data64Ring3}
    push 0xe000
    push 2
    push ${Selector.code64Ring3}
    push .outer
    iretq
  .outer:
    ${code}`;
/** The same in compatibility mode, ring 0. */
const inCompatibilityMode = (code: string): string => `
    push ${Selector.code0}
    push .inner
    db 0x48
    retf
    bits 32
  .inner:
    ${code}
    bits 64`;

const ALL: Readonly<Record<string, string>> = {
  VMXON,
  VMCLEAR: `vmclear qword [${OPERAND}]`,
  VMPTRLD: `vmptrld qword [${OPERAND}]`,
  VMPTRST: `vmptrst qword [${OPERAND}]`,
  VMREAD: 'vmread rax, rcx',
  VMWRITE: 'vmwrite rcx, rax',
  VMLAUNCH: 'vmlaunch',
  VMRESUME: 'vmresume',
  VMCALL: 'vmcall',
  INVEPT: `invept rax, [${OPERAND}]`,
  INVVPID: `invvpid rax, [${OPERAND}]`,
  VMXOFF: 'vmxoff',
};
const all = (suffix: string, change: (code: string) => string, options: RootOptions = {}): VtxAttempt[] =>
  Object.entries(ALL).map(([name, code]) => root(`${name} ${suffix}`, change(code), options));
const for32Bit = (code: string): string => code.replace(/\br(ax|cx)\b/g, 'e$1');

const read = (field: VmcsFieldName | number, into = 'rdx'): string =>
  `mov ecx, ${typeof field === 'number' ? field : FIELD[field]}\nmov rdx, 0x1122334455667788\nvmread ${into}, rcx`;
const write = (field: VmcsFieldName | number, value: number | bigint, then: VmcsFieldName | number = field): string => `
    mov ecx, ${typeof field === 'number' ? field : FIELD[field]}
    mov rdx, ${value}
    vmwrite rcx, rdx
    pushfq
    mov edx, ${typeof then === 'number' ? then : FIELD[then]}
    vmread rdx, rdx
    popfq`;
const IS_64 = 0xfedc_ba98_7654_3210n;
const filled = (field: VmcsFieldName): RootOptions => ({ setup: vmwrite(field, IS_64) });
/** What the operand in memory holds. */
const SHOW_OPERAND = note({ operand: `[${OPERAND}]`, next: `[${OPERAND + 8}]` });

const invalidate = (
  mnemonic: string,
  label: string,
  type: number | bigint,
  [low, high]: readonly [number | bigint, number | bigint],
  options: RootOptions = {},
): VtxAttempt =>
  root(label, `mov rax, ${type}\n${mnemonic} rax, [${OPERAND}]\nmov eax, 0`, {
    ...options,
    setup: `${operand(low)}\n${operand(high, 8)}`,
  });
const invept = (label: string, type: number | bigint, eptp: number | bigint, options?: RootOptions): VtxAttempt =>
  invalidate('invept', label, type, [eptp, 0], options);
const invvpid = (
  label: string,
  type: number | bigint,
  vpid: number | bigint,
  linear: number | bigint = 0,
  options?: RootOptions,
): VtxAttempt => invalidate('invvpid', label, type, [vpid, linear], options);
const TYPE_IS_32_BITS: RootOptions = {
  bochs: 'looks at 32 bits of the type in 64-bit mode; SDM Vol. 3C 31.3.',
  manual: 'VMfail 1c fl=40',
};

export const vmxInstructionRoms: readonly Rom[] = [
  vtxRom('vtx-vmxon', 'VMXON: what it asks of mode, CR0, CR4 and its region (SDM Vol. 3C 24.7, 24.8, 31.3)', [
    root('in VMX root operation', VMXON),
    root('in VMX root operation, without a current VMCS', VMXON, { setup: NO_VMCS }),
    pointed('in VMX root operation, misaligned', 'vmxon', vmxonRegion + 1),
    root('in VMX root operation, in ring 3', inRing3(VMXON)),
    pointed('enters VMX operation', 'vmxon', vmxonRegion, off()),
    pointed('another region', 'vmxon', otherVmcs, off()),
    pointed('misaligned', 'vmxon', vmxonRegion + 0x800, off()),
    pointed('misaligned by 1', 'vmxon', vmxonRegion + 1, off()),
    pointed('too wide', 'vmxon', TOO_WIDE + BigInt(vmxonRegion), off()),
    pointed('bit 63', 'vmxon', (1n << 63n) + BigInt(vmxonRegion), off()),
    pointed('another revision', 'vmxon', otherVmcs, off(revision(otherVmcs, 'xor REVISION, 1'))),
    pointed('shadow-VMCS indicator', 'vmxon', otherVmcs, off(revision(otherVmcs, 'or REVISION, 0x80000000'))),
    root('CR4.VMXE clear', VMXON, off(setCr4('and ah, 0xdf'))),
    root('CR0.NE clear', VMXON, off(setCr0('and al, 0xdf'))),
    root('CR0.CD and NW set', VMXON, off(setCr0('or eax, 0x60000000'))),
    root('ring 3', inRing3(VMXON), off()),
    root('CR4.VMXE clear, in ring 3', inRing3(VMXON), off(setCr4('and ah, 0xdf'))),
    root('compatibility mode', inCompatibilityMode(VMXON), off()),
  ]),
  vtxRom('vtx-vmxoff', 'VMXOFF, and instructions outside VMX operation (SDM Vol. 3C 31.1, 31.3)', [
    root('leaves VMX operation', 'vmxoff', { restore: 'vmxon qword [vtx_vmxon_pointer]' }),
    root('ring 3', inRing3('vmxoff')),
    ...all('outside', (code) => code, off({ setup: operand(vmxonRegion), restore: 'jmp .on\n.on:' })).slice(1),
    root(
      'CR4.VMXE goes afterwards',
      'mov rax, cr4\nand ah, 0xdf\nmov cr4, rax\nmov rax, cr4\ntest al, al',
      off({ restore: `mov eax, ${HOST_CR4}\nmov cr4, rax` }),
    ),
    root('no VMCS is current after the next VMXON', `vmptrst qword [${OPERAND}]`, {
      setup: 'vmxoff\nvmxon qword [vtx_vmxon_pointer]',
      afterwards: SHOW_OPERAND,
    }),
    root('a cleared VMCS keeps its fields', read('GUEST_RSP'), {
      setup: 'vmclear qword [vtx_vmcs_pointer]\nvmxoff\nvmxon qword [vtx_vmxon_pointer]\nvmptrld qword [vtx_vmcs_pointer]',
    }),
  ]),
  vtxRom('vtx-vmclear', 'VMCLEAR: invalid addresses, the VMXON pointer, the current VMCS (SDM Vol. 3C 31.3, 31.4)', [
    pointed('the current one', 'vmclear', vmcs, { afterwards: `vmptrst qword [${OPERAND}]\n${SHOW_OPERAND}` }),
    pointed('another one', 'vmclear', otherVmcs, { afterwards: `vmptrst qword [${OPERAND}]\n${SHOW_OPERAND}` }),
    pointed('misaligned', 'vmclear', vmcs + 0x400),
    pointed('misaligned by 1', 'vmclear', vmcs + 1),
    pointed('too wide', 'vmclear', TOO_WIDE + BigInt(vmcs)),
    pointed('bit 63', 'vmclear', (1n << 63n) + BigInt(vmcs)),
    pointed('the VMXON pointer', 'vmclear', vmxonRegion),
    pointed('the VMXON pointer, misaligned', 'vmclear', vmxonRegion + 4),
    pointed('misaligned, without a current VMCS', 'vmclear', vmcs + 1, { setup: NO_VMCS }),
    pointed('the VMXON pointer, without a current VMCS', 'vmclear', vmxonRegion, { setup: NO_VMCS }),
    pointed('without a current VMCS', 'vmclear', vmcs, { setup: NO_VMCS }),
    pointed('another revision does not matter', 'vmclear', otherVmcs, revision(otherVmcs, 'xor REVISION, 3')),
  ]),
  vtxRom('vtx-vmptrld', 'VMPTRLD and VMPTRST: invalid addresses, the VMXON pointer, revisions (SDM Vol. 3C 31.3, 31.4)', [
    pointed('another one', 'vmptrld', otherVmcs, { afterwards: `vmptrst qword [${OPERAND}]\n${SHOW_OPERAND}` }),
    pointed('the current one', 'vmptrld', vmcs, { afterwards: `vmptrst qword [${OPERAND}]\n${SHOW_OPERAND}` }),
    pointed('misaligned', 'vmptrld', vmcs + 0x800, { afterwards: `vmptrst qword [${OPERAND}]\n${SHOW_OPERAND}` }),
    pointed('misaligned by 1', 'vmptrld', vmcs + 1),
    pointed('too wide', 'vmptrld', TOO_WIDE + BigInt(vmcs)),
    pointed('bit 63', 'vmptrld', (1n << 63n) + BigInt(vmcs)),
    pointed('the VMXON pointer', 'vmptrld', vmxonRegion),
    pointed('another revision', 'vmptrld', otherVmcs, revision(otherVmcs, 'xor REVISION, 1')),
    pointed('another revision of the VMXON pointer', 'vmptrld', vmxonRegion, {
      setup: `xor dword [${vmxonRegion}], 1`,
      restore: `xor dword [${vmxonRegion}], 1`,
    }),
    pointed('misaligned, without a current VMCS', 'vmptrld', vmcs + 1, { setup: NO_VMCS }),
    pointed('another revision, without a current VMCS', 'vmptrld', otherVmcs, {
      ...revision(otherVmcs, `${NO_VMCS}\nxor REVISION, 1`),
    }),
    root('VMPTRST', `vmptrst qword [${OPERAND}]`, { setup: operand(-1), afterwards: SHOW_OPERAND }),
    root('VMPTRST without a current VMCS', `vmptrst qword [${OPERAND}]`, { setup: `${NO_VMCS}\n${operand(1)}`, afterwards: SHOW_OPERAND }),
  ]),
  vtxRom('vtx-vmread', 'VMREAD: fields of every width, unsupported ones, memory operands (SDM Vol. 3C 25.11.2, 31.3)', [
    root('16 bits', read('HOST_TR_SELECTOR')),
    root('32 bits', read('GUEST_GDTR_LIMIT')),
    root('64 bits', read('TSC_OFFSET'), filled('TSC_OFFSET')),
    root('64 bits, the high half', read(FIELD.TSC_OFFSET + 1), filled('TSC_OFFSET')),
    root('natural width', read('GUEST_SYSENTER_ESP'), filled('GUEST_SYSENTER_ESP')),
    root('a read-only field', `${read('EXIT_QUALIFICATION')}\nmov edx, 0`),
    root('16 bits to memory', read('HOST_TR_SELECTOR', `qword [${OPERAND}]`), {
      setup: `${operand(-1)}\n${operand(-1, 8)}`,
      afterwards: SHOW_OPERAND,
    }),
    root('64 bits to memory', read('TSC_OFFSET', `qword [${OPERAND}]`), { ...filled('TSC_OFFSET'), afterwards: SHOW_OPERAND }),
    root('to the register of the encoding', read('HOST_TR_SELECTOR', 'rcx')),
    root('no such field', read(0x0ffe)),
    root('no such field of 64 bits', read(0x20fe)),
    root('bit 12 of the encoding', read(FIELD.GUEST_RSP | 0x1000)),
    root('bit 15 of the encoding', read(FIELD.GUEST_RSP | 0x8000)),
    root('bit 31 of the encoding', read(0x8000_0000 + FIELD.GUEST_RSP)),
    root('bit 32 of the encoding', `mov rcx, ${0x1_0000_0000 + FIELD.GUEST_RSP}\nvmread rdx, rcx`),
    root('the high half of 16 bits', read(FIELD.HOST_TR_SELECTOR + 1)),
    root('the high half of 32 bits', read(FIELD.GUEST_GDTR_LIMIT + 1)),
    root('the high half of natural width', read(FIELD.GUEST_RSP + 1)),
    root('without a current VMCS', read('GUEST_RSP'), { setup: NO_VMCS }),
    root('no such field, without a current VMCS', read(0x0ffe), { setup: NO_VMCS }),
    root('no such field to memory', read(0x0ffe, `qword [${OPERAND}]`), {
      setup: `${operand(7)}\n${operand(0, 8)}`,
      afterwards: SHOW_OPERAND,
    }),
  ]),
  vtxRom('vtx-vmwrite', 'VMWRITE: values cut to the width of the field, high halves, what it refuses (SDM Vol. 3C 25.11.2, 31.3)', [
    root('16 bits', write('VIRTUAL_PROCESSOR_ID', IS_64)),
    root('32 bits', write('EXCEPTION_BITMAP', IS_64)),
    root('64 bits', write('TSC_OFFSET', IS_64)),
    root('natural width', write('GUEST_SYSENTER_ESP', IS_64)),
    root('the high half', write(FIELD.TSC_OFFSET + 1, 0x1234_5678_9abc_def0n, 'TSC_OFFSET'), filled('TSC_OFFSET')),
    root('the low half keeps nothing of the high one', write('TSC_OFFSET', 7), filled('TSC_OFFSET')),
    root('from memory', `mov ecx, ${FIELD.TSC_OFFSET}\nvmwrite rcx, qword [${OPERAND}]`, {
      setup: operand(IS_64),
      afterwards: `${vmread('TSC_OFFSET', 'rdx')}\n${note({ now: 'rdx' })}`,
    }),
    root('a value that entry would refuse', write('GUEST_CR0', IS_64)),
    root('no such field', write(0x0ffe, 5, 'TSC_OFFSET')),
    root('bit 12 of the encoding', write(FIELD.GUEST_RSP | 0x1000, 5, 'GUEST_RSP')),
    root('bit 32 of the encoding', `mov rcx, ${0x1_0000_0000 + FIELD.GUEST_RSP}\nvmwrite rcx, rax`),
    root('the high half of 32 bits', write(FIELD.GUEST_GDTR_LIMIT + 1, 5, 'GUEST_GDTR_LIMIT')),
    root('the high half of natural width', write(FIELD.GUEST_RSP + 1, 5, 'GUEST_RSP')),
    root('a read-only field', write('EXIT_QUALIFICATION', 5)),
    root('without a current VMCS', `mov ecx, ${FIELD.GUEST_RSP}\nvmwrite rcx, rax`, { setup: NO_VMCS }),
    root('no such field, without a current VMCS', 'mov ecx, 0x0ffe\nvmwrite rcx, rax', { setup: NO_VMCS }),
  ]),
  vtxRom('vtx-root-modes', 'VMX instructions in VMX root operation are #GP(0) in ring 3 and #UD in compatibility mode (SDM Vol. 3C 31.3)', [
    ...all('in ring 3', inRing3).slice(1),
    ...all('in compatibility mode', (code) => inCompatibilityMode(for32Bit(code))).slice(1),
  ]),
  vtxRom('vtx-invept', 'INVEPT: types, and what EPTP entries would refuse (SDM Vol. 3C 31.3)', [
    invept('single context', 1, EPTP),
    invept('all contexts', 2, 0),
    invept('all contexts, the descriptor is nonsense', 2, 0x123),
    invept('type 0', 0, EPTP),
    invept('type 3', 3, EPTP),
    invept('type -1', -1, EPTP),
    invept('type with bit 32', 0x1_0000_0001n, EPTP, TYPE_IS_32_BITS),
    invept('memory type 1', 1, EPTP - 5),
    invept('uncacheable', 1, EPTP - 6),
    invept('page-walk length 3', 1, EPTP - 8),
    invept('accessed and dirty flags', 1, EPTP + 0x40),
    invept('bit 7', 1, EPTP + 0x80),
    invept('bit 11', 1, EPTP + 0x800),
    invept('too wide', 1, TOO_WIDE + BigInt(EPTP)),
    root('without a current VMCS, type 3', `mov eax, 3\ninvept rax, [${OPERAND}]\nmov eax, 0`, { setup: NO_VMCS }),
  ]),
  vtxRom('vtx-invvpid', 'INVVPID: types and descriptors (SDM Vol. 3C 31.3)', [
    invvpid('individual address', 0, 5, 0x1000),
    invvpid('individual address, VPID 0', 0, 0, 0x1000),
    invvpid('individual address, not canonical', 0, 5, 0x8000_0000_0000n),
    invvpid('individual address, high half', 0, 5, 0xffff_8000_0000_0000n),
    invvpid('single context', 1, 5),
    invvpid('single context, not canonical', 1, 5, 0x8000_0000_0000n),
    invvpid('single context, VPID 0', 1, 0),
    invvpid('all contexts', 2, 0),
    invvpid('all contexts, VPID 5', 2, 5),
    invvpid('single context retaining globals', 3, 0xffff),
    invvpid('single context retaining globals, VPID 0', 3, 0),
    invvpid('type 4', 4, 5),
    invvpid('type with bit 32', 0x1_0000_0001n, 5, 0, TYPE_IS_32_BITS),
    invvpid('bit 16 of the descriptor', 1, 0x1_0005),
    invvpid('bit 63 of the descriptor', 0, (1n << 63n) + 5n),
    invvpid('bit 16 of the descriptor, all contexts', 2, 0x1_0000),
  ]),
];

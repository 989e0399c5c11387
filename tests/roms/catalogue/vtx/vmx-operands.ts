import { FIELD } from '@minusone/vtx';
import { attempt16, attempt32, attempt64, policy, user32, v86 } from '../../prelude/attempt.ts';
import { MemoryMap, Policy } from '../../prelude/memory-map.ts';
import type { VtxAttempt } from '../../prelude/vtx-attempt.ts';
import { note } from '../../prelude/vtx-host.ts';
import { VtxMemory } from '../../prelude/vtx-memory.ts';
import { type RootOptions, root } from '../../prelude/vtx-root.ts';
import type { Rom } from '../../rom.ts';
import { NOT_CANONICAL } from './entries.ts';
import { vtxRom } from './vtx-rom.ts';

const { vmcs, vmxonRegion } = VtxMemory;
/** The page that is not there, or not to be written. */
const PAGE = MemoryMap.test + 0x1000;
const entryOf = (page: number): string => `dword [${MemoryMap.longTable + 8 * (page >>> 12)}]`;
const setEntry = (flags: number): string => `mov ${entryOf(PAGE)}, ${PAGE + flags}\ninvlpg [${PAGE}]`;

/** The page has these flags for one attempt; CR2 is shown. */
const paged = (flags: number, options: RootOptions = {}): RootOptions => ({
  ...options,
  setup: `mov eax, 0\nmov cr2, rax\n${options.setup ?? ''}\n${setEntry(flags)}`,
  restore: `${options.restore ?? ''}\n${setEntry(7)}\n${note({ cr2: 'cr2' })}`,
});
const absent = paged(6);
const readOnly = paged(5, { setup: 'mov rax, cr0\nbts rax, 16\nmov cr0, rax', restore: 'mov rax, cr0\nbtr rax, 16\nmov cr0, rax' });
const UNSUPPORTED = 0x0ffe;

/** Instructions with a memory operand: pointers that are read, and written ones. */
const OPERANDS: Readonly<Record<string, (at: string) => string>> = {
  VMXON: (at) => `vmxon qword ${at}`,
  VMCLEAR: (at) => `vmclear qword ${at}`,
  VMPTRLD: (at) => `vmptrld qword ${at}`,
  VMPTRST: (at) => `vmptrst qword ${at}`,
  VMREAD: (at) => `mov ecx, ${FIELD.GUEST_RSP}\nvmread qword ${at}, rcx`,
  VMWRITE: (at) => `mov ecx, ${FIELD.GUEST_RSP}\nvmwrite rcx, qword ${at}`,
  INVEPT: (at) => `mov eax, 2\ninvept rax, ${at}`,
  INVVPID: (at) => `mov eax, 2\ninvvpid rax, ${at}`,
};
const each = (suffix: string, at: string, options: RootOptions = {}, except: readonly string[] = ['VMXON']): VtxAttempt[] =>
  Object.entries(OPERANDS)
    .filter(([name]) => !except.includes(name))
    .map(([name, code]) => root(`${name} ${suffix}`, code(at), options));
const pointer = (name: string): string => `mov ${name}, ${NOT_CANONICAL}`;

/** Instructions in 32-bit code, and in 16-bit code alike. */
const OF_32_BITS = {
  VMXON: 'vmxon qword [bx]',
  VMCLEAR: 'vmclear qword [bx]',
  VMPTRST: 'vmptrst qword [bx]',
  VMREAD: 'vmread eax, ecx',
  VMWRITE: 'vmwrite eax, ecx',
  VMLAUNCH: 'vmlaunch',
  VMCALL: 'vmcall',
  INVEPT: 'invept eax, [bx]',
  VMXOFF: 'vmxoff',
} as const;

/** A host in 32-bit paged mode, without guests. */
const write32 = (field: number, value: number): string => `mov ecx, ${field}\nmov edx, ${value}\nvmwrite ecx, edx`;
const read32 = (field: number): string => `mov ecx, ${field}\nvmread edx, ecx`;
const FEATURE_CONTROL = 0x3a;
const enable = (bits: 32 | 64): string => `
    mov ${bits === 64 ? 'rax' : 'eax'}, cr4
    or eax, 0x2000
    mov cr4, ${bits === 64 ? 'rax' : 'eax'}
    mov ${bits === 64 ? 'rax' : 'eax'}, cr0
    or eax, 0x20
    mov cr0, ${bits === 64 ? 'rax' : 'eax'}`;
const BRIEF = [6, 12, 13, 14].map((vector) => policy(vector, Policy.brief)).join('\n');
/** IA32_FEATURE_CONTROL. */
const control = (value: number): string => `mov ecx, ${FEATURE_CONTROL}\nmov eax, ${value}\nmov edx, 0\nwrmsr`;
const REGIONS = `
    mov ecx, 0x480
    rdmsr
    mov [${vmxonRegion}], eax
    mov [${vmcs}], eax
    mov dword [${VtxMemory.free}], ${vmxonRegion}
    mov dword [${VtxMemory.free + 4}], 0
    mov dword [${VtxMemory.free + 8}], ${vmcs}
    mov dword [${VtxMemory.free + 12}], 0`;
const VMXON = `vmxon qword [${VtxMemory.free}]`;
const WITHOUT_QEMU = { extension: 'vtx', without: { peer: 'qemu', why: 'TCG has no VMX.' } } as const;
const LETS_PG_BE_0 = 'lets CR0.PG be 0 where it has unrestricted guests; SDM Vol. 3C 24.8.';
const TSC_OFFSET_HIGH = FIELD.TSC_OFFSET + 1;

/** Where a pointer to the other VMCS stands. */
const POINTER = VtxMemory.free;
const HELD: RootOptions = { setup: `mov qword [${POINTER}], ${VtxMemory.otherVmcs}` };
/** Instructions without a mandatory prefix. */
const PLAIN = {
  VMREAD: `db 0x0f, 0x78, 0xc1`,
  VMWRITE: `db 0x0f, 0x79, 0xc1`,
  VMLAUNCH: 'vmlaunch',
  VMRESUME: 'vmresume',
  VMXOFF: 'vmxoff',
  VMPTRST: `vmptrst qword [${VtxMemory.free + 0x100}]`,
} as const;

export const vmxOperandRoms: readonly Rom[] = [
  vtxRom('vtx-operand-faults', 'Memory operands of VMX instructions: #PF, #GP(0), #SS(0) (SDM Vol. 3C 31.3)', [
    ...each('of a page that is absent', `[${PAGE}]`, absent),
    ...each('of a page that may not be written', `[${PAGE}]`, readOnly, ['VMXON', 'VMCLEAR', 'VMPTRLD', 'INVEPT', 'INVVPID']),
    ...each('across into a page that is absent', `[${PAGE - 4}]`, absent, ['VMXON', 'VMCLEAR', 'VMPTRLD', 'INVEPT', 'INVVPID']),
    ...each('with its second half in a page that is absent', `[${PAGE - 8}]`, absent, Object.keys(OPERANDS).slice(0, -2)),
    ...each('not canonical', '[rbx]', { setup: '' }, ['VMXON']).map((attempt) => ({
      ...attempt,
      source: attempt.source.replace('popfq', `popfq\n${pointer('rbx')}`),
    })),
    root('VMPTRLD not canonical by SS', `${pointer('rbp')}\nvmptrld qword [rbp]`),
    root('VMREAD not canonical by SS', `${pointer('rbp')}\nmov ecx, ${FIELD.GUEST_RSP}\nvmread qword [rbp], rcx`),
    root('VMREAD of no such field to a page that is absent', `mov ecx, ${UNSUPPORTED}\nvmread qword [${PAGE}], rcx`, absent),
    root('VMWRITE of no such field from a page that is absent', `mov ecx, ${UNSUPPORTED}\nvmwrite rcx, qword [${PAGE}]`, absent),
    root('INVEPT of type 0 from a page that is absent', `invept rax, [${PAGE}]`, absent),
    root('VMPTRLD with LOCK', `db 0xf0\nvmptrld qword [${PAGE}]`),
    root('INVEPT of a register', 'db 0x66, 0x0f, 0x38, 0x80, 0xc1'),
    root('VMPTRST of a register', 'db 0xf2, 0x0f, 0xc7, 0xfa'),
  ]),
  vtxRom('vtx-prefixes', 'Prefixes of VMX instructions: 66, F2 and F3 make others of them, or #UD (SDM Vol. 2A 3.1.1.1, Vol. 3C 31.3)', [
    ...[0x66, 0xf2, 0xf3, 0xf0].flatMap((prefix) =>
      Object.entries(PLAIN).map(([name, code]) => root(`${name} with ${prefix.toString(16)}`, `db ${prefix}\n${code}`)),
    ),
    root('VMREAD with REX.W', `mov ecx, ${FIELD.GUEST_RSP}\ndb 0x48\ndb 0x0f, 0x78, 0xca`),
    root('VMREAD with REX.B and REX.R', `mov r9d, ${FIELD.GUEST_RSP}\nvmread r10, r9`),
    root('VMPTRLD of 32-bit addresses', `mov rbx, ${0x1_0000_0000 + POINTER}\nvmptrld qword [ebx]\nmov ebx, 0`, HELD),
    root('VMPTRLD by FS', `vmptrld qword [fs:${POINTER}]`, HELD),
    root('VMPTRLD by CS, which 64-bit mode ignores', `db 0x2e\nvmptrld qword [${POINTER}]`, HELD),
    root('VMPTRLD relative to RIP', 'vmptrld qword [rel vtx_other_pointer]'),
    root('INVEPT with REX.W', `mov eax, 2\ndb 0x66, 0x48, 0x0f, 0x38, 0x80, 0x04, 0x25\ndd ${POINTER}\nmov eax, 0`, HELD),
    root('VMXOFF with segments and REX', 'db 0x64, 0x67, 0x40\nvmxoff', { restore: 'vmxon qword [vtx_vmxon_pointer]' }),
  ]),
  {
    ...WITHOUT_QEMU,
    name: 'vtx-feature-control',
    rule: 'IA32_FEATURE_CONTROL: VMXON is #GP(0) unless it is locked with VMX on; locked, it cannot be written (SDM Vol. 3C 24.7)',
    mode: 'long',
    departures: [{ peer: 'bochs', label: 'a reserved bit', why: 'stores any bits; SDM Vol. 4 Table 2-2.', manual: '#GP(0000)' }],
    source: `
    ${REGIONS}
    ${enable(64)}
    ${BRIEF}
    ${attempt64('after reset', `mov ecx, ${FEATURE_CONTROL}\nrdmsr`)}
    ${attempt64('VMXON after reset', VMXON)}
    ${attempt64('a reserved bit', control(0x10))}
    ${attempt64('VMX, not locked', `${control(4)}\nrdmsr`)}
    ${attempt64('VMXON, not locked', VMXON)}
    ${attempt64('VMX, locked', `${control(5)}\nrdmsr`)}
    ${attempt64('writing it again', control(5))}
    ${attempt64('clearing it', control(0))}
    ${attempt64('VMXON, locked', VMXON)}
    ${attempt64('RDMSR of IA32_VMX_BASIC, the revision', 'mov ecx, 0x480\nrdmsr\nbt eax, 31\nmov eax, 0\nmov edx, 0')}
    ${attempt64('WRMSR to IA32_VMX_BASIC', 'mov ecx, 0x480\nwrmsr')}`,
  },
  {
    ...WITHOUT_QEMU,
    name: 'vtx-feature-control-off',
    rule: 'IA32_FEATURE_CONTROL locked without VMX: VMXON is #GP(0) (SDM Vol. 3C 24.7)',
    mode: 'long',
    source: `
    ${REGIONS}
    ${enable(64)}
    ${BRIEF}
    ${attempt64('locked', `${control(1)}\nrdmsr`)}
    ${attempt64('VMXON', VMXON)}
    ${attempt64('too late', control(5))}
    ${attempt64('VMXON again', VMXON)}`,
  },
  {
    ...WITHOUT_QEMU,
    name: 'vtx-real-mode',
    rule: 'VMX instructions are #UD in real-address mode (SDM Vol. 3C 31.3)',
    mode: 'real',
    source: `
    mov eax, cr4
    or eax, 0x2000
    mov cr4, eax
    ${BRIEF}
    ${attempt16('VMXON', 'vmxon qword [bx]')}
    ${attempt16('VMXOFF', 'vmxoff')}
    ${attempt16('VMCLEAR', 'vmclear qword [bx]')}
    ${attempt16('VMREAD', 'vmread eax, ecx')}
    ${attempt16('VMLAUNCH', 'vmlaunch')}
    ${attempt16('VMCALL', 'vmcall')}
    ${attempt16('INVEPT', 'invept eax, [bx]')}`,
  },
  {
    ...WITHOUT_QEMU,
    name: 'vtx-no-paging',
    rule: 'VMXON in protected mode without paging is #GP(0): CR0.PG is fixed to 1 (SDM Vol. 3C 24.8)',
    mode: 'protected',
    departures: [
      { peer: 'bochs', label: 'VMXON', why: LETS_PG_BE_0, manual: '#GP(0000)' },
      { peer: 'bochs', label: 'VMXOFF', why: LETS_PG_BE_0, manual: '#UD' },
    ],
    source: `
    ${REGIONS}
    ${enable(32)}
    ${BRIEF}
    ${control(5)}
    ${attempt32('VMXON', VMXON)}
    ${attempt32('VMXOFF', 'vmxoff')}
    ${attempt32('VMCLEAR', `vmclear qword [${VtxMemory.free}]`)}
    ${attempt32('VMXON without NE', `mov eax, 1\nmov cr0, eax\n${VMXON}`)}`,
  },
  {
    ...WITHOUT_QEMU,
    name: 'vtx-root-32bit',
    rule: 'VMX instructions of a 32-bit host: #GP(0) in ring 3, #UD in virtual-8086 mode (SDM Vol. 3C 31.3)',
    mode: 'paging32',
    source: `
    ${REGIONS}
    ${enable(32)}
    ${control(5)}
    ${BRIEF}
    ${attempt32('VMCLEAR before VMXON', `vmclear qword [${VtxMemory.free + 8}]`)}
    ${attempt32('VMXON', VMXON)}
    ${Object.entries(OF_32_BITS)
      .flatMap(([name, code]) => [user32(`${name} in ring 3`, code), v86(`${name} in v86 mode`, code)])
      .join('\n')}
    ${attempt32('VMXOFF', 'vmxoff')}`,
  },
  {
    ...WITHOUT_QEMU,
    name: 'vtx-fields-32bit',
    rule: 'VMREAD and VMWRITE have operands of 32 bits outside 64-bit mode (SDM Vol. 3C 25.11.2, 31.3)',
    mode: 'paging32',
    source: `
    ${REGIONS}
    ${enable(32)}
    ${control(5)}
    ${attempt32('VMXON', VMXON)}
    ${attempt32('VMREAD without a VMCS', read32(FIELD.GUEST_RSP))}
    ${attempt32('VMCLEAR', `vmclear qword [${VtxMemory.free + 8}]`)}
    ${attempt32('VMPTRLD', `vmptrld qword [${VtxMemory.free + 8}]`)}
    ${attempt32('VMPTRST', `vmptrst qword [${MemoryMap.test}]\nmov eax, [${MemoryMap.test}]\nmov edx, [${MemoryMap.test + 4}]`)}
    ${attempt32('the low half of 64 bits', `${write32(FIELD.TSC_OFFSET, 0x1234_5678)}\n${read32(FIELD.TSC_OFFSET)}`)}
    ${attempt32(
      'the high half of 64 bits',
      `${write32(TSC_OFFSET_HIGH, 0x7abc_def0)}\n${read32(TSC_OFFSET_HIGH)}\nmov ebx, edx\n${read32(FIELD.TSC_OFFSET)}`,
    )}
    ${attempt32('the low half clears the high one', `${write32(FIELD.TSC_OFFSET, 5)}\n${read32(TSC_OFFSET_HIGH)}`)}
    ${attempt32('16 bits', `${write32(FIELD.VIRTUAL_PROCESSOR_ID, 0x7654_3210)}\n${read32(FIELD.VIRTUAL_PROCESSOR_ID)}`)}
    ${attempt32('32 bits', `${write32(FIELD.EXCEPTION_BITMAP, 0x7654_3210)}\n${read32(FIELD.EXCEPTION_BITMAP)}`)}
    ${attempt32('natural width', `${write32(FIELD.GUEST_RSP, 0x7654_3210)}\n${read32(FIELD.GUEST_RSP)}`)}
    ${attempt32('no such field', read32(UNSUPPORTED))}
    ${attempt32(
      'VMREAD to memory',
      `mov dword [${MemoryMap.test + 4}], 9\nmov ecx, ${FIELD.GUEST_RSP}\nvmread dword [${MemoryMap.test}], ecx
      mov eax, [${MemoryMap.test}]\nmov edx, [${MemoryMap.test + 4}]`,
    )}
    ${attempt32('VMLAUNCH', 'vmlaunch')}
    ${attempt32('INVEPT', `mov eax, 2\ninvept eax, [${MemoryMap.test}]`)}
    ${attempt32('VMXOFF', 'vmxoff')}`,
  },
];

import { policy } from '../../prelude/attempt.ts';
import { Access, gate, setIdt, setIdt64 } from '../../prelude/descriptor.ts';
import { MemoryMap, Policy, Selector } from '../../prelude/memory-map.ts';
import { say } from '../../prelude/print.ts';
import { type SvmAttempt, type SvmGuestOptions, svm } from '../../prelude/svm-attempt.ts';
import { SVM_AGAIN, vmcb } from '../../prelude/svm-host.ts';
import { SvmMemory } from '../../prelude/svm-memory.ts';
import type { Rom } from '../../rom.ts';
import { svmRom } from './svm-rom.ts';

const Type = { intr: 0, nmi: 2, exception: 3, software: 4 } as const;
/** A value of EVENTINJ. */
const event = (type: keyof typeof Type, vector: number, error?: number): bigint =>
  0x8000_0000n | BigInt((Type[type] << 8) | vector) | (error === undefined ? 0n : 0x800n | (BigInt(error) << 32n));

const inj = (label: string, injected: bigint, options: SvmGuestOptions = {}, code = 'mov ebx, 1'): SvmAttempt =>
  svm(label, code, { ...options, fields: { EVENTINJ: injected, ...options.fields } });

const BY_16 = 'counts 16 bytes a gate in the error code; APM Vol. 2 8.4.1.';
const NO_NRIP = 'pushes RIP for a software interrupt, not nRIP; 15.20.';
const INT_N_LOST = 'reports nothing, or the event of an earlier exit, for INT n in EXITINTINFO; 15.7.2.';
const INT3_SOFTWARE = 'takes INT3 for INT n in EXITINTINFO; 15.7.2.';
const INVALID_32 = 'writes 32 bits of EXITCODE, and the host state over that of the guest; 15.5.1.';
const DELIVERS = 'delivers #BR in 64-bit mode; 15.20.';

const TEST_PAGE = MemoryMap.test >>> 12;
const absent = `mov dword [${MemoryMap.longTable + TEST_PAGE * 8}], 0`;
const present = `mov dword [${MemoryMap.longTable + TEST_PAGE * 8}], ${MemoryMap.test | 7}`;
/** Injects an event whose handler is HLT, which exits; shows the return address of its frame. nRIP is 9 behind RIP. */
function frame(
  label: string,
  injected: bigint,
  vector: number,
  mode: 'long' | 'compatibility' | 'paging32' | 'protected',
  returns: string,
): SvmAttempt {
  const isLong = mode === 'long' || mode === 'compatibility';
  const [set, access] = isLong ? [setIdt64, Access.interruptGate32] : [setIdt, Access.interruptGate32];
  const code = isLong ? Selector.code64 : Selector.code0;
  const [at, sp] = isLong ? [`38:+5`, 'cfd8'] : ['8:+5', 'cff4'];
  const name = isLong ? 'long' : 'protected';
  const software = returns === '+9' ? { bochs: NO_NRIP, qemu: NO_NRIP } : {};
  return inj(
    label,
    injected,
    {
      mode,
      intercepts: ['HLT'],
      fields: { NRIP: '.guest + 9' },
      before: set(vector, gate(code, '.handler', access)),
      after: `${set(vector, gate(code, `${name}_${vector}`, access | (vector === 3 || vector === 4 || vector === 0x30 ? 0x60 : 0)))}
        ${say(64, '  frame=')}
        mov rdi, ${vmcb('RSP')}
        mov ${isLong ? 'rax, [rdi]' : 'eax, [rdi]'}
        call svm_address
        call newline64`,
      ...software,
      ...(returns === '+9' && {
        manual: `HLT at ${at} sp=10:${sp} fl=2${mode === 'compatibility' ? ' cs=a9b0038' : ''}\n  nrip=+6\n  frame=+9`,
      }),
    },
    'mov ebx, 1\n.handler:\nhlt',
  );
}

/** The stack is in a page that is not present. */
const LOST_STACK = { RSP: MemoryMap.test + 0x800 };
const nested = (page: number, entry: number): string => `mov dword [${SvmMemory.nestedTable + page * 8}], ${entry}`;
const nestedAbsent = nested(TEST_PAGE, 0);
const nestedPresent = nested(TEST_PAGE, MemoryMap.test | 7);
/** EXITINTINFO goes to EVENTINJ, as a hypervisor does it. */
const REINJECT = `mov rax, ${vmcb('EXITINTINFO')}\nmov ${vmcb('EVENTINJ')}, rax\n${SVM_AGAIN}`;
/** nRIP is RIP, as no peer looks at it. */
const NEXT_IS_RIP = `mov rax, ${vmcb('RIP')}\nmov ${vmcb('NRIP')}, rax`;
const returns = (vector: number): string => policy(vector, Policy.iret);

export const svmInjectionRoms: readonly Rom[] = [
  svmRom(
    'svm-inject-interrupt',
    'EVENTINJ of type 0: an interrupt, whatever RFLAGS.IF and the shadow say; V is cleared (APM Vol. 2 15.20)',
    [
      inj('64-bit mode', event('intr', 0x31)),
      inj('IF clear, in a shadow', event('intr', 0x31), { fields: { INTERRUPT_SHADOW: 1 } }),
      inj('IF set', event('intr', 0x31), { fields: { RFLAGS: 0x202 } }),
      inj('INTR is not intercepted', event('intr', 0x31), { intercepts: ['INTR', 'VINTR'] }),
      inj('vector 14 is no exception', event('intr', 14), { intercepts: ['EXCP14'] }),
      inj('ring 3', event('intr', 0x31), { mode: 'ring3' }),
      inj('compatibility mode', event('intr', 0x31), { mode: 'compatibility' }),
      inj('32-bit paging', event('intr', 0x31), { mode: 'paging32' }),
      inj('PAE paging', event('intr', 0x31), { mode: 'pae' }),
      inj('protected mode', event('intr', 0x31), { mode: 'protected' }),
      inj('real mode', event('intr', 0x31), { mode: 'real' }),
      inj('the handler returns', event('intr', 0x31), { before: returns(0x31), after: policy(0x31, 0) }),
    ],
  ),
  svmRom('svm-inject-nmi', 'EVENTINJ of type 2: vector 2, whatever VECTOR says (APM Vol. 2 15.20)', [
    inj('64-bit mode', event('nmi', 2)),
    inj('VECTOR is ignored', event('nmi', 0x77)),
    inj('NMI is not intercepted', event('nmi', 2), { intercepts: ['NMI'] }),
    inj('real mode', event('nmi', 2), { mode: 'real' }),
    inj('the handler returns', event('nmi', 2), { before: returns(2), after: policy(2, 0) }),
    inj('IRET is intercepted', event('nmi', 2), { intercepts: ['IRET'], before: returns(2), after: policy(2, 0), hide: ['rip', 'nrip'] }),
  ]),
  svmRom('svm-inject-exception', 'EVENTINJ of type 3: with and without an error code; no intercept takes it (APM Vol. 2 15.20)', [
    inj('#UD', event('exception', 6), { intercepts: ['EXCP6'] }),
    inj('#GP(1234)', event('exception', 13, 0x1234), { intercepts: ['EXCP13'] }),
    inj('#GP without an error code in 32-bit mode', event('exception', 13, 0), { mode: 'paging32' }),
    inj('#PF with CR2 of the VMCB', event('exception', 14, 2), { fields: { CR2: 0x123456 }, bochs: 'VMRUN does not load CR2; 15.5.1.' }),
    inj('#DF', event('exception', 8, 0)),
    inj('#DB leaves DR6 and DR7', event('exception', 1), { fields: { DR6: 0xffff4ff1, DR7: 0x700 } }),
    inj('#AC in ring 3', event('exception', 17, 0), { mode: 'ring3' }),
    inj('real mode', event('exception', 6), { mode: 'real' }),
    inj('compatibility mode', event('exception', 13, 8), { mode: 'compatibility' }),
    inj('the handler returns to the guest', event('exception', 6), { before: returns(6), after: policy(6, 0) }),
  ]),
  svmRom(
    'svm-inject-software',
    'EVENTINJ of type 4, and #BP and #OF: the frame points to nRIP; the DPL of the gate counts (APM Vol. 2 15.20)',
    [
      frame('INT 30', event('software', 0x30), 0x30, 'long', '+9'),
      frame('#BP', event('exception', 3), 3, 'long', '+9'),
      frame('#OF in compatibility mode', event('exception', 4), 4, 'compatibility', '+9'),
      frame('INT 30 in 32-bit mode', event('software', 0x30), 0x30, 'paging32', '+9'),
      frame('#OF in protected mode', event('exception', 4), 4, 'protected', '+9'),
      frame('#UD points to RIP', event('exception', 6), 6, 'long', '+0'),
      frame('an interrupt points to RIP', event('intr', 0x30), 0x30, 'long', '+0'),
      inj('INT 31 in ring 3, DPL 0', event('software', 0x31), {
        mode: 'ring3',
        intercepts: ['EXCP13'],
        fields: { NRIP: '.guest + 9' },
        qemu: BY_16,
      }),
      inj('#BP in ring 3, DPL 0', event('exception', 3), {
        mode: 'ring3',
        intercepts: ['EXCP13'],
        fields: { NRIP: '.guest + 9' },
        before: 'mov byte [idt64 + 3*16 + 5], 0x8e',
        after: 'mov byte [idt64 + 3*16 + 5], 0xee',
        qemu: BY_16,
        bochs: 'sets EXT in the error code, which INT3 does not; 15.20.',
        manual: 'EXCP13 i1=1a int=80000303 at 2b:+0 sp=33:d000 fl=2',
      }),
    ],
  ),
  svmRom(
    'svm-inject-fault',
    'An injected event whose delivery faults: the fault is subject to intercepts, EXITINTINFO has the event (APM Vol. 2 15.20, 15.7.2)',
    [
      ...(
        [
          ['INTR', event('intr', 0x31)],
          ['NMI', event('nmi', 2)],
          ['#UD', event('exception', 6)],
          ['#GP(1234)', event('exception', 13, 0x1234)],
          ['INT 30', event('software', 0x30)],
          ['#BP', event('exception', 3)],
        ] as const
      ).flatMap(([name, injected]) => [
        inj(`${name}, #PF`, injected, {
          intercepts: ['EXCP14'],
          fields: { ...LOST_STACK, NRIP: '.guest' },
          before: absent,
          after: present,
        }),
        inj(`${name}, nested page fault`, injected, {
          fields: { ...LOST_STACK, NRIP: '.guest' },
          before: nestedAbsent,
          after: nestedPresent,
        }),
      ]),
      inj('#GP by the gate', event('intr', 0x80), { intercepts: ['EXCP13'], qemu: BY_16 }),
      inj('#NP by the gate', event('exception', 6), {
        intercepts: ['EXCP11'],
        before: 'mov byte [idt64 + 6*16 + 5], 0x0e',
        after: 'mov byte [idt64 + 6*16 + 5], 0x8e',
        qemu: BY_16,
      }),
      inj('not intercepted, the guest gets it', event('intr', 0x80), { qemu: BY_16 }),
    ],
  ),
  svmRom('svm-reinject', 'EXITINTINFO goes to EVENTINJ, and the delivery is completed (APM Vol. 2 15.7.2, 15.20)', [
    svm('INT n', 'int 0x30', {
      fields: LOST_STACK,
      before: nestedAbsent,
      after: `${nestedPresent}\n${NEXT_IS_RIP}\n${REINJECT}`,
      bochs: INT_N_LOST,
    }),
    svm('#UD', 'ud2', { fields: LOST_STACK, before: nestedAbsent, after: `${nestedPresent}\n${REINJECT}` }),
    svm('#GP(1f8)', 'mov ax, 0x1fb\nmov ds, ax', { fields: LOST_STACK, before: nestedAbsent, after: `${nestedPresent}\n${REINJECT}` }),
    svm('INT3', 'int3', {
      fields: LOST_STACK,
      before: nestedAbsent,
      after: `${nestedPresent}\n${NEXT_IS_RIP}\n${REINJECT}`,
      qemu: INT3_SOFTWARE,
    }),
    inj('an injected INTR', event('intr', 0x31), { fields: LOST_STACK, before: nestedAbsent, after: `${nestedPresent}\n${REINJECT}` }),
    inj('an injected NMI', event('nmi', 2), { fields: LOST_STACK, before: nestedAbsent, after: `${nestedPresent}\n${REINJECT}` }),
    inj('twice', event('exception', 6), { fields: LOST_STACK, before: nestedAbsent, after: `${REINJECT}\n${nestedPresent}\n${REINJECT}` }),
  ]),
  svmRom('svm-exitintinfo', 'EXITINTINFO: the event whose delivery met the exit (APM Vol. 2 15.7.2)', [
    svm('#DE, nested page fault', 'xor ecx, ecx\ndiv ecx', { fields: LOST_STACK, before: nestedAbsent, after: nestedPresent }),
    svm('INT n, nested page fault', 'int 0x30', { fields: LOST_STACK, before: nestedAbsent, after: nestedPresent, bochs: INT_N_LOST }),
    svm('INT3, nested page fault', 'int3', { fields: LOST_STACK, before: nestedAbsent, after: nestedPresent, qemu: INT3_SOFTWARE }),
    svm('INT n in real mode', 'int 0x30', {
      mode: 'real',
      fields: { SS_BASE: MemoryMap.test, RSP: 0x800 },
      before: nestedAbsent,
      after: nestedPresent,
      bochs: INT_N_LOST,
    }),
    svm('none behind a delivery that succeeded', 'ud2', {
      intercepts: ['HLT'],
      before: 'mov byte [long_6], 0xf4',
      after: 'mov byte [long_6], 0x6a',
      hide: ['rip', 'nrip'],
    }),
    svm('none behind an instruction', 'hlt', { intercepts: ['HLT'] }),
    svm('#PF, nested page fault', 'mov rax, 0xffff900000000000\nmov al, [rax]', {
      fields: LOST_STACK,
      before: nestedAbsent,
      after: nestedPresent,
    }),
  ]),
  svmRom('svm-inject-invalid', 'What cannot be injected: VMEXIT_INVALID (APM Vol. 2 15.20)', [
    ...[1, 5, 6, 7].map((type) => inj(`type ${type}`, 0x8000_0020n | BigInt(type << 8), { qemu: INVALID_32 })),
    inj('an exception of vector 2', event('exception', 2), { qemu: INVALID_32 }),
    inj('an exception of vector 32', event('exception', 32), { qemu: INVALID_32 }),
    inj('#BR in 64-bit mode', event('exception', 5), { bochs: DELIVERS, qemu: DELIVERS, manual: 'INVALID' }),
    inj('#BR in compatibility mode', event('exception', 5), { mode: 'compatibility' }),
    inj('V is clear', 0x7ffn),
  ]),
];

import { policy } from '../../prelude/attempt.ts';
import { Policy, Selector } from '../../prelude/memory-map.ts';
import { svm } from '../../prelude/svm-attempt.ts';
import { SVM_AGAIN, vmcb } from '../../prelude/svm-host.ts';
import { SvmMemory } from '../../prelude/svm-memory.ts';
import type { Rom } from '../../rom.ts';
import { svmRom } from './svm-rom.ts';

const APIC = 0xfee00000;
/** A store to a register of the local APIC. Clobbers RDI. */
const apic = (register: number, value: number): string => `mov edi, ${APIC + register}\nmov dword [rdi], ${value}`;
const APIC_ON = apic(0xf0, 0x13f);
/** A self-IPI: it waits, as GIF or RFLAGS.IF of the host are clear. */
const ipi = (vector: number): string => `${APIC_ON}\n${apic(0x300, 0x44000 | vector)}`;
/** An INIT IPI to the CPU itself, in the guest. */
const INIT = `mov edi, ${APIC + 0x300}\nmov dword [rdi + 0x10], 0\nmov dword [rdi], 0x4500`;
const NMI = `${APIC_ON}\n${apic(0x300, 0x4400)}`;
/** The host takes what waits, prints it at the start of a line, and ends it. */
const take = (vector: number, bits: number, sti: 'sti' | '' = ''): string => `
  ${policy(vector, Policy.iret | Policy.brief | bits)}
  mov byte [events_left], 10
  mov al, 32
  out 0xe9, al
  out 0xe9, al
  ${sti}
  stgi
  nop
  nop
  clgi
  cli
  ${policy(vector, 0)}
  call newline64`;
const takeIpi = take(0x31, Policy.apicEoi, 'sti');
const takeNmi = take(2, 0);
/** Code that waits for something to happen. */
const SPIN = 'mov ecx, 100000\n.spin:\ndec ecx\njnz .spin\nxor ecx, ecx';
const IF = { RFLAGS: 0x202 } as const;
const NO_SHADOW = 'VMRUN does not load INTERRUPT_SHADOW; 15.5.1.';
const GUEST_IF = 'takes RFLAGS.IF of the guest for that of the host; 15.21.1.';
const NO_VIRQ = 'looks for a virtual interrupt only where RFLAGS.IF becomes 1; 15.21.4.';
/** V_IRQ with vector 34H, priority 3. */
const VIRQ = { V_IRQ: 1, V_INTR_PRIO: 3, V_INTR_VECTOR: 0x34 } as const;

export const svmInterruptRoms: readonly Rom[] = [
  svmRom(
    'svm-intr',
    'Physical interrupts: intercepted they stay pending for the host; RFLAGS.IF of the guest masks them (APM Vol. 2 15.13.1, 15.21.1)',
    [
      svm('pending before the first instruction', 'mov ebx, 1', { intercepts: ['INTR'], fields: IF, before: ipi(0x31), after: takeIpi }),
      svm('masked by RFLAGS.IF', 'mov ebx, 1', { intercepts: ['INTR'], before: ipi(0x31), after: takeIpi }),
      svm('behind STI and one more', 'sti\nmov ebx, 1\nmov ebx, 2', { intercepts: ['INTR'], before: ipi(0x31), after: takeIpi }),
      svm('in a shadow', 'mov ebx, 1\nmov ebx, 2', {
        intercepts: ['INTR'],
        fields: { ...IF, INTERRUPT_SHADOW: 1 },
        before: ipi(0x31),
        after: takeIpi,
        qemu: NO_SHADOW,
      }),
      svm('it ends a HLT', 'sti\nhlt\nmov ebx, 1', { intercepts: ['INTR'], before: ipi(0x31), after: takeIpi }),
      svm('real mode', 'sti\nmov bx, 1\nmov bx, 2', { mode: 'real', intercepts: ['INTR'], before: ipi(0x31), after: takeIpi }),
      svm('the event that is injected comes first', 'mov ebx, 1', {
        intercepts: ['INTR'],
        fields: { ...IF, EVENTINJ: 0x8000_0306 },
        before: `${ipi(0x31)}\nmov byte [idt64 + 6*16 + 5], 0x8f`,
        after: `mov byte [idt64 + 6*16 + 5], 0x8e\n${takeIpi}`,
        hide: ['rip', 'nrip'],
      }),
    ],
  ),
  svmRom('svm-intr-delivered', 'Physical interrupts that are not intercepted go through the IDT of the guest (APM Vol. 2 15.13.1)', [
    svm('pending before the first instruction', 'mov ebx, 1', {
      fields: IF,
      before: `${ipi(0x32)}\n${policy(0x32, Policy.iret | Policy.apicEoi)}`,
    }),
    svm('behind STI and one more', 'sti\nmov ebx, 1\nmov ebx, 2', {
      before: `${ipi(0x32)}\n${policy(0x32, Policy.iret | Policy.apicEoi)}`,
    }),
    svm('it ends a HLT', 'sti\nhlt\nmov ebx, 1', { before: `${ipi(0x32)}\n${policy(0x32, Policy.iret | Policy.apicEoi)}` }),
  ]),
  svmRom(
    'svm-v-intr-masking',
    'V_INTR_MASKING: RFLAGS.IF of the host at VMRUN masks physical interrupts, that of the guest virtual ones (APM Vol. 2 15.21.1)',
    [
      svm('host IF 1, guest IF 0', 'mov ebx, 1', {
        intercepts: ['INTR'],
        fields: { V_INTR_MASKING: 1 },
        before: `clgi\nsti\n${ipi(0x31)}`,
        after: `cli\n${takeIpi}`,
        bochs: GUEST_IF,
      }),
      svm('CLI and STI of the guest change nothing', 'cli\nsti\nmov ebx, 1\nmov ebx, 2', {
        intercepts: ['INTR'],
        fields: { V_INTR_MASKING: 1 },
        before: ipi(0x31),
        after: takeIpi,
        bochs: GUEST_IF,
        manual: 'VMMCALL at 38:+c sp=10:d000 fl=202 rbx=2\n  nrip=+f\n  int 31',
      }),
      svm('host IF 0, guest IF 1', `mov ebx, 1\n${SPIN}`, {
        intercepts: ['INTR'],
        fields: { V_INTR_MASKING: 1, ...IF },
        before: ipi(0x31),
        after: takeIpi,
        bochs: GUEST_IF,
        manual: 'VMMCALL at 38:+10 sp=10:d000 fl=246 rbx=1\n  nrip=+13\n  int 31',
      }),
      svm('host IF 0, guest IF 1, not intercepted', `mov ebx, 1\n${SPIN}`, {
        fields: { V_INTR_MASKING: 1, ...IF },
        before: ipi(0x31),
        after: takeIpi,
        bochs: GUEST_IF,
        manual: 'VMMCALL at 38:+10 sp=10:d000 fl=246 rbx=1\n  nrip=+13\n  int 31',
      }),
    ],
  ),
  svmRom('svm-nmi', 'NMI: intercepted it stays pending; otherwise the guest takes it (APM Vol. 2 15.13.2, 15.21.9)', [
    svm('intercepted', 'mov ebx, 1', { intercepts: ['NMI'], before: `clgi\n${NMI}`, after: takeNmi }),
    svm('whatever RFLAGS.IF is', 'mov ebx, 1', { intercepts: ['NMI'], fields: IF, before: `clgi\n${NMI}`, after: takeNmi }),
    svm('not intercepted', 'mov ebx, 1', { before: `clgi\n${NMI}\n${policy(2, Policy.iret)}`, after: policy(2, 0) }),
    svm('an NMI and an interrupt', 'mov ebx, 1', {
      intercepts: ['NMI', 'INTR'],
      fields: IF,
      before: `clgi\n${NMI}\n${ipi(0x31)}`,
      after: `${takeNmi}\n${takeIpi}`,
    }),
    svm('real mode', 'mov bx, 1', { mode: 'real', intercepts: ['NMI'], before: `clgi\n${NMI}`, after: takeNmi }),
  ]),
  svmRom('svm-gif', 'GIF: CLGI holds interrupts and NMIs, STGI lets them in; #VMEXIT clears it (APM Vol. 2 15.17, 15.6)', [
    svm('interrupt held by CLGI', 'mov ebx, 1', { after: `clgi\nsti\n${ipi(0x31)}\nnop\nnop\n${takeIpi}` }),
    svm('NMI held by CLGI', 'mov ebx, 1', { after: `clgi\n${NMI}\nnop\nnop\n${takeNmi}` }),
    svm('GIF is 0 after the exit', 'mov ebx, 1', { after: `sti\n${ipi(0x31)}\nnop\nnop\n${takeIpi}` }),
    svm('CLGI of the guest', 'clgi\nmov ebx, 1\nmov ebx, 2', { intercepts: ['INTR'], fields: IF, before: 'mov ebx, 1', after: '' }),
    svm('CLGI of the guest holds an interrupt', 'clgi\nsti\nmov ebx, 1\nmov ebx, 2', {
      intercepts: ['INTR'],
      before: ipi(0x31),
      after: takeIpi,
    }),
    svm('STGI of the guest lets it in', 'clgi\nsti\nmov ebx, 1\nstgi\nmov ebx, 2\nmov ebx, 3', {
      intercepts: ['INTR'],
      before: ipi(0x31),
      after: takeIpi,
      hide: ['rip', 'nrip', 'registers'],
    }),
  ]),
  svmRom('svm-v-irq', 'V_IRQ: taken when RFLAGS.IF, V_TPR and the shadow allow; then cleared (APM Vol. 2 15.21.4)', [
    svm('taken at once', 'mov ebx, 1', { fields: { ...VIRQ, ...IF }, bochs: NO_VIRQ }),
    svm('RFLAGS.IF holds it', 'mov ebx, 1', { fields: VIRQ }),
    svm('behind STI and one more', 'sti\nmov ebx, 1\nmov ebx, 2', { fields: VIRQ }),
    svm('V_TPR holds its priority', 'mov ebx, 1', {
      fields: { ...VIRQ, ...IF, V_TPR: 3, V_INTR_MASKING: 1 },
      qemu: 'takes an interrupt of the same priority as V_TPR; 15.21.4.',
    }),
    svm('V_TPR below it', 'mov ebx, 1', { fields: { ...VIRQ, ...IF, V_TPR: 2, V_INTR_MASKING: 1 }, bochs: NO_VIRQ }),
    svm('V_IGN_TPR', 'mov ebx, 1', { fields: { ...VIRQ, ...IF, V_TPR: 15, V_IGN_TPR: 1, V_INTR_MASKING: 1 }, bochs: NO_VIRQ }),
    svm('POPF opens it', 'push 0x202\npopfq\nmov ebx, 1', { fields: VIRQ }),
    svm('the handler returns', 'mov ebx, 1', {
      fields: { ...VIRQ, ...IF },
      before: policy(0x34, Policy.iret),
      after: policy(0x34, 0),
      bochs: NO_VIRQ,
      nrip: '+8',
    }),
    svm('real mode', 'mov bx, 1', { mode: 'real', fields: { ...VIRQ, ...IF }, bochs: NO_VIRQ }),
    svm('ring 3', 'mov ebx, 1', { mode: 'ring3', fields: { ...VIRQ, ...IF }, bochs: NO_VIRQ }),
    svm('physical ones come first', 'mov ebx, 1', {
      intercepts: ['INTR'],
      fields: { ...VIRQ, ...IF },
      before: ipi(0x31),
      after: takeIpi,
    }),
    svm('the injected event comes first', 'mov ebx, 1', { fields: { ...VIRQ, ...IF, EVENTINJ: 0x8000_0031 } }),
  ]),
  svmRom('svm-vintr', 'The VINTR intercept: an interrupt window; V_IRQ stays pending (APM Vol. 2 15.13.5, 15.21.6)', [
    svm('at once', 'mov ebx, 1', { intercepts: ['VINTR'], fields: { ...VIRQ, ...IF }, bochs: NO_VIRQ }),
    svm('in a shadow', 'mov ebx, 1\nmov ebx, 2', {
      intercepts: ['VINTR'],
      fields: { ...VIRQ, ...IF, INTERRUPT_SHADOW: 1 },
      bochs: NO_VIRQ,
      qemu: NO_SHADOW,
      manual: 'VINTR at 38:+5 sp=10:d000 fl=202 rbx=1',
    }),
    svm('behind STI and one more', 'sti\nmov ebx, 1\nmov ebx, 2', { intercepts: ['VINTR'], fields: VIRQ }),
    svm('behind POPF', 'push 0x202\npopfq\nmov ebx, 1', { intercepts: ['VINTR'], fields: VIRQ }),
    svm('behind MOV SS and one more', `sti\nmov eax, ${Selector.data0}\nmov ss, ax\nmov ebx, 1\nmov ebx, 2`, {
      intercepts: ['VINTR'],
      fields: VIRQ,
    }),
    svm('V_TPR holds it', 'mov ebx, 1', { intercepts: ['VINTR'], fields: { ...VIRQ, ...IF, V_TPR: 4, V_INTR_MASKING: 1 } }),
    svm('then V_IRQ is cleared and the guest goes on', 'mov ebx, 1', {
      intercepts: ['VINTR'],
      fields: { ...VIRQ, ...IF },
      after: `and dword ${vmcb('V_TPR')}, ~0x100\n${SVM_AGAIN}`,
      bochs: NO_VIRQ,
      nrip: '+8',
    }),
  ]),
  svmRom('svm-v-tpr', 'CR8: V_TPR with V_INTR_MASKING; without, writes go to V_TPR and the APIC (APM Vol. 2 15.21.2)', [
    svm('read', 'mov rbx, cr8', { fields: { V_TPR: 7, V_INTR_MASKING: 1 } }),
    svm('written', 'mov eax, 9\nmov cr8, rax\nmov rbx, cr8', { fields: { V_INTR_MASKING: 1 }, after: `mov rax, cr8\nmov [svm_rbx], rax` }),
    svm('without V_INTR_MASKING', 'mov eax, 9\nmov cr8, rax\nmov rbx, cr8\nxor eax, eax\nmov cr8, rax\nmov eax, 5', {
      fields: { V_TPR: 7 },
    }),
    svm("the host's is its own", 'mov rbx, cr8', { fields: { V_TPR: 7, V_INTR_MASKING: 0 } }),
  ]),
  svmRom('svm-interrupt-shadow', 'INTERRUPT_SHADOW is saved and loaded (APM Vol. 2 15.21.5)', [
    svm('STI, then an exit', 'sti\ncpuid', { intercepts: ['CPUID'] }),
    svm('MOV SS, then an exit', `mov eax, ${Selector.data0}\nmov ss, ax\ncpuid`, { intercepts: ['CPUID'] }),
    svm('STI and one more, then an exit', 'sti\nnop\ncpuid', { intercepts: ['CPUID'] }),
    svm('STI with IF set', 'sti\ncpuid', {
      intercepts: ['CPUID'],
      fields: IF,
      qemu: 'takes every STI for one that sets RFLAGS.IF; 15.21.5.',
    }),
    svm('loaded, and over after one instruction', 'nop\ncpuid', { intercepts: ['CPUID'], fields: { INTERRUPT_SHADOW: 1 } }),
    svm('loaded, an exit at once', 'cpuid', { intercepts: ['CPUID'], fields: { ...IF, INTERRUPT_SHADOW: 1 }, qemu: NO_SHADOW }),
    svm('STI, then a page fault', `sti\nmov al, [${SvmMemory.free}]`, {
      before: `mov dword [${SvmMemory.nestedDirectories + 8}], 0`,
      after: `mov dword [${SvmMemory.nestedDirectories + 8}], 0x200087`,
    }),
  ]),
  svmRom(
    'svm-v-irq-hlt',
    'A virtual interrupt ends a HLT (APM Vol. 2 15.21.4)',
    [
      svm('it ends a HLT', 'sti\nhlt\nmov ebx, 1', { fields: VIRQ }),
      svm('with the VINTR intercept', 'sti\nhlt\nmov ebx, 1', { intercepts: ['VINTR'], fields: VIRQ }),
    ],
    { without: { peer: 'bochs', why: 'sees no virtual interrupt while halted: the guest sleeps for good.' } },
  ),
  svmRom(
    'svm-v-tpr-lowered',
    'MOV CR8 that lowers V_TPR lets a virtual interrupt in (APM Vol. 2 15.21.2, 15.21.4)',
    [
      svm('lowered, the interrupt comes', 'mov cr8, rax\nmov ebx, 1', { fields: { ...VIRQ, ...IF, V_TPR: 5, V_INTR_MASKING: 1 } }),
      svm('raised, it does not', 'mov eax, 3\nmov cr8, rax\nsti\nmov ebx, 1\nmov ebx, 2', { fields: { ...VIRQ, V_INTR_MASKING: 1 } }),
    ],
    { without: { peer: 'qemu', why: 'ends in an assertion of its own.' } },
  ),
  svmRom(
    'svm-init',
    'INIT: intercepted it exits and stays pending for the host, which GIF holds it back from (APM Vol. 2 15.13.4, 15.17)',
    [
      svm('sent by the guest', `${INIT}\nmov ebx, 1\nmov ebx, 2`, { intercepts: ['INIT'], before: APIC_ON }),
      svm('it is pending still', 'mov ebx, 1', { intercepts: ['INIT'] }),
      svm('it comes before an NMI', 'mov ebx, 1', { intercepts: ['INIT', 'NMI'], before: NMI }),
      svm('it comes before an interrupt, in a shadow', 'mov ebx, 1', {
        intercepts: ['INIT', 'INTR'],
        fields: { ...IF, INTERRUPT_SHADOW: 1 },
        before: ipi(0x31),
      }),
      svm('it comes in real mode', 'mov bx, 1', { mode: 'real', intercepts: ['INIT'] }),
    ],
    { without: { peer: 'qemu', why: 'TCG checks no intercept of INIT: it resets.' } },
  ),
];

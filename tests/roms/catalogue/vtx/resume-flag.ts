import { MemoryMap } from '../../prelude/memory-map.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../prelude/vtx-attempt.ts';
import type { Rom } from '../../rom.ts';
import { setDr } from './debug-traps.ts';
import { absent, present, TEST } from './exceptions.ts';
import { BlockedBy, eptAbsent, eptPresent, ipi, NMI_HERE, takeInterrupt } from './interrupts.ts';
import { vtxRom } from './vtx-rom.ts';

const NEVER = 'saves no RF; SDM Vol. 3C 28.3.3.';
const RF = { GUEST_RFLAGS: 0x10002 } as const;
/** `manual` where RF is saved as 1, which Bochs never does. */
const rf = (label: string, code: string, options: GuestOptions, manual?: string): VtxAttempt =>
  vt(label, code, { ...options, showsResumeFlag: true, ...(manual !== undefined && { manual, bochs: NEVER }) });
const bitmap = (vector: number): GuestOptions => ({ fields: { EXCEPTION_BITMAP: 1 << vector } });

export const vtxResumeFlagRoms: readonly Rom[] = [
  vtxRom(
    'vtx-resume-flag',
    'RF that an exit saves: what the frame of the event would have, or had (SDM Vol. 3C 28.3.3, Vol. 3B 17.3.1.1)',
    [
      rf('#UD', 'ud2', bitmap(6), 'EXCEPTION_NMI info=80000306 at 38:+0 sp=10:d000 fl=10002'),
      rf('#GP', 'mov ax, 0x1fb\nmov ds, ax', bitmap(13), 'EXCEPTION_NMI info=80000b0d:1f8 at 38:+4 sp=10:d000 fl=10002 rax=1fb'),
      rf(
        '#PF',
        `mov al, [${TEST}]`,
        { ...bitmap(14), before: absent, afterwards: present },
        'EXCEPTION_NMI q=100000 info=80000b0e:0 at 38:+0 sp=10:d000 fl=10002',
      ),
      rf('instruction breakpoint', 'nop\n.here:\nnop', {
        fields: { EXCEPTION_BITMAP: 2, GUEST_DR7: 0x402 },
        before: setDr(0, '.here'),
      }),
      rf(
        'general detect',
        'mov rax, dr1',
        { fields: { EXCEPTION_BITMAP: 2, GUEST_DR7: 0x2400 } },
        'EXCEPTION_NMI q=2000 info=80000301 at 38:+0 sp=10:d000 fl=10002',
      ),
      rf('single step', 'nop\nnop', { fields: { EXCEPTION_BITMAP: 2, GUEST_RFLAGS: 0x102 } }),
      rf('single step behind RF', 'nop\nnop', { fields: { EXCEPTION_BITMAP: 2, GUEST_RFLAGS: 0x10102 } }),
      rf('INT3', 'int3', { fields: { ...RF, EXCEPTION_BITMAP: 8 } }),
      rf('INT1', 'db 0xf1', { fields: { ...RF, EXCEPTION_BITMAP: 2 } }),
      rf('CPUID', 'cpuid', { fields: RF }),
      rf('HLT', 'hlt', { fields: RF, controls: { primary: ['hltExiting'] } }),
      rf('OUT', 'out 0x80, al', { fields: RF, controls: { primary: ['unconditionalIoExiting'] } }),
      rf('MOV to CR3', 'mov cr3, rax', { fields: RF, controls: { primary: ['cr3LoadExiting'] }, registers: { rax: MemoryMap.pml4 } }),
      rf('an interrupt before the first instruction', 'nop', {
        fields: { GUEST_RFLAGS: 0x10202 },
        controls: { pin: ['externalInterruptExiting'] },
        before: ipi(0x31),
        afterwards: takeInterrupt(0x31),
      }),
      rf('an interrupt behind the first instruction', 'nop\nnop', {
        fields: { GUEST_RFLAGS: 0x10202, GUEST_INTERRUPTIBILITY_INFO: BlockedBy.sti },
        controls: { pin: ['externalInterruptExiting'] },
        before: ipi(0x31),
        afterwards: takeInterrupt(0x31),
      }),
      rf('the interrupt window', 'nop', { fields: { GUEST_RFLAGS: 0x10202 }, controls: { primary: ['interruptWindowExiting'] } }),
      rf('the preemption timer', 'nop', {
        fields: { ...RF, VMX_PREEMPTION_TIMER_VALUE: 0 },
        controls: { pin: ['activateVmxPreemptionTimer'] },
      }),
      rf(
        'an EPT violation',
        `mov al, [${TEST}]`,
        { controls: { secondary: ['enableEpt'] }, before: eptAbsent(TEST), afterwards: eptPresent(TEST) },
        'EPT_VIOLATION q=181 gpa=100000 gla=100000 at 38:+0 sp=10:d000 fl=10002',
      ),
      ...(
        [
          ['a fault', 'ud2', 2],
          ['a trap', 'nop', 0x102],
          ['INT n', 'int 0x30', 0x10002],
        ] as const
      ).map(([name, code, flags]) =>
        rf(`an EPT violation while ${name} is delivered`, code, {
          controls: { secondary: ['enableEpt'] },
          fields: { EXCEPTION_BITMAP: 0, GUEST_RSP: TEST + 0x800, GUEST_RFLAGS: flags },
          before: eptAbsent(TEST),
          afterwards: eptPresent(TEST),
        }),
      ),
      rf(
        '#PF while INT n is delivered',
        'int 0x30',
        { fields: { EXCEPTION_BITMAP: 1 << 14, GUEST_RSP: TEST + 0x800 }, before: absent, afterwards: present },
        'EXCEPTION_NMI q=1007f8 info=80000b0e:2 vectoring=80000430 len=2 at 38:+0 sp=10:100800 fl=10002',
      ),
      rf('an NMI', NMI_HERE, { controls: { pin: ['nmiExiting', 'virtualNmis'] }, fields: { GUEST_INTERRUPTIBILITY_INFO: BlockedBy.nmi } }),
      rf('INTO in 32-bit mode', 'into', { mode: 'paging32', fields: { GUEST_RFLAGS: 0x10802, EXCEPTION_BITMAP: 16 } }),
    ],
  ),
];

import { attempt16, attempt32, attempt64, policy, user32 } from '../prelude/attempt.ts';
import { Access, gate, setIdt } from '../prelude/descriptor.ts';
import { Policy, Selector } from '../prelude/memory-map.ts';
import { show } from '../prelude/print.ts';
import { departs, type Rom } from '../rom.ts';

const APIC = 0xfee00000;
const apic = (register: number, value: number): string => `mov dword [${APIC + register}], ${value}`;
/** Spurious vector 3F, software enable. */
const APIC_ON = apic(0xf0, 0x13f);
/** Fixed self-IPI; NMI to APIC ID 0, as the shorthand `self` does not go with NMI (SDM Vol. 3A, Table 10-3). */
const ipi = (vector: number): string => apic(0x300, 0x44000 | vector);
const NMI = apic(0x300, 0x4400);
const INTERRUPT = Policy.iret | Policy.apicEoi;
/** Both PICs: vectors from 40h and 28h, everything masked. */
const PIC_SETUP = [
  [0x20, 0x11],
  [0xa0, 0x11],
  [0x21, 0x40],
  [0xa1, 0x28],
  [0x21, 4],
  [0xa1, 2],
  [0x21, 1],
  [0xa1, 1],
  [0x21, 0xff],
  [0xa1, 0xff],
]
  .map(([port, value]) => `mov al, ${value}\nout ${port}, al`)
  .join('\n');

const LATE = 'TCG takes interrupts between translation blocks only; SDM Vol. 3A 6.6.';

export const interruptRoms: readonly Rom[] = [
  {
    name: 'interrupt-shadow',
    rule: 'STI and MOV SS hold interrupts for one instruction (SDM Vol. 3A 6.8.1, 6.8.3)',
    mode: 'protected',
    source: `
      ${APIC_ON}
      ${policy(0x41, INTERRUPT)}
      ${attempt32('STI', `${ipi(0x41)}\nmov eax, 1\nsti\nmov eax, 2\nmov eax, 3\ncli`)}
      ${attempt32('STI with IF set already', `sti\nnop\n${ipi(0x41)}\nmov eax, 2\nsti\nmov eax, 3\ncli`)}
      ${attempt32('STI and CLI', `${ipi(0x41)}\nsti\ncli\nmov eax, 3\nsti\nnop\ncli`)}
      ${attempt32('POPFD has no shadow', `${ipi(0x41)}\npush 0x202\nmov eax, 1\npopfd\nmov eax, 2\nmov eax, 3\ncli`)}
      ${attempt32('STI then HLT', `${ipi(0x41)}\nsti\nhlt\nmov eax, 3\ncli`)}
      ${attempt32('IRET has no shadow', `${ipi(0x41)}\nmov eax, 1\npush 0x202\npush ${Selector.code0}\npush .to\niretd\n.to:\nmov eax, 2\ncli`)}`,
    departures: departs('qemu', ['STI with IF set already'], LATE),
  },
  {
    name: 'interrupt-priority',
    rule: 'Local APIC: IRR, ISR, TPR and priority classes (SDM Vol. 3A 10.8)',
    mode: 'protected',
    source: `
      ${APIC_ON}
      ${[0x31, 0x32, 0x41, 0x42].map((vector) => policy(vector, INTERRUPT | Policy.brief)).join('\n')}
      ${attempt32('highest first', `${ipi(0x31)}\n${ipi(0x42)}\n${ipi(0x32)}\n${ipi(0x41)}\nsti\nnop\nnop\nnop\nnop\ncli`)}
      ${attempt32('IRR', `${ipi(0x31)}\n${ipi(0x42)}\nmov eax, [${APIC + 0x210}]\nmov ebx, [${APIC + 0x220}]\nsti\nnop\nnop\ncli`)}
      ${apic(0x80, 0x30)}
      ${attempt32('TPR holds its class and below', `${ipi(0x32)}\n${ipi(0x41)}\nsti\nnop\nnop\ncli\nmov eax, [${APIC + 0x210}]\nmov ebx, [${APIC + 0xa0}]`)}
      ${apic(0x80, 0)}
      ${attempt32('and lets it through afterwards', 'sti\nnop\nnop\ncli')}
      ${policy(0x42, Policy.iret | Policy.brief)}
      ${attempt32('without EOI the class stays in service', `${ipi(0x42)}\nsti\nnop\nnop\n${ipi(0x41)}\nnop\nnop\ncli\nmov eax, [${APIC + 0x120}]\nmov ebx, [${APIC + 0xa0}]`)}
      ${apic(0xb0, 0)}
      ${attempt32('after EOI', 'sti\nnop\nnop\ncli')}
      ${attempt32('the same vector twice counts once', `${ipi(0x41)}\n${ipi(0x41)}\nsti\nnop\nnop\nnop\ncli`)}`,
  },
  {
    name: 'nmi',
    rule: 'NMI blocks NMIs until IRET, even one that faults; it ignores IF (SDM Vol. 3A 6.7.1)',
    mode: 'protected',
    source: `
      ${APIC_ON}
      ${policy(2, Policy.iret)}
      ${attempt32('with IF clear', `${NMI}\nmov eax, 1`)}
      ${attempt32('MOV SS holds it', `mov ecx, ${APIC + 0x300}\nmov ebx, 0x4400\nmov ax, ${Selector.data0}\nmov [ecx], ebx\nmov eax, 2`)}
      ${setIdt(2, gate(Selector.code0, 'nested', Access.interruptGate32))}
      jmp start
    nested:
      inc edx
      cmp edx, 1
      jne .second
      ${NMI}
      nop
      ${show(32, 'inside', 'edx', 2)}
      iretd
    .second:
      ${show(32, 'second', 'edx', 2)}
      ${show(32, 'eip-1', '[esp]')}
      iretd
    faulting:
      inc edx
      cmp edx, 1
      jne .second
      ${NMI}
      nop
      ${show(32, 'before', 'edx', 2)}
      int 0x41
      ${show(32, 'after', 'edx', 2)}
      iretd
    .second:
      ${show(32, 'second', 'edx', 2)}
      iretd
    start:
      ${attempt32('an NMI in the handler waits for IRET', `${NMI}\nmov eax, 1\nmov ebx, 1`)}
      ${setIdt(2, gate(Selector.code0, 'faulting', Access.interruptGate32))}
      ${policy(0x41, Policy.iret)}
      ${attempt32('any IRET ends the blocking', `${NMI}\nmov eax, 1\nmov ebx, 1`)}`,
    departures: departs('qemu', ['with IF clear', 'MOV SS holds it', 'any IRET ends the blocking'], LATE),
  },
  {
    name: 'apic-timer',
    rule: 'Local APIC timer: one-shot and periodic, HLT wakes up (SDM Vol. 3A 10.5.4)',
    mode: 'protected',
    source: `
      ${APIC_ON}
      ${policy(0x41, INTERRUPT | Policy.brief)}
      ${apic(0x3e0, 0x0b)}
      ${apic(0x320, 0x41)}
      ${attempt32('one-shot', `${apic(0x380, 1000)}\nsti\nhlt\ncli\nmov eax, [${APIC + 0x390}]`)}
      ${attempt32('count 0 stops it', `${apic(0x380, 1000000)}\n${apic(0x380, 0)}\nmov eax, [${APIC + 0x390}]`)}
      ${apic(0x320, 0x20041)}
      ${attempt32('periodic', `${apic(0x380, 3000000)}\nsti\nhlt\nhlt\nhlt\ncli\n${apic(0x380, 0)}`)}
      ${apic(0x320, 0x10041)}
      ${attempt32('masked', `${apic(0x380, 100)}\nsti\nmov ecx, 10000\n.wait:\nloop .wait\ncli\nmov eax, [${APIC + 0x390}]\nmov ebx, [${APIC + 0x320}]`)}`,
  },
  {
    name: 'pic-pit',
    rule: '8259 pair and 8254: vectors, priority, masks, EOI (their data sheets), HLT wake-up',
    mode: 'protected',
    source: `
      ${PIC_SETUP}
      ; virtual wire mode: LINT0 is ExtINT
      ${APIC_ON}
      ${apic(0x350, 0x700)}
      ${policy(0x40, Policy.iret | Policy.picEoi | Policy.brief)}
      ${attempt32('masks read back', 'in al, 0x21\nmov bl, al\nin al, 0xa1\nmov cl, al\nmov al, 0')}
      ${attempt32('timer 0, mode 0', 'mov al, 0x30\nout 0x43, al\nmov al, 0x40\nout 0x40, al\nmov al, 0\nout 0x40, al\nmov al, 0xfe\nout 0x21, al\nsti\nhlt\ncli\nmov al, 0xff\nout 0x21, al\nmov al, 0')}
      ${attempt32('timer 0, mode 2', 'mov al, 0x34\nout 0x43, al\nmov al, 0\nout 0x40, al\nmov al, 4\nout 0x40, al\nmov al, 0xfe\nout 0x21, al\nsti\nhlt\nhlt\nhlt\ncli\nmov al, 0xff\nout 0x21, al\nmov al, 0')}
      ${policy(0x40, Policy.iret | Policy.brief)}
      ${attempt32('no EOI, no second', 'mov al, 0xfe\nout 0x21, al\nsti\nhlt\nmov ecx, 20000\n.wait:\nloop .wait\ncli\nmov al, 0xff\nout 0x21, al\nmov al, 0x0b\nout 0x20, al\nin al, 0x20\nmov bl, al\nmov al, 0x20\nout 0x20, al\nin al, 0x20\nmov ah, al\nmov al, bl\nxor ebx, ebx')}`,
  },
  {
    name: 'hlt-real',
    rule: 'HLT in real mode wakes up at an interrupt and goes on behind it (SDM Vol. 2A HLT)',
    mode: 'real',
    source: `
      ${PIC_SETUP}
      ; without a local APIC, INTR goes to the processor
      mov ecx, 0x1b
      rdmsr
      and ah, 0xf7
      wrmsr
      ${policy(0x40, Policy.iret | Policy.picEoi)}
      ${attempt16('timer', 'mov al, 0x30\nout 0x43, al\nmov al, 0x40\nout 0x40, al\nmov al, 0\nout 0x40, al\nmov al, 0xfe\nout 0x21, al\nmov ax, 1\nsti\nhlt\ncli\nmov ax, 2')}
      mov al, 0xff
      out 0x21, al
      ${attempt16('CLI then STI and HLT', 'mov al, 0x30\nout 0x43, al\nmov al, 0x40\nout 0x40, al\nmov al, 0\nout 0x40, al\nmov cx, 2000\n.wait:\nloop .wait\nmov al, 0xfe\nout 0x21, al\nmov ax, 1\nsti\nnop\nnop\ncli\nmov ax, 2')}`,
    without: {
      peer: 'qemu',
      why: 'its PIC reaches the processor through an open LINT0 only, even without a local APIC; SDM Vol. 3A 10.4.3.',
    },
  },
  {
    name: 'interrupt-ring3',
    rule: 'An external interrupt in ring 3 switches stacks; RF, TF and NT are not kept (SDM Vol. 3A 6.12.1)',
    mode: 'protected',
    source: `
      ${APIC_ON}
      ${policy(0x41, INTERRUPT)}
      ${user32('self-IPI', `mov eax, 1\n${ipi(0x41)}\nmov eax, 2\nmov eax, 3`, { flags: 0x4202 })}
      ${user32('IPI with IF clear waits', `${ipi(0x41)}\nmov eax, 2\nsti\nmov eax, 3\nmov eax, 4`, { flags: 0x3002 })}`,
    departures: departs('qemu', ['self-IPI'], LATE),
  },
  {
    name: 'x2apic-cr8',
    rule: 'CR8 is the TPR; x2APIC registers are MSRs (SDM Vol. 3A 10.8.6, 10.12)',
    mode: 'long',
    source: `
      mov rbx, ${APIC}
      mov dword [rbx + 0xf0], 0x13f
      ${attempt64('CR8 and TPR', `mov eax, 5\nmov cr8, rax\nmov rbx, ${APIC}\nmov ecx, [rbx + 0x80]\nmov dword [rbx + 0x80], 0x37\nmov rdx, cr8\nxor ebx, ebx`)}
      ${attempt64('reserved bits of CR8', 'mov eax, 0x10\nmov cr8, rax')}
      xor eax, eax
      mov cr8, rax
      ${policy(0x41, Policy.iret | Policy.brief)}
      ${attempt64('x2APIC', 'mov ecx, 0x1b\nrdmsr\nor ah, 4\nwrmsr\nrdmsr\nxor edx, edx')}
      ${attempt64('self-IPI register', 'mov ecx, 0x83f\nmov eax, 0x41\nxor edx, edx\nwrmsr\nsti\nnop\nnop\ncli\nmov ecx, 0x80b\nxor eax, eax\nwrmsr')}
      ${attempt64('reserved MSR', 'mov ecx, 0x80e\nrdmsr')}
      ${attempt64('EOI must be 0', 'mov ecx, 0x80b\nmov eax, 1\nwrmsr')}
      ${attempt64('back to xAPIC is not allowed', 'mov ecx, 0x1b\nrdmsr\nand ah, 0xfb\nwrmsr')}`,
    without: { peer: 'qemu', why: 'TCG 7.2 has no x2APIC, and does not advertise it.' },
  },
];

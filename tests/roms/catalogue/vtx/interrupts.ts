import { policy } from '../../prelude/attempt.ts';
import { Policy, Selector } from '../../prelude/memory-map.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../prelude/vtx-attempt.ts';
import { RESUME, SKIP, vmwrite } from '../../prelude/vtx-host.ts';
import { VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Rom } from '../../rom.ts';
import { absent, exits, present, TEST } from './exceptions.ts';
import { RING_3 } from './instructions.ts';
import { vtxRom } from './vtx-rom.ts';

/** The EPT entry of a page of the first 2 MiB. */
const eptPage = (page: number, entry: number): string => `
  mov dword [${VtxMemory.eptTable + page * 8}], ${entry}
  mov eax, 2
  invept rax, [vtx_eptp]`;
export const eptAbsent = (address: number): string => eptPage(address >>> 12, 0);
export const eptPresent = (address: number): string => eptPage(address >>> 12, (address & ~0xfff) | 0x37);

const APIC = 0xfee00000;
/** A store to a register of the local APIC. Clobbers RDI. */
export const apic = (register: number, value: number): string => `mov edi, ${APIC + register}\nmov dword [rdi], ${value}`;
export const APIC_ON = apic(0xf0, 0x13f);
export const EOI = apic(0xb0, 0);
/** A self-IPI of the host: it waits, as RFLAGS.IF is 0. */
export const ipi = (vector: number): string => `${APIC_ON}\n${apic(0x300, 0x44000 | vector)}`;
/** A self-IPI of the guest. */
const ipiHere = (vector: number): string => `${apic(0x300, 0x44000 | vector)}\nxor edi, edi`;
/** A self-IPI of the guest with an NMI. */
export const NMI_HERE = `${apic(0x300, 0x4400)}\nxor edi, edi`;
/** The host takes what waits, prints it at the start of a line, and ends it. */
export const takeInterrupt = (vector: number): string => `
  ${policy(vector, Policy.iret | Policy.brief | Policy.apicEoi)}
  mov byte [events_left], 10
  mov al, 32
  out 0xe9, al
  sti
  nop
  nop
  cli
  ${policy(vector, 0)}
  call newline64`;
export const IF = { GUEST_RFLAGS: 0x202 } as const;
export const BlockedBy = { sti: 1, movSs: 2, nmi: 8 } as const;
export const Activity = { hlt: 1, shutdown: 2 } as const;
const MOV_SS = `mov eax, ${Selector.data0}\nmov ss, ax`;
/** 1 / 0, not masked: it waits for the next x87 instruction. */
const PENDING_MF = `mov word [${VtxMemory.free}], 0\nfninit\nfldcw [${VtxMemory.free}]\nfldz\nfld1\nfdivrp st1, st0`;
/** IRET to where it stands, in 64-bit mode. `flags`: RFLAGS that it loads. */
export const iretTo = (label: string, flags = 2): string => `
  mov rax, rsp
  push ${Selector.data0}
  push rax
  push ${flags}
  push ${Selector.code64}
  push .${label}
  xor eax, eax
  iretq
  .${label}:`;

const EXITING: GuestOptions['controls'] = { pin: ['externalInterruptExiting'] };
/** An attempt with an interrupt that waits from before the entry on, and that the host takes after the exit. */
const pending = (label: string, code: string, options: GuestOptions = {}): VtxAttempt =>
  vt(label, code, {
    controls: EXITING,
    fields: IF,
    ...options,
    before: `${ipi(0x31)}\n${options.before ?? ''}`,
    afterwards: `${options.afterwards ?? ''}\n${takeInterrupt(0x31)}`,
  });
const HOST_IF = 'keeps masked what RFLAGS.IF of the host masked at the entry; SDM Vol. 3C Table 25-5.';
export const WAKES_FIRST = 'ends HLT before the exit; SDM Vol. 3C 28.1, 28.3.4.';
const ACKNOWLEDGING: GuestOptions['controls'] = { pin: ['externalInterruptExiting'], exit: ['acknowledgeInterruptOnExit'] };
const acknowledged = (label: string, code: string, options: GuestOptions = {}): VtxAttempt =>
  vt(label, code, {
    controls: ACKNOWLEDGING,
    fields: IF,
    ...options,
    before: options.before ?? ipi(0x31),
    afterwards: `${EOI}\n${options.afterwards ?? ''}`,
  });
/** An attempt in which the guest's own handler takes the interrupt. */
const delivered = (label: string, code: string, options: GuestOptions = {}): VtxAttempt =>
  vt(label, code, {
    ...options,
    before: `${ipi(0x32)}\n${policy(0x32, Policy.iret | Policy.apicEoi)}\n${options.before ?? ''}`,
    afterwards: `${options.afterwards ?? ''}\n${policy(0x32, 0)}`,
  });
const WINDOW: GuestOptions = { controls: { primary: ['interruptWindowExiting'] } };
/** Its end wakes whoever the window does not. */
const WITH_TIMER: GuestOptions = { controls: { primary: ['interruptWindowExiting'], pin: ['activateVmxPreemptionTimer'] } };
const NO_WAKE = 'leaves the guest halted; SDM Vol. 3C 26.2.';
export const ENDS_BLOCKING = 'ends the blocking before the exit; SDM Vol. 3C 28.1, 28.3.4.';
const windowed = (label: string, code: string, options: GuestOptions = {}): VtxAttempt => vt(label, code, { ...WINDOW, ...options });

/** Channel 0 of the 8254 raises IRQ 0 once, soon; the 8259 pair gives it vector 40H, the local APIC lets it pass. */
const TIMER = `
  ${APIC_ON}
  ${apic(0x350, 0x700)}
  ${[
    [0x20, 0x11],
    [0x21, 0x40],
    [0x21, 4],
    [0x21, 1],
    [0x21, 0xfe],
    [0x43, 0x30],
    [0x40, 0x40],
    [0x40, 0],
  ]
    .map(([port, value]) => `mov al, ${value}\nout ${port}, al`)
    .join('\n')}`;
const TIMER_OFF = `mov al, 0xff\nout 0x21, al\nmov al, 0x20\nout 0x20, al\n${apic(0x350, 0x10700)}`;

export const vtxInterruptRoms: readonly Rom[] = [
  vtxRom(
    'vtx-external-interrupt',
    'External-interrupt exiting: whatever RFLAGS.IF; without acknowledgement the interrupt stays pending (SDM Vol. 3C 26.2, 28.2.2)',
    [
      pending('IF 1', 'mov ebx, 1'),
      pending('IF 0 at the entry', 'mov ebx, 1', {
        fields: { GUEST_RFLAGS: 2 },
        bochs: HOST_IF,
        manual: 'EXTERNAL_INTERRUPT at 38:+0 sp=10:d000 fl=2\n int 31',
      }),
      vt('CLI of the guest', `cli\n${ipiHere(0x31)}\nmov ebx, 1`, {
        controls: EXITING,
        fields: IF,
        before: APIC_ON,
        afterwards: takeInterrupt(0x31),
      }),
      vt('the guest sends it', `${ipiHere(0x31)}\nmov ebx, 1`, {
        controls: EXITING,
        fields: IF,
        before: APIC_ON,
        afterwards: takeInterrupt(0x31),
      }),
      pending('blocking by STI', 'mov ebx, 1\nmov ebx, 2', { fields: { ...IF, GUEST_INTERRUPTIBILITY_INFO: BlockedBy.sti } }),
      pending('blocking by MOV SS', 'mov ebx, 1\nmov ebx, 2', { fields: { ...IF, GUEST_INTERRUPTIBILITY_INFO: BlockedBy.movSs } }),
      pending('blocking by NMI holds none', 'mov ebx, 1', { fields: { ...IF, GUEST_INTERRUPTIBILITY_INFO: BlockedBy.nmi } }),
      pending('the guest halts', 'mov ebx, 1', {
        fields: { ...IF, GUEST_ACTIVITY_STATE: Activity.hlt },
        bochs: WAKES_FIRST,
        manual: 'EXTERNAL_INTERRUPT at 38:+0 sp=10:d000 fl=202 activity=1\n int 31',
      }),
      pending('it is taken once more', 'mov ebx, 1', { afterwards: RESUME }),
      pending('the injected event comes first', 'mov ebx, 1', {
        fields: { ...IF, VM_ENTRY_INTR_INFO_FIELD: 0x8000_0033 },
        before: `mov byte [idt64 + 0x33*16 + 5], 0x8f`,
        afterwards: `mov byte [idt64 + 0x33*16 + 5], 0x8e`,
        hide: ['rip'],
      }),
      pending('a debug trap comes first', 'mov ebx, 1', {
        fields: { EXCEPTION_BITMAP: 2, GUEST_RFLAGS: 0x302, GUEST_PENDING_DBG_EXCEPTIONS: 0x4000 },
      }),
      vt('the TPR holds it', 'mov ebx, 1', {
        controls: EXITING,
        fields: IF,
        before: `${apic(0x80, 0x40)}\n${ipi(0x31)}`,
        afterwards: `${apic(0x80, 0)}\n${takeInterrupt(0x31)}`,
      }),
      pending('ring 3', 'mov ebx, 1', { fields: { ...RING_3, ...IF } }),
      pending('compatibility mode', 'mov ebx, 1', { mode: 'compatibility' }),
      pending('PAE paging', 'mov ebx, 1', { mode: 'pae' }),
      pending('real mode', 'mov bx, 1', { mode: 'real' }),
      pending('virtual-8086 mode', 'mov bx, 1', { mode: 'v86', fields: { GUEST_RFLAGS: 0x23202 } }),
    ],
  ),
  vtxRom(
    'vtx-acknowledge-interrupt',
    'Acknowledge interrupt on exit: the vector is in the interruption information, and in service (SDM Vol. 3C 28.2.2)',
    [
      acknowledged('IF 1', 'mov ebx, 1'),
      acknowledged('IF 0', `cli\n${ipiHere(0x31)}\nmov ebx, 1`, { before: APIC_ON }),
      acknowledged('vector FF', 'mov ebx, 1', { before: ipi(0xff) }),
      acknowledged('vector 20', 'mov ebx, 1', { before: ipi(0x20) }),
      acknowledged('the higher first', 'mov ebx, 1', { before: `${ipi(0x31)}\n${ipi(0x41)}`, afterwards: `${RESUME}\n${EOI}` }),
      vt('in service it holds the lower', 'mov ebx, 1', {
        controls: ACKNOWLEDGING,
        fields: IF,
        before: `${ipi(0x31)}\n${ipi(0x41)}`,
        afterwards: `${RESUME}\n${EOI}\n${takeInterrupt(0x31)}`,
      }),
      acknowledged('then nothing waits', 'mov ebx, 1', { afterwards: RESUME }),
      acknowledged('the guest halts', 'mov ebx, 1', {
        fields: { ...IF, GUEST_ACTIVITY_STATE: Activity.hlt },
        bochs: WAKES_FIRST,
        manual: 'EXTERNAL_INTERRUPT info=80000031 at 38:+0 sp=10:d000 fl=202 activity=1',
      }),
      acknowledged('the TPR holds it', 'mov ebx, 1', {
        before: `${apic(0x80, 0x30)}\n${ipi(0x31)}`,
        afterwards: `${apic(0x80, 0x20)}\n${RESUME}\n${EOI}\n${apic(0x80, 0)}`,
      }),
      acknowledged('the guest sends it', `${ipiHere(0x31)}\nmov ebx, 1`, { before: APIC_ON }),
      acknowledged('by the 8259', '.spin:\njmp .spin', { before: TIMER, hide: ['rip', 'registers'], afterwards: TIMER_OFF }),
      vt('the control alone', 'mov ebx, 1', {
        controls: { exit: ['acknowledgeInterruptOnExit'] },
        before: ipi(0x31),
        afterwards: takeInterrupt(0x31),
      }),
    ],
  ),
  vtxRom('vtx-interrupt-delivered', 'Without external-interrupt exiting, interrupts go through the IDT of the guest (SDM Vol. 3C 26.2)', [
    delivered('IF 1', 'mov ebx, 1', { fields: IF }),
    delivered('behind STI and one more', 'sti\nmov ebx, 1\nmov ebx, 2'),
    delivered('blocking by STI', 'mov ebx, 1\nmov ebx, 2', { fields: { ...IF, GUEST_INTERRUPTIBILITY_INFO: BlockedBy.sti } }),
    delivered('blocking by MOV SS', 'mov ebx, 1\nmov ebx, 2', { fields: { ...IF, GUEST_INTERRUPTIBILITY_INFO: BlockedBy.movSs } }),
    delivered('it ends a HLT', 'sti\nhlt\nmov ebx, 1'),
    delivered('the guest halts', 'mov ebx, 1', { fields: { ...IF, GUEST_ACTIVITY_STATE: Activity.hlt } }),
    delivered('ring 3', 'mov ebx, 1', { fields: { ...RING_3, ...IF } }),
    delivered('real mode', 'sti\nmov bx, 1\nmov bx, 2', { mode: 'real', before: policy(0x32, 0), afterwards: EOI }),
    vt('IF 0 holds it for the host', 'mov ebx, 1\nmov ebx, 2', { before: ipi(0x31), afterwards: takeInterrupt(0x31) }),
  ]),
  vtxRom('vtx-interrupt-window', 'Interrupt-window exiting: IF 1 and no blocking (SDM Vol. 3C 26.2, 27.7.5)', [
    windowed('IF 1 at the entry', 'mov ebx, 1', { fields: IF }),
    windowed('IF 0', 'mov ebx, 1'),
    windowed('behind STI and one more', 'sti\nmov ebx, 1\nmov ebx, 2'),
    windowed('STI with IF 1', 'mov ebx, 1\nsti', { fields: { ...IF, GUEST_INTERRUPTIBILITY_INFO: BlockedBy.movSs } }),
    windowed('STI and CLI', 'sti\ncli\nmov ebx, 1'),
    windowed('POPF', 'push 0x202\npopfq\nmov ebx, 1'),
    windowed('IRET', `${iretTo('there', 0x202)}\nmov ebx, 1`),
    windowed('STI and MOV SS', `sti\n${MOV_SS}\nmov ebx, 1\nmov ebx, 2`),
    windowed('MOV SS behind STI', `mov eax, ${Selector.data0}\nsti\nmov ss, ax\nmov ebx, 1\nmov ebx, 2`),
    windowed('blocking by STI', 'mov ebx, 1\nmov ebx, 2', { fields: { ...IF, GUEST_INTERRUPTIBILITY_INFO: BlockedBy.sti } }),
    windowed('blocking by MOV SS', 'mov ebx, 1\nmov ebx, 2', { fields: { ...IF, GUEST_INTERRUPTIBILITY_INFO: BlockedBy.movSs } }),
    windowed('blocking by NMI', 'mov ebx, 1', { fields: { ...IF, GUEST_INTERRUPTIBILITY_INFO: BlockedBy.nmi } }),
    windowed('STI and HLT', 'sti\nhlt\nmov ebx, 1', {
      ...WITH_TIMER,
      fields: { VMX_PREEMPTION_TIMER_VALUE: 10000 },
      bochs: NO_WAKE,
      manual: 'INTERRUPT_WINDOW at 38:+2 sp=10:d000 fl=202 activity=1',
    }),
    windowed('the guest halts', 'mov ebx, 1', {
      ...WITH_TIMER,
      fields: { ...IF, GUEST_ACTIVITY_STATE: Activity.hlt, VMX_PREEMPTION_TIMER_VALUE: 10000 },
      bochs: NO_WAKE,
      manual: 'INTERRUPT_WINDOW at 38:+0 sp=10:d000 fl=202 activity=1',
    }),
    windowed('the guest halts with IF 0', 'mov ebx, 1', {
      ...WITH_TIMER,
      fields: { GUEST_ACTIVITY_STATE: Activity.hlt, VMX_PREEMPTION_TIMER_VALUE: 1000 },
    }),
    windowed('the guest is in shutdown', 'mov ebx, 1', {
      ...WITH_TIMER,
      fields: { ...IF, GUEST_ACTIVITY_STATE: Activity.shutdown, VMX_PREEMPTION_TIMER_VALUE: 1000 },
      bochs: 'clears RFLAGS.IF in the shutdown state; SDM Vol. 3C 28.3.3.',
      manual: 'PREEMPTION_TIMER at 38:+0 sp=10:d000 fl=202 activity=2',
    }),
    windowed('an exit by the instruction that is blocked', 'sti\ncpuid\nmov ebx, 1', { afterwards: `${SKIP}\n${RESUME}` }),
    windowed('the injected event comes first', 'mov ebx, 1', {
      fields: { ...IF, VM_ENTRY_INTR_INFO_FIELD: 0x8000_0033 },
      before: policy(0x33, Policy.iret),
      afterwards: policy(0x33, 0),
    }),
    windowed('an interrupt comes after', 'mov ebx, 1', {
      controls: { primary: ['interruptWindowExiting'], pin: ['externalInterruptExiting'] },
      fields: IF,
      before: ipi(0x31),
      afterwards: takeInterrupt(0x31),
    }),
    windowed('a debug trap comes first', 'mov ebx, 1', {
      fields: { EXCEPTION_BITMAP: 2, GUEST_RFLAGS: 0x302, GUEST_PENDING_DBG_EXCEPTIONS: 0x4000 },
    }),
    windowed('ring 3', 'sti\nmov ebx, 1\nmov ebx, 2', { fields: { ...RING_3, GUEST_RFLAGS: 0x3002 } }),
    windowed('32-bit', 'sti\nmov ebx, 1\nmov ebx, 2', { mode: 'paging32' }),
    windowed('real mode', 'sti\nmov bx, 1\nmov bx, 2', { mode: 'real' }),
    windowed('virtual-8086 mode', 'sti\nmov bx, 1\nmov bx, 2', { mode: 'v86' }),
  ]),
  vtxRom('vtx-interruptibility', 'Blocking by STI and MOV SS is loaded and saved (SDM Vol. 3C 25.4.2, 27.3.2.4, 28.3.4)', [
    vt('STI, then an exit', 'sti\ncpuid'),
    vt('STI with IF 1, then an exit', 'sti\ncpuid', { fields: IF }),
    vt('STI and one more, then an exit', 'sti\nnop\ncpuid'),
    vt('STI and CLI, then an exit', 'sti\ncli\ncpuid'),
    vt('MOV SS, then an exit', `${MOV_SS}\ncpuid`),
    vt('MOV SS and one more, then an exit', `${MOV_SS}\nnop\ncpuid`),
    vt('POP SS, then an exit', 'push 0\npop ss\ncpuid', { mode: 'real' }),
    vt('LSS, then an exit', 'mov dword [0x7ff0], 0\nlss ax, [0x7ff0]\ncpuid', { mode: 'real' }),
    vt('loaded, an exit at once', 'cpuid', { fields: { ...IF, GUEST_INTERRUPTIBILITY_INFO: BlockedBy.sti } }),
    vt('loaded, over after one instruction', 'nop\ncpuid', { fields: { ...IF, GUEST_INTERRUPTIBILITY_INFO: BlockedBy.sti } }),
    vt('MOV SS loaded, an exit at once', 'cpuid', { fields: { GUEST_INTERRUPTIBILITY_INFO: BlockedBy.movSs } }),
    vt('MOV SS loaded, over after one instruction', 'nop\ncpuid', { fields: { GUEST_INTERRUPTIBILITY_INFO: BlockedBy.movSs } }),
    vt(
      'STI, then a page fault',
      `sti\nmov al, [${TEST}]`,
      exits([14], {
        before: absent,
        afterwards: present,
        bochs: ENDS_BLOCKING,
        manual: 'EXCEPTION_NMI q=100000 info=80000b0e:0 at 38:+1 sp=10:d000 fl=202 blocking=1',
      }),
    ),
    vt(
      'MOV SS, then #UD',
      `${MOV_SS}\nud2`,
      exits([6], { bochs: ENDS_BLOCKING, manual: 'EXCEPTION_NMI info=80000306 at 38:+7 sp=10:d000 fl=2 blocking=2 rax=10' }),
    ),
    vt('STI, then #MF', `${PENDING_MF}\nsti\nfwait`, exits([16])),
    vt('MOV SS, then #MF', `${PENDING_MF}\n${MOV_SS}\nfwait`, exits([16], { hide: ['registers'] })),
    vt('MOV SS, then an EPT violation', `${MOV_SS}\nmov al, [${TEST}]`, {
      controls: { secondary: ['enableEpt'] },
      before: eptAbsent(TEST),
      afterwards: eptPresent(TEST),
    }),
    vt('MOV SS, then a fault that is delivered', `${MOV_SS}\nud2`, { fields: { EXCEPTION_BITMAP: 0 }, hide: ['registers'] }),
    vt('it goes on at the next entry', 'sti\ncpuid\nmov ebx, 1\ncpuid', { afterwards: `${RESUME}\n${SKIP}\n${RESUME}` }),
    vt('the host clears it', 'sti\ncpuid', { afterwards: `${vmwrite('GUEST_INTERRUPTIBILITY_INFO', 0)}\n${RESUME}` }),
    vt('the host is not blocked', 'cpuid', {
      fields: { ...IF, GUEST_INTERRUPTIBILITY_INFO: BlockedBy.sti },
      before: ipi(0x31),
      afterwards: takeInterrupt(0x31),
    }),
  ]),
];

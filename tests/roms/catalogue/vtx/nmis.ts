import { policy } from '../../prelude/attempt.ts';
import { Policy, Selector } from '../../prelude/memory-map.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../prelude/vtx-attempt.ts';
import { RESUME, SKIP, vmwrite } from '../../prelude/vtx-host.ts';
import type { Rom } from '../../rom.ts';
import { absent, exits, present, TEST } from './exceptions.ts';
import { Activity, APIC_ON, apic, BlockedBy, eptAbsent, eptPresent, IF, iretTo, NMI_HERE, WAKES_FIRST } from './interrupts.ts';
import { vtxRom } from './vtx-rom.ts';

const NMI_EXIT = 'EXCEPTION_NMI info=80000202';
const EXITING: GuestOptions['controls'] = { pin: ['nmiExiting'] };
const VIRTUAL: GuestOptions['controls'] = { pin: ['nmiExiting', 'virtualNmis'] };
const BLOCKED = { GUEST_INTERRUPTIBILITY_INFO: BlockedBy.nmi } as const;
/** The host sends itself an NMI. */
const SEND = apic(0x300, 0x4400);
/** The host's handler of NMIs prints and returns: what comes at once, and (behind a dash) what an IRET lets in. */
const takeNmi = (send = ''): string => `
  ${policy(2, Policy.iret | Policy.brief)}
  mov byte [events_left], 10
  mov al, 32
  out 0xe9, al
  ${send}
  nop
  mov al, 45
  out 0xe9, al
  ${iretTo('unblocked')}
  nop
  ${policy(2, 0)}
  call newline64`;
const returns = policy(2, Policy.iret);
const gaveUp = policy(2, 0);
const nmi = (label: string, code: string, options: GuestOptions = {}): VtxAttempt =>
  vt(label, code, { controls: EXITING, ...options, before: `${APIC_ON}\n${options.before ?? ''}` });
const SAVES_BLOCKING = 'saves the blocking that comes after the exit; SDM Vol. 3C 28.1.';
/** One whose last exit is that of an NMI: what the manual asks for. */
const exiting = (label: string, code: string, manual: string, options: GuestOptions = {}): VtxAttempt =>
  nmi(label, code, { bochs: SAVES_BLOCKING, manual, ...options });
/** A guest that is blocked has the host blocked after its exit: an NMI then waits for the next entry, before which fields of the guest change. */
const waiting = (label: string, code: string, rest: string, change: string, options: GuestOptions = {}): VtxAttempt =>
  nmi(label, `cpuid\n${code}`, {
    controls: { pin: ['nmiExiting', 'activateVmxPreemptionTimer'] },
    ...options,
    fields: { ...BLOCKED, VMX_PREEMPTION_TIMER_VALUE: 10000 },
    bochs: 'leaves an NMI masked that the host had blocked at the entry; SDM Vol. 3C 27.7.1.',
    manual: `CPUID len=2 at 38:+0 sp=10:d000 fl=2 blocking=8\n ${rest}\n -`,
    afterwards: `${SEND}\n${vmwrite('GUEST_INTERRUPTIBILITY_INFO', 0)}\n${SKIP}\n${change}\n${RESUME}\n${options.afterwards ?? ''}\n${takeNmi()}`,
  });
const WINDOW: GuestOptions['controls'] = { ...VIRTUAL, primary: ['nmiWindowExiting'] };
const windowed = (label: string, code: string, options: GuestOptions = {}): VtxAttempt => vt(label, code, { controls: WINDOW, ...options });

/** IRET that faults: what RSP points to is not there, or CS is nothing to return to. */
const IRET_FAULTS: readonly (readonly [name: string, code: string, options: GuestOptions])[] = [
  ['#PF', 'iretq', { before: absent, afterwards: present, fields: { GUEST_RSP: TEST - 16 } }],
  ['#GP', `${iretTo('there').replace(`push ${Selector.code64}`, 'push 0x1f8')}`, {}],
  ['#SS', 'iretq', { fields: { GUEST_RSP: 0x800000000000n } }],
  ['an EPT violation', 'iretq', { before: eptAbsent(TEST), afterwards: eptPresent(TEST), fields: { GUEST_RSP: TEST - 16 } }],
];
const unblocking = (name: string, pin: readonly ('nmiExiting' | 'virtualNmis')[], blocking: number): VtxAttempt[] =>
  IRET_FAULTS.map(([fault, code, options]) =>
    vt(`${fault}, ${name}`, code, {
      ...options,
      controls: { pin, ...(fault === 'an EPT violation' && { secondary: ['enableEpt'] }) },
      fields: { EXCEPTION_BITMAP: 0x7000, GUEST_INTERRUPTIBILITY_INFO: blocking, ...options.fields },
      hide: ['registers'],
    }),
  );

export const vtxNmiRoms: readonly Rom[] = [
  vtxRom('vtx-nmi', 'NMI exiting: the NMI exits with its vector, and blocks the host until IRET (SDM Vol. 3C 26.2, 28.2.2, 28.5.5)', [
    exiting('it exits', `${NMI_HERE}\nmov ebx, 1`, `${NMI_EXIT} at 38:+b sp=10:d000 fl=2 rdi=fee00300`),
    exiting('whatever RFLAGS.IF', `${NMI_HERE}\nmov ebx, 1`, `${NMI_EXIT} at 38:+b sp=10:d000 fl=202 rdi=fee00300`, { fields: IF }),
    exiting('the host is blocked', NMI_HERE, `${NMI_EXIT} at 38:+b sp=10:d000 fl=2 rdi=fee00300\n -#NMI`, { afterwards: takeNmi(SEND) }),
    nmi('another exit does not block', 'cpuid', { afterwards: takeNmi(SEND) }),
    nmi('blocking by NMI holds it', `${NMI_HERE}\nmov ebx, 1`, { fields: BLOCKED, afterwards: takeNmi() }),
    nmi('IRET does not end the blocking', `${NMI_HERE}\n${iretTo('there')}\nmov ebx, 1`, { fields: BLOCKED, afterwards: takeNmi() }),
    waiting('waiting from before the entry', 'mov ebx, 1', `${NMI_EXIT} at 38:+2 sp=10:d000 fl=2`, ''),
    waiting(
      'blocking by MOV SS',
      'mov ebx, 1\nmov ebx, 2',
      `${NMI_EXIT} at 38:+7 sp=10:d000 fl=2 rbx=1`,
      vmwrite('GUEST_INTERRUPTIBILITY_INFO', BlockedBy.movSs),
    ),
    waiting(
      'the guest halts',
      'mov ebx, 1',
      `${NMI_EXIT} at 38:+2 sp=10:d000 fl=2 activity=1`,
      vmwrite('GUEST_ACTIVITY_STATE', Activity.hlt),
    ),
    waiting(
      'the guest is in shutdown',
      'mov ebx, 1',
      `${NMI_EXIT} at 38:+2 sp=10:d000 fl=2 activity=2`,
      vmwrite('GUEST_ACTIVITY_STATE', Activity.shutdown),
    ),
    exiting('real mode', 'mov dword [fs:0x300], 0x4400\nmov bx, 1', `${NMI_EXIT} at 0:+a sp=0:d000 fl=2`, {
      mode: 'real',
      fields: { GUEST_FS_BASE: 0xfee00000 },
    }),
    exiting('32-bit paging', 'mov dword [0xfee00300], 0x4400\nmov ebx, 1', `${NMI_EXIT} at 8:+a sp=10:d000 fl=2`, { mode: 'paging32' }),
  ]),
  vtxRom('vtx-nmi-delivered', 'Without NMI exiting the guest takes NMIs, and its IRET ends the blocking (SDM Vol. 3C 26.2, 26.3)', [
    nmi('its handler', `${NMI_HERE}\nmov ebx, 1`, { controls: {} }),
    nmi('its handler returns', `${NMI_HERE}\nmov ebx, 1`, { controls: {}, before: returns, afterwards: gaveUp }),
    nmi('one that waits for IRET', `${NMI_HERE}\n${iretTo('there')}\nmov ebx, 1`, {
      controls: {},
      fields: BLOCKED,
      before: returns,
      afterwards: gaveUp,
    }),
    nmi('one at a time', `${NMI_HERE}\n${NMI_HERE}\n${iretTo('there')}\nmov ebx, 1`, {
      controls: {},
      fields: BLOCKED,
      before: returns,
      afterwards: gaveUp,
    }),
    nmi('the blocking goes to the host', `${NMI_HERE}\nmov ebx, 1`, { controls: {}, fields: BLOCKED, afterwards: takeNmi() }),
    nmi('IRET alone', `${iretTo('there')}\nmov ebx, 1`, { controls: {}, fields: BLOCKED }),
    nmi('no IRET', 'mov ebx, 1', { controls: {}, fields: BLOCKED }),
  ]),
  vtxRom(
    'vtx-virtual-nmis',
    'Virtual NMIs: blocking by NMI is that of virtual NMIs, which IRET ends; real ones exit all the same (SDM Vol. 3C 25.6.1, 26.3, 28.3.4)',
    [
      nmi('a real one exits', `${NMI_HERE}\nmov ebx, 1`, { controls: VIRTUAL, fields: BLOCKED }),
      nmi('IRET ends the blocking', `${iretTo('there')}\nmov ebx, 1`, { controls: VIRTUAL, fields: BLOCKED }),
      nmi('no IRET', 'mov ebx, 1', { controls: VIRTUAL, fields: BLOCKED }),
      nmi('an injected one blocks', 'mov ebx, 1', { controls: VIRTUAL, fields: { VM_ENTRY_INTR_INFO_FIELD: 0x8000_0202 } }),
      nmi('an injected one whose handler returns', 'mov ebx, 1', {
        controls: VIRTUAL,
        fields: { VM_ENTRY_INTR_INFO_FIELD: 0x8000_0202 },
        before: returns,
        afterwards: gaveUp,
      }),
      nmi('the host is not blocked', 'mov ebx, 1', {
        controls: VIRTUAL,
        fields: BLOCKED,
        afterwards: takeNmi(SEND),
      }),
      exiting('a real one blocks the host, not the guest', NMI_HERE, `${NMI_EXIT} at 38:+b sp=10:d000 fl=2 rdi=fee00300\n -#NMI`, {
        controls: VIRTUAL,
        afterwards: takeNmi(SEND),
      }),
    ],
  ),
  vtxRom('vtx-nmi-window', 'NMI-window exiting: no virtual-NMI blocking, none by MOV SS (SDM Vol. 3C 26.2, 27.7.6)', [
    windowed('at the entry', 'mov ebx, 1'),
    windowed('blocked', 'mov ebx, 1', { fields: BLOCKED }),
    windowed('behind IRET', `${iretTo('there')}\nmov ebx, 1`, { fields: BLOCKED }),
    windowed('blocking by MOV SS', 'mov ebx, 1\nmov ebx, 2', { fields: { GUEST_INTERRUPTIBILITY_INFO: BlockedBy.movSs } }),
    windowed('behind MOV SS behind IRET', `mov ebx, ${Selector.data0}\n${iretTo('there')}\nmov ss, bx\nmov ebx, 1`, { fields: BLOCKED }),
    windowed('the guest halts', 'mov ebx, 1', {
      fields: { GUEST_ACTIVITY_STATE: Activity.hlt },
      bochs: WAKES_FIRST,
      manual: 'NMI_WINDOW at 38:+0 sp=10:d000 fl=2 activity=1',
    }),
    windowed('the guest is in shutdown', 'mov ebx, 1', {
      fields: { GUEST_ACTIVITY_STATE: Activity.shutdown },
      bochs: WAKES_FIRST,
      manual: 'NMI_WINDOW at 38:+0 sp=10:d000 fl=2 activity=2',
    }),
    windowed('behind the handler of an injected NMI', 'mov ebx, 1', {
      fields: { VM_ENTRY_INTR_INFO_FIELD: 0x8000_0202 },
      before: returns,
      afterwards: gaveUp,
    }),
    windowed('before the interrupt window', 'mov ebx, 1', {
      controls: { ...VIRTUAL, primary: ['nmiWindowExiting', 'interruptWindowExiting'] },
      fields: IF,
    }),
    windowed('a debug trap comes first', 'mov ebx, 1', {
      fields: { EXCEPTION_BITMAP: 2, GUEST_RFLAGS: 0x102, GUEST_PENDING_DBG_EXCEPTIONS: 0x4000 },
    }),
    windowed('real mode', 'mov bx, 1', { mode: 'real' }),
    windowed('virtual-8086 mode', 'mov bx, 1', { mode: 'v86' }),
  ]),
  vtxRom('vtx-nmi-unblocking', 'NMI unblocking due to IRET: bit 12 where an IRET that ended the blocking faults (SDM Vol. 3C 28.2.3)', [
    ...unblocking('virtual NMIs, blocked', ['nmiExiting', 'virtualNmis'], BlockedBy.nmi),
    ...unblocking('virtual NMIs, not blocked', ['nmiExiting', 'virtualNmis'], 0),
    ...unblocking('no NMI exiting, blocked', [], BlockedBy.nmi),
    vt('not of another instruction', 'mov rax, 0x800000000000\nmov al, [rax]', { controls: VIRTUAL, fields: BLOCKED }),
    vt('not of the instruction behind it', `${iretTo('there')}\nud2`, { ...exits([6]), controls: VIRTUAL, fields: BLOCKED }),
  ]),
];

import { policy } from '../../../prelude/attempt.ts';
import { Policy } from '../../../prelude/memory-map.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../../prelude/vtx-attempt.ts';
import { note, RESUME, SKIP } from '../../../prelude/vtx-host.ts';
import type { Fields } from '../../../prelude/vtx-modes.ts';
import type { Rom } from '../../../rom.ts';
import { RING_3 } from '../instructions.ts';
import { ENDS_BLOCKING } from '../interrupts.ts';
import { vtxRom } from '../vtx-rom.ts';

const HLT = 1;
const SHUTDOWN = 2;
const TF = 0x100;
const IF = 0x200;
const Blocking = { sti: 1, movSs: 2, nmi: 8 } as const;
const Pending = { b0: 1, b1: 2, b2: 4, b3: 8, enabled: 0x1000, bs: 0x4000 } as const;
const DB_EXITS = 2;

const INTERRUPT_WINDOW = { primary: ['interruptWindowExiting'] } as const;
const NMI_WINDOW = { pin: ['nmiExiting', 'virtualNmis'], primary: ['nmiWindowExiting'] } as const;
const TIMER = { pin: ['activateVmxPreemptionTimer'] } as const;
const state = (label: string, activity: number, options: GuestOptions = {}, code = 'mov ebx, 1\ncpuid'): VtxAttempt =>
  vt(label, code, {
    ...options,
    controls: { ...options.controls, pin: [...(options.controls?.pin ?? []), ...TIMER.pin] },
    fields: { GUEST_ACTIVITY_STATE: activity, VMX_PREEMPTION_TIMER_VALUE: 0x100, ...options.fields },
  });

const blocking = (label: string, bits: number, options: GuestOptions = {}, code = 'mov ebx, 1\nmov ecx, 2'): VtxAttempt =>
  vt(label, code, {
    ...options,
    fields: { GUEST_INTERRUPTIBILITY_INFO: bits, GUEST_RFLAGS: IF + 2, ...options.fields },
  });

const SHADOWS = [
  ['STI', Blocking.sti],
  ['MOV SS', Blocking.movSs],
] as const;

const SHOW_DR6 = `${note({ dr6: 'dr6' })}\nmov eax, 0xffff0ff0\nmov dr6, rax`;
const pending = (
  label: string,
  bits: number,
  fields: Fields = {},
  options: GuestOptions = {},
  code = 'mov ebx, 1\nmov ecx, 2',
): VtxAttempt =>
  vt(label, code, {
    ...options,
    fields: { GUEST_PENDING_DBG_EXCEPTIONS: bits, EXCEPTION_BITMAP: DB_EXITS, ...fields },
    afterwards: `${options.afterwards ?? ''}\n${SHOW_DR6}`,
  });
const DELIVERED = { before: policy(1, Policy.iret), afterwards: policy(1, 0) };
const ALL = Pending.b0 + Pending.b1 + Pending.b2 + Pending.b3;

export const waitingRoms: readonly Rom[] = [
  vtxRom('vtx-enter-activity', 'Entry to HLT and shutdown: the guest waits for what wakes or exits (SDM Vol. 3C 27.7.2, 26.2)', [
    state('HLT until the timer', HLT),
    state('shutdown until the timer', SHUTDOWN),
    state('HLT, the timer is 0', HLT, { fields: { VMX_PREEMPTION_TIMER_VALUE: 0 } }),
    state('HLT, interrupt window', HLT, {
      bochs: 'does not wake for the window; SDM Vol. 3C 27.7.5.',
      manual: 'INTERRUPT_WINDOW at 38:+0 sp=10:d000 fl=202 activity=1',
      controls: INTERRUPT_WINDOW,
      fields: { GUEST_RFLAGS: IF + 2 },
    }),
    state('HLT, no interrupt window with IF clear', HLT, { controls: INTERRUPT_WINDOW }),
    state('HLT, NMI window', HLT, {
      bochs: 'is active before the exit; SDM Vol. 3C 28.1.',
      manual: 'NMI_WINDOW at 38:+0 sp=10:d000 fl=2 activity=1',
      controls: NMI_WINDOW,
    }),
    state('HLT, no NMI window with NMIs blocked', HLT, {
      controls: NMI_WINDOW,
      fields: { GUEST_INTERRUPTIBILITY_INFO: Blocking.nmi },
    }),
    state('shutdown, NMI window', SHUTDOWN, {
      bochs: 'does not wake for the window; SDM Vol. 3C 27.7.6.',
      manual: 'NMI_WINDOW at 38:+0 sp=10:d000 fl=2 activity=2',
      controls: NMI_WINDOW,
    }),
    state('shutdown, no interrupt window', SHUTDOWN, {
      bochs: 'clears RFLAGS.IF in shutdown; SDM Vol. 3C 28.3.3.',
      manual: 'PREEMPTION_TIMER at 38:+0 sp=10:d000 fl=202 activity=2',
      controls: INTERRUPT_WINDOW,
      fields: { GUEST_RFLAGS: IF + 2 },
    }),
    state('HLT, a single step is pending', HLT, {
      fields: { GUEST_RFLAGS: TF + 2, GUEST_PENDING_DBG_EXCEPTIONS: Pending.bs, EXCEPTION_BITMAP: DB_EXITS },
    }),
    state('HLT, a breakpoint is pending', HLT, {
      fields: { GUEST_PENDING_DBG_EXCEPTIONS: Pending.enabled + Pending.b0, EXCEPTION_BITMAP: DB_EXITS },
    }),
    state('HLT, a breakpoint that is not enabled', HLT, {
      fields: { GUEST_PENDING_DBG_EXCEPTIONS: Pending.b0, EXCEPTION_BITMAP: DB_EXITS },
    }),
    state('shutdown, a single step is pending', SHUTDOWN, {
      bochs: 'delivers what is pending in shutdown; SDM Vol. 3C 27.7.3.',
      manual: 'PREEMPTION_TIMER at 38:+0 sp=10:d000 fl=102 activity=2',
      fields: { GUEST_RFLAGS: TF + 2, GUEST_PENDING_DBG_EXCEPTIONS: Pending.bs, EXCEPTION_BITMAP: DB_EXITS },
    }),
    state('HLT in ring 3', HLT, { fields: RING_3 }),
    state('HLT in virtual-8086 mode', HLT, { mode: 'v86' }),
    state('HLT in real mode', HLT, { mode: 'real' }, 'nop'),
    state('HLT in 32-bit mode', HLT, { mode: 'paging32' }),
    state('state 4', 4),
  ]),
  vtxRom(
    'vtx-enter-interruptibility',
    'Blocking by STI, MOV SS and NMI at entry: for one instruction, and in the exit from it (SDM Vol. 3C 27.7.1)',
    [
      ...SHADOWS.flatMap(([name, bits]) => [
        blocking(`${name}, interrupt window`, bits, { controls: INTERRUPT_WINDOW }),
        blocking(`${name}, the first instruction exits`, bits, { afterwards: `${SKIP}\n${RESUME}` }, 'cpuid\ncpuid'),
        blocking(
          `${name}, the first instruction faults`,
          bits,
          {
            fields: { EXCEPTION_BITMAP: 1 << 6 },
            bochs: ENDS_BLOCKING,
            manual: `EXCEPTION_NMI info=80000306 at 38:+0 sp=10:d000 fl=202 blocking=${bits}`,
          },
          'ud2',
        ),
        blocking(`${name}, the fault is delivered`, bits, { fields: { EXCEPTION_BITMAP: 0 } }, 'ud2'),
        blocking(`${name}, the timer is 0`, bits, {
          controls: TIMER,
          fields: { VMX_PREEMPTION_TIMER_VALUE: 0 },
          bochs: 'holds the exit back while interrupts are blocked; SDM Vol. 3C 27.7.4.',
          manual: `PREEMPTION_TIMER at 38:+0 sp=10:d000 fl=202 blocking=${bits}`,
        }),
      ]),
      blocking('none, interrupt window', 0, { controls: INTERRUPT_WINDOW }),
      blocking('MOV SS, NMI window', Blocking.movSs, { controls: NMI_WINDOW }),
      blocking(
        'NMI, NMI window behind IRET',
        Blocking.nmi,
        { controls: NMI_WINDOW },
        'push 0\npush rsp\npushfq\npush 0x38\npush .next\niretq\n.next:\nnop',
      ),
      blocking('NMI, saved', Blocking.nmi, {}, 'cpuid'),
      blocking('NMI, interrupt window', Blocking.nmi, { controls: INTERRUPT_WINDOW }),
      blocking(
        'NMI, IRET ends it',
        Blocking.nmi,
        {},
        'mov rax, rsp\npush 0x10\npush rax\npushfq\npush 0x38\npush .next\niretq\n.next:\ncpuid',
      ),
      blocking(
        'NMI exiting, IRET does not end it',
        Blocking.nmi,
        { controls: { pin: ['nmiExiting'] } },
        'mov rax, rsp\npush 0x10\npush rax\npushfq\npush 0x38\npush .next\niretq\n.next:\ncpuid',
      ),
      blocking('MOV SS and MOV SS', Blocking.movSs, { controls: INTERRUPT_WINDOW }, 'mov ax, 0x10\nmov ss, ax\nnop'),
      blocking('STI and STI', Blocking.sti, { controls: INTERRUPT_WINDOW }, 'sti\nnop\nnop'),
    ],
  ),
  vtxRom('vtx-enter-pending-debug', 'Pending debug exceptions are delivered behind an entry (SDM Vol. 3C 27.7.3)', [
    pending('BS', Pending.bs),
    pending('BS, TF set', Pending.bs, { GUEST_RFLAGS: TF + 2 }),
    pending('enabled breakpoint 0', Pending.enabled + Pending.b0),
    pending('enabled breakpoints 1 and 3', Pending.enabled + Pending.b1 + Pending.b3),
    pending('breakpoints that are not enabled', ALL),
    pending('enabled, but none met', Pending.enabled),
    pending('BS, and breakpoints that are not enabled', Pending.bs + Pending.b2),
    pending('BS and an enabled breakpoint', Pending.bs + Pending.enabled + Pending.b2),
    pending('delivered, DR6', Pending.bs, { EXCEPTION_BITMAP: 0 }, DELIVERED),
    pending('delivered, DR6 of a breakpoint', Pending.enabled + ALL, { EXCEPTION_BITMAP: 0 }, DELIVERED),
    pending('behind MOV SS', Pending.bs, { GUEST_INTERRUPTIBILITY_INFO: Blocking.movSs, GUEST_RFLAGS: TF + 2 }),
    pending('a breakpoint behind MOV SS', Pending.enabled + Pending.b0, { GUEST_INTERRUPTIBILITY_INFO: Blocking.movSs }),
    pending(
      'behind MOV SS, the first instruction exits',
      Pending.enabled + Pending.b0,
      { GUEST_INTERRUPTIBILITY_INFO: Blocking.movSs },
      {},
      'cpuid',
    ),
    pending(
      'behind STI',
      Pending.bs,
      { GUEST_INTERRUPTIBILITY_INFO: Blocking.sti, GUEST_RFLAGS: TF + IF + 2 },
      {
        bochs: ENDS_BLOCKING,
        manual: 'EXCEPTION_NMI q=4000 info=80000301 at 38:+0 sp=10:d000 fl=302 blocking=1\n dr6=ffff0ff0',
      },
    ),
    pending('before the interrupt window', Pending.bs, { GUEST_RFLAGS: IF + 2 }, { controls: INTERRUPT_WINDOW }),
    pending('real mode', Pending.bs, {}, { mode: 'real' }),
    pending('32-bit mode', Pending.enabled + Pending.b3, {}, { mode: 'paging32' }),
    pending('reserved bits', 0x10),
    pending('nothing is saved', Pending.b0, {}, {}, 'cpuid'),
  ]),
];

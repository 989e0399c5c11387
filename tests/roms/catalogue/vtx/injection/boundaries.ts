import { Access } from '../../../prelude/descriptor.ts';
import type { VtxAttempt } from '../../../prelude/vtx-attempt.ts';
import { note } from '../../../prelude/vtx-host.ts';
import type { Fields } from '../../../prelude/vtx-modes.ts';
import type { Rom } from '../../../rom.ts';
import { vtxRom } from '../vtx-rom.ts';
import { EVENTS, exception, type FrameOptions, frame, interrupt, intN, NMI, trap } from './event.ts';

const DB_EXITS = 1 << 1;
const Pending = { b0: 1, b3: 8, enabled: 0x1000, bs: 0x4000 } as const;
const MOV_SS = 2;
const TF = 0x102;
const RESET_DR6 = 'mov eax, 0xffff0ff0\nmov dr6, rax';

/** Injects with debug exceptions pending; #DB exits. */
const pending = (label: string, injected: Fields, bits: number, fields: Fields = {}, more: FrameOptions = {}): VtxAttempt =>
  frame(label, injected, {
    ...more,
    fields: { EXCEPTION_BITMAP: DB_EXITS, GUEST_PENDING_DBG_EXCEPTIONS: bits, ...fields },
    afterwards: `${more.afterwards ?? ''}\n${note({ dr6: 'dr6' })}\n${RESET_DR6}`,
  });
const delivered = (qualification: string): FrameOptions => ({
  bochs: 'drops what is pending behind any event; SDM Vol. 3C 27.7.3.',
  manual: `EXCEPTION_NMI q=${qualification} info=80000301 at 38:+8 sp=10:cfd8 fl=2\n dr6=ffff0ff0`,
});
const BLOCKED: Fields = { GUEST_INTERRUPTIBILITY_INFO: MOV_SS, GUEST_RFLAGS: TF };

const TIMER: FrameOptions = { controls: { pin: ['activateVmxPreemptionTimer'] }, fields: { VMX_PREEMPTION_TIMER_VALUE: 0 } };

export const boundaryRoms: readonly Rom[] = [
  vtxRom(
    'vtx-inject-pending-debug',
    'Pending debug exceptions behind an injected event: dropped, but for INT n in the shadow of MOV SS (SDM Vol. 3C 27.7.3)',
    [
      ...EVENTS.map(([name, injected]) => pending(name, injected, Pending.bs)),
      pending('INT n, a breakpoint', intN(), Pending.enabled + Pending.b0),
      pending('UD behind MOV SS', exception(6), Pending.bs, BLOCKED),
      pending('INT n behind MOV SS', intN(), Pending.bs, BLOCKED, delivered('4000')),
      pending('INT3 behind MOV SS', trap(3), Pending.bs, BLOCKED, delivered('4000')),
      pending(
        'INT n behind MOV SS, a breakpoint',
        intN(),
        Pending.enabled + Pending.b3,
        { GUEST_INTERRUPTIBILITY_INFO: MOV_SS },
        delivered('8'),
      ),
      pending('INT n behind MOV SS, no breakpoint enabled', intN(), Pending.b3, { GUEST_INTERRUPTIBILITY_INFO: MOV_SS }),
    ],
  ),
  vtxRom(
    'vtx-inject-single-step',
    'RFLAGS.TF and an injected event: no trap of the delivery, one behind IRET (SDM Vol. 3C 27.6.1.1, 27.7.3)',
    [
      ...EVENTS.map(([name, injected]) => frame(name, injected, { fields: { GUEST_RFLAGS: name === 'an interrupt' ? TF + 0x200 : TF } })),
      ...EVENTS.map(([name, injected]) =>
        frame(`${name}, the handler returns`, injected, {
          fields: { GUEST_RFLAGS: name === 'an interrupt' ? TF + 0x200 : TF, EXCEPTION_BITMAP: DB_EXITS },
          returns: true,
          code: 'nop\nnop\nnop',
        }),
      ),
      frame(
        'without an event',
        { VM_ENTRY_INTR_INFO_FIELD: 0 },
        { code: 'nop\nnop', fields: { GUEST_RFLAGS: TF, EXCEPTION_BITMAP: DB_EXITS } },
      ),
    ],
  ),
  vtxRom('vtx-inject-priority', 'Exits that are due at entry come behind the injected event (SDM Vol. 3C 27.7.4 to 27.7.6)', [
    frame('preemption timer', interrupt(), TIMER),
    frame('preemption timer, no event', { VM_ENTRY_INTR_INFO_FIELD: 0 }, TIMER),
    frame('preemption timer, HLT', interrupt(), { ...TIMER, fields: { ...TIMER.fields, GUEST_ACTIVITY_STATE: 1 } }),
    frame(
      'preemption timer and #DB pending',
      { VM_ENTRY_INTR_INFO_FIELD: 0 },
      {
        ...TIMER,
        fields: { ...TIMER.fields, GUEST_PENDING_DBG_EXCEPTIONS: Pending.bs, EXCEPTION_BITMAP: DB_EXITS },
      },
    ),
    frame('interrupt window, closed by the gate', interrupt(), { controls: { primary: ['interruptWindowExiting'] } }),
    frame('interrupt window, trap gate', interrupt(), { controls: { primary: ['interruptWindowExiting'] }, access: Access.trapGate32 }),
    frame('NMI window, an interrupt', interrupt(), { controls: { pin: ['nmiExiting', 'virtualNmis'], primary: ['nmiWindowExiting'] } }),
    frame('NMI window, an NMI', NMI, { controls: { pin: ['nmiExiting', 'virtualNmis'], primary: ['nmiWindowExiting'] } }),
    frame('the delivery fails first', interrupt(), { ...TIMER, fields: { ...TIMER.fields, GUEST_IDTR_LIMIT: 0x10 } }),
  ]),
];

import type { VtxAttempt } from '../../../prelude/vtx-attempt.ts';
import type { Fields } from '../../../prelude/vtx-modes.ts';
import type { Rom } from '../../../rom.ts';
import { vtxRom } from '../vtx-rom.ts';
import { EVENTS, event, exception, frame, ICEBP, inject, interrupt, intN, NMI, trap } from './event.ts';

const VIRTUAL_NMIS = { pin: ['nmiExiting', 'virtualNmis'] } as const;
const Blocking = { sti: 1, movSs: 2, smi: 4, nmi: 8, enclave: 16 } as const;
const information = (value: number, more: Fields = {}): Fields => ({ ...interrupt(), VM_ENTRY_INTR_INFO_FIELD: value, ...more });

/** Injects with some blocking, in a guest with RFLAGS.IF set. */
const blocked = (label: string, injected: Fields, blocking: number, more: Parameters<typeof frame>[2] = {}): VtxAttempt =>
  frame(label, injected, { ...more, fields: { GUEST_RFLAGS: 0x202, GUEST_INTERRUPTIBILITY_INFO: blocking, ...more.fields } });

const REFUSED = 'entry failure, INVALID_STATE';
const HLT = 1;
const SHUTDOWN = 2;
const WAIT_FOR_SIPI = 3;
const asleep = (label: string, injected: Fields, activity: number, more: Parameters<typeof frame>[2] = {}): VtxAttempt =>
  frame(label, injected, { ...more, fields: { GUEST_ACTIVITY_STATE: activity, ...more.fields } });

const WAKES = { bochs: 'injects any event in HLT; SDM Vol. 3C 27.3.1.5.', manual: REFUSED };

export const refusalRoms: readonly Rom[] = [
  vtxRom('vtx-inject-invalid', 'VM-entry fields that VM entry refuses with VMfailValid(7) (SDM Vol. 3C 27.2.1.3)', [
    inject('type 1', information(0x80000131)),
    inject('an NMI of vector 3', event('nmi', 3)),
    frame('an exception of vector 31', exception(31)),
    inject('an exception of vector 32', exception(32)),
    inject('bit 12', information(0x80001031)),
    inject('bit 30', information(0xc0000031)),
    inject('the valid bit is clear', information(0x7ffff131, { VM_ENTRY_INSTRUCTION_LEN: 0x77 })),
    ...[8, 10, 11, 12, 14, 17].map((vector) => inject(`vector ${vector} without an error code`, exception(vector))),
    ...[0, 1, 6, 7, 9, 15, 16, 18, 19, 20].map((vector) => inject(`vector ${vector} with an error code`, exception(vector, 0))),
    inject('an interrupt with an error code', event('intr', 13, { error: 0 })),
    inject('an NMI with an error code', event('nmi', 2, { error: 0 })),
    inject('INT n with an error code', event('int', 13, { error: 0, length: 2 })),
    inject('INT3 with an error code', event('trap', 13, { error: 0, length: 2 })),
  ]),
  vtxRom('vtx-inject-invalid-length', 'Error codes and lengths that VM entry refuses with VMfailValid(7) (SDM Vol. 3C 27.2.1.3)', [
    frame('error code 7fff', exception(13, 0x7fff)),
    frame('error code ffff', exception(13, 0xffff)),
    inject('error code 10000', exception(13, 0x10000)),
    inject('error code 80000000', exception(13, 0x80000000)),
    frame('an error code that is not delivered', { ...exception(6), VM_ENTRY_EXCEPTION_ERROR_CODE: -1 }),
    inject('GP without an error code, protected mode', exception(13), { mode: 'protected' }),
    inject('GP without an error code, unrestricted 64-bit guest', exception(13), { unrestricted: true }),
    inject('GP without an error code, virtual-8086 mode', exception(13), { mode: 'v86' }),
    frame('GP without an error code, real mode', exception(13), { mode: 'real' }),
    inject('GP with an error code, real mode', exception(13, 0), { mode: 'real' }),
    ...[0, 1, 15, 16, 0xffffffff].flatMap((length) => [
      frame(`INT n of ${length} bytes`, intN(0x31, length)),
      frame(`INT3 of ${length} bytes`, trap(3, length)),
      frame(`INT1 of ${length} bytes`, { ...ICEBP, VM_ENTRY_INSTRUCTION_LEN: length }),
    ]),
    frame('UD of 16 bytes', { ...exception(6), VM_ENTRY_INSTRUCTION_LEN: 16 }),
    frame('an interrupt of 16 bytes', { ...interrupt(), VM_ENTRY_INSTRUCTION_LEN: 16 }),
  ]),
  vtxRom(
    'vtx-inject-blocked',
    'Injection while events are blocked: interrupts and NMIs are refused, others end the blocking (SDM Vol. 3C 27.3.1.5)',
    [
      // Whether an NMI is refused while STI blocks is the processor's own affair.
      ...EVENTS.filter(([name]) => name !== 'an NMI').map(([name, injected]) =>
        blocked(`${name}, blocking by STI`, injected, Blocking.sti),
      ),
      ...EVENTS.map(([name, injected]) => blocked(`${name}, blocking by MOV SS`, injected, Blocking.movSs)),
      ...[Blocking.sti, Blocking.movSs].map((blocking) =>
        blocked(`INT n, the delivery exits, blocking ${blocking}`, intN(), blocking, { fields: { GUEST_IDTR_LIMIT: 0x10 } }),
      ),
      blocked('an interrupt, blocking by NMI', interrupt(), Blocking.nmi),
      blocked('an NMI, blocking by NMI', NMI, Blocking.nmi),
      blocked('an NMI, blocking by virtual NMI', NMI, Blocking.nmi, {
        controls: VIRTUAL_NMIS,
        bochs: 'injects the NMI; SDM Vol. 3C 27.3.1.5.',
        manual: REFUSED,
      }),
      blocked('an interrupt, IF clear', interrupt(), 0, { fields: { GUEST_RFLAGS: 2 } }),
      blocked('an interrupt, IF clear, virtual-8086 mode', interrupt(), 0, { mode: 'v86', fields: { GUEST_RFLAGS: 0x23002 } }),
      blocked('an NMI, IF clear', NMI, 0, { fields: { GUEST_RFLAGS: 2 } }),
      blocked('both blockings', exception(6), Blocking.sti + Blocking.movSs),
    ],
  ),
  vtxRom('vtx-inject-activity', 'Injection into HLT and shutdown: what wakes, and what is refused (SDM Vol. 3C 27.3.1.5, 27.7.2)', [
    asleep('an interrupt, HLT', interrupt(), HLT),
    asleep('an NMI, HLT', NMI, HLT),
    ...EVENTS.slice(2).map(([name, injected]) => asleep(`${name}, HLT`, injected, HLT, WAKES)),
    asleep('DB, HLT', exception(1), HLT),
    asleep('MC, HLT', exception(18), HLT),
    asleep('GP, HLT', exception(13, 0), HLT, WAKES),
    ...EVENTS.map(([name, injected]) => asleep(`${name}, shutdown`, injected, SHUTDOWN)),
    asleep('MC, shutdown', exception(18), SHUTDOWN),
    asleep('DB, shutdown', exception(1), SHUTDOWN),
    ...EVENTS.map(([name, injected]) => asleep(`${name}, wait-for-SIPI`, injected, WAIT_FOR_SIPI)),
    asleep('MC, wait-for-SIPI', exception(18), WAIT_FOR_SIPI),
    asleep('delivery exits', interrupt(), HLT, { fields: { GUEST_IDTR_LIMIT: 0x10 } }),
  ]),
];

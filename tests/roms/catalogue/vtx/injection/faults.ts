import { Access, segment, setGdt } from '../../../prelude/descriptor.ts';
import { MemoryMap, Selector } from '../../../prelude/memory-map.ts';
import type { VtxAttempt } from '../../../prelude/vtx-attempt.ts';
import { note, vmwrite } from '../../../prelude/vtx-host.ts';
import { VtxMemory } from '../../../prelude/vtx-memory.ts';
import type { Fields } from '../../../prelude/vtx-modes.ts';
import type { Rom } from '../../../rom.ts';
import { vtxRom } from '../vtx-rom.ts';
import {
  ABSENT,
  EPT_ABSENT,
  EPT_PRESENT,
  exception,
  type FrameOptions,
  frame,
  handled,
  ICEBP,
  IDT,
  inject,
  interrupt,
  intN,
  LOST_STACK,
  NMI,
  PRESENT,
  REINJECT,
  RING_3_32,
  trap,
} from './event.ts';

/** A task gate to a TSS that is available: its exit comes before the TSS is looked at. */
const TASK_GATE: FrameOptions = {
  mode: 'paging32',
  access: Access.taskGate,
  selector: Selector.free,
  before: setGdt(Selector.free, segment({ limit: 0x67, access: Access.tss32 })),
};
const PF_EXITS = 1 << 14;
const EPT = { secondary: ['enableEpt'] } as const;
const VIRTUAL_NMIS = { ...EPT, pin: ['nmiExiting', 'virtualNmis'] } as const;

/** The handler of #GP is in a page of its own. */
const FAR_HANDLER = {
  fields: { EXCEPTION_BITMAP: PF_EXITS },
  before: `mov word [${IDT + 13 * 16}], ${MemoryMap.test & 0xffff}\nmov word [${IDT + 13 * 16 + 6}], ${MemoryMap.test >>> 16}`,
};
const EPT_WRITE_ONLY = `mov dword [${VtxMemory.eptTable + (MemoryMap.test >>> 12) * 8}], ${MemoryMap.test | 0x32}`;

const EVENTS: readonly (readonly [string, Fields])[] = [
  ['interrupt', interrupt()],
  ['NMI', NMI],
  ['UD', exception(6)],
  ['GP', exception(13, 0x1234)],
  ['INT n', intN()],
  ['INT3', trap(3)],
  ['INT1', ICEBP],
];

/** The stack's page is absent in the guest's paging, or in EPT. */
const absent = (more: FrameOptions = {}): FrameOptions => ({
  ...more,
  fields: { ...LOST_STACK, EXCEPTION_BITMAP: PF_EXITS, ...more.fields },
  before: ABSENT,
  afterwards: `${PRESENT}\n${more.afterwards ?? ''}`,
});
const eptAbsent = (more: FrameOptions = {}): FrameOptions => ({
  ...more,
  controls: EPT,
  fields: { ...LOST_STACK, ...more.fields },
  before: EPT_ABSENT,
  afterwards: `${EPT_PRESENT}\n${more.afterwards ?? ''}`,
});

const AGAIN = { afterwards: REINJECT };

/** A guest's own event, that an EPT violation met. */
const own = (label: string, vector: number, hasError: boolean, code: string, options: FrameOptions = {}): VtxAttempt =>
  handled(label, vector, hasError, { ...eptAbsent({ ...options, ...AGAIN }), code });

export const faultRoms: readonly Rom[] = [
  vtxRom(
    'vtx-inject-fault',
    'An injected event whose delivery exits: IDT-vectoring information, as of any event (SDM Vol. 3C 28.2.4, 27.6.1.2)',
    [
      ...EVENTS.flatMap(([name, injected]) => [
        inject(`${name}, PF`, injected, absent()),
        inject(`${name}, EPT violation`, injected, eptAbsent()),
      ]),
      inject('UD, EPT misconfiguration', exception(6), { ...eptAbsent(), before: EPT_WRITE_ONLY }),
      inject('INT n, EPT misconfiguration', intN(), { ...eptAbsent(), before: EPT_WRITE_ONLY }),
      frame('the handler is absent', exception(13, 8), { ...FAR_HANDLER, before: `${FAR_HANDLER.before}\n${ABSENT}`, afterwards: PRESENT }),
      frame('the handler is absent in EPT', exception(13, 8), {
        ...FAR_HANDLER,
        controls: EPT,
        before: `${FAR_HANDLER.before}\n${EPT_ABSENT}`,
        afterwards: EPT_PRESENT,
      }),
      inject('GP by the gate', interrupt(0x80)),
      inject('NP by the gate', exception(6), {
        fields: { EXCEPTION_BITMAP: 1 << 11 },
        before: 'mov byte [idt64 + 6*16 + 5], 0x0e',
        afterwards: 'mov byte [idt64 + 6*16 + 5], 0x8e',
      }),
      inject('PF during PF is DF', exception(14, 2), absent({ fields: { EXCEPTION_BITMAP: 1 << 8 } })),
      inject('PF during UD is PF', exception(6), absent()),
      inject('GP during GP is DF', exception(13, 8), { fields: { EXCEPTION_BITMAP: 1 << 8, GUEST_IDTR_LIMIT: 13 * 16 - 1 } }),
      inject('GP during DF is a triple fault', exception(8, 0), { fields: { EXCEPTION_BITMAP: 0, GUEST_IDTR_LIMIT: 8 * 16 - 1 } }),
      frame('32-bit, task gate', interrupt(), TASK_GATE),
      frame('32-bit, task gate, INT n', intN(), TASK_GATE),
      ...[interrupt(), intN()].map((injected, i) =>
        handled(`the guest gets the GP, ${i === 0 ? 'interrupt' : 'INT n'}`, 13, true, {
          fields: { ...injected, GUEST_RFLAGS: 0x202, EXCEPTION_BITMAP: 0 },
        }),
      ),
      inject('32-bit, ring 3, TS by the stack of the TSS', intN(0x30), {
        mode: 'paging32',
        fields: { ...RING_3_32, EXCEPTION_BITMAP: 1 << 10, GUEST_TR_LIMIT: 0x67, GUEST_TR_BASE: 'tss + 0x68' },
      }),
    ],
  ),
  vtxRom('vtx-inject-again', 'IDT-vectoring information that is injected again ends the delivery that the exit met (SDM Vol. 3C 28.2.4)', [
    ...EVENTS.map(([name, injected]) => frame(name, injected, eptAbsent(AGAIN))),
    frame('the page fault is mended', exception(13, 0x1234), absent(AGAIN)),
    frame('DF', exception(8, 0), eptAbsent(AGAIN)),
    frame('twice', exception(6), {
      ...eptAbsent(),
      afterwards: `${REINJECT}\n${EPT_PRESENT}\n${REINJECT}`,
    }),
    frame('NMI, virtual NMIs', NMI, {
      ...eptAbsent(AGAIN),
      controls: VIRTUAL_NMIS,
      bochs: 'injects an NMI while virtual NMIs are blocked; SDM Vol. 3C 27.3.1.5.',
      manual: `EPT_VIOLATION q=182 gpa=1007f8 gla=1007f8 vectoring=80000202 at 38:+0 sp=10:100800 fl=2 blocking=8
 entry failure, INVALID_STATE`,
    }),
    frame('NMI, virtual NMIs, unblocked', NMI, {
      ...eptAbsent({ afterwards: `${vmwrite('GUEST_INTERRUPTIBILITY_INFO', 0)}\n${REINJECT}` }),
      controls: VIRTUAL_NMIS,
    }),
    frame('the stack of the TSS', intN(), {
      ...eptAbsent(AGAIN),
      mode: 'paging32',
      outer: true,
      access: 0xee,
      fields: RING_3_32,
      before: `${EPT_ABSENT}\nmov dword [tss + 4], ${MemoryMap.test + 0x800}`,
      afterwards: `${EPT_PRESENT}\n${REINJECT}\nmov dword [tss + 4], ${MemoryMap.ring0Stack}`,
    }),
  ]),
  vtxRom('vtx-inject-own', 'An event of the guest that met an exit, injected: the same frame as without (SDM Vol. 3C 28.2.4, 28.1)', [
    own('INT n', 0x31, false, 'int 0x31'),
    own('INT n with a prefix', 0x31, false, 'db 0x2e\nint 0x31'),
    own('INT3', 3, false, 'int3'),
    own('INT1', 1, false, 'db 0xf1'),
    own('DE', 0, false, 'xor ecx, ecx\ndiv ecx'),
    own('UD', 6, false, 'ud2', { fields: { EXCEPTION_BITMAP: 0 } }),
    own('GP', 13, true, 'mov ax, 0x1fb\nmov ds, ax', { fields: { EXCEPTION_BITMAP: 0 } }),
    own('PF', 14, true, 'mov rax, 0xffff900000000000\nmov al, [rax]'),
    handled('single step', 1, false, {
      ...eptAbsent(),
      code: 'nop\nnop',
      fields: { ...LOST_STACK, GUEST_RFLAGS: 0x102 },
      afterwards: `${EPT_PRESENT}\n${note({ dr6: 'dr6' })}\n${REINJECT}\n${note({ dr6: 'dr6' })}\nmov eax, 0xffff0ff0\nmov dr6, rax`,
    }),
    own('INTO, 32-bit', 4, false, 'mov al, 0x7f\nadd al, 1\ninto', { mode: 'paging32' }),
    own('INT n, real mode', 0x31, false, 'int 0x31', {
      mode: 'real',
      fields: { GUEST_SS_BASE: MemoryMap.test, GUEST_RSP: 0x800 },
    }),
  ]),
];

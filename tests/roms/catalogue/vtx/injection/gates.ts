import { Access } from '../../../prelude/descriptor.ts';
import { Selector } from '../../../prelude/memory-map.ts';
import type { VtxAttempt } from '../../../prelude/vtx-attempt.ts';
import { note } from '../../../prelude/vtx-host.ts';
import type { Fields } from '../../../prelude/vtx-modes.ts';
import type { Rom } from '../../../rom.ts';
import { vtxRom } from '../vtx-rom.ts';
import { exception, type FrameOptions, frame, handled, ICEBP, IDT, interrupt, intN, NMI, RING_3_32, trap } from './event.ts';

const GATE_FAULTS = (1 << 8) | (1 << 10) | (1 << 11) | (1 << 12) | (1 << 13) | (1 << 14);
const exits = (fields: Fields = {}): Fields => ({ EXCEPTION_BITMAP: GATE_FAULTS, ...fields });
const NO_ERROR_CODE = 'reports an error code in real mode; SDM Vol. 3C 28.2.2.';

const EVENTS: readonly (readonly [string, Fields])[] = [
  ['interrupt', interrupt()],
  ['NMI', NMI],
  ['UD', exception(6)],
  ['INT n', intN()],
  ['INT3', trap(3)],
  ['INT1', ICEBP],
];
const broken = (label: string, injected: Fields, options: FrameOptions): VtxAttempt =>
  frame(label, injected, { ...options, fields: exits(options.fields) });
/** IDT entries are 16 bytes; this writes into that of a vector. */
const inGate = (vector: number, offset: number, value: number | string): string => `mov dword [${IDT + 16 * vector + offset}], ${value}`;
const NON_CANONICAL: FrameOptions = { before: inGate(0x31, 8, 0x8000), afterwards: inGate(0x31, 8, 0) };

const real = (label: string, injected: Fields, fields: Fields, manual?: string): VtxAttempt =>
  frame(label, injected, {
    mode: 'real',
    fields: exits(fields),
    ...(manual !== undefined && { bochs: NO_ERROR_CODE, manual }),
  });

/** #GP is the only exception with a gate: that of the injected event is empty, or beyond the limit. A double fault exits. */
const nested = (label: string, injected: Fields): VtxAttempt =>
  handled(label, 13, true, { fields: { ...injected, EXCEPTION_BITMAP: 1 << 8, GUEST_RFLAGS: 0x202 } });
const onlyDoubleFault = (label: string, injected: Fields, vector = 8): VtxAttempt =>
  handled(label, vector, true, { fields: { ...injected, EXCEPTION_BITMAP: 0, GUEST_RFLAGS: 0x202 } });

const STACK = 0xd000;
const DB_EXITS = 2;
const RESET = 'mov eax, 0xffff0ff0\nmov dr6, rax';
const breakpoint = (label: string, injected: Fields, at: number | string, dr7: number, fields: Fields = {}): VtxAttempt =>
  frame(label, injected, {
    fields: { GUEST_DR7: 0x400 + dr7, EXCEPTION_BITMAP: DB_EXITS, ...fields },
    before: `mov eax, ${at}\nmov dr0, rax`,
    afterwards: `${note({ dr6: 'dr6' })}\n${RESET}`,
  });
const WRITES = 0x9_0001;

export const gateRoms: readonly Rom[] = [
  vtxRom(
    'vtx-inject-gates',
    'Gates that an injected event cannot pass: error codes, EXT only of what no instruction asks for (SDM Vol. 3C 27.6.1.1)',
    [
      ...EVENTS.map(([name, injected]) => broken(`${name}, not present`, injected, { access: 0x0e })),
      ...EVENTS.map(([name, injected]) => broken(`${name}, no gate`, injected, { access: Access.ldt })),
      ...EVENTS.map(([name, injected]) => broken(`${name}, null selector`, injected, { selector: 0 })),
      broken('code of 32 bits in IA-32e mode', interrupt(), { selector: Selector.code0 }),
      broken('a data segment', interrupt(), { selector: Selector.data0 }),
      broken('a selector beyond the GDT', interrupt(), { selector: 0x200 }),
      broken('a handler at a non-canonical address', intN(), NON_CANONICAL),
      broken('a task gate in IA-32e mode', NMI, { access: Access.taskGate }),
      broken('ring 3, to code of ring 3', exception(6), { mode: 'paging32', selector: Selector.code3 & ~3, fields: RING_3_32 }),
      broken('ring 0, to code of ring 3', exception(6), { selector: Selector.code64Ring3 & ~3 }),
      broken('a stack that is not canonical', interrupt(), { fields: { GUEST_RSP: 0x8000_0000_0010n } }),
      broken('a stack that is too small', interrupt(), {
        mode: 'paging32',
        fields: { GUEST_SS_LIMIT: 0xcff7, GUEST_SS_AR_BYTES: 0x4093, GUEST_RSP: 0xcffc },
      }),
      broken('32-bit, not present', intN(), { mode: 'paging32', access: 0x0e }),
      broken('32-bit, no gate', NMI, { mode: 'paging32', access: Access.callGate32 }),
      broken('virtual-8086 mode, to code of ring 1', interrupt(), { mode: 'v86', selector: Selector.code1 & ~3 }),
      broken('virtual-8086 mode, to conforming code', interrupt(), { mode: 'v86', selector: Selector.conforming }),
    ],
  ),
  vtxRom(
    'vtx-inject-real',
    'Injection in real mode: the vector table at the base of the IDT, faults of its limit and of the stack (SDM Vol. 3C 27.6.1.3)',
    [
      ...EVENTS.map(([name, injected]) => real(name, injected, {})),
      real('at the limit of the table', interrupt(), { GUEST_IDTR_LIMIT: 0x31 * 4 + 3 }),
      real(
        'beyond the limit of the table',
        interrupt(),
        { GUEST_IDTR_LIMIT: 0x31 * 4 + 2 },
        'EXCEPTION_NMI info=8000030d vectoring=80000031 at 0:+0 sp=0:d000 fl=202',
      ),
      real(
        'INT n beyond the limit of the table',
        intN(),
        { GUEST_IDTR_LIMIT: 0x31 * 4 + 2 },
        'EXCEPTION_NMI info=8000030d vectoring=80000431 len=2 at 0:+0 sp=0:d000 fl=2',
      ),
      real('no table', exception(6), { GUEST_IDTR_LIMIT: 0, EXCEPTION_BITMAP: 0 }),
      real('SP is 1', interrupt(), { GUEST_RSP: 1 }, 'EXCEPTION_NMI info=8000030c vectoring=80000031 at 0:+0 sp=0:1 fl=202'),
      real('SP is 6', interrupt(), { GUEST_RSP: 6, GUEST_SS_SELECTOR: 0x800, GUEST_SS_BASE: 0x8000 }),
      real(
        'the stack is too small',
        NMI,
        { GUEST_SS_LIMIT: 0xcfff, GUEST_RSP: 0xd004 },
        'EXCEPTION_NMI info=8000030c vectoring=80000202 at 0:+0 sp=0:d004 fl=2 blocking=8',
      ),
      real('the upper half of RSP stays', interrupt(), { GUEST_RSP: 0x1_d000 }),
      real('flags', interrupt(), { GUEST_RFLAGS: 0x7702 }),
      real('AC and RF', interrupt(), { GUEST_RFLAGS: 0x50202 }),
    ],
  ),
  vtxRom(
    'vtx-inject-nested',
    'Exceptions of an injected event and what its delivery raises: serial, double fault, triple fault (SDM Vol. 3A 6.15; Vol. 3C 27.6.1.2)',
    [
      ...[0, 1, 3, 4, 5, 6, 7, 9, 15, 16, 18, 19, 20].map((vector) => nested(`exception ${vector}`, exception(vector))),
      ...[8, 10, 11, 12, 14, 17].map((vector) => nested(`exception ${vector}`, exception(vector, 0))),
      nested('an interrupt', interrupt()),
      nested('an NMI', NMI),
      nested('INT n', intN()),
      nested('INT3', trap(3)),
      nested('INT1', ICEBP),
      nested('an interrupt of vector 14', interrupt(14)),
      nested('INT 12', intN(12)),
      onlyDoubleFault('exception 13, delivered as DF', exception(13, 0)),
      onlyDoubleFault('exception 14, delivered as DF', exception(14, 0)),
      onlyDoubleFault('an interrupt, its GP as DF', interrupt()),
      onlyDoubleFault('exception 13, no handler at all', exception(13, 0), 7),
      onlyDoubleFault('exception 6, no handler at all', exception(6), 7),
      onlyDoubleFault('exception 8, no handler at all', exception(8, 0), 7),
      onlyDoubleFault('an interrupt, no handler at all', interrupt(), 7),
    ],
  ),
  vtxRom(
    'vtx-inject-breakpoints',
    'Breakpoints and the delivery of an injected event: those of the handler, not those of where the guest stood (SDM Vol. 3B 18.3; Vol. 3C 27.7.3)',
    [
      ...EVENTS.map(([name, injected]) => breakpoint(`${name}, at the handler`, injected, '.handler', 1)),
      ...EVENTS.map(([name, injected]) => breakpoint(`${name}, where the guest stands`, injected, '.guest', 1)),
      breakpoint('RF does not reach the handler', exception(6), '.handler', 1, { GUEST_RFLAGS: 0x10002 }),
      breakpoint('the frame', exception(6), STACK - 8, WRITES),
      breakpoint('the frame, an interrupt', interrupt(), STACK - 40, WRITES),
      breakpoint('below the frame', exception(6), STACK - 48, WRITES),
    ],
  ),
];

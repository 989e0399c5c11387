import { MemoryMap, Selector } from '../../prelude/memory-map.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../prelude/vtx-attempt.ts';
import type { Rom } from '../../rom.ts';
import { absent, exits, present, TEST } from './exceptions.ts';
import { RING_3 } from './instructions.ts';
import { eptAbsent, eptPresent, ipi, NMI_HERE, takeInterrupt } from './interrupts.ts';
import { vtxRom } from './vtx-rom.ts';

/** A stack of the guest that its own tables, or the EPT, may take away. */
const OTHER_STACK = TEST + 0x800;

/** An event, and how it comes to be. */
interface Cause {
  readonly code: string;
  readonly options?: GuestOptions;
}
const EVENTS: Readonly<Record<string, Cause>> = {
  '#UD': { code: 'ud2' },
  '#GP(1F8)': { code: 'mov ax, 0x1fb\nmov ds, ax' },
  'INT 30': { code: 'int 0x30' },
  INT3: { code: 'int3' },
  INTO: { code: 'mov al, 0x7f\ninc al\ninto', options: { mode: 'compatibility' } },
  INT1: { code: 'db 0xf1' },
  'single step': { code: 'nop\nnop', options: { fields: { GUEST_RFLAGS: 0x102 } } },
  'an interrupt': { code: 'nop', options: { before: ipi(0x31), afterwards: takeInterrupt(0x31), fields: { GUEST_RFLAGS: 0x202 } } },
  'an NMI': { code: NMI_HERE },
};

/** While each event is delivered, its frame cannot be pushed: #PF by the guest's tables, or an EPT violation. */
const lostStack = (by: 'guest' | 'ept'): VtxAttempt[] =>
  Object.entries(EVENTS).map(([name, { code, options = {} }]) => {
    const [lose, restore] = by === 'guest' ? [absent, present] : [eptAbsent(TEST), eptPresent(TEST)];
    return vt(name, code, {
      ...exits([14], options),
      fields: { EXCEPTION_BITMAP: 1 << 14, GUEST_RSP: OTHER_STACK, ...options.fields },
      ...(by === 'ept' && { controls: { secondary: ['enableEpt'] } }),
      before: `${options.before ?? ''}\n${lose}`,
      afterwards: `${restore}\n${options.afterwards ?? ''}`,
      hide: ['registers'],
    });
  });
const LOST: GuestOptions = { before: absent, afterwards: present, fields: { GUEST_RSP: OTHER_STACK } };

const GP = 'mov rax, 0x800000000000\nmov al, [rax]';
const PF = `mov al, [${TEST}]`;
const DE = 'xor ecx, ecx\ndiv ecx';
/** The IDT ends before the gate of this vector. */
const idtEnds = (vector: number, options: GuestOptions = {}): GuestOptions => ({
  ...options,
  fields: { ...options.fields, GUEST_IDTR_LIMIT: vector * 16 - 1 },
});
/** A gate that is not present. */
const gateAbsent = (vector: number, options: GuestOptions = {}): GuestOptions => ({
  ...options,
  before: `${options.before ?? ''}\nmov byte [idt64 + ${vector * 16 + 5}], 0x0e`,
  afterwards: `mov byte [idt64 + ${vector * 16 + 5}], 0x8e\n${options.afterwards ?? ''}`,
});

export const vtxDeliveryRoms: readonly Rom[] = [
  vtxRom('vtx-vectoring', 'IDT-vectoring information of each event whose delivery faults: #PF exits (SDM Vol. 3C 28.2.4, 28.2.5)', [
    ...lostStack('guest'),
    vt('none where the event exits itself', 'ud2', exits([6, 14], LOST)),
    vt("none where the handler's first instruction faults", 'ud2', {
      ...exits([14]),
      before: `${absent}\nmov word [idt64 + 6*16], 0\nmov word [idt64 + 6*16 + 6], ${TEST >>> 16}`,
      afterwards: `${present}\nmov word [idt64 + 6*16], long_6\nmov word [idt64 + 6*16 + 6], 0`,
    }),
    vt(
      'a fault behind MOV SS',
      `mov eax, ${Selector.data0}\nmov ss, ax\nud2`,
      exits([14], { ...LOST, fields: { GUEST_RSP: OTHER_STACK } }),
    ),
    vt('a fault behind STI', 'sti\nud2', exits([14], LOST)),
    vt('INT 30 behind STI', 'sti\nint 0x30', exits([14], LOST)),
    vt('#GP by the gate of INT n', 'int 0x80', exits([13])),
    vt('#NP by the gate of INT n', 'int 0x30', gateAbsent(0x30, exits([11]))),
    vt('#NP by the gate of an exception', 'ud2', gateAbsent(6, exits([11]))),
    vt('#GP by the DPL of the gate', 'int 0x31', exits([13], { fields: RING_3 })),
    vt('32-bit, ring change', 'int 0x30', {
      ...exits([14]),
      mode: 'v86',
      before: `mov dword [${MemoryMap.paging32Table + 0xc * 4}], 0`,
      afterwards: `mov dword [${MemoryMap.paging32Table + 0xc * 4}], 0xc007`,
    }),
  ]),
  vtxRom('vtx-vectoring-ept', 'EPT violations while events are delivered (SDM Vol. 3C 28.2.4, 29.3.3, Table 28-7)', [
    ...lostStack('ept'),
    vt('INT 30 in real mode', 'int 0x30', { mode: 'real', before: eptAbsent(0xc000), afterwards: eptPresent(0xc000) }),
    vt('the vector table of real mode', 'int 0x30', { mode: 'real', before: eptAbsent(0), afterwards: eptPresent(0) }),
    vt('#UD in protected mode', 'ud2', {
      ...exits([]),
      mode: 'protected',
      before: eptAbsent(0xc000),
      afterwards: eptPresent(0xc000),
    }),
  ]),
  vtxRom(
    'vtx-double-fault',
    'A second exception exits by its own bit first, then the two become #DF, whose exit has no IDT-vectoring information (SDM Vol. 3C 26.2, 28.2.4)',
    [
      vt('#GP, #GP make #DF', GP, idtEnds(13, exits([8]))),
      vt('#GP, #GP make #DF of the guest', GP, { ...idtEnds(13, exits([14])), hide: ['registers'] }),
      vt('#DE, #NP make #DF', DE, gateAbsent(0, exits([8]))),
      vt('#DE, #NP with bits 8 and 11', DE, gateAbsent(0, exits([8, 11]))),
      vt('#PF, #GP make #DF', PF, idtEnds(14, exits([8], { before: absent, afterwards: present }))),
      vt('#PF, #GP with bits 8 and 13', PF, idtEnds(14, exits([8, 13], { before: absent, afterwards: present }))),
      vt('#PF, #PF make #DF', PF, exits([8], LOST)),
      vt('#UD, #PF, #PF make #DF', 'ud2', exits([8], LOST)),
      vt('#UD, #GP is serial', 'ud2', gateAbsent(6, exits([11]))),
      vt('#UD, #NP, #NP make #DF', 'ud2', gateAbsent(6, gateAbsent(11, exits([8])))),
      vt('#GP, #PF is serial', GP, exits([8, 14], LOST)),
      vt('INT n, #PF, #PF make #DF', 'int 0x30', exits([8], LOST)),
      vt('#DF, #NP with bit 11', DE, gateAbsent(0, gateAbsent(8, exits([11])))),
      vt('#DF, #PF with bit 14', GP, idtEnds(13, exits([14], LOST))),
      vt('protected mode', 'mov ax, 0x1fb\nmov ds, ax', {
        ...exits([8]),
        mode: 'protected',
        fields: { EXCEPTION_BITMAP: 1 << 8, GUEST_IDTR_LIMIT: 13 * 8 - 1 },
      }),
    ],
  ),
  vtxRom('vtx-triple-fault', 'A triple fault exits, whatever the controls (SDM Vol. 3C 26.2, 28.2.4)', [
    vt('no IDT', 'ud2', { fields: { GUEST_IDTR_LIMIT: 0, EXCEPTION_BITMAP: 0 } }),
    vt('no gate of #DF', GP, idtEnds(8, exits([]))),
    vt('#DF, #NP', DE, gateAbsent(0, gateAbsent(8, exits([])))),
    vt('no stack', PF, exits([], LOST)),
    vt('by INT n', 'int 0x30', exits([], LOST)),
    vt('by an interrupt', 'nop', {
      ...LOST,
      fields: { EXCEPTION_BITMAP: 0, GUEST_RSP: OTHER_STACK, GUEST_RFLAGS: 0x202 },
      before: `${ipi(0x31)}\n${absent}`,
      afterwards: `${present}\n${takeInterrupt(0x31)}`,
    }),
    vt('protected mode', 'ud2', { mode: 'protected', fields: { GUEST_IDTR_LIMIT: 0, EXCEPTION_BITMAP: 0 } }),
    vt('real mode', 'ud2', { mode: 'real', fields: { GUEST_IDTR_LIMIT: 0, EXCEPTION_BITMAP: 0 } }),
    vt('ring 3', 'ud2', { fields: { ...RING_3, GUEST_IDTR_LIMIT: 0, EXCEPTION_BITMAP: 0 } }),
  ]),
];

import { policy } from '../../../prelude/attempt.ts';
import { Access } from '../../../prelude/descriptor.ts';
import { Policy, Selector } from '../../../prelude/memory-map.ts';
import { note, vmread } from '../../../prelude/vtx-host.ts';
import type { Rom } from '../../../rom.ts';
import { RING_3 } from '../instructions.ts';
import { vtxRom } from '../vtx-rom.ts';
import {
  EPT_ABSENT,
  EPT_PRESENT,
  exception,
  type FrameOptions,
  frame,
  handled,
  ICEBP,
  inject,
  interrupt,
  intN,
  LOST_STACK,
  NMI,
  RING_3_32,
  SHOW_INFORMATION,
  trap,
} from './event.ts';

const MODES = ['long', 'compatibility', 'paging32', 'pae', 'protected', 'real', 'v86'] as const;
const NMI_EXITING = { pin: ['nmiExiting'] } as const;
const VIRTUAL_NMIS = { pin: ['nmiExiting', 'virtualNmis'] } as const;
const LOST_IN_EPT: FrameOptions = {
  controls: { secondary: ['enableEpt'] },
  fields: LOST_STACK,
  before: EPT_ABSENT,
  afterwards: EPT_PRESENT,
};
const returns = (vector: number): string => policy(vector, Policy.iret);
const IN_RING_3_32 = { mode: 'paging32', fields: RING_3_32, outer: true } as const;

export const deliveryRoms: readonly Rom[] = [
  vtxRom(
    'vtx-inject-interrupt',
    'Injected external interrupts: through the IDT, whatever the exiting control says; RFLAGS.IF is to be 1 (SDM Vol. 3C 27.6, 27.3.1.4)',
    [
      ...MODES.map((mode) => frame(mode, interrupt(), { mode })),
      frame('ring 3', interrupt(), { fields: RING_3 }),
      frame('ring 3, 32-bit', interrupt(), IN_RING_3_32),
      frame('ring 3, compatibility mode', interrupt(), { mode: 'compatibility', fields: RING_3_32 }),
      frame('IF set', interrupt(), { fields: { GUEST_RFLAGS: 0x202 } }),
      frame('IF set, trap gate', interrupt(), { access: Access.trapGate32, fields: { GUEST_RFLAGS: 0x202 } }),
      frame('TF and NT set', interrupt(), { fields: { GUEST_RFLAGS: 0x4302 } }),
      frame('external-interrupt exiting', interrupt(), { controls: { pin: ['externalInterruptExiting'] } }),
      frame('vector 13 is no exception', interrupt(13)),
      frame('vector 255', interrupt(255)),
      inject('the handler returns', interrupt(), { before: returns(0x31), afterwards: policy(0x31, 0) }),
      frame('the valid bit is cleared', interrupt(), { afterwards: SHOW_INFORMATION }),
    ],
  ),
  vtxRom('vtx-inject-nmi', 'Injected NMIs: blocking by NMI, or by virtual NMIs, from then on (SDM Vol. 3C 27.6.1, 27.3.3)', [
    ...MODES.map((mode) => frame(mode, NMI, { mode })),
    frame('ring 3', NMI, { fields: RING_3 }),
    frame('NMI exiting', NMI, { controls: NMI_EXITING }),
    frame('virtual NMIs', NMI, { controls: VIRTUAL_NMIS }),
    frame('blocked already', NMI, { fields: { GUEST_INTERRUPTIBILITY_INFO: 8 } }),
    frame('blocked already, NMI exiting', NMI, { controls: NMI_EXITING, fields: { GUEST_INTERRUPTIBILITY_INFO: 8 } }),
    inject('the handler returns', NMI, { before: returns(2), afterwards: policy(2, 0) }),
    inject('the handler returns, virtual NMIs', NMI, { controls: VIRTUAL_NMIS, before: returns(2), afterwards: policy(2, 0) }),
    inject('the handler returns, NMI exiting', NMI, { controls: NMI_EXITING, before: returns(2), afterwards: policy(2, 0) }),
    frame('an interrupt does not block', interrupt(2)),
  ]),
  vtxRom('vtx-inject-exception', 'Injected hardware exceptions: no exception bitmap, CR2, DR6 or DR7 (SDM Vol. 3C 27.6.1.1)', [
    ...MODES.map((mode) => frame(`UD, ${mode}`, exception(6), { mode })),
    ...(['long', 'compatibility', 'paging32', 'v86'] as const).map((mode) => frame(`GP, ${mode}`, exception(13, 0x1234), { mode })),
    frame('GP in real mode has no error code', exception(13), { mode: 'real' }),
    frame('GP in ring 3', exception(13, 0x18), { fields: RING_3 }),
    frame('GP in ring 3, 32-bit', exception(13, 0x18), IN_RING_3_32),
    frame('the exception bitmap has no say', exception(6), { fields: { EXCEPTION_BITMAP: -1 } }),
    frame('PF leaves CR2 alone', exception(14, 2), {
      before: 'mov eax, 0x12345678\nmov cr2, rax',
      afterwards: note({ cr2: 'cr2' }),
    }),
    frame('DF', exception(8, 0)),
    frame('DF with an error code that is not 0', exception(8, 0x1234)),
    frame('PF with reserved bits in the error code', exception(14, 0xffff)),
    frame('AC', exception(17, 0)),
    frame('DB leaves DR6 and DR7 alone', exception(1), {
      fields: { GUEST_DR7: 0x2700, GUEST_IA32_DEBUGCTL: 2 },
      before: 'mov eax, 0xffff4ff1\nmov dr6, rax',
      afterwards: `${note({ dr6: 'dr6' })}\n${vmread('GUEST_DR7', 'rdx')}\n${note({ dr7: 'rdx' })}\n${vmread('GUEST_IA32_DEBUGCTL', 'rdx')}
        ${note({ debugctl: 'rdx' })}\nmov eax, 0xffff0ff0\nmov dr6, rax`,
    }),
    frame('BR in 64-bit mode', exception(5)),
    frame('BP as a hardware exception', exception(3)),
    inject('the handler returns', exception(6), { before: returns(6), afterwards: policy(6, 0) }),
  ]),
  vtxRom('vtx-inject-software', 'Injected INT n, INT3, INTO, INT1: the frame returns behind the instruction (SDM Vol. 3C 27.6.1.1)', [
    ...MODES.filter((mode) => mode !== 'v86').map((mode) => frame(`INT 31, ${mode}`, intN(), { mode })),
    ...(['long', 'compatibility', 'paging32', 'real', 'v86'] as const).flatMap((mode) => [
      frame(`INT3, ${mode}`, trap(3), { mode, ...(mode === 'v86' && { access: 0xee }) }),
      frame(`INT1, ${mode}`, ICEBP, { mode }),
    ]),
    frame('INTO, compatibility', trap(4), { mode: 'compatibility' }),
    frame('INTO, 32-bit', trap(4), { mode: 'paging32' }),
    frame('15 bytes', intN(0x31, 15)),
    frame('no bytes', intN(0x31, 0)),
    frame('a software exception of vector 6', trap(6, 2)),
    frame('a privileged software exception of vector 6', { ...ICEBP, VM_ENTRY_INTR_INFO_FIELD: 0x8000_0506 }),
    frame('IF set, trap gate', intN(), { access: Access.trapGate32, fields: { GUEST_RFLAGS: 0x202 } }),
  ]),
  vtxRom('vtx-inject-resume-flag', "RF of the frame is the guest's, whatever the event that is injected (SDM Vol. 3C 27.6.1.1)", [
    ...(
      [
        ['an interrupt', interrupt(), 0x202],
        ['an NMI', NMI, 2],
        ['UD', exception(6), 2],
        ['GP', exception(13, 8), 2],
        ['DB', exception(1), 2],
        ['INT n', intN(), 2],
        ['INT3', trap(3), 2],
        ['INT1', ICEBP, 2],
      ] as const
    ).flatMap(([name, injected, flags]) => [
      frame(`${name}, RF clear`, injected, { wholeFlags: true, fields: { GUEST_RFLAGS: flags } }),
      frame(`${name}, RF set`, injected, { wholeFlags: true, fields: { GUEST_RFLAGS: flags + 0x10000 } }),
    ]),
    frame('UD, the delivery exits', exception(6), { showsResumeFlag: true, ...LOST_IN_EPT }),
    frame('UD in 32-bit mode', exception(6), { mode: 'paging32', wholeFlags: true }),
    frame('UD in virtual-8086 mode', exception(6), { mode: 'v86', wholeFlags: true }),
    handled("the guest's own UD sets it", 6, false, { code: 'ud2', wholeFlags: true, fields: { EXCEPTION_BITMAP: 0 } }),
  ]),
  vtxRom('vtx-inject-dpl', 'The DPL of the gate counts for INT n, INT3 and INTO in ring 3, not for other events (SDM Vol. 3C 27.6.1.1)', [
    ...(
      [
        ['an interrupt', interrupt(), 0x31],
        ['an NMI', NMI, 2],
        ['UD', exception(6), 6],
        ['INT n', intN(), 0x31],
        ['INT3', trap(3), 3],
        ['INTO', trap(4), 4],
        ['INT1', ICEBP, 1],
      ] as const
    ).flatMap(([name, injected]) => [
      frame(`${name}, DPL 0`, injected, IN_RING_3_32),
      frame(`${name}, DPL 3`, injected, { ...IN_RING_3_32, access: 0xee }),
    ]),
    frame('INT n, DPL 0, 64-bit', intN(), { fields: RING_3 }),
    frame('INT n, DPL 3, 64-bit', intN(), { fields: RING_3, access: 0xee }),
    frame('INT1, DPL 0, 64-bit', ICEBP, { fields: RING_3 }),
  ]),
  vtxRom(
    'vtx-inject-stack',
    'The stack of an injected event: the same, of the TSS, of the IST (SDM Vol. 3C 27.6.1; Vol. 3A 6.12, 6.14.4)',
    [
      frame('64-bit, aligned', interrupt(), { fields: { GUEST_RSP: 0xcffb } }),
      frame('IST 1', interrupt(), { ist: 1 }),
      frame('IST 2 of an NMI', NMI, { ist: 2 }),
      frame('IST 1 in ring 3', exception(13, 4), { ist: 1, fields: RING_3 }),
      frame('RSP 0 in ring 3', interrupt(), { fields: RING_3 }),
      frame('32-bit, ring 3', interrupt(), IN_RING_3_32),
      frame('32-bit, to conforming code', interrupt(), { mode: 'paging32', selector: Selector.conforming, fields: RING_3_32 }),
      frame('32-bit, to ring 1', interrupt(), { ...IN_RING_3_32, selector: Selector.code1 }),
      frame('16-bit gate', interrupt(), { mode: 'paging32', access: Access.interruptGate16, code: 'mov ebp, 1' }),
      frame('v86', interrupt(), { mode: 'v86' }),
      frame('real mode, SP wraps around', interrupt(), {
        mode: 'real',
        fields: { GUEST_RSP: 4, GUEST_SS_SELECTOR: 0x800, GUEST_SS_BASE: 0x8000 },
      }),
    ],
  ),
];

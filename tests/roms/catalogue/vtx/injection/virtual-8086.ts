import type { VtxAttempt } from '../../../prelude/vtx-attempt.ts';
import type { Fields } from '../../../prelude/vtx-modes.ts';
import type { Rom } from '../../../rom.ts';
import { vtxRom } from '../vtx-rom.ts';
import { exception, type FrameOptions, frame, handled, ICEBP, inject, interrupt, intN, NMI, trap } from './event.ts';

const VME = 0x2011;
const VIF = 0x8_0000;
const VIP = 0x10_0000;
const IF = 0x200;
/** Flags of virtual-8086 mode. */
const flags = (iopl: 0 | 3, more = 0): number => 0x20002 + (iopl << 12) + more;

/** The TSS has an I/O map of one byte at 0x200, and below it the redirection map. */
const MAP = 'tss + 0x1e0';
const redirect = (vector: number, toProtected: boolean): string =>
  `mov byte [${MAP} + ${vector >> 3}], ${toProtected ? 1 << (vector & 7) : 0}`;

/** Injects into a guest with CR4.VME, whose INT goes to its own handler or to that of protected mode. */
const vme = (label: string, injected: Fields, iopl: 0 | 3, toProtected: boolean, more = 0): VtxAttempt => {
  const vector = Number(injected.VM_ENTRY_INTR_INFO_FIELD) & 0xff;
  return inject(
    label,
    injected,
    {
      mode: 'v86',
      fields: { GUEST_CR4: VME, GUEST_RFLAGS: flags(iopl, more), GUEST_TR_LIMIT: 0x203, EXCEPTION_BITMAP: 1 << 13 },
      before: `${redirect(vector, toProtected)}\nmov dword [${4 * vector}], .handler`,
      afterwards: redirect(vector, false),
    },
    `mov ebp, 1\nvmcall\n.handler:\npop ax\npop bx\npop cx\nlea ax, [eax - .guest]\nvmcall`,
  );
};
const protectedFrame = (label: string, injected: Fields, iopl: 0 | 3, more = 0, options: FrameOptions = {}): VtxAttempt =>
  frame(label, injected, {
    mode: 'v86',
    access: 0xee,
    wholeFlags: true,
    ...options,
    fields: { GUEST_CR4: VME, GUEST_RFLAGS: flags(iopl, more), GUEST_TR_LIMIT: 0x203, ...options.fields },
    before: redirect(Number(injected.VM_ENTRY_INTR_INFO_FIELD) & 0xff, true),
    afterwards: redirect(Number(injected.VM_ENTRY_INTR_INFO_FIELD) & 0xff, false),
  });
const WITHOUT_VME = { fields: { GUEST_CR4: VME - 1 } };
const CHECKS_IOPL = 'raises #GP by IOPL for an injected INT n; SDM Vol. 3C 27.6.1.1.';
const toHandler = (flags: string, frameFlags: string): { readonly bochs: string; readonly manual: string } => ({
  bochs: CHECKS_IOPL,
  manual: `VMCALL len=3 at 8:+14 sp=10:cff0 fl=${flags} rax=2 rcx=${frameFlags} rdx=d000`,
});

export const virtual8086Roms: readonly Rom[] = [
  vtxRom(
    'vtx-inject-vme',
    'INT n injected with CR4.VME: the redirection map of the TSS, no check of IOPL (SDM Vol. 3C 27.6.1.1; Vol. 3A 21.3.3)',
    [
      vme('redirected, IOPL 3', intN(), 3, false, IF),
      vme('redirected, IOPL 0, VIF clear', intN(), 0, false, IF),
      vme('redirected, IOPL 0, VIF set', intN(), 0, false, VIF),
      vme('redirected, IOPL 0, VIF and VIP set', intN(), 0, false, VIF + VIP),
      protectedFrame('not redirected, IOPL 3', intN(), 3),
      protectedFrame('not redirected, IOPL 0', intN(), 0, 0, toHandler('2', '20002')),
      protectedFrame('not redirected, IOPL 0, VIF set', intN(), 0, VIF, toHandler('80002', 'a0002')),
      protectedFrame('not redirected, DPL 0', intN(), 3, 0, { access: 0x8e }),
      protectedFrame('without VME, IOPL 3', intN(), 3, 0, WITHOUT_VME),
      protectedFrame('without VME, IOPL 0', intN(), 0, 0, { ...WITHOUT_VME, ...toHandler('2', '20002') }),
      vme('an interrupt is not redirected', interrupt(), 0, false, IF),
      protectedFrame('INT3, IOPL 0', trap(3), 0),
      protectedFrame('INT3, DPL 0', trap(3), 3, 0, { access: 0x8e }),
      protectedFrame('INT1, DPL 0', ICEBP, 0, 0, { access: 0x8e }),
      protectedFrame('NMI, VIF set', NMI, 0, VIF),
      protectedFrame('GP', exception(13, 0x1234), 0),
      handled('the guest itself, IOPL 0', 13, true, {
        mode: 'v86',
        code: 'int 0x31',
        fields: { GUEST_CR4: VME - 1, GUEST_RFLAGS: flags(0), EXCEPTION_BITMAP: 0 },
      }),
      inject('the map is beyond the limit of the TSS', intN(), {
        mode: 'v86',
        fields: { GUEST_CR4: VME, GUEST_RFLAGS: flags(0), GUEST_TR_LIMIT: 0x67 },
      }),
    ],
  ),
];

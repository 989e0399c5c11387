import { type GuestOptions, type VtxAttempt, vt } from '../../../prelude/vtx-attempt.ts';
import type { Fields } from '../../../prelude/vtx-modes.ts';
import type { Rom } from '../../../rom.ts';
import { vtxRom } from '../vtx-rom.ts';
import { exception, type FrameOptions, frame, handled, ICEBP, inject, interrupt, intN, NMI, RING_3_32, trap } from './event.ts';

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

const WINDOW: GuestOptions = { controls: { primary: ['interruptWindowExiting'] } };
/** Code of a guest with CR4.VME, whose INT 31 goes to its own handler. */
const virtual = (label: string, code: string, rflags: number, options: GuestOptions = {}): VtxAttempt =>
  vt(label, `${code}\nvmcall\n.handler:\nmov bp, 1\npop dx\npop dx\npop dx`, {
    ...options,
    mode: 'v86',
    fields: { GUEST_CR4: VME, GUEST_RFLAGS: rflags, GUEST_TR_LIMIT: 0x203, EXCEPTION_BITMAP: 1 << 13, ...options.fields },
    before: `${redirect(0x31, false)}\nmov dword [${4 * 0x31}], .handler`,
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
  vtxRom(
    'vtx-enter-vme',
    'A guest with CR4.VME or CR4.PVI: VIF and VIP are its own, the interrupt window looks at IF (SDM Vol. 3A 21.3, 21.4; Vol. 3C 26.2)',
    [
      virtual('STI sets VIF', 'sti\npushf\npop ax', flags(0)),
      virtual('CLI clears VIF', 'cli\npushf\npop ax', flags(0, VIF)),
      virtual('STI with VIP', 'sti', flags(0, VIP)),
      virtual('CLI with VIP', 'cli', flags(0, VIF + VIP), {
        bochs: 'raises #GP for CLI where VIP is 1; SDM Vol. 2A, Table 3-7.',
        manual: 'VMCALL len=3 at 0:+1 sp=0:d000 fl=120002',
      }),
      virtual('IOPL 3, STI sets IF', 'sti\nnop', flags(3)),
      virtual('POPF', 'push 0x202\npopf\npushf\npop ax', flags(0)),
      virtual('POPF with VIP', 'push 0x202\npopf', flags(0, VIP)),
      virtual('POPF with TF', 'push 0x102\npopf', flags(0)),
      virtual('POPFD', 'push 0x202\ndb 0x66\npopf', flags(0)),
      virtual('IRET', 'push 0x202\npush 0\npush .next\niret\n.next:\nnop', flags(0)),
      virtual('INT n, redirected', 'int 0x31\n.next:\nnop', flags(0, VIF)),
      virtual('no window by VIF', 'nop\nnop', flags(0, VIF), WINDOW),
      virtual('the window by IF', 'nop\nnop', flags(0, IF), WINDOW),
      virtual('without VME, STI', 'sti', flags(0), { fields: { GUEST_CR4: VME - 1 } }),
      ...(
        [
          ['STI sets VIF', 'sti\npushfd\npop eax', 2],
          ['CLI clears VIF', 'cli\npushfd\npop eax', 2 + VIF],
          ['STI with VIP', 'sti', 2 + VIP],
          ['IOPL 3', 'sti\npushfd\npop eax', 0x3002],
          ['POPF leaves VIF alone', 'push 2\npopfd\npushfd\npop eax', 2 + VIF],
        ] as const
      ).map(([name, code, value]) =>
        vt(`PVI, ${name}`, code, { mode: 'paging32', fields: { ...RING_3_32, GUEST_CR4: 0x2012, GUEST_RFLAGS: value } }),
      ),
    ],
  ),
];

import type { VmcsFieldName } from '@minusone/vtx';
import { type GuestOptions, type VtxAttempt, vt } from '../../prelude/vtx-attempt.ts';
import { RESUME, vmread, vmwrite } from '../../prelude/vtx-host.ts';
import { EPTP, VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Fields } from '../../prelude/vtx-modes.ts';
import { root } from '../../prelude/vtx-root.ts';
import type { Rom } from '../../rom.ts';
import { entry, TOO_WIDE } from './entries.ts';
import { vtxRom } from './vtx-rom.ts';

/** Words with nothing but what the processor wants to be 1, and what an entry to 64-bit mode needs. */
const PLAIN = {
  PIN_BASED_VM_EXEC_CONTROL: 0x16,
  CPU_BASED_VM_EXEC_CONTROL: 0x0400_6172,
  SECONDARY_VM_EXEC_CONTROL: 0,
  VM_EXIT_CONTROLS: 0x003f_6fff,
  VM_ENTRY_CONTROLS: 0x0000_93ff,
} as const;
type Word = keyof typeof PLAIN;
const SECONDARY = 0x8000_0000;

/** An entry with one word of controls as it is. */
const word = (label: string, name: Word, value: number, more: GuestOptions = {}): VtxAttempt =>
  vt(label, '', { ...more, raw: { [name]: value >>> 0 } });
const without = (name: Word, title: string, bits: readonly number[]): VtxAttempt[] =>
  bits.map((bit) => word(`${title} without bit ${bit}`, name, PLAIN[name] & ~(1 << bit)));
const withBit = (name: Word, title: string, bits: readonly number[]): VtxAttempt[] =>
  bits.map((bit) => word(`${title} with bit ${bit}`, name, PLAIN[name] | (1 << bit)));

/** The rules of a page: aligned, within the physical-address width, and of no interest without its control. */
const page = (title: string, field: VmcsFieldName, at: number, controls: GuestOptions, others: Fields = {}): VtxAttempt[] => [
  entry(`${title}, misaligned`, { ...others, [field]: at + 0x800 }, controls),
  entry(`${title}, misaligned by 1`, { ...others, [field]: at + 1 }, controls),
  entry(`${title}, too wide`, { ...others, [field]: TOO_WIDE + BigInt(at) }, controls),
  entry(`${title}, without the control`, { ...others, [field]: TOO_WIDE + 1n }),
];
const { ioBitmapA, ioBitmapB, msrBitmap, virtualApic, exitMsrStore, exitMsrLoad, entryMsrLoad } = VtxMemory;
const IO: GuestOptions = { controls: { primary: ['useIoBitmaps'] } };
const MSRS: GuestOptions = { controls: { primary: ['useMsrBitmaps'] } };
const TPR: GuestOptions = { controls: { primary: ['useTprShadow'] } };
const EPT: GuestOptions = { controls: { secondary: ['enableEpt'] } };
const VPID: GuestOptions = { controls: { secondary: ['enableVpid'] } };

const eptp = (label: string, value: number | bigint): VtxAttempt => entry(`EPTP, ${label}`, { EPT_POINTER: value }, EPT);

const area = (title: string, name: 'VM_EXIT_MSR_STORE' | 'VM_EXIT_MSR_LOAD' | 'VM_ENTRY_MSR_LOAD', at: number): VtxAttempt[] => {
  const fields = (address: number | bigint, count: number): Fields => ({ [`${name}_ADDR`]: address, [`${name}_COUNT`]: count });
  return [
    entry(`${title}, misaligned by 8`, fields(at + 8, 1)),
    entry(`${title}, misaligned by 1`, fields(at + 1, 1)),
    entry(`${title}, too wide`, fields(TOO_WIDE, 1)),
    entry(`${title}, beyond the highest address`, fields(0xffff_ffff_ffff_fff0n, 2)),
    entry(`${title}, count 0`, fields(TOO_WIDE + 1n, 0)),
  ];
};

/** Launches again, whatever the prelude has noted. */
const LAUNCH = `mov byte [vtx_launched], 0\n${RESUME}`;
const RESUME_CLEAR = `mov byte [vtx_launched], 1\n${RESUME}`;
const INVALID: Fields = { GUEST_RFLAGS: 0 };
const MEND = vmwrite('GUEST_RFLAGS', 2);

export const vtxEntryControlRoms: readonly Rom[] = [
  vtxRom('vtx-launch-state', 'VMLAUNCH and VMRESUME: the launch state, blocking by MOV SS, no VMCS (SDM Vol. 3C 27.1, 31.3, 31.4)', [
    vt('VMLAUNCH of a launched VMCS', 'nop', { afterwards: LAUNCH }),
    vt('VMRESUME of a launched VMCS', 'vmcall\nnop', { afterwards: `${vmread('GUEST_RIP')}\nadd rax, 3\nvmwrite rcx, rax\n${RESUME}` }),
    vt('VMRESUME of a clear VMCS', 'nop', { before: 'mov byte [vtx_launched], 1' }),
    vt('VMCLEAR makes it clear', 'nop', {
      afterwards: `vmclear qword [vtx_vmcs_pointer]\nvmptrld qword [vtx_vmcs_pointer]\n${RESUME}\n${LAUNCH}`,
    }),
    vt('VMPTRLD keeps it', 'nop', {
      afterwards: `
      vmclear qword [vtx_other_pointer]
      vmptrld qword [vtx_other_pointer]
      vmptrld qword [vtx_vmcs_pointer]
      ${RESUME}
      ${LAUNCH}`,
    }),
    vt('an entry refused for its guest leaves it clear', 'nop', { fields: INVALID, afterwards: `${MEND}\n${RESUME_CLEAR}\n${LAUNCH}` }),
    vt('an entry refused for its controls leaves it clear', 'nop', {
      fields: { CR3_TARGET_COUNT: 9 },
      afterwards: `${vmwrite('CR3_TARGET_COUNT', 0)}\n${RESUME_CLEAR}\n${LAUNCH}`,
    }),
    vt('without a current VMCS', 'nop', { before: 'vmclear qword [vtx_vmcs_pointer]' }),
    vt('VMRESUME without a current VMCS', 'nop', { before: 'vmclear qword [vtx_vmcs_pointer]\nmov byte [vtx_launched], 1' }),
    root('VMLAUNCH after MOV SS', 'mov ax, ss\nmov ss, ax\nvmlaunch\nmov eax, 0'),
    root('VMRESUME after MOV SS', 'mov ax, ss\nmov ss, ax\nvmresume\nmov eax, 0'),
    root('VMRESUME after MOV SS and NOP', 'mov ax, ss\nmov ss, ax\nnop\nvmresume\nmov eax, 0'),
    root('after MOV SS without a current VMCS', 'mov ax, ss\nmov ss, ax\nvmlaunch\nmov eax, 0', {
      setup: 'vmclear qword [vtx_vmcs_pointer]',
    }),
    vt('the launch state comes before the controls', 'nop', {
      fields: { CR3_TARGET_COUNT: 9 },
      before: 'mov byte [vtx_launched], 1',
    }),
  ]),
  vtxRom('vtx-fail-settings', 'Reserved bits of the control words: VMfail 7 (SDM Vol. 3C 27.2.1.1 to 27.2.1.3, Appendix A)', [
    word('pin-based, plain', 'PIN_BASED_VM_EXEC_CONTROL', PLAIN.PIN_BASED_VM_EXEC_CONTROL),
    ...without('PIN_BASED_VM_EXEC_CONTROL', 'pin-based', [1, 2, 4]),
    ...withBit('PIN_BASED_VM_EXEC_CONTROL', 'pin-based', [8, 31]),
    word('primary, plain', 'CPU_BASED_VM_EXEC_CONTROL', PLAIN.CPU_BASED_VM_EXEC_CONTROL),
    ...without('CPU_BASED_VM_EXEC_CONTROL', 'primary', [1, 4, 5, 6, 8, 13, 14, 26]),
    ...withBit('CPU_BASED_VM_EXEC_CONTROL', 'primary', [0, 18]),
    word('secondary, plain', 'SECONDARY_VM_EXEC_CONTROL', 0),
    ...withBit('SECONDARY_VM_EXEC_CONTROL', 'secondary', [29, 31]),
    vt('secondary with all bits, not activated', '', {
      raw: { SECONDARY_VM_EXEC_CONTROL: 0xffff_ffff, CPU_BASED_VM_EXEC_CONTROL: PLAIN.CPU_BASED_VM_EXEC_CONTROL },
    }),
    vt('secondary with all bits', '', {
      raw: { SECONDARY_VM_EXEC_CONTROL: 0xffff_ffff, CPU_BASED_VM_EXEC_CONTROL: PLAIN.CPU_BASED_VM_EXEC_CONTROL + SECONDARY },
    }),
    word('exit, plain', 'VM_EXIT_CONTROLS', PLAIN.VM_EXIT_CONTROLS),
    ...without('VM_EXIT_CONTROLS', 'exit', [0, 3, 8, 10, 13, 16, 17]),
    ...withBit('VM_EXIT_CONTROLS', 'exit', [31]),
    word('entry, plain', 'VM_ENTRY_CONTROLS', PLAIN.VM_ENTRY_CONTROLS),
    ...without('VM_ENTRY_CONTROLS', 'entry', [0, 3, 8, 12]),
    ...withBit('VM_ENTRY_CONTROLS', 'entry', [31]),
  ]),
  vtxRom('vtx-fail-controls', 'Controls that need others, or a value: VMfail 7 (SDM Vol. 3C 27.2.1.1, 27.2.1.2)', [
    entry('four CR3-target values', { CR3_TARGET_COUNT: 4 }),
    entry('five CR3-target values', { CR3_TARGET_COUNT: 5 }),
    entry('the most CR3-target values', { CR3_TARGET_COUNT: -1 }),
    entry('virtual NMIs', {}, { controls: { pin: ['nmiExiting', 'virtualNmis'] } }),
    entry('virtual NMIs without NMI exiting', {}, { controls: { pin: ['virtualNmis'] } }),
    entry('NMI-window exiting without virtual NMIs', {}, { controls: { pin: ['nmiExiting'], primary: ['nmiWindowExiting'] } }),
    entry('NMI-window exiting alone', {}, { controls: { primary: ['nmiWindowExiting'] } }),
    entry('VPID 1', { VIRTUAL_PROCESSOR_ID: 1 }, VPID),
    entry('VPID 0', { VIRTUAL_PROCESSOR_ID: 0 }, VPID),
    entry('VPID 0 without the control', { VIRTUAL_PROCESSOR_ID: 0 }),
    entry('EPT', {}, EPT),
    entry('unrestricted guest without EPT', {}, { controls: { secondary: ['unrestrictedGuest'] } }),
    entry('unrestricted guest with EPT', {}, { unrestricted: true }),
    entry('saves a timer that is not active', {}, { controls: { exit: ['saveVmxPreemptionTimerValue'] } }),
    entry(
      'saves the timer',
      { VMX_PREEMPTION_TIMER_VALUE: -1 },
      { controls: { exit: ['saveVmxPreemptionTimerValue'], pin: ['activateVmxPreemptionTimer'] } },
    ),
    entry('TPR threshold 16', { TPR_THRESHOLD: 16, VIRTUAL_APIC_PAGE_ADDR: virtualApic }, TPR),
    entry('TPR threshold 16 without a shadow', { TPR_THRESHOLD: 16 }),
    entry('TPR threshold with bit 31', { TPR_THRESHOLD: -0x8000_0000, VIRTUAL_APIC_PAGE_ADDR: virtualApic }, TPR),
  ]),
  vtxRom('vtx-fail-addresses', 'Addresses of bitmaps and pages: VMfail 7 (SDM Vol. 3C 27.2.1.1)', [
    ...page('I/O bitmap A', 'IO_BITMAP_A', ioBitmapA, IO, { IO_BITMAP_B: ioBitmapB }),
    ...page('I/O bitmap B', 'IO_BITMAP_B', ioBitmapB, IO, { IO_BITMAP_A: ioBitmapA }),
    ...page('MSR bitmaps', 'MSR_BITMAP', msrBitmap, MSRS),
    ...page('virtual-APIC page', 'VIRTUAL_APIC_PAGE_ADDR', virtualApic, TPR),
    eptp('uncacheable', EPTP - 6),
    ...[1, 2, 3, 4, 5, 7].map((type) => eptp(`memory type ${type}`, EPTP - 6 + type)),
    ...[1, 2, 3, 5, 6, 8].map((levels) => eptp(`${levels} levels`, (EPTP & ~0x38) | ((levels - 1) << 3))),
    ...[7, 8, 9, 10, 11].map((bit) => eptp(`bit ${bit}`, EPTP | (1 << bit))),
    eptp('accessed and dirty flags', EPTP | 0x40),
    eptp('too wide', TOO_WIDE + BigInt(EPTP)),
    entry('EPTP, without the control', { EPT_POINTER: -1 }),
  ]),
  vtxRom('vtx-fail-msr-areas', 'Addresses of MSR areas: VMfail 7 (SDM Vol. 3C 27.2.1.2, 27.2.1.3)', [
    ...area('VM-exit MSR store', 'VM_EXIT_MSR_STORE', exitMsrStore),
    ...area('VM-exit MSR load', 'VM_EXIT_MSR_LOAD', exitMsrLoad),
    ...area('VM-entry MSR load', 'VM_ENTRY_MSR_LOAD', entryMsrLoad),
  ]),
];

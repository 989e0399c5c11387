import type { Mutation } from '../rom.ts';

const VMX = 'packages/vtx/src/processor';
const CPU = 'packages/x86/src/cpu';

const change = (file: string, find: string, replace: string): Mutation => ({ file, find, replace });
const events = (find: string, replace: string): Mutation => change(`${VMX}/intercepts/events.ts`, find, replace);
const exit = (find: string, replace: string): Mutation => change(`${VMX}/exit.ts`, find, replace);
const layer = (find: string, replace: string): Mutation => change(`${VMX}/layer.ts`, find, replace);
const guestState = (find: string, replace: string): Mutation => change(`${VMX}/guest-state.ts`, find, replace);
const deliverEvent = (find: string, replace: string): Mutation => change(`${CPU}/deliver-event.ts`, find, replace);

/** For each ROM about the events of a guest, a change in our code that it notices. */
export const vtxEventsMutations: Readonly<Record<string, Mutation>> = {
  'vtx-exceptions': events('(controls.exceptionBitmap >>> vector) & 1', '(controls.exceptionBitmap >>> (vector & 15)) & 1'),
  'vtx-exceptions-error': events('op.interruptionError = errorCode;', 'op.interruptionError = 0;'),
  'vtx-page-fault': events('!== (controls.pageFaultMatch | 0)) bit ^= 1;', '!== (controls.pageFaultMatch | 0)) bit = 0;'),
  'vtx-software-exceptions': events('vmcs.set(VM_EXIT_INSTRUCTION_LEN, delivering.length)', 'vmcs.set(VM_EXIT_INSTRUCTION_LEN, 1)'),
  'vtx-vectoring': exit('delivering.vector === Vector.DF ? undefined : delivering.during', 'undefined'),
  'vtx-vectoring-ept': exit('if (reason !== ExitReason.EXCEPTION_NMI) return delivering;', ''),
  'vtx-double-fault': deliverEvent('if (isExceptionIntercepted(cpu, event, 0)) return false;', ''),
  'vtx-triple-fault': deliverEvent("if (!cpu.layer?.intercept({ kind: 'triple-fault' }))", 'if (true)'),
  'vtx-external-interrupt': layer('cpu.interruptShadow === InterruptShadow.NONE : unmasked', 'true : unmasked'),
  'vtx-acknowledge-interrupt': events('if (op.controls.hasExit(ExitControl.acknowledgeInterruptOnExit)) {', 'if (false) {'),
  'vtx-interrupt-delivered': events('if (!op.controls.hasPinBased(PinBased.externalInterruptExiting)) return false;', ''),
  'vtx-interrupt-window': layer(
    '(cpu.registers.get32(State.eflags) & Eflags.IF) !== 0 && cpu.interruptShadow === InterruptShadow.NONE',
    '(cpu.registers.get32(State.eflags) & Eflags.IF) !== 0',
  ),
  'vtx-interruptibility': guestState('shadow === InterruptShadow.STI ? Interruptibility.STI : shadow', 'shadow'),
  'vtx-nmi': exit('const nmiBlocked = isNmi || ', 'const nmiBlocked = '),
  'vtx-nmi-delivered': layer(
    'return this.#op.controls.hasPinBased(PinBased.nmiExiting) && !this.#op.controls.hasPinBased(PinBased.virtualNmis);',
    'return true;',
  ),
  'vtx-virtual-nmis': layer('return controls.hasPinBased(PinBased.virtualNmis) || !cpu.nmiBlocked;', 'return !cpu.nmiBlocked;'),
  'vtx-nmi-window': layer(
    'return !this.#op.cpu.nmiBlocked && this.#op.cpu.interruptShadow !== InterruptShadow.MOV_SS;',
    'return !this.#op.cpu.nmiBlocked;',
  ),
  'vtx-nmi-unblocking': events('vector !== Vector.DF) info |= NMI_UNBLOCKED;', 'vector !== Vector.DF) info |= 0;'),
  'vtx-debug-exceptions': events('vector === Vector.DB ? event.debugBits : 0', '0'),
  'vtx-pending-debug': guestState('keepsPendingDebug || shadow === InterruptShadow.MOV_SS', 'keepsPendingDebug'),
  'vtx-monitor-trap': layer('this.#op.monitorTrapAt = this.#op.cpu.instructions;', ''),
  'vtx-preemption-timer': guestState(' && controls.hasExit(ExitControl.saveVmxPreemptionTimerValue)', ''),
  'vtx-resume-flag': change(
    `${VMX}/intercepts/instruction-exit.ts`,
    'qualificationLow, qualificationHigh, ResumeFlag.CLEAR)',
    'qualificationLow, qualificationHigh, ResumeFlag.KEEP)',
  ),
  'vtx-task-switch': events('event.selector | (TASK_SOURCES[event.source] << 30)', 'event.selector'),
  'vtx-task-gate': events('jmp: 2, gate: 3 }', 'jmp: 2, gate: 2 }'),
  'vtx-init': exit('reason === ExitReason.INIT_SIGNAL || ', ''),
  'vtx-sipi': change(`${VMX}/intercepts/intercept.ts`, 'ExitReason.SIPI_SIGNAL, event.vector & 0xff', 'ExitReason.SIPI_SIGNAL, 0'),
};

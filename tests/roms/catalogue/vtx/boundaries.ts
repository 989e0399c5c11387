import { Selector } from '../../prelude/memory-map.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../prelude/vtx-attempt.ts';
import { note, RESUME, vmread } from '../../prelude/vtx-host.ts';
import { VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Fields } from '../../prelude/vtx-modes.ts';
import type { Rom } from '../../rom.ts';
import { Activity, BlockedBy, EOI, IF, ipi, takeInterrupt } from './interrupts.ts';
import { vtxRom } from './vtx-rom.ts';

const TRAPPING: GuestOptions['controls'] = { primary: ['monitorTrapFlag'] };
const NO_CONTROL = 'lacks the control in this model.';
/** An attempt that goes on after each exit; those that the manual asks for. */
const steps = (label: string, code: string, exits: readonly string[], options: GuestOptions = {}): VtxAttempt =>
  vt(label, code, {
    controls: TRAPPING,
    ...options,
    bochs: NO_CONTROL,
    manual: exits.join('\n '),
    afterwards: `${`${RESUME}\n`.repeat(exits.length - 1)}${options.afterwards ?? ''}`,
  });
const at = (place: string): string => `MONITOR_TRAP_FLAG at ${place}`;
/** Exits in 64-bit code: offset, and what else is shown. */
const trapsAt = (...places: readonly (readonly [offset: string, rest: string])[]): string[] =>
  places.map(([offset, rest]) => at(`38:+${offset} sp=10:d000 ${rest}`));
const inject = (info: number, more: Fields = {}): Fields => ({ VM_ENTRY_INTR_INFO_FIELD: info, ...more });

const LONG_ENOUGH = 20000;
const TIMER: GuestOptions['controls'] = { pin: ['activateVmxPreemptionTimer'] };
/** `value`: how many counts the guest has; what it executes meanwhile is not shown. */
const timed = (label: string, code: string, value: number, options: GuestOptions = {}): VtxAttempt =>
  vt(label, code, {
    controls: TIMER,
    hide: value === 0 ? [] : ['rip', 'registers'],
    ...options,
    fields: { VMX_PREEMPTION_TIMER_VALUE: value, ...options.fields },
  });
const SPIN = '.spin:\njmp .spin';
const SAVING: GuestOptions['controls'] = { pin: ['activateVmxPreemptionTimer'], exit: ['saveVmxPreemptionTimerValue'] };
const SHOW_VALUE = `${vmread('VMX_PREEMPTION_TIMER_VALUE', 'rdx')}\n${note({ timer: 'rdx' })}`;
/** Whether what has been saved is at most what there was, and not 0. */
const SHOW_REST = `
  ${vmread('VMX_PREEMPTION_TIMER_VALUE')}
  mov edx, eax
  dec edx
  cmp edx, ${LONG_ENOUGH}
  setb al
  movzx edx, al
  ${note({ is_left: 'rdx' })}`;

export const vtxBoundaryRoms: readonly Rom[] = [
  vtxRom(
    'vtx-monitor-trap',
    'Monitor trap flag: an exit behind each instruction, or behind what it has led to (SDM Vol. 3C 26.5.2, 27.7.8)',
    [
      steps(
        'behind each instruction',
        'mov ebx, 1\nmov ebx, 2\nmov ebx, 3',
        trapsAt(['5', 'fl=2 rbx=1'], ['a', 'fl=2 rbx=2'], ['f', 'fl=2 rbx=3']),
      ),
      steps('jumps', 'jmp .there\nnop\n.there:\nnop', trapsAt(['3', 'fl=2'], ['4', 'fl=2'])),
      steps(
        'REP stops behind each iteration',
        'rep stosb\nnop',
        trapsAt(['0', 'fl=2 rcx=1 rdi=220001'], ['2', 'fl=2 rdi=220002'], ['3', 'fl=2 rdi=220002']),
        { registers: { rdi: VtxMemory.free, rcx: 2 } },
      ),
      steps('REP without an iteration', 'rep stosb\nnop', trapsAt(['2', 'fl=2'], ['3', 'fl=2'])),
      steps('an instruction that exits', 'cpuid', ['CPUID len=2 at 38:+0 sp=10:d000 fl=2']),
      steps('STI', 'sti\nnop\nnop', trapsAt(['1', 'fl=202 blocking=1'], ['2', 'fl=202'])),
      steps('MOV SS', 'mov ss, ax\nnop', trapsAt(['2', 'fl=2 blocking=2 rax=10'], ['3', 'fl=2 rax=10']), {
        registers: { rax: Selector.data0 },
      }),
      steps('behind the delivery of a fault', 'ud2', ['MONITOR_TRAP_FLAG'], { fields: { EXCEPTION_BITMAP: 0 }, hide: ['rip'] }),
      steps('a fault that exits', 'ud2', ['EXCEPTION_NMI info=80000306 at 38:+0 sp=10:d000 fl=2']),
      steps('behind INT n', 'int 0x30', ['MONITOR_TRAP_FLAG'], { hide: ['rip'] }),
      steps('an injected interrupt, no instruction', 'nop', ['MONITOR_TRAP_FLAG'], { fields: inject(0x8000_0033, IF), hide: ['rip'] }),
      steps('an injected INT n, no instruction', 'nop', ['MONITOR_TRAP_FLAG'], {
        fields: inject(0x8000_0433, { VM_ENTRY_INSTRUCTION_LEN: 2 }),
        hide: ['rip'],
      }),
      steps('an interrupt is delivered first', 'mov ebx, 1', ['MONITOR_TRAP_FLAG'], {
        fields: IF,
        before: ipi(0x31),
        afterwards: EOI,
        hide: ['rip'],
      }),
      steps('an interrupt that exits', 'nop\nnop', ['EXTERNAL_INTERRUPT at 38:+0 sp=10:d000 fl=202\n int 31'], {
        controls: { ...TRAPPING, pin: ['externalInterruptExiting'] },
        fields: IF,
        before: ipi(0x31),
        afterwards: takeInterrupt(0x31),
      }),
      steps(
        'before a single step, which stays pending',
        'nop\nnop',
        [...trapsAt(['1', 'fl=102 pending=4000']), 'EXCEPTION_NMI q=4000 info=80000301 at 38:+1 sp=10:d000 fl=102'],
        { fields: { EXCEPTION_BITMAP: 2, GUEST_RFLAGS: 0x102 } },
      ),
      steps(
        'the interrupt window at the entry comes before the instruction',
        'sti\nnop\nnop',
        [...trapsAt(['1', 'fl=202 blocking=1'], ['2', 'fl=202']), 'INTERRUPT_WINDOW at 38:+2 sp=10:d000 fl=202'],
        { controls: { primary: ['monitorTrapFlag', 'interruptWindowExiting'] } },
      ),
      steps(
        '32-bit',
        'mov ebx, 1\nmov ebx, 2',
        ['5', 'a'].map((offset, i) => at(`8:+${offset} sp=10:d000 fl=2 rbx=${i + 1}`)),
        {
          mode: 'paging32',
        },
      ),
      steps(
        'real mode',
        'mov bx, 1\nmov bx, 2',
        ['3', '6'].map((offset, i) => at(`0:+${offset} sp=0:d000 fl=2 rbx=${i + 1}`)),
        {
          mode: 'real',
        },
      ),
    ],
  ),
  vtxRom('vtx-preemption-timer', 'The VMX-preemption timer: at 0 the guest exits (SDM Vol. 3C 26.5.1, 27.7.4, 28.3.4)', [
    timed('0', 'mov ebx, 1', 0),
    timed('it counts down', SPIN, 100),
    timed('far from 0', 'mov ebx, 1', LONG_ENOUGH, { hide: [] }),
    timed('without the control', 'mov ebx, 1', 0, { controls: {} }),
    timed('the value is saved', SPIN, 100, { controls: SAVING, afterwards: SHOW_VALUE }),
    timed('the rest is saved', 'cpuid', LONG_ENOUGH, { hide: [], controls: SAVING, afterwards: SHOW_REST }),
    timed('the value is not saved', SPIN, 100, { afterwards: SHOW_VALUE }),
    timed('it begins anew', SPIN, 100, { afterwards: RESUME }),
    timed('once saved, 0 is left', SPIN, 100, { controls: SAVING, afterwards: RESUME }),
    timed('the injected event comes first', 'mov ebx, 1', 0, { fields: inject(0x8000_0033, IF), hide: ['rip'] }),
    timed('a debug trap comes first', 'mov ebx, 1', 0, {
      fields: { EXCEPTION_BITMAP: 2, GUEST_RFLAGS: 0x102, GUEST_PENDING_DBG_EXCEPTIONS: 0x4000 },
    }),
    timed('before the NMI window', 'mov ebx, 1', 0, {
      controls: { pin: ['activateVmxPreemptionTimer', 'nmiExiting', 'virtualNmis'], primary: ['nmiWindowExiting'] },
    }),
    timed('before the interrupt window', 'mov ebx, 1', 0, { controls: { ...TIMER, primary: ['interruptWindowExiting'] }, fields: IF }),
    timed('before an interrupt', 'mov ebx, 1', 0, {
      controls: { pin: ['activateVmxPreemptionTimer', 'externalInterruptExiting'] },
      fields: IF,
      before: ipi(0x31),
      afterwards: takeInterrupt(0x31),
    }),
    ...(['sti', 'movSs'] as const).map((name) =>
      timed(`blocking by ${name === 'sti' ? 'STI' : 'MOV SS'}`, 'mov ebx, 1', 0, {
        fields: { ...IF, GUEST_INTERRUPTIBILITY_INFO: BlockedBy[name] },
        bochs: 'lets an instruction run first; SDM Vol. 3C 27.7.4.',
        manual: `PREEMPTION_TIMER at 38:+0 sp=10:d000 fl=202 blocking=${BlockedBy[name]}`,
      }),
    ),
    timed('blocking by NMI', 'mov ebx, 1', 0, { fields: { GUEST_INTERRUPTIBILITY_INFO: BlockedBy.nmi } }),
    timed('the guest halts', 'mov ebx, 1', 0, { fields: { GUEST_ACTIVITY_STATE: Activity.hlt } }),
    timed('the guest is in shutdown', 'mov ebx, 1', 100, { hide: [], fields: { GUEST_ACTIVITY_STATE: Activity.shutdown } }),
    timed('in ring 3, 32-bit', SPIN, 100, { mode: 'compatibility' }),
    timed('real mode', SPIN, 100, { mode: 'real' }),
  ]),
];

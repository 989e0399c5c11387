import type { Mutation } from '../rom.ts';
import { svmMutations } from './svm.ts';
import { vtxEntryMutations } from './vtx-entry.ts';
import { vtxEventsMutations } from './vtx-events.ts';
import { vtxInjectionMutations } from './vtx-injection.ts';
import { vtxInstructionsMutations } from './vtx-instructions.ts';
import { vtxMemoryMutations } from './vtx-memory.ts';

const CPU = 'packages/x86/src/cpu';
const SYSTEM = 'packages/x86/src/instructions/system';
const MMU = 'packages/mmu/src/guest';

const change = (file: string, find: string, replace: string): Mutation => ({ file, find, replace });

const NO_NULL_DATA = change(`${CPU}/segments/load.ts`, 'setNullSegment(cpu.registers, segment, selector);', 'raise(Vector.GP, 0);');
const STACK_ABSENT_IS_NP = change(
  `${CPU}/segments/load.ts`,
  'selectorFault(cpu, Vector.SS, selector);',
  'selectorFault(cpu, Vector.NP, selector);',
);
const DATA_CPL_UNCHECKED = change(`${CPU}/segments/load.ts`, ' || cpl > descriptor.dpl', '');
const HANDLER_KEEPS_TF = change(`${CPU}/transfer/deliver-long.ts`, 'Eflags.TF | Eflags.NT | Eflags.RF', 'Eflags.NT | Eflags.RF');
const INTERRUPT_GATE_KEEPS_IF = change(`${CPU}/transfer/deliver-long.ts`, '(interruptGate ? Eflags.IF : 0)', '0');
const GATE_DPL_UNCHECKED = change(
  `${CPU}/transfer/deliver-protected.ts`,
  'if (event.isSoftware && ((word1 >>> 13) & 3) < cpu.cpl) raise(Vector.GP, gateError);',
  '',
);
const NO_STACK_ALIGNMENT = change(`${CPU}/transfer/deliver-long.ts`, 'low &= ~15;', '');
const DOUBLE_FAULT_ERROR = change(`${CPU}/deliver-event.ts`, 'low, high, 0, !cpu.isRealMode)', 'low, high, 8, !cpu.isRealMode)');
const NO_SHUTDOWN = change(`${CPU}/deliver-event.ts`, 'cpu.activity = Activity.SHUTDOWN;', 'cpu.activity = Activity.HALTED;');
const CODE_DPL_UNCHECKED = change(`${CPU}/transfer/far-jump.ts`, '(selector & 3) <= cpu.cpl && code.dpl === cpu.cpl', 'true');
const NO_TS_ON_TASK_SWITCH = change(`${CPU}/transfer/task-switch.ts`, 'registers.get32(State.cr0) | Cr0.TS', 'registers.get32(State.cr0)');
const NO_NT = change(`${CPU}/transfer/task-switch.ts`, 'image.flags |= Eflags.NT;', '');
const NO_T_FLAG = change(`${CPU}/transfer/task-switch.ts`, 'cpu.pendingDebug |= Dr6.BT', 'cpu.pendingDebug |= 0');
const NO_SINGLE_STEP = change(`${CPU}/cpu.ts`, 'this.pendingDebug |= Dr6.BS;', 'this.pendingDebug |= 0;');
const MOV_SS_HOLDS_NO_TRAP = change(
  `${CPU}/cpu.ts`,
  'if (this.pendingDebug !== 0 && this.interruptShadow !== InterruptShadow.MOV_SS) {',
  'if (this.pendingDebug !== 0) {',
);
const STI_WITHOUT_SHADOW = change(
  `${SYSTEM}/flags.ts`,
  'if ((registers.get32(State.eflags) & Eflags.IF) === 0) cpu.holdInterrupts(InterruptShadow.STI);',
  '',
);
const IRET_KEEPS_NMI_BLOCKED = change(`${CPU}/transfer/iret.ts`, 'cpu.nmiBlocked = false;', '');
const IRET_NULL_FLAGS = change(`${CPU}/transfer/iret.ts`, 'if (cpu.cpl <= iopl(cpu.registers)) mask |= Eflags.IF;', 'mask |= Eflags.IF;');
const NO_RESERVED_BITS = change(`${MMU}/walk.ts`, '(hi & controls.reservedHi) !== 0 || ', '');
const NO_WP = change(`${MMU}/walk.ts`, '(writable || !controls.wp ? Access.WRITE : 0)', 'Access.WRITE');
const NO_NX = change(`${MMU}/paging-controls.ts`, 'this.xd = this.wideEntries && this.nxe;', 'this.xd = false;');
const NO_PSE = change(`${MMU}/walk.ts`, '(pde & PS) !== 0 && controls.pse', '(pde & PS) !== 0');
const POPF_SETS_IOPL = change(`${SYSTEM}/flags.ts`, 'if (cpu.isRealMode || (cpu.cpl === 0 && !inVirtual8086)) mask', 'if (true) mask');

/** For each ROM, a change in our code that it notices. `check-mutations.ts` tries them. */
export const mutations: Readonly<Record<string, Mutation>> = {
  'reset-state': change(`${CPU}/reset.ts`, 'registers.set32(State.dr6, Dr6.INITIAL);', 'registers.set32(State.dr6, 0);'),
  'real-protected-real': change(`${CPU}/segments/load.ts`, 'setRealModeSegment(cpu.registers, segment, selector);', ''),
  'unreal-mode': change(
    `${CPU}/segments/load.ts`,
    'setRealModeSegment(cpu.registers, segment, selector);',
    'setVirtual8086Segment(cpu.registers, segment, selector);',
  ),
  'protected-16-32': change(
    `${CPU}/segments/load.ts`,
    'setSegmentFromDescriptor(cpu.registers, Segment.SS, selector, descriptor);',
    'setSegmentFromDescriptor(cpu.registers, Segment.SS, selector, checkStackSegment(cpu, 0x10, 0, Vector.GP));',
  ),
  'legacy-to-long': change(`${CPU}/control-registers.ts`, '(cr4 & Cr4.PAE) === 0 || (attributesOf', '(attributesOf'),
  'long-legacy-long': change(
    `${CPU}/control-registers.ts`,
    'active ? efer | Efer.LMA : efer & ~Efer.LMA',
    'active ? efer | Efer.LMA : efer',
  ),
  'compatibility-mode': change(
    `${CPU}/transfer/far-jump.ts`,
    '(selector & 3) <= cpu.cpl && code.dpl === cpu.cpl',
    'code.dpl === cpu.cpl && !code.isLong',
  ),
  'faults-real': change(
    `${CPU}/transfer/deliver-real.ts`,
    'stack.push(2, event.returnLow);\n  stack.commit();\n  writeEflags(registers, 0, Eflags.IF',
    'stack.push(2, event.returnLow + 1);\n  stack.commit();\n  writeEflags(registers, 0, Eflags.IF',
  ),
  'real-limits': change(
    'packages/x86/src/semantics/emit-base.ts',
    'return this.addressBytes === 2 ? and(offset, i32(0xffff)) : offset;',
    'return and(offset, i32(0xffff));',
  ),
  'shutdown-push': NO_SHUTDOWN,
  'faults-protected': STACK_ABSENT_IS_NP,
  'faults-ring3': GATE_DPL_UNCHECKED,
  'alignment-check': change(`${CPU}/control-bits.ts`, 'AM: 0x40000', 'AM: 0x80000'),
  'faults-long': NO_STACK_ALIGNMENT,
  'double-fault': DOUBLE_FAULT_ERROR,
  'triple-fault-stack': NO_SHUTDOWN,
  'double-fault-task': DOUBLE_FAULT_ERROR,
  'triple-fault': NO_SHUTDOWN,
  'triple-fault-real': NO_SHUTDOWN,
  'triple-fault-long': NO_SHUTDOWN,
  'segment-load': NO_NULL_DATA,
  'segment-load-ring3': DATA_CPL_UNCHECKED,
  'stack-segment-load': STACK_ABSENT_IS_NP,
  'segment-limits': change(`${CPU}/segments/descriptor.ts`, '(raw << 12) | 0xfff', '(raw << 12)'),
  'segment-types': change(
    `${CPU}/segments/load.ts`,
    'setSegmentFromDescriptor(cpu.registers, segment, selector, descriptor);',
    'setSegmentFromDescriptor(cpu.registers, segment, selector, checkStackSegment(cpu, 0x10, 0, Vector.GP));',
  ),
  'lar-lsl': change(
    `${SYSTEM}/protection-queries.ts`,
    'const LAR_TYPES: readonly number[] = [1, 2, 3, 4, 5, 9, 11, 12];',
    'const LAR_TYPES: readonly number[] = [1, 2, 3, 4, 5, 9, 11, 12, 14];',
  ),
  'verr-verw-arpl': change(`${SYSTEM}/protection-queries.ts`, 'write ? descriptor.isWritableData', 'write ? descriptor.isReadable'),
  ldt: change(`${SYSTEM}/descriptor-tables.ts`, '!descriptor.isSystem || descriptor.type !== SystemType.LDT', '!descriptor.isSystem'),
  'segment-long': change(`${SYSTEM}/fast-system-calls.ts`, 'if (!isCanonical(cpu, high)) raise(Vector.GP, 0);\n    setBase', 'setBase'),
  'far-jump-call-return': CODE_DPL_UNCHECKED,
  'far-real': change(`${CPU}/transfer/far-jump.ts`, 'if (offset >>> 0 > limit) raise(Vector.GP, 0);', ''),
  'call-gate-same-ring': change(
    `${CPU}/transfer/far-jump.ts`,
    'gate.dpl < cpu.cpl || gate.dpl < (selector & 3)',
    'gate.dpl < (selector & 3)',
  ),
  'call-gate-inner': change(`${CPU}/transfer/far-call.ts`, 'copied.reverse()', 'copied'),
  'gates-interrupt-trap': INTERRUPT_GATE_KEEPS_IF,
  'iret-protected': IRET_NULL_FLAGS,
  'conforming-code': change(`${CPU}/transfer/far-jump.ts`, 'code.isConforming ? code.dpl <= cpu.cpl', 'code.isConforming ? true'),
  'enter-leave-pushf': POPF_SETS_IOPL,
  'gates-long': change(`${CPU}/transfer/deliver-long.ts`, 'ist !== 0 ? 28 + ist * 8', 'ist !== 0 ? 36 + ist * 8'),
  'call-gate-long': change(
    `${CPU}/transfer/far-call.ts`,
    'const { registers } = cpu;\n  checkTargetOffset(cpu, code, offsetLow, offsetHigh);',
    'const { registers } = cpu;',
  ),
  'iret-long': change(`${CPU}/transfer/iret.ts`, 'const popsStack = cpu.is64Bit || cpl > cpu.cpl;', 'const popsStack = cpl > cpu.cpl;'),
  'paging-32bit-rights': change(`${MMU}/walk.ts`, 'return user ? Access.READ', 'return true ? Access.READ'),
  'paging-wp': NO_WP,
  'paging-accessed-dirty': change(`${MMU}/walk.ts`, '!== 0 ? A | D : A;', '!== 0 ? A | D : 0;'),
  'paging-pse': NO_PSE,
  'paging-tlb': change(`${CPU}/control-registers.ts`, 'cpu.engine.addressSpaceChanged(true);', ''),
  'paging-pae': NO_NX,
  'paging-pae-pdpte': change(`${CPU}/control-registers.ts`, 'const refused = entries.some(', 'const refused = [].some('),
  'paging-4level': NO_RESERVED_BITS,
  'smep-smap': change(`${CPU}/control-registers.ts`, 'smap: (cr4 & Cr4.SMAP) !== 0', 'smap: false'),
  'page-crossing': change(
    `${CPU}/deliver-event.ts`,
    'cpu.registers.set32(State.cr2, guestFault.addressLow);',
    'cpu.registers.set32(State.cr2, guestFault.addressLow & ~0xfff);',
  ),
  'string-faults': change(
    `${CPU}/deliver-event.ts`,
    'cpu.registers.set32(State.cr2, guestFault.addressLow);',
    'cpu.registers.set32(State.cr2, guestFault.addressLow + 1);',
  ),
  pcid: change(`${CPU}/control-registers.ts`, 'if (pcide) next &= ~(1n << 63n);', ''),
  'single-step': MOV_SS_HOLDS_NO_TRAP,
  'single-step-real': NO_SINGLE_STEP,
  'single-step-rings': HANDLER_KEEPS_TF,
  'instruction-breakpoints': change(
    `${CPU}/cpu.ts`,
    'this.#debugException(bits, false);\n        return Exit.LEAVE;',
    'this.#debugException(bits, true);\n        return Exit.LEAVE;',
  ),
  'resume-flag': change(`${CPU}/cpu.ts`, 'this.#deliver(event, isFaultClass(vector));', 'this.#deliver(event, false);'),
  'data-breakpoints': change(`${CPU}/debug.ts`, 'low & ~(bytes - 1)', 'low'),
  'debug-registers': change(`${CPU}/debug.ts`, 'registers.get32(State.dr7) & ~Dr7.GD', 'registers.get32(State.dr7)'),
  'debug-long': change(`${CPU}/debug.ts`, 'if (value >> 32n !== 0n) raise(Vector.GP, 0);', ''),
  'task-jmp': NO_TS_ON_TASK_SWITCH,
  'task-call-iret': NO_NT,
  'task-fault': change(`${CPU}/transfer/task-switch.ts`, 'if (!code.isPresent) selectorFault(cpu, Vector.NP, cs);', ''),
  'task-16bit': NO_TS_ON_TASK_SWITCH,
  'task-nested-ring3': NO_NT,
  'task-trap-cr3': NO_T_FLAG,
  'v86-iopl3': change(`${SYSTEM}/flags.ts`, 'iopl(cpu.registers) === 3 : iopl', 'false : iopl'),
  'v86-iopl0': change(`${CPU}/transfer/iret.ts`, 'if (!ioplIs3 && !(vme && bytes === 2)) raise(Vector.GP, 0);', ''),
  'v86-segments': change(
    `${CPU}/segments/segment-register.ts`,
    'selector, 0xf3, 0xffff, selector << 4',
    'selector, 0xf3, 0xfffff, selector << 4',
  ),
  'v86-enter': change(
    `${CPU}/transfer/deliver-protected.ts`,
    'if (fromVirtual8086 && cpl !== 0) selectorFault(cpu, Vector.GP, selector);',
    '',
  ),
  'v86-vme': change(`${SYSTEM}/flags.ts`, 'writeEflags(cpu.registers, 0, Eflags.VIF);', 'writeEflags(cpu.registers, 0, 0);'),
  'interrupt-shadow': STI_WITHOUT_SHADOW,
  'interrupt-priority': change(
    `${CPU}/apic/local-apic.ts`,
    'vector >>> 4 > this.processorPriority >>> 4',
    'vector >>> 4 > this.#tpr >>> 4',
  ),
  nmi: IRET_KEEPS_NMI_BLOCKED,
  'apic-timer': change(`${CPU}/apic/local-apic.ts`, 'if (register === ApicRegister.LVT_TIMER) this.#timer.setLvt(value);', ''),
  'pic-pit': change('packages/devices/src/interrupts/i8259.ts', 'this.#isr |= bit;', 'void bit;'),
  'hlt-real': change(`${SYSTEM}/processor.ts`, 'cpu.activity = Activity.HALTED;', ''),
  'interrupt-ring3': change(
    `${CPU}/transfer/deliver-protected.ts`,
    'stack.push(bytes, registers.gprLow(Gpr.RSP));',
    'stack.push(bytes, 0);',
  ),
  'x2apic-cr8': change(`${CPU}/control-registers.ts`, 'if (value > 15n) raise(Vector.GP, 0);', ''),
  'control-registers': change(`${CPU}/control-registers.ts`, '(value & Cr0.NW) !== 0 && (value & Cr0.CD) === 0', 'false'),
  'control-registers-long': change(`${CPU}/control-registers.ts`, 'cpu.is64Bit || (cr4 & Cr4.PCIDE) !== 0', '(cr4 & Cr4.PCIDE) !== 0'),
  'msr-faults': change(`${SYSTEM}/processor.ts`, "system('RDMSR', ['0F 32'], rdmsr", "system('RDMSR', ['0F 32'], rdtsc"),
  'sysenter-sysexit': change(
    `${SYSTEM}/fast-system-calls.ts`,
    'writeEflags(registers, 0, Eflags.VM | Eflags.IF | Eflags.RF);\n  setFlat',
    'setFlat',
  ),
  'sysenter-long': change(
    `${SYSTEM}/fast-system-calls.ts`,
    'if (!isCanonical(cpu, ipHigh) || !isCanonical(cpu, spHigh)) raise(Vector.GP, 0);',
    '',
  ),
  'syscall-sysret': change(`${SYSTEM}/fast-system-calls.ts`, 'flags & ~mask & ~Eflags.RF', 'flags & ~Eflags.RF'),
  swapgs: change(`${SYSTEM}/fast-system-calls.ts`, 'msrs.store(Msr.KERNEL_GS_BASE, base);', ''),
  'io-permission': change(`${CPU}/io-permission.ts`, 'if (offset + 1 > limit) raise(Vector.GP, 0);', ''),
  a20: change('packages/vmm/src/pc/guest-ram.ts', '- (isOdd ? MIB : 0)', ''),
  'self-modifying-code': change(
    'packages/x86/src/engine/memory/linear-memory.ts',
    'if (memory.marks.pageFlags[host >>> 12] !== 0) memory.marks.written(host, bytes);',
    '',
  ),
  'fxsave-image': change(`${SYSTEM}/state-images.ts`, 'if ((mxcsr & ~MXCSR_MASK) !== 0) raise(Vector.GP, 0);', ''),
  'address-wrap-16': change(
    'packages/x86/src/semantics/emit-base.ts',
    'return this.addressBytes === 2 ? and(offset, i32(0xffff)) : offset;',
    'return offset;',
  ),
  'start-up': change(
    `${CPU}/cpu.ts`,
    'if (this.activity === Activity.WAIT_FOR_SIPI || (this.#init && !this.#blocksInit())) this.#sipi',
    'this.#sipi',
  ),
  'init-bootstrap': change(`${CPU}/reset.ts`, 'registers.set32(State.cr4, 0);', ''),
  'unreal-code': change(
    `${CPU}/segments/segment-register.ts`,
    'kept, limitOf(registers, segment), selector << 4',
    'kept, 0xffff, selector << 4',
  ),
  'unreal-code-32': change(
    `${CPU}/segments/segment-register.ts`,
    'setSegment(registers, segment, selector, kept, limitOf(registers, segment), selector << 4);',
    'setSegment(registers, segment, selector, kept & ~Attribute.DB, limitOf(registers, segment), selector << 4);',
  ),
  'unreal-stack': change(
    `${CPU}/segments/segment-register.ts`,
    '(attributes & Attribute.UNUSABLE) === 0 ? attributes : REAL_MODE_DATA',
    'REAL_MODE_DATA',
  ),
  'unreal-data': change(
    `${CPU}/segments/segment-register.ts`,
    'const kept = (attributes & Attribute.UNUSABLE) === 0 ? attributes : REAL_MODE_DATA;',
    'const kept = REAL_MODE_DATA | (attributes & (Attribute.DB | Attribute.G));',
  ),
  'io-breakpoints': change(`${CPU}/debug.ts`, 'overlaps(each, port, 0, bytes)', 'overlaps(each, port, 0, 1)'),
  'paging-5level': change('packages/x86/src/semantics/emit-base.ts', 'mode.la57 ? 57 : 48', '48'),
  'address-size-long': change('packages/x86/src/decode/decoder.ts', 'prefixes.rex = 0; // A REX', '// A REX'),
  'segment-base-wrap': change(
    'packages/x86/src/semantics/memory-access.ts',
    "extendU(add(loadAt(cpu, segmentOffset(segment, 'base'), 4), first))",
    "extendU(or(loadAt(cpu, segmentOffset(segment, 'base'), 4), first))",
  ),
  ...svmMutations,
  ...vtxInstructionsMutations,
  ...vtxEventsMutations,
  ...vtxInjectionMutations,
  ...vtxMemoryMutations,
  ...vtxEntryMutations,
};

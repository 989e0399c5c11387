import type { Mutation } from '../rom.ts';

const CPU = 'packages/x86/src/cpu';
const VTX = 'packages/vtx/src/processor';
const CHECKS = 'packages/vtx/src/checks';

const change = (file: string, find: string, replace: string): Mutation => ({ file, find, replace });
const entry = (find: string, replace: string): Mutation => change(`${VTX}/entry.ts`, find, replace);
const state = (find: string, replace: string): Mutation => change(`${VTX}/guest-state.ts`, find, replace);
const exit = (find: string, replace: string): Mutation => change(`${VTX}/exit.ts`, find, replace);
const cpu = (find: string, replace: string): Mutation => change(`${CPU}/cpu.ts`, find, replace);

/** For each ROM of `catalogue/vtx` that the name says, a change in our code that it notices. */
export const vtxInjectionMutations: Readonly<Record<string, Mutation>> = {
  'vtx-inject-interrupt': exit('injected & 0x7fff_ffff', 'injected'),
  'vtx-inject-nmi': entry('if (type === EventType.NMI) cpu.nmiBlocked = true;', ''),
  'vtx-inject-exception': cpu('event.isInjected = true;', ''),
  'vtx-inject-software': entry('isSoftware ? vmcs.low(VM_ENTRY_INSTRUCTION_LEN) : 0', '0'),
  'vtx-inject-resume-flag': cpu(
    'event.isInjected = true;\n    this.#deliver(event, false);',
    'event.isInjected = true;\n    this.#deliver(event, isFaultClass(vector));',
  ),
  'vtx-inject-dpl': change(`${CPU}/transfer/deliver-protected.ts`, 'if (event.isSoftware && ((word1', 'if (((word1'),
  'vtx-inject-stack': change(`${CPU}/transfer/deliver-long.ts`, 'const ist = word1 & 7;', 'const ist = 0;'),
  'vtx-inject-vme': change(`${CPU}/transfer/deliver.ts`, '!ioplIs3 && !event.isInjected', '!ioplIs3'),
  'vtx-inject-fault': cpu('event.length = length;', ''),
  'vtx-inject-again': exit('vmcs.set(IDT_VECTORING_ERROR_CODE, original.errorCode)', 'vmcs.set(IDT_VECTORING_ERROR_CODE, 0)'),
  'vtx-inject-own': exit(
    'if (original.type >= EventType.SOFTWARE_INTERRUPT) vmcs',
    'if (original.type > EventType.SOFTWARE_INTERRUPT) vmcs',
  ),
  'vtx-inject-invalid': change(`${CHECKS}/controls/entry-controls.ts`, 'return vector <= 31;', 'return vector <= 32;'),
  'vtx-inject-invalid-length': change(`${CHECKS}/controls/entry-controls.ts`, 'length <= 15 &&', 'length <= 16 &&'),
  'vtx-inject-blocked': change(
    `${CHECKS}/guest/non-register-state.ts`,
    'holds: (view) => !isInjected(view, Type.NMI) || !view.interruptibility.blockingByMovSs,',
    'holds: () => true,',
  ),
  'vtx-inject-activity': change(`${CHECKS}/guest/non-register-state.ts`, 'return vector === DB || vector === MC;', 'return true;'),
  'vtx-inject-pending-debug': entry('!(isSoftware && cpu.interruptShadow === InterruptShadow.MOV_SS)', '!isSoftware'),
  'vtx-inject-single-step': cpu(
    'if ((flagsBefore & Eflags.TF) !== 0 && !this.#skipTrap',
    'if ((this.registers.get32(State.eflags) & Eflags.TF) !== 0 && !this.#skipTrap',
  ),
  'vtx-inject-priority': change(
    `${VTX}/layer.ts`,
    '(cpu.registers.get32(State.eflags) & Eflags.IF) !== 0 && cpu.interruptShadow',
    'cpu.interruptShadow',
  ),
  'vtx-enter-modes': entry('flushTag(controls.tag);\n  cpu.updateMode();', 'flushTag(controls.tag);'),
  'vtx-enter-unreal': state(
    'i32[v + p.attributesWord]!, i32[v + p.limitWord]!,',
    'i32[v + p.attributesWord]!, i32[v + p.limitWord]! & 0xffff,',
  ),
  'vtx-enter-rings': state(
    "registers.get32(segmentOffset(Segment.SS, 'attributes'))",
    "registers.get32(segmentOffset(Segment.CS, 'attributes'))",
  ),
  'vtx-enter-segments': state('const high = i32[v + p.baseWord + 1]!;', 'const high = 0;'),
  'vtx-enter-pdptes': state('if (controls.hasSecondary(Secondary.enableEpt)) savePdptes(op, region);', ''),
  'vtx-enter-ldtr-tr': change(`${CPU}/transfer/tss.ts`, 'const wide = tssIs32(cpu);', 'const wide = true;'),
  'vtx-enter-control-registers': state('CR0_KEPT = 0x7ffa_ffd0', 'CR0_KEPT = 0x1ffa_ffd0'),
  'vtx-enter-rflags': state(
    'writeEflags(registers, i32[v + W_GUEST_RFLAGS]!)',
    'writeEflags(registers, i32[v + W_GUEST_RFLAGS]! & 0x3_ffff)',
  ),
  'vtx-enter-efer': state('(cr0 & PG) !== 0 ? EFER_LONG : 0x400', 'EFER_LONG'),
  'vtx-enter-pat': state('controls.hasExit(ExitControl.saveIa32Pat)', 'controls.hasExit(ExitControl.loadIa32Pat)'),
  'vtx-enter-debug-controls': state('(i32[v + W_GUEST_DR7]! & ~DR7_ZEROS)', 'i32[v + W_GUEST_DR7]!'),
  'vtx-enter-activity': entry('cpu.activity >= 2', 'cpu.activity >= 3'),
  'vtx-enter-interruptibility': state('cpu.nmiBlocked = (blocking & Interruptibility.NMI) !== 0;', 'cpu.nmiBlocked = false;'),
  'vtx-enter-pending-debug': entry('if ((field & PendingDebug.ENABLED) !== 0) pending', 'pending'),
  'vtx-inject-gates': change(`${CPU}/transfer/deliver-long.ts`, 'event.vector * 8 + 2 + cpu.ext', 'event.vector * 8 + 3'),
  'vtx-inject-real': change(`${CPU}/transfer/deliver-real.ts`, 'index + 3 > registers', 'index + 4 > registers'),
  'vtx-inject-nested': change(`${CPU}/event.ts`, 'vector === Vector.PF || vector === VIRTUALIZATION', 'vector === Vector.PF'),
  'vtx-inject-breakpoints': change(
    `${CPU}/transfer/deliver-long.ts`,
    'Eflags.TF | Eflags.NT | Eflags.RF | Eflags.VM',
    'Eflags.TF | Eflags.NT | Eflags.VM',
  ),
  'vtx-inject-kept': exit(
    'vmcs.set(EXIT_QUALIFICATION, qualification, 0);',
    'vmcs.set(EXIT_QUALIFICATION, qualification, 0);\n  vmcs.set(VM_ENTRY_INTR_INFO_FIELD, 0);',
  ),
  'vtx-inject-sequence': change(`${VTX}/layer.ts`, 'return !this.#op.cpu.nmiBlocked && this.#op.cpu', 'return this.#op.cpu'),
  'vtx-inject-ept-tables': change(
    `${CPU}/transfer/tss.ts`,
    'const selector = linear.read16(',
    "const selector = linear.read32(at, 0, 'supervisor') && linear.read16(",
  ),
  'vtx-enter-mode-switches': state('if (op.storesEferLma) {', 'if (false) {'),
  'vtx-inject-return-address': cpu('next > 0xffffffff && this.is64Bit ? (high + 1) | 0 : high,\n      errorCode', 'high,\n      errorCode'),
  'vtx-inject-small-stack': change(`${CPU}/stack.ts`, '(old & ~0xffff) | (this.pointerLow & 0xffff)', 'this.pointerLow & 0xffff'),
  'vtx-inject-page-faults': change(
    `${CPU}/deliver-event.ts`,
    'if (vector === Vector.PF) loadCr2(cpu);\n  if (combination',
    'if (combination',
  ),
  'vtx-enter-not-switched': change(`${VTX}/host-state.ts`, "['HOST_IA32_SYSENTER_ESP', State.sysenterEsp],", ''),
  'vtx-enter-vme': change(
    `${VTX}/layer.ts`,
    '& Eflags.IF) !== 0 && cpu.interruptShadow',
    '& (Eflags.IF | 0x8_0000)) !== 0 && cpu.interruptShadow',
  ),
};

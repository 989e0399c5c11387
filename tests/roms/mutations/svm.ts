import type { Mutation } from '../rom.ts';

const SVM = 'packages/amdv/src/svm';
const CHECKS = 'packages/amdv/src/checks';
const SYSTEM = 'packages/x86/src/instructions/system';
const MMU = 'packages/mmu/src';

const change = (file: string, find: string, replace: string): Mutation => ({ file, find, replace });
const interceptor = (find: string, replace: string): Mutation => change(`${SVM}/interceptor.ts`, find, replace);
const guestMode = (find: string, replace: string): Mutation => change(`${SVM}/guest-mode.ts`, find, replace);
const virtual = (find: string, replace: string): Mutation => change(`${SVM}/virtual-interrupts.ts`, find, replace);

const NESTED_IS_IDENTITY = change(`${MMU}/second-stage/npt.ts`, 'result.pa = nested.pa;', 'result.pa = gpa;');

/** For each ROM about AMD-V, a change in our code that it notices. */
export const svmMutations: Readonly<Record<string, Mutation>> = {
  'svm-cpuid': change(`${SYSTEM}/processor.ts`, "if (isIntercepted(cpu, 'CPUID')) return;", ''),
  'svm-v86': change(`${SVM}/guest-state.ts`, '(flags & Eflags.VM) !== 0 ? 3 : ', ''),
  'svm-hlt': change(`${SYSTEM}/processor.ts`, "if (isIntercepted(cpu, 'HLT')) return;", ''),
  'svm-rdtsc': change(`${SYSTEM}/processor.ts`, '(cpu.registers.get32(State.cr4) & Cr4.TSD) !== 0 && cpu.cpl > 0', 'false'),
  'svm-invd-wbinvd': change(`${SYSTEM}/processor.ts`, "cacheControl('INVD')", "cacheControl('WBINVD')"),
  'svm-pause': interceptor("if (mnemonic === 'PAUSE' && this.#filtersPause()) return false;", "if (mnemonic === 'PAUSE') return false;"),
  'svm-init': interceptor('this.#cpu.raiseInit();', ''),
  'svm-pause-filter': interceptor('return --this.#pausesLeft >= 0;', 'return --this.#pausesLeft > 0;'),
  'svm-monitor-mwait': change(`${SYSTEM}/processor.ts`, 'if (cpu.cpl !== 0) raise(Vector.UD);', 'cpu.requireCpl0();'),
  'svm-pushf-popf-iret': change(
    `${SYSTEM}/flags.ts`,
    "if (cpu.layer !== undefined) cpu.intercept({ kind: 'instruction', mnemonic: 'POPF' });",
    '',
  ),
  'svm-software-interrupts': interceptor(
    'return (this.#four & Intercept.ICEBP) !== 0 && this.#plain(SvmExit.ICEBP, 0);',
    'if ((this.#four & Intercept.ICEBP) !== 0) return this.#plain(SvmExit.ICEBP, 0);',
  ),
  'svm-invlpg': interceptor(
    'this.#exits.exit(SvmExit.INVLPG, event.addressLow, event.addressHigh, 0, 0, true)',
    'this.#exits.exit(SvmExit.INVLPG, event.addressLow, 0, 0, 0, true)',
  ),
  'svm-descriptor-tables': interceptor("table === 'ldtr' ? 2 : 3", "table === 'ldtr' ? 3 : 2"),
  'svm-instructions-of-svm': change(`${SVM}/instructions.ts`, "intercepted(cpu, 'VMLOAD');", ''),
  'svm-xsetbv': change(`${SYSTEM}/state-images.ts`, "if (cpu.model.vendor === 'intel') cpu.requireCpl0();", 'cpu.requireCpl0();'),
  'svm-rsm': change(`${SYSTEM}/interrupts.ts`, "if (cpu.layer !== undefined) cpu.intercept({ kind: 'instruction', mnemonic: 'RSM' });", ''),
  'svm-cr-read': interceptor("by === 'mov' && this.#hasAssists ? MOV_CR : 0", 'this.#hasAssists ? MOV_CR : 0'),
  'svm-cr-write': change(
    `${SYSTEM}/control-registers.ts`,
    "cpu.model.vendor === 'amd' && refusesControlRegister",
    'false && refusesControlRegister',
  ),
  'svm-cr0-selective': interceptor('(changed & ~(Cr0.TS | Cr0.MP)) === 0', 'changed === 0'),
  'svm-dr': interceptor('this.#hasAssists ? event.gpr : 0', '0'),
  'svm-debug-state': interceptor('if (vector === DEBUG) this.#cpu.debug.record(event.debugBits);', ''),
  'svm-exceptions': interceptor('((this.#exceptions >>> vector) & 1) === 0', '((this.#exceptions >>> (vector & 15)) & 1) === 0'),
  'svm-exceptions-error': interceptor('event.hasErrorCode ? event.errorCode : 0;', '0;'),
  'svm-page-fault': interceptor('error, 0, event.addressLow, event.addressHigh,', 'error, 0, event.addressLow, 0,'),
  'svm-exception-combining': guestMode('isException || code === SvmExit.ICEBP ? delivering.during : delivering', 'delivering'),
  'svm-shutdown': interceptor('(this.#three & Intercept.SHUTDOWN) !== 0 &&', 'false &&'),
  'svm-ioio': interceptor('(size << Io.SIZE_SHIFT)', '(1 << Io.SIZE_SHIFT)'),
  'svm-ioio-string': interceptor('(event.rep ? Io.REP : 0) |', ''),
  'svm-iopm-edges': change(`${SVM}/permission-maps.ts`, '((1 << size) - 1)', '1'),
  'svm-ioio-priority': change(`${SYSTEM}/io.ts`, '  checkIoPermission(cpu, port, size);\n', ''),
  'svm-msr': interceptor('SvmExit.MSR, event.write ? 1 : 0,', 'SvmExit.MSR, 0,'),
  'svm-msrpm-edges': change(`${SVM}/permission-maps.ts`, 'const RANGE_MSRS = 0x2000;', 'const RANGE_MSRS = 0x1fff;'),
  'svm-inject-interrupt': guestMode('words[at + W.EVENTINJ] = injection & ~EventInformation.VALID;', ''),
  'svm-inject-nmi': guestMode('type === SvmEventType.NMI ? Vector.NMI : vector', 'vector'),
  'svm-inject-exception': guestMode('(injection & EventInformation.ERROR_CODE_VALID) !== 0,', 'false,'),
  'svm-inject-software': guestMode('usesNextRip ? difference(words, at + W.NRIP, at + W.RIP) : 0', '0'),
  'svm-inject-fault': guestMode('info |= EventInformation.ERROR_CODE_VALID;', ''),
  'svm-reinject': guestMode('words[at + W.EXITINTINFO + 1] = error;', 'words[at + W.EXITINTINFO + 1] = 0;'),
  'svm-exitintinfo': guestMode('((SVM_TYPES[event.type] as number) << EventInformation.TYPE_SHIFT)', '0'),
  'svm-inject-invalid': change(`${CHECKS}/controls.ts`, 'type === 1 || type > SvmEventType', 'type > SvmEventType'),
  'svm-intr': interceptor('(this.#three & Intercept.INTR) !== 0 &&', 'false &&'),
  'svm-intr-delivered': virtual('this.#isMasking ? this.#hostFlag : unmasked', 'true'),
  'svm-v-intr-masking': virtual('this.#isMasking ? this.#hostFlag : unmasked', 'unmasked'),
  'svm-nmi': interceptor('(this.#three & Intercept.NMI) !== 0 &&', 'false &&'),
  'svm-gif': guestMode('cpu.globalInterruptFlag = false;', ''),
  'svm-v-irq': virtual('priority <= (control & 15)', 'priority < (control & 15)'),
  'svm-v-irq-hlt': guestMode(
    'get wantsBoundary(): boolean {\n    return this.#virtual.isDue;',
    'get wantsBoundary(): boolean {\n    return false;',
  ),
  'svm-vintr': guestMode('if (this.#interceptor.virtualInterrupts) return', 'if (false) return'),
  'svm-v-tpr': virtual('this.#isMasking ? this.#control & 15 : undefined', 'undefined'),
  'svm-v-tpr-lowered': virtual('this.#control = (this.#control & ~Virtual.TPR) | priority;', ''),
  'svm-interrupt-shadow': guestMode('(cpu.interruptShadow === InterruptShadow.NONE ? 0 : SHADOW)', '0'),
  'svm-npf-access': interceptor('stage.errorCode, high, stage.gpa | 0,', 'stage.errorCode, high, stage.gpa & ~0xfff,'),
  'svm-npf-rights': change(`${MMU}/second-stage/npt.ts`, 'const how = Access.USER | (access &', 'const how = (access &'),
  'svm-npf-reserved': change(`${MMU}/guest/walk.ts`, '(hi & controls.reservedHi) !== 0 || ', ''),
  'svm-npf-table': interceptor('stageOnTable ? 2 : 1', '1'),
  'svm-npf-ad': change(`${MMU}/second-stage/npt.ts`, 'onTable ? Access.READ | Access.WRITE :', 'onTable ? Access.READ :'),
  'svm-npf-mended': NESTED_IS_IDENTITY,
  'svm-npf-large': NESTED_IS_IDENTITY,
  'svm-npt-pae': change('packages/x86/src/cpu/control-registers.ts', 'refused && !checkedAtUse', 'refused'),
  'svm-instruction-bytes': change(`${SVM}/instruction-bytes.ts`, 'u8[to] = count;', 'u8[to] = 0;'),
  'svm-no-npt': guestMode('if (isNested) this.#swapPat(words, at);', 'this.#swapPat(words, at);'),
  'svm-g-pat': guestMode('if (isNested) this.#swapPat(words, at);', ''),
  'svm-invalid-control': change(`${CHECKS}/controls.ts`, "(view) => view.low('GUEST_ASID') !== 0", '() => true'),
  'svm-invalid-guest': change(`${CHECKS}/guest.ts`, "(view) => (view.low('EFER') & Efer.SVME) !== 0", '() => true'),
  'svm-canonical': change(`${SVM}/segments.ts`, 'return (high << unused) >> unused;', 'return high;'),
  'svm-host-state': change(`${SVM}/host-state.ts`, 'i32[at + SEGMENTS + i] = words[i] as number;', ';'),
  'svm-vmload-vmsave': change(`${SVM}/guest-state.ts`, '[W.LSTAR, State.lstar],', '[W.LSTAR, State.cstar],'),
  'svm-asid-tlb': change(`${SVM}/address-spaces.ts`, 'else if (control !== 0) engine.flushTag(space.tag);', ''),
  'svm-clean-bits': interceptor(
    'this.#three = words[at + W.INTERCEPT_3] as number;',
    'if (this.#three === 0) this.#three = words[at + W.INTERCEPT_3] as number;',
  ),
  'svm-tsc-offset': guestMode('cpu.msrs.setLayerTscOffset(0, 0);', ''),
  'svm-task-switch': interceptor('(event.resume ? Task.RF : 0)', '0'),
  'svm-vmrun-exceptions': change(`${SVM}/svm-msrs.ts`, '(value & 0xfffn) !== 0n || ', ''),
};

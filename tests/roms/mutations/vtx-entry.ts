import type { Mutation } from '../rom.ts';

const CHECKS = 'packages/vtx/src/checks';
const PROCESSOR = 'packages/vtx/src/processor';

const change = (file: string, find: string, replace: string): Mutation => ({ file, find, replace });
const rows = (find: string, replace: string): Mutation => change(`${PROCESSOR}/instructions/rows.ts`, find, replace);
const pointers = (find: string, replace: string): Mutation => change(`${PROCESSOR}/instructions/pointers.ts`, find, replace);
const operands = (find: string, replace: string): Mutation => change(`${PROCESSOR}/instructions/operands.ts`, find, replace);
const invalidate = (find: string, replace: string): Mutation => change(`${PROCESSOR}/instructions/invalidate.ts`, find, replace);
const access = (find: string, replace: string): Mutation => change('packages/vtx/src/vmcs/access.ts', find, replace);
const areas = (find: string, replace: string): Mutation => change(`${PROCESSOR}/msr-areas.ts`, find, replace);
const hostState = (find: string, replace: string): Mutation => change(`${PROCESSOR}/host-state.ts`, find, replace);
const guestState = (find: string, replace: string): Mutation => change(`${PROCESSOR}/guest-state.ts`, find, replace);
const check = (file: string, find: string, replace: string): Mutation => change(`${CHECKS}/${file}.ts`, find, replace);
const stateCheck = (find: string, replace: string): Mutation => check('guest/non-register-state', find, replace);
const segmentCheck = (find: string, replace: string): Mutation => check('guest/segments', find, replace);

/** For each ROM about VMX instructions of a host and about VM entry, a change in our code that it notices. */
export const vtxEntryMutations: Readonly<Record<string, Mutation>> = {
  'vtx-vmxon': pointers('revisionAt(op, address) !== op', '(revisionAt(op, address) & 0x7fff_ffff) !== op'),
  'vtx-vmxoff': rows('requireMode(cpu, op.on);', 'requireMode(cpu, true);'),
  'vtx-vmclear': pointers('if (op.current?.address === address) op.current = undefined;', ''),
  'vtx-vmptrld': pointers('if (address === op.vmxonPointer) return vmFail(op, VmInstructionError.VMPTRLD_VMXON_POINTER);', ''),
  'vtx-vmread': access('const value = vmcs.read(field);', 'const value = BigInt(vmcs.low(field));'),
  'vtx-vmwrite': access('vmcs.set(field & ~1, vmcs.low(field & ~1), low)', 'vmcs.set(field & ~1, 0, low)'),
  'vtx-root-modes': operands(' || (cpu.isLongMode && !cpu.is64Bit)', ''),
  'vtx-invept': invalidate('(eptp & 0xf80n) === 0n', '(eptp & 0x700n) === 0n'),
  'vtx-invvpid': invalidate('(type !== 2n && vpid === 0)', '(type === 1n && vpid === 0)'),
  'vtx-operand-faults': rows('readMemory64(cpu, insn, 8);\n  return invept(', 'return invept('),
  'vtx-feature-control': change(`${PROCESSOR}/feature-control.ts`, '(op.featureControl & FeatureControl.LOCK) !== 0 || ', ''),
  'vtx-feature-control-off': rows('(op.featureControl & enabled) === enabled', '(op.featureControl & enabled) !== 0'),
  'vtx-real-mode': operands('!cpu.isProtected || ', ''),
  'vtx-no-paging': rows('op.hasFixedBits(registers.get32(State.cr0), registers.get32(State.cr4)) && ', ''),
  'vtx-fields-32bit': access('operandBits === 32 ? 0 : ', 'operandBits === 32 ? vmcs.high(field) : '),
  'vtx-launch-state': change(
    `${PROCESSOR}/entry.ts`,
    'if (!launch && !isLaunched) return vmFail(op, VmInstructionError.VMRESUME_NON_LAUNCHED_VMCS);',
    '',
  ),
  'vtx-fail-settings': check('controls/execution-controls', '(~value & capabilities.allowed0(word)) === 0 && ', ''),
  'vtx-fail-controls': check('controls/execution-controls', '<= view.capabilities.cr3Targets', '<= view.capabilities.cr3Targets + 1'),
  'vtx-fail-addresses': check(
    'controls/ept-controls',
    "(view.low('EPT_POINTER') & 0xf00) === 0",
    "(view.low('EPT_POINTER') & 0x700) === 0",
  ),
  'vtx-fail-msr-areas': check('controls/msr-areas', 'addressRows(family, 4)', 'addressRows(family, 3)'),
  'vtx-fail-host-registers': check(
    'host/host-registers',
    "fixedBitsRow(SECTION, 'host.cr4.fixed', 'HOST_CR4', 'CR4', { broken: 0x2000n }),",
    '',
  ),
  'vtx-fail-host-segments': check('host/host-segments', '(view.low(field) & 7) === 0', '(view.low(field) & 3) === 0'),
  'vtx-fail-address-space': check(
    'host/address-space-size',
    'holds: (view) => view.exit.hostAddressSpaceSize === view.environment.inIa32eMode',
    'holds: () => true',
  ),
  'vtx-check-order': check('all-checks', '  ...executionControlChecks,', '  ...hostSegmentChecks, ...executionControlChecks,'),
  'vtx-refused-cr': check('guest/control-registers', '!view.cr4.pcide || view.ia32eModeGuest', 'true'),
  'vtx-refused-msrs': check(
    'guest/control-registers',
    '!view.cr0.pg || view.efer.lma === view.efer.lme',
    'view.efer.lma === view.efer.lme',
  ),
  'vtx-refused-tables': check('guest/rip-rflags', 'RFLAGS_RESERVED = 0xffc0_8028', 'RFLAGS_RESERVED = 0xffc0_8008'),
  'vtx-refused-activity': stateCheck('view.activityState !== ActivityState.HLT || view.segments.SS.dpl === 0', 'true'),
  'vtx-refused-blocking': stateCheck('!view.interruptibility.blockingBySti || view.rflags.if', 'true'),
  'vtx-refused-pending-debug': stateCheck('(view.rflags.tf && !view.debugctl.btf) || !view.pendingDebug.bs', 'true'),
  'vtx-refused-link': stateCheck("view.address('VMCS_LINK_POINTER') !== view.environment.currentVmcs", 'true'),
  'vtx-refused-pdptes': check('guest/pdptes', '(low & 0x1e6) === 0', '(low & 0x1e0) === 0'),
  'vtx-refused-cs': segmentCheck('(view.segments.CS.type & 13) !== 13 || view.segments.CS.dpl <= view.segments.SS.dpl', 'true'),
  'vtx-refused-ss': segmentCheck('view.segments.SS.type === 3 || view.segments.SS.type === 7', 'view.segments.SS.type === 3'),
  'vtx-refused-data': segmentCheck('segment.type > 11 || ', ''),
  'vtx-refused-system-segments': segmentCheck('(view.segments.TR.type === 3 && !view.ia32eModeGuest)', 'view.segments.TR.type === 3'),
  'vtx-refused-v86': segmentCheck('!view.isVirtual8086 || view.low(ar(name)) === 0xf3', 'true'),
  'vtx-entry-msr-load': areas('count = vmcs.low(countField)', 'count = Math.min(1, vmcs.low(countField))'),
  'vtx-entry-msr-refused': change(`${PROCESSOR}/entry.ts`, 'failure !== undefined && failure.reason !== 34', 'failure !== undefined'),
  'vtx-exit-msr-store': areas('cpu.physical.write64(at + 8, cpu.msrs.read(index))', 'cpu.physical.write64(at, cpu.msrs.read(index))'),
  'vtx-exit-msr-load': areas('return load(op, VM_EXIT_MSR_LOAD_COUNT, VM_EXIT_MSR_LOAD_ADDR) === 0;', 'return true;'),
  'vtx-host-registers': hostState('loadControl(Dr7.FIXED,', 'loadControl(registers.get32(State.dr7),'),
  'vtx-host-segments': hostState('registers.set32(State.idtrLimit, 0xffff);', ''),
  'vtx-host-msrs': hostState('registers.set32(State.sysenterCs, i32[v + W_HOST_IA32_SYSENTER_CS]!);', ''),
  'vtx-failed-entry': change(
    `${PROCESSOR}/exit.ts`,
    'vmcs.set(VM_EXIT_REASON, reason | ExitReasonBit.ENTRY_FAILURE);',
    'vmcs.set(VM_EXIT_REASON, reason | ExitReasonBit.ENTRY_FAILURE); vmcs.set(VM_EXIT_INTR_INFO, 0);',
  ),
  'vtx-two-vmcs': pointers(
    "if (region !== undefined) region.vmcs.launchState = 'clear';",
    "if (op.current !== undefined) op.current.vmcs.launchState = 'clear';",
  ),
  'vtx-entry-loads': guestState('(i32[v + W_GUEST_DR7]! & ~DR7_ZEROS) | Dr7.FIXED', 'i32[v + W_GUEST_DR7]!'),
  'vtx-entry-segments': guestState(
    'i32[v + p.attributesWord]!, i32[v + p.limitWord]!, low, high',
    'i32[v + p.attributesWord]!, -1, low, high',
  ),
  'vtx-exit-saves': guestState('controls.hasExit(ExitControl.saveIa32Efer)', 'true'),
  'vtx-exit-saves-segments': guestState('p.base, segments[p.imageWord]!, segments[p.imageWord + 1]!', 'p.base, segments[p.imageWord]!, 0'),
  'vtx-capability-msrs': change(
    `${PROCESSOR}/feature-control.ts`,
    '.capabilities.msrs[name] ?? raise(Vector.GP, 0)',
    '.capabilities.msrs[name] ?? 0n',
  ),
  'vtx-host-32bit': check('host/host-segments', "view.exit.hostAddressSpaceSize || view.low('HOST_SS_SELECTOR') !== 0", 'true'),
  'vtx-host-pae': hostState('if (usesPdptes(cpu) && !loadHostPdptes(op)) return false;', ''),
  'vtx-address-width': check('controls/msr-areas', 'view.address(field) + count * MSR_ENTRY_BYTES <= 2', 'view.address(field) <= 2'),
  'vtx-prefixes': rows("'NP 0F 78 /r Ey,Gy f64'", "'0F 78 /r Ey,Gy f64'"),
  'vtx-root-32bit': rows(
    'if (op.nonRoot) exitFromGuest(op, reason, insn, information);\n      cpu.requireCpl0();',
    'if (op.nonRoot) exitFromGuest(op, reason, insn, information);',
  ),
};

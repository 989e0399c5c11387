import type { Mutation } from '../rom.ts';

const PROCESSOR = 'packages/vtx/src/processor';

const change = (file: string, find: string, replace: string): Mutation => ({ file, find, replace });
const rows = (find: string, replace: string): Mutation => change(`${PROCESSOR}/instructions/rows.ts`, find, replace);
const pointers = (find: string, replace: string): Mutation => change(`${PROCESSOR}/instructions/pointers.ts`, find, replace);
const operands = (find: string, replace: string): Mutation => change(`${PROCESSOR}/instructions/operands.ts`, find, replace);
const invalidate = (find: string, replace: string): Mutation => change(`${PROCESSOR}/instructions/invalidate.ts`, find, replace);
const access = (find: string, replace: string): Mutation => change('packages/vtx/src/vmcs/access.ts', find, replace);

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
};

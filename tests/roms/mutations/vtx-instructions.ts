import type { Mutation } from '../rom.ts';

const INTERCEPTS = 'packages/vtx/src/processor/intercepts';

const change = (file: string, find: string, replace: string): Mutation => ({ file, find, replace });
const instructions = (find: string, replace: string): Mutation => change(`${INTERCEPTS}/instructions.ts`, find, replace);
const registers = (find: string, replace: string): Mutation => change(`${INTERCEPTS}/registers.ts`, find, replace);
const portsAndMsrs = (find: string, replace: string): Mutation => change(`${INTERCEPTS}/ports-and-msrs.ts`, find, replace);
const information = (find: string, replace: string): Mutation =>
  change('packages/vtx/src/processor/instruction-information.ts', find, replace);
const layer = (find: string, replace: string): Mutation => change('packages/vtx/src/processor/layer.ts', find, replace);

/** For each ROM about instructions, registers, ports and MSRs in a guest, a change in our code that it notices. */
export const vtxInstructionsMutations: Readonly<Record<string, Mutation>> = {
  'vtx-cpuid': change('packages/x86/src/instructions/system/processor.ts', "if (isIntercepted(cpu, 'CPUID')) return;", ''),
  'vtx-hlt': instructions('reason: ExitReason.HLT, primary: Primary.hltExiting }', 'reason: ExitReason.HLT }'),
  'vtx-unconditional': instructions("['INVD', { reason: ExitReason.INVD }]", "['INVD', { reason: ExitReason.WBINVD }]"),
  'vtx-invlpg': change(
    `${INTERCEPTS}/intercept.ts`,
    'ExitReason.INVLPG, event.addressLow, event.addressHigh)',
    'ExitReason.INVLPG, event.addressLow, 0)',
  ),
  'vtx-rdtsc': instructions(', undefinedWithout: Secondary.enableRdtscp', ''),
  'vtx-monitor-mwait': instructions('rule.reason === ExitReason.MWAIT_INSTRUCTION && cpu.monitorArmed ? 1 : 0', '0'),
  'vtx-pause-wbinvd': instructions('ExitReason.WBINVD, secondary: Secondary.wbinvdExiting', 'ExitReason.WBINVD'),
  'vtx-vmx-in-guest': information('return memoryOperand(insn) | (reg2 << 28);', 'return memoryOperand(insn);'),
  'vtx-vmread-in-guest': information('(insn.rm << 3) | MEMORY_OR_REGISTER | addressSize(insn) | (insn.reg << 28)', 'insn.reg << 28'),
  'vtx-cr0-mask': registers('differs(value, cr0Mask,', 'differs(value, -1,'),
  'vtx-cr0-read': layer('(value & ~cr0Mask) | (cr0Shadow & cr0Mask)', 'value | (cr0Shadow & cr0Mask)'),
  'vtx-clts-lmsw': registers('(controls.cr0Mask & controls.cr0Shadow & TS) !== 0', '(controls.cr0Mask & TS) !== 0'),
  'vtx-cr3': registers('for (let n = 0; n < count; n++)', 'for (let n = 0; n <= count; n++)'),
  'vtx-cr4-mask': layer('const mask = register === 0 ? cr0Mask : cr4Mask;', 'const mask = register === 0 ? cr0Mask : 0 & cr4Mask;'),
  'vtx-fixed-bits': change(
    'packages/vtx/src/processor/operation.ts',
    'this.isUnrestricted ? this.#cr0Fixed0 & 0x7fff_fffe : this.#cr0Fixed0',
    'this.#cr0Fixed0',
  ),
  'vtx-cr8': registers('event.register === 8 && controls.hasPrimary(Primary.cr8StoreExiting)', 'event.register === 8'),
  'vtx-tpr-shadow': change(
    'packages/vtx/src/processor/tpr-shadow.ts',
    'op.controls.tprThreshold > value >>> 4',
    'op.controls.tprThreshold >= value >>> 4',
  ),
  'vtx-mov-dr': registers('event.register | (event.write ? 0 : 0x10)', 'event.register'),
  'vtx-descriptor-tables': information('(insn.operandBytes === 2 ? 0 : 0x800)', '0x800'),
  'vtx-io': portsAndMsrs('(event.immediate ? 0x40 : 0) | ', ''),
  'vtx-io-string': portsAndMsrs('event.input ? Segment.ES : event.segment', 'event.input ? Segment.ES : Segment.DS'),
  'vtx-io-bitmaps': portsAndMsrs('if (port + size > 0x1_0000) return true;', ''),
  'vtx-rdmsr-wrmsr': portsAndMsrs('write ? ExitReason.MSR_WRITE : ExitReason.MSR_READ', 'ExitReason.MSR_READ'),
  'vtx-msr-bitmaps': portsAndMsrs('(range === 0 ? 0 : HIGH_MSRS)', '0'),
};

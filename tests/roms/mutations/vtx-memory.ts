import type { Mutation } from '../rom.ts';

const VTX = 'packages/vtx/src/processor';
const MMU = 'packages/mmu/src';
const X86 = 'packages/x86/src';

const change = (file: string, find: string, replace: string): Mutation => ({ file, find, replace });
const eptStage = (find: string, replace: string): Mutation => change(`${MMU}/second-stage/ept.ts`, find, replace);
const eptControls = (find: string, replace: string): Mutation => change(`${MMU}/second-stage/ept-controls.ts`, find, replace);
const walk = (find: string, replace: string): Mutation => change(`${MMU}/guest/walk.ts`, find, replace);
const controlRegisters = (find: string, replace: string): Mutation => change(`${X86}/cpu/control-registers.ts`, find, replace);

/** For each ROM of `catalogue/vtx` that the name says, a change in our code that it notices. */
export const vtxMemoryMutations: Readonly<Record<string, Mutation>> = {
  'vtx-ept-access': change(
    `${VTX}/intercepts/events.ts`,
    'if ((stage.qualification & 0x80) !== 0) setLinearAddress(op, event.addressLow, event.addressHigh);',
    'setLinearAddress(op, stage.gpa | 0, 0);',
  ),
  'vtx-ept-rights': eptStage('if ((lo & W) !== 0) return Reason.EPT_WRITE_WITHOUT_READ;', ''),
  'vtx-ept-levels': eptStage('rights &= lo;', 'rights = lo;'),
  'vtx-ept-large': eptControls('mbPages ? 1 : 0, gbPages ? 1 : 0, 0, 0)', 'mbPages ? 1 : 0, 0, 0, 0)'),
  'vtx-ept-across': change(`${X86}/engine/memory/linear-memory.ts`, 'if (!this.probe(low, high, bytes, kind)) return false;', ''),
  'vtx-ept-mended': change(
    `${X86}/engine/memory/linear-memory.ts`,
    'if (!write) set.fill(low, high, page, false, result.global);',
    'if (!write) set.fill(low, high, page, true, result.global);',
  ),
  'vtx-ept-string': change(`${X86}/semantics/string.ts`, 'for (const operand of strings) advance(operand, moved);', ''),
  'vtx-ept-instructions': change(
    `${X86}/instructions/integer/data-transfer.ts`,
    `      const source = e.src.read();
      e.dst.write(select(e.flags.condition(e.cc), source, e.dst.read()));`,
    '      if (e.cc !== 5) e.dst.write(select(e.flags.condition(e.cc), e.src.read(), e.dst.read()));',
  ),
  'vtx-ept-descriptors': change(
    `${X86}/cpu/segments/descriptor-tables.ts`,
    'if ((descriptor.high & (1 << 8)) === 0) writeTypeByte(cpu, descriptor, 1, 0);',
    '',
  ),
  'vtx-ept-delivery': change(
    `${VTX}/exit.ts`,
    'if (reason !== ExitReason.EXCEPTION_NMI) return delivering;',
    'if (reason !== ExitReason.EXCEPTION_NMI) return;',
  ),
  'vtx-ept-table': eptStage('if ((access & Access.TABLE) === 0) {', '{'),
  'vtx-ept-table-flags': walk(
    'if (stage !== null && !reachEntry(gpa, Access.READ | Access.WRITE, access, stage, result, recorder)) return FAULT;',
    'if (stage !== null && !reachEntry(gpa, Access.READ, access, stage, result, recorder)) return FAULT;',
  ),
  'vtx-ept-pdpte': controlRegisters('Access.READ | Access.NO_LINEAR', 'Access.READ'),
  'vtx-ept-misconfigured': eptControls('0x001f_f000, 0x3fff_f000', '0x001f_e000, 0x3fff_e000'),
  'vtx-ept-misconfigured-where': eptStage('if (wrong !== Reason.NONE) {', 'if (wrong !== Reason.NONE && (lo & kinds) !== 0) {'),
  'vtx-ept-memory-type': eptStage('memoryType === 2 || memoryType === 3', 'memoryType === 3'),
  'vtx-ept-priority': walk('const refused = access & ACCESS_KINDS & ~allowed;', 'const refused = access & Access.EXECUTE & ~allowed;'),
  'vtx-ept-width': controlRegisters('maxPhyAddr: model.physicalBits,', 'maxPhyAddr: 52,'),
  'vtx-ept-ad': eptStage('const flags = (kinds & Access.WRITE) !== 0 ? A | D : A;', 'const flags = A | D;'),
  'vtx-ept-ad-tables': eptStage('this.#controls.accessedDirty && (access & Access.TABLE) !== 0', 'false'),
  'vtx-pml': eptStage('result.gpa - (result.gpa % 4096)', 'result.gpa'),
  'vtx-pml-full': eptStage('if (this.#log?.isFull() === true) {', 'if ((flags & ~lo & D) !== 0 && this.#log?.isFull() === true) {'),
  'vtx-invept-flush': change(`${VTX}/tags.ts`, 'root === undefined ? space.root >= 0 : space.root === root', 'root === undefined'),
  'vtx-invvpid-flush': change(`${VTX}/tags.ts`, 'vpid === undefined ? space.vpid !== 0 : space.vpid === vpid', 'vpid === undefined'),
  'vtx-vpid': change(`${VTX}/exit.ts`, 'else if (!op.controls.hasSecondary(Secondary.enableVpid)) cpu.engine.flushTag(0);', ''),
  'vtx-guest-flush': change(
    `${X86}/engine/memory/tlb.ts`,
    'const mask = this.#largePages.maskAt(low, high);',
    'const mask = PageMask.SMALL;',
  ),
  'vtx-ept-iret': change(
    `${VTX}/intercepts/events.ts`,
    'const unblocked = op.cpu.nmiUnblocked && !op.cpu.delivering.active ?',
    'const unblocked = op.cpu.delivering.active ?',
  ),
  'vtx-ept-modify': change(
    `${X86}/engine/memory/linear-memory.ts`,
    'if (!this.locate(low, high, write, kind)) return false;',
    'if (!this.locate(low, high, false, kind)) return false;',
  ),
  'vtx-ept-operands': change(
    `${X86}/instructions/system/segment-registers.ts`,
    'loadSegment(cpu, segment, readMemory(cpu, insn, 2, operandBytes));',
    'writeGpr(cpu, insn.reg, operandBytes, low, high);\nloadSegment(cpu, segment, readMemory(cpu, insn, 2, operandBytes));',
  ),
  'vtx-ept-x87-sse': change(`${X86}/instructions/x87/load-store.ts`, "'DF /7 Mq'], storeInteger(1, 0)", "'DF /7 Mq'], storeInteger(0, 0)"),
  'vtx-ept-blocking': change(
    `${VTX}/guest-state.ts`,
    '(shadow === InterruptShadow.STI ? Interruptibility.STI :',
    '(shadow === InterruptShadow.STI ? 0 :',
  ),
  'vtx-ept-code': change(`${X86}/engine/memory/tlb.ts`, 'this.#clearTags(false);\n    this.clearFetch();', 'this.#clearTags(false);'),
  'vtx-ept-frames': eptStage('result.pa = pageAddress(lo, hi, offsetMask, gpa | 0);', 'result.pa = gpa;'),
  'vtx-guest-paging': controlRegisters(
    'if ((changed & CR4_TRANSLATION) !== 0) {\n    cpu.updatePaging();\n    cpu.engine.flushAll();',
    'if ((changed & CR4_TRANSLATION) !== 0) {\n    cpu.updatePaging();',
  ),
  'vtx-smep-smap': walk('executable && !(controls.smep && user)', 'executable'),
  'vtx-ept-page-faults': change(
    `${X86}/cpu/deliver-event.ts`,
    'event.set(Vector.DF, EventType.HARDWARE_EXCEPTION, low, high, 0, !cpu.isRealMode);',
    'event.set(Vector.DF, EventType.HARDWARE_EXCEPTION, low, high, 0, false);',
  ),
  'vtx-ept-gates': change(
    `${X86}/cpu/transfer/far-call.ts`,
    'stack.push(8, selectorOf(registers, Segment.SS), 0);',
    'setNullSegment(registers, Segment.SS, cpl, cpl);\nstack.push(8, 0, 0);',
  ),
  'vtx-ept-xsave': change(`${X86}/instructions/system/state-images.ts`, 'area.load(512, XSAVE_HEADER_END);', ''),
  'vtx-pcid': change(`${X86}/engine/cpu-engine.ts`, 'tag * PCIDS + PCIDS - 1', 'tag * PCIDS'),
};

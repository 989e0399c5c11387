import { Gpr, Segment, State } from '../../state/layout.ts';
import { Cr0, Dr6 } from '../control-bits.ts';
import { loadCr3ForTask } from '../control-registers.ts';
import type { Cpu } from '../cpu.ts';
import { ALL_FLAGS, Eflags, readEflags, writeEflags } from '../eflags.ts';
import type { DeliveredEvent } from '../event.ts';
import { raise, Vector } from '../fault.ts';
import { type Descriptor, SystemType } from '../segments/descriptor.ts';
import { isNull, markAccessed, readDescriptor, selectorFault, setBusy } from '../segments/descriptor-tables.ts';
import { checkDataSegment, checkStackSegment } from '../segments/load.ts';
import {
  baseLowOf,
  limitOf,
  selectorOf,
  setNullSegment,
  setSegment,
  setSegmentFromDescriptor,
  setVirtual8086Segment,
} from '../segments/segment-register.ts';
import { StackCursor } from '../stack.ts';
import { tssIs32 } from './tss.ts';

/** What switches tasks (SDM Vol. 3A, 7.3 "Task Switching"). */
export type TaskSwitchSource = 'jmp' | 'call' | 'iret' | 'gate';

/** Offsets in a TSS (SDM Vol. 3A, Figures 7-2 and 7-10). Registers: in encoding order; segments: ES CS SS DS FS GS. */
interface TssLayout {
  readonly ip: number;
  readonly flags: number;
  readonly registers: number;
  readonly segments: number;
  readonly segmentCount: number;
  readonly segmentStride: number;
  readonly ldt: number;
  readonly bytes: 2 | 4;
  readonly leastLimit: number;
}
const TSS32: TssLayout = {
  ip: 0x20,
  flags: 0x24,
  registers: 0x28,
  segments: 0x48,
  segmentCount: 6,
  segmentStride: 4,
  ldt: 0x60,
  bytes: 4,
  leastLimit: 0x67,
};
const TSS16: TssLayout = {
  ip: 0x0e,
  flags: 0x10,
  registers: 0x12,
  segments: 0x22,
  segmentCount: 4,
  segmentStride: 2,
  ldt: 0x2a,
  bytes: 2,
  leastLimit: 0x2b,
};
const CR3_OFFSET = 0x1c;
const TRAP_OFFSET = 0x64;

/**
 * A hardware task switch. `selector` names the TSS; privilege (DPL, RPL) has been checked by the caller. `event`: what goes through a task gate; its error code is pushed in the new task. `oldFlags`: what the old task's TSS gets, with RF for a fault.
 * The instruction pointer saved in the old task is the event's for gates, the next instruction otherwise.
 */
export function switchTask(
  cpu: Cpu,
  selector: number,
  source: TaskSwitchSource,
  event?: DeliveredEvent,
  oldFlags: number = readEflags(cpu.registers),
): void {
  const { registers, linear } = cpu;
  const tss = checkTss(cpu, selector, source);
  const layout = (tss.type & 8) !== 0 ? TSS32 : TSS16;
  if (tss.limit < layout.leastLimit) selectorFault(cpu, Vector.TS, selector);
  if (cpu.layer !== undefined) {
    const { errorCode, hasErrorCode } = event ?? { errorCode: 0, hasErrorCode: false };
    cpu.intercept({ kind: 'task-switch', selector, source, errorCode, hasErrorCode, resume: (oldFlags & Eflags.RF) !== 0 });
  }

  const oldLayout = tssIs32(cpu) ? TSS32 : TSS16;
  const oldBase = baseLowOf(registers, Segment.TR);
  const oldSelector = selectorOf(registers, Segment.TR);
  const base = tss.baseLow;
  linear.probe(base, 0, layout.leastLimit + 1, false, 'supervisor');
  if (oldLayout.leastLimit > limitOf(registers, Segment.TR)) selectorFault(cpu, Vector.TS, oldSelector);
  linear.probe(oldBase, 0, oldLayout.leastLimit + 1, true, 'supervisor');
  const nested = source === 'call' || source === 'gate';
  if (nested) linear.probe(base, 0, 2, true, 'supervisor');

  // The new task's image is read before the old one's is written: they may be one and the same.
  const image = readImage(cpu, base, layout);
  if (source === 'jmp' || source === 'iret') setBusy(cpu, readDescriptor(cpu, oldSelector, Vector.TS), false);
  let flags = oldFlags;
  if (source === 'iret') flags &= ~Eflags.NT;
  saveImage(cpu, oldBase, oldLayout, flags, event?.returnLow ?? cpu.nextRipLow);
  if (nested) {
    linear.write16(base, 0, oldSelector, 'supervisor');
    image.flags |= Eflags.NT;
  }
  if (source !== 'iret') setBusy(cpu, tss, true);

  // From here on faults arise in the new task (SDM Vol. 3A, 7.3, step 12 ff.).
  registers.set32(State.cr0, registers.get32(State.cr0) | Cr0.TS);
  setSegment(registers, Segment.TR, selector, (tss.attributes & ~0xf) | (tss.type | 2), tss.limit, base);
  registers.set32(State.dr7, registers.get32(State.dr7) & ~0x155);
  cpu.debug.changed();
  if (layout === TSS32) loadCr3ForTask(cpu, image.cr3);
  writeEflags(registers, image.flags, layout === TSS32 ? ALL_FLAGS : 0xffff);
  image.registers.forEach((value, index) => {
    const old = registers.gprLow(index);
    registers.setGprHalves(index, layout === TSS32 ? value : (old & ~0xffff) | value, 0);
  });
  cpu.keepResumeFlag();
  cpu.skipSingleStep();
  loadSelectors(cpu, image);
  cpu.jumpTo(image.ip, 0);
  cpu.updateMode();
  loadDescriptors(cpu, image);
  cpu.updateMode();

  if (event?.hasErrorCode) {
    const stack = StackCursor.current(cpu, 'cpl', cpu.ext);
    stack.push(layout.bytes, event.errorCode);
    stack.commit();
  }
  if (image.ip >>> 0 > limitOf(registers, Segment.CS)) raise(Vector.GP, cpu.ext);
  if (image.trap) cpu.pendingDebug |= Dr6.BT;
}

function checkTss(cpu: Cpu, selector: number, source: TaskSwitchSource): Descriptor {
  const vector = source === 'iret' ? Vector.TS : Vector.GP;
  if (isNull(selector) || (selector & 4) !== 0) selectorFault(cpu, source === 'gate' ? Vector.TS : vector, selector);
  const tss = readDescriptor(cpu, selector, vector);
  const busy = (tss.type & 2) !== 0;
  const isTss = tss.isSystem && ((tss.type & ~2) === SystemType.TSS_AVAILABLE || (tss.type & ~2) === SystemType.TSS16_AVAILABLE);
  if (!isTss || busy !== (source === 'iret')) selectorFault(cpu, vector, selector);
  if (!tss.isPresent) selectorFault(cpu, Vector.NP, selector);
  return tss;
}

interface TaskImage {
  readonly cr3: number;
  readonly ip: number;
  flags: number;
  readonly registers: readonly number[];
  /** ES CS SS DS FS GS. */
  readonly selectors: readonly number[];
  readonly ldt: number;
  readonly trap: boolean;
}

function readImage(cpu: Cpu, base: number, layout: TssLayout): TaskImage {
  const { linear } = cpu;
  const word = (offset: number): number => linear.read16((base + offset) | 0, 0, 'supervisor');
  const item = (offset: number): number => (layout.bytes === 4 ? linear.read32((base + offset) | 0, 0, 'supervisor') | 0 : word(offset));
  return {
    cr3: layout === TSS32 ? item(CR3_OFFSET) : 0,
    ip: item(layout.ip),
    flags: item(layout.flags),
    registers: Array.from({ length: 8 }, (_, i) => item(layout.registers + i * layout.bytes)),
    selectors: Array.from({ length: 6 }, (_, i) => (i < layout.segmentCount ? word(layout.segments + i * layout.segmentStride) : 0)),
    ldt: word(layout.ldt),
    trap: layout === TSS32 && (word(TRAP_OFFSET) & 1) !== 0,
  };
}

function saveImage(cpu: Cpu, base: number, layout: TssLayout, flags: number, ip: number): void {
  const { linear, registers } = cpu;
  const store = (offset: number, value: number): void => {
    if (layout.bytes === 4) linear.write32((base + offset) | 0, 0, value, 'supervisor');
    else linear.write16((base + offset) | 0, 0, value & 0xffff, 'supervisor');
  };
  store(layout.ip, ip);
  store(layout.flags, flags);
  for (let i = Gpr.RAX; i <= Gpr.RDI; i++) store(layout.registers + i * layout.bytes, registers.gprLow(i));
  for (let i = 0; i < layout.segmentCount; i++)
    linear.write16((base + layout.segments + i * layout.segmentStride) | 0, 0, selectorOf(registers, i), 'supervisor');
}

/** The visible parts of all segment registers, before any descriptor is looked at: a fault then finds them in the new task. */
function loadSelectors(cpu: Cpu, image: TaskImage): void {
  const { registers } = cpu;
  image.selectors.forEach((selector, segment) => {
    setNullSegment(registers, segment, selector, selector & 3);
  });
  setNullSegment(registers, Segment.LDTR, image.ldt);
  registers.set32(State.cpl, (image.flags & Eflags.VM) !== 0 ? 3 : (image.selectors[Segment.CS] as number) & 3);
}

function loadDescriptors(cpu: Cpu, image: TaskImage): void {
  const { registers } = cpu;
  if (!isNull(image.ldt)) {
    if ((image.ldt & 4) !== 0) selectorFault(cpu, Vector.TS, image.ldt);
    const ldt = readDescriptor(cpu, image.ldt, Vector.TS);
    if (!ldt.isSystem || ldt.type !== SystemType.LDT || !ldt.isPresent) selectorFault(cpu, Vector.TS, image.ldt);
    setSegmentFromDescriptor(registers, Segment.LDTR, image.ldt, ldt);
  }
  if ((image.flags & Eflags.VM) !== 0) {
    image.selectors.forEach((selector, segment) => {
      setVirtual8086Segment(registers, segment, selector);
    });
    return;
  }
  const cs = image.selectors[Segment.CS] as number;
  const ss = image.selectors[Segment.SS] as number;
  const cpl = cs & 3;
  if (isNull(cs)) selectorFault(cpu, Vector.TS, cs);
  const code = readDescriptor(cpu, cs, Vector.TS);
  if (!code.isCode || (code.isConforming ? code.dpl > cpl : code.dpl !== cpl)) selectorFault(cpu, Vector.TS, cs);
  if (!code.isPresent) selectorFault(cpu, Vector.NP, cs);
  const stack = checkStackSegment(cpu, ss, cpl, Vector.TS);
  markAccessed(cpu, stack);
  setSegmentFromDescriptor(registers, Segment.SS, ss, stack);
  for (const segment of [Segment.DS, Segment.ES, Segment.FS, Segment.GS]) {
    const selector = image.selectors[segment] as number;
    if (isNull(selector)) continue;
    const data = checkDataSegment(cpu, selector, cpl, Vector.TS);
    markAccessed(cpu, data);
    setSegmentFromDescriptor(registers, segment, selector, data);
  }
  markAccessed(cpu, code);
  setSegmentFromDescriptor(registers, Segment.CS, cs, code);
}

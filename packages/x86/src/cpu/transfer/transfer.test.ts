import { expect, test } from 'vitest';
import { Segment, State } from '../../state/layout.ts';
import { attributesOf, selectorOf, setSegment } from '../segments/segment-register.ts';
import { CODE, GDT, HANDLERS, INNER_STACK, Selector, STACK, TestMachine, TSS } from '../test-machine.ts';

const far = (offset: number, selector: number): number[] => [offset & 0xff, (offset >> 8) & 0xff, 0, 0, selector, 0];

test('CALL through a 32-bit call gate to an inner level copies the parameters to the new stack; RETF drops them on both (SDM Vol. 3A, 5.8.5, 5.8.6)', () => {
  const m = new TestMachine().protected({ cpl: 3 });
  m.descriptor(Selector.CALL_GATE, (Selector.CODE0 << 16) | 0x6800, 0x0000ec02); // 2 parameters, DPL 3
  m.bytes(0x6800, [0xca, 0x08, 0x00]); // retf 8
  m.code([0x9a, ...far(0, Selector.CALL_GATE | 3), 0x0f, 0x0b]);
  m.physical.write32(STACK, 0x11111111);
  m.physical.write32(STACK + 4, 0x22222222);
  m.cpu.run(1);
  expect(m.cpu.cpl).toBe(0);
  expect(m.gpr(4)).toBe(INNER_STACK - 24);
  expect(m.stack(6, 4)).toEqual([CODE + 7, Selector.CODE3, 0x11111111, 0x22222222, STACK, Selector.DATA3]);
  m.cpu.run(1);
  expect([m.cpu.cpl, m.rip, m.gpr(4)]).toEqual([3, CODE + 7, STACK + 8]);
  expect(selectorOf(m.cpu.registers, Segment.SS)).toBe(Selector.DATA3);
});

test('returning outward makes data segments of the inner level null (SDM Vol. 3A, 5.8.6)', () => {
  const m = new TestMachine().protected();
  m.physical.write32(STACK, CODE + 0x100);
  m.physical.write32(STACK + 4, Selector.CODE3);
  m.physical.write32(STACK + 8, 0x8000);
  m.physical.write32(STACK + 12, Selector.DATA3);
  setSegment(m.cpu.registers, Segment.ES, Selector.DATA3, 0xc0f3, 0xffffffff, 0);
  m.code([0xcb]).cpu.run(1);
  expect([m.cpu.cpl, m.rip, m.gpr(4)]).toEqual([3, CODE + 0x100, 0x8000]);
  expect(attributesOf(m.cpu.registers, Segment.DS) & 0x10000).toBe(0x10000);
  expect(selectorOf(m.cpu.registers, Segment.ES)).toBe(Selector.DATA3);
});

test('JMP to nonconforming code of another level is #GP with the selector (SDM Vol. 3A, 5.8.1.1)', () => {
  const m = new TestMachine().protected({ cpl: 3 }).code([0xea, ...far(CODE, Selector.CODE0)]);
  m.run();
  expect(m.handled).toBe(13);
  expect(m.stack(1, 4)).toEqual([Selector.CODE0]);
});

test('a jump beyond the limit of the new code segment is #GP(0) (SDM Vol. 2A, JMP)', () => {
  const m = new TestMachine().protected().code([0xea, 0, 0, 1, 0, Selector.CODE16, 0]);
  m.run();
  expect([m.handled, m.stack(1, 4)[0]]).toEqual([13, 0]);
});

test('IRETD with VM set at CPL 0 enters virtual-8086 mode; INT n there with IOPL < 3 is #GP, and the frame holds the segments (SDM Vol. 3A, 20.2.5, 20.3.1)', () => {
  const m = new TestMachine().protected();
  const frame = [0x10, 0x100, 0x20002, 0x7000, 0x500, 0x11, 0x22, 0x33, 0x44];
  frame.forEach((value, i) => {
    m.physical.write32(STACK + i * 4, value);
  });
  m.bytes(0x1010, [0xcd, 0x21]).code([0xcf]).cpu.run(1);
  expect(m.cpu.isVirtual8086).toBe(true);
  expect([m.cpu.cpl, m.rip, selectorOf(m.cpu.registers, Segment.CS)]).toEqual([3, 0x10, 0x100]);
  m.run();
  expect(m.handled).toBe(13);
  // Error code, EIP, CS, EFLAGS, ESP, SS, ES, DS, FS, GS.
  expect(m.stack(10, 4)).toEqual([0, 0x10, 0x100, 0x30002, 0x7000, 0x500, 0x11, 0x22, 0x33, 0x44]);
  expect(selectorOf(m.cpu.registers, Segment.DS)).toBe(0);
});

test('JMP to a TSS switches tasks: state saved, busy bits moved, TS set; IRET with NT goes back (SDM Vol. 3A, 7.3, Table 7-2)', () => {
  const m = new TestMachine().protected();
  const newTss = 0x5000;
  m.descriptor(Selector.LDT, (newTss << 16) | 0x67, 0x00008900);
  const put = (offset: number, value: number): void => m.physical.write32(newTss + offset, value);
  put(0x20, 0x6900); // EIP
  put(0x24, 2);
  put(0x28, 0x1234); // EAX
  put(0x38, 0x8800); // ESP
  for (const offset of [0x48, 0x50, 0x54, 0x58, 0x5c]) put(offset, Selector.DATA0);
  put(0x4c, Selector.CODE0);
  m.bytes(0x6900, [0xcf]); // iret
  m.code([0x9a, ...far(0, Selector.LDT), 0xf4]); // call newTss
  m.cpu.run(1);
  expect([m.rip, m.gpr(0), m.gpr(4)]).toEqual([0x6900, 0x1234, 0x8800]);
  expect(m.physical.read16(newTss)).toBe(Selector.TSS); // back link
  expect(m.cpu.registers.get32(State.eflags) & 0x4000).toBe(0x4000); // NT
  expect(m.cpu.registers.get32(State.cr0) & 8).toBe(8);
  expect(m.physical.read32(TSS + 0x20)).toBe(CODE + 7);
  expect(m.physical.read8(GDT + Selector.LDT + 5)).toBe(0x8b);
  m.physical.write32(TSS + 0x24, 2);
  for (const offset of [0x48, 0x50, 0x54]) m.physical.write32(TSS + offset, Selector.DATA0);
  m.physical.write32(TSS + 0x4c, Selector.CODE0);
  expect(m.run()).toBe('halted');
  expect(m.rip).toBe(CODE + 8);
  expect(selectorOf(m.cpu.registers, Segment.TR)).toBe(Selector.TSS);
  expect(m.physical.read8(GDT + Selector.LDT + 5)).toBe(0x89);
  expect(m.physical.read32(newTss + 0x24) & 0x4000).toBe(0);
});

test('a task gate in the IDT switches tasks and pushes the error code in the new one (SDM Vol. 3A, 6.12.2)', () => {
  const m = new TestMachine().protected();
  const newTss = 0x5000;
  m.descriptor(Selector.LDT, (newTss << 16) | 0x67, 0x00008900);
  const put = (offset: number, value: number): void => m.physical.write32(newTss + offset, value);
  put(0x20, HANDLERS + 0xd0);
  put(0x24, 2);
  put(0x38, 0x8800);
  for (const offset of [0x48, 0x50, 0x54, 0x58, 0x5c]) put(offset, Selector.DATA0);
  put(0x4c, Selector.CODE0);
  m.gate(13, HANDLERS + 0xd0, { type: 5, selector: Selector.LDT });
  m.code([0xb8, 0xf0, 0, 0, 0, 0x8e, 0xd8]); // mov ds, 0F0h: #GP(F0H)
  m.run();
  expect(m.handled).toBe(13);
  expect(m.stack(1, 4)).toEqual([0xf0]);
  expect(m.physical.read32(TSS + 0x20)).toBe(CODE + 5);
});

test('INT n through a gate of a lower DPL is #GP with the IDT bit and the vector (SDM Vol. 3A, 6.12.1.2, 6.13)', () => {
  const m = new TestMachine().protected({ cpl: 3 }).code([0xcd, 0x30]);
  m.run();
  expect([m.handled, m.stack(1, 4)[0]]).toEqual([13, 0x30 * 8 + 2]);
});

test('a fault while delivering an external interrupt has EXT set (SDM Vol. 3A, 6.13)', () => {
  const m = new TestMachine().protected().gate(0x20, 0x6a00, { present: false }).code([0x90]);
  m.cpu.registers.set32(State.eflags, 0x202);
  m.cpu.interruptSource = { acknowledge: () => 0x20 };
  m.cpu.setInterruptRequest(true);
  m.run();
  expect([m.handled, m.stack(1, 4)[0]]).toEqual([11, 0x20 * 8 + 3]);
});

test('IST: the gate chooses its stack even without a change of level (SDM Vol. 3A, 6.14.5)', () => {
  const m = new TestMachine()
    .protected({ long: true })
    .gate(3, HANDLERS + 0x30, { long: true, ist: 2 })
    .code([0xcc]);
  m.physical.write32(TSS + 44, 0xb008);
  m.physical.write32(TSS + 48, 0);
  m.run();
  expect(m.handled).toBe(3);
  expect(m.gpr(4)).toBe(0xb000 - 40);
  expect(m.stack(4, 8).slice(0, 4)).toEqual([CODE + 1, Selector.CODE0, 2, STACK]);
});

test('RETF from 64-bit mode to compatibility mode: CS with L clear (SDM Vol. 3A, 5.2.1)', () => {
  const m = new TestMachine().protected({ long: true });
  m.physical.write64(STACK, BigInt(CODE + 0x40));
  m.physical.write64(STACK + 8, BigInt(Selector.CODE32));
  m.bytes(CODE + 0x40, [0xf4]).code([0x48, 0xcb]);
  expect(m.run()).toBe('halted');
  expect([m.cpu.codeBits, m.cpu.isLongMode, m.gpr(4)]).toEqual([32, true, STACK + 16]);
});

test('the I/O permission bitmap decides where CPL > IOPL (SDM Vol. 1, 19.5.2)', () => {
  const m = new TestMachine().protected({ cpl: 3 });
  setSegment(m.cpu.registers, Segment.TR, Selector.TSS, 0x8b, 0xff, TSS);
  m.physical.write16(TSS + 102, 0x68);
  m.physical.write8(TSS + 0x68 + 0x10, 0b00000010); // port 81H denied
  const seen: number[] = [];
  m.ports.map(0x80, 2, { readPort: () => 0x5a, writePort: (port) => seen.push(port) });
  m.code([0xe6, 0x80, 0xe5, 0x80]); // out 80h, al; in eax, 80h (four bytes: touches 81h)
  m.run();
  expect(m.handled).toBe(13);
  expect(seen).toEqual([0x80]);
  expect(m.stack(2, 4)).toEqual([0, CODE + 2]);
});

test('REP INSB stores at ES:EDI, an iteration at a time, and its count is left in ECX (SDM Vol. 2A, INS)', () => {
  const m = new TestMachine().protected();
  let next = 1;
  m.ports.map(0x60, 1, { readPort: () => next++, writePort: () => undefined });
  m.code([0xf3, 0x6c, 0xf4]).setGpr(1, 3).setGpr(2, 0x60).setGpr(7, 0x8000);
  m.cpu.run(1);
  expect([m.gpr(1), m.gpr(7), m.rip]).toEqual([2, 0x8001, CODE]);
  expect(m.run()).toBe('halted');
  expect([1, 2, 3].map((_, i) => m.physical.read8(0x8000 + i))).toEqual([1, 2, 3]);
});

test('POPF at CPL 3 keeps IF and IOPL silently; at CPL 0 it sets them (SDM Vol. 2B, POPF)', () => {
  const user = new TestMachine().protected({ cpl: 3 }).code([0x9d, 0x90]);
  user.physical.write32(STACK, 0x3247);
  user.cpu.run(1);
  expect(user.cpu.registers.get32(State.eflags) & 0x3200).toBe(0);
  const kernel = new TestMachine().protected().code([0x9d, 0x90]);
  kernel.physical.write32(STACK, 0x3247);
  kernel.cpu.run(1);
  expect(kernel.cpu.registers.get32(State.eflags) & 0x3200).toBe(0x3200);
});

test('LAR, LSL, VERR and VERW answer in ZF (SDM Vol. 3A, 5.10)', () => {
  const m = new TestMachine().protected({ cpl: 3 });
  m.code([
    0xb8, Selector.DATA3, 0, 0, 0, // mov eax, DATA3
    0x0f, 0x03, 0xc8, // lsl ecx, eax
    0x0f, 0x94, 0xc2, // sete dl
    0xb8, Selector.DATA0, 0, 0, 0, // mov eax, DATA0: DPL 0, invisible
    0x0f, 0x00, 0xe8, // verw ax
    0x0f, 0x94, 0xc6, // sete dh
  ]); // biome-ignore format: one instruction a line
  m.cpu.run(6);
  expect(m.gpr(1)).toBe(0xffffffff);
  expect(m.gpr(2) & 0xffff).toBe(1);
});

import { expect, test } from 'vitest';
import { Segment, State } from '../state/layout.ts';
import { attributesOf, limitOf, selectorOf } from './segments/segment-register.ts';
import { CODE, INNER_STACK, Selector, STACK, TestMachine } from './test-machine.ts';

test('reset: CS F000 with base FFFF0000, EIP FFF0, CR0 60000010H, EFLAGS 2, DR6, DR7 (SDM Vol. 3A, Table 9-1)', () => {
  const { cpu } = new TestMachine();
  const { registers } = cpu;
  expect(selectorOf(registers, Segment.CS)).toBe(0xf000);
  expect(registers.get64(State.segments + 40)).toBe(0xffff0000n);
  expect(registers.rip).toBe(0xfff0n);
  expect(registers.get32(State.cr0) >>> 0).toBe(0x60000010);
  expect(registers.get32(State.eflags)).toBe(2);
  expect(registers.get32(State.dr6) >>> 0).toBe(0xffff0ff0);
  expect(registers.get32(State.dr7)).toBe(0x400);
  expect(registers.get32(State.fcw)).toBe(0x40);
  expect(limitOf(registers, Segment.DS)).toBe(0xffff);
});

test('real mode INT pushes FLAGS, CS, IP, clears IF and TF, and goes through the vector table (SDM Vol. 3A, 20.1.4)', () => {
  const m = new TestMachine().real().code([0xfb, 0xcd, 0x21]); // sti; int 21h
  expect(m.run()).toBe('halted');
  expect(m.handled).toBe(0x21);
  expect(m.stack(3, 2)).toEqual([CODE + 3, 0, 0x202]);
  expect(m.cpu.registers.get32(State.eflags) & 0x200).toBe(0);
});

test('MOV CR0 with PE and a far jump enter protected mode; LGDT loads 24 bits of base with a 16-bit operand (SDM Vol. 3A, 9.9.1)', () => {
  const m = new TestMachine().protected().real();
  m.cpu.registers.set32(State.cr0, 0x10);
  m.cpu.registers.set64(State.gdtrBase, 0n);
  m.cpu.updateMode();
  m.bytes(0x500, [0xff, 0, 0x00, 0x20, 0, 0xaa]); // limit 0FFH, base AA002000H: the top byte is dropped
  m.code([
    0x0f, 0x01, 0x16, 0x00, 0x05, // lgdt [500h]
    0x0f, 0x20, 0xc0, // mov eax, cr0
    0x0c, 0x01, // or al, 1
    0x0f, 0x22, 0xc0, // mov cr0, eax
    0xea, 0x12, 0x10, 0x08, 0x00, // jmp 8:1012h
    0x66, 0xb8, 0x10, 0x00, // mov ax, 10h (32-bit code)
    0x8e, 0xd8, // mov ds, ax
    0xf4,
  ]); // biome-ignore format: one instruction a line
  expect(m.run()).toBe('halted');
  expect(m.cpu.codeBits).toBe(32);
  expect(attributesOf(m.cpu.registers, Segment.DS)).toBe(0xc093);
  expect(m.rip).toBe(CODE + 0x19);
});

test('loading a data segment register that is not present is #NP with the selector; the register keeps its value (SDM Vol. 2B, MOV)', () => {
  const m = new TestMachine().protected().code([0xb8, Selector.DATA_NP, 0, 0, 0, 0x8e, 0xd8]);
  m.run();
  expect(m.handled).toBe(11);
  expect(m.stack(4, 4)).toEqual([Selector.DATA_NP, CODE + 5, Selector.CODE0, 0x10002]);
  expect(selectorOf(m.cpu.registers, Segment.DS)).toBe(Selector.DATA0);
});

test('a fault at CPL 3 switches to the stack of the TSS; the frame has SS and ESP (SDM Vol. 3A, 6.12.1)', () => {
  const m = new TestMachine().protected({ cpl: 3 }).code([0xf4]); // HLT at CPL 3: #GP(0)
  m.run();
  expect(m.handled).toBe(13);
  expect(m.cpu.cpl).toBe(0);
  expect(m.gpr(4)).toBe(INNER_STACK - 24);
  expect(m.stack(6, 4)).toEqual([0, CODE, Selector.CODE3, 0x10002, STACK, Selector.DATA3]);
});

test('64-bit delivery aligns RSP to 16 and always pushes SS:RSP; IRETQ goes back (SDM Vol. 3A, 6.14.2)', () => {
  const m = new TestMachine().protected({ long: true });
  m.gate(0x30, 0x6300, { long: true, dpl: 3 }).bytes(0x6300, [0x48, 0xcf]); // iretq
  m.code([0xcd, 0x30, 0xf4]).setGpr(4, STACK - 4);
  expect(m.run()).toBe('halted');
  expect(m.rip).toBe(CODE + 3);
  expect(m.gpr(4)).toBe(STACK - 4);
  // The frame stood below the aligned pointer: SS, RSP, RFLAGS, CS, RIP.
  expect(Number(m.physical.read64(STACK - 16 - 8))).toBe(Selector.DATA0);
  expect(Number(m.physical.read64(STACK - 16 - 16))).toBe(STACK - 4);
  expect(Number(m.physical.read64(STACK - 16 - 40))).toBe(CODE + 2);
});

test('in long mode an interrupt from CPL 3 loads a null SS and RSP0 (SDM Vol. 3A, 6.14.3)', () => {
  const m = new TestMachine().protected({ long: true, cpl: 3 }).code([0x0f, 0x0b]); // ud2
  m.run();
  expect(m.handled).toBe(6);
  expect(selectorOf(m.cpu.registers, Segment.SS)).toBe(0);
  expect(m.stack(5, 8)).toEqual([CODE, Selector.CODE3, 0x10002, STACK, Selector.DATA3]);
});

test('SYSCALL and SYSRET: RCX, R11, STAR, LSTAR, FMASK (SDM Vol. 3A, 5.8.8)', () => {
  const m = new TestMachine().protected({ long: true, cpl: 3 });
  m.cpu.msrs.write(0xc0000081, (0x0013n << 48n) | (0x0008n << 32n));
  m.cpu.msrs.write(0xc0000082, 0x6400n);
  m.cpu.msrs.write(0xc0000084, 0x200n);
  m.cpu.registers.set32(State.eflags, 0x202);
  m.bytes(0x6400, [0x48, 0x0f, 0x07]); // sysretq
  m.code([0x0f, 0x05, 0x0f, 0x0b]); // syscall; ud2
  m.cpu.run(1);
  expect([m.rip, m.cpu.cpl, m.gpr(1), m.gpr(11)]).toEqual([0x6400, 0, CODE + 2, 0x202]);
  expect(m.cpu.registers.get32(State.eflags) & 0x200).toBe(0);
  m.cpu.run(1);
  expect([m.rip, m.cpu.cpl]).toEqual([CODE + 2, 3]);
  expect(selectorOf(m.cpu.registers, Segment.CS)).toBe(0x23);
  expect(m.cpu.registers.get32(State.eflags) & 0x200).toBe(0x200);
});

test('SYSRET with a RCX that is not canonical is #GP at CPL 0 on Intel (SDM Vol. 2B, SYSRET)', () => {
  const m = new TestMachine()
    .protected({ long: true })
    .code([0x48, 0x0f, 0x07])
    .setGpr(1, 1n << 47n);
  m.run();
  expect(m.handled).toBe(13);
});

test('a contributory exception during delivery of another is a double fault with error code 0; a third one shuts the CPU down (SDM Vol. 3A, Table 6-5)', () => {
  const m = new TestMachine().protected().gate(13, 0x6500, { present: false }).code([0xb8, 0xff, 0, 0, 0, 0x8e, 0xd8]);
  m.run();
  expect(m.handled).toBe(8);
  expect(m.stack(2, 4)).toEqual([0, CODE + 5]);
  const n = new TestMachine().protected().gate(13, 0x6500, { present: false }).gate(8, 0x6600, { present: false });
  n.code([0xb8, 0xff, 0, 0, 0, 0x8e, 0xd8]);
  expect(n.run()).toBe('shutdown');
});

test('a page fault that becomes a double fault, or meets one, writes CR2 (SDM Vol. 3A, 6.15 "Interrupt 14")', () => {
  const m = new TestMachine().protected({ long: true }).code([0x0f, 0x0b]); // ud2
  m.cpu.registers.set64(State.idtrBase, 1n << 40n);
  expect(m.run()).toBe('shutdown');
  expect(m.cpu.registers.get64(State.cr2)).toBe((1n << 40n) + 8n * 16n);
});

test('#UD while delivering #GP is handled serially: it is benign (SDM Vol. 3A, Table 6-4)', async () => {
  const { combine, DeliveredEvent } = await import('./event.ts');
  expect(combine(new DeliveredEvent().set(13, 3, 0, 0), 6)).toBe('serial');
  expect(combine(new DeliveredEvent().set(14, 3, 0, 0), 14)).toBe('double fault');
  expect(combine(new DeliveredEvent().set(13, 3, 0, 0), 14)).toBe('serial');
  expect(combine(new DeliveredEvent().set(14, 3, 0, 0), 11)).toBe('double fault');
  expect(combine(new DeliveredEvent().set(20, 3, 0, 0), 13)).toBe('double fault');
  expect(combine(new DeliveredEvent().set(8, 3, 0, 0), 14)).toBe('shutdown');
  expect(combine(new DeliveredEvent().set(0x30, 0, 0, 0), 13)).toBe('serial');
});

test('TF traps after each instruction; MOV SS holds the trap until the next one has completed (SDM Vol. 3A, 6.8.3; Vol. 3B, 17.3.1.4)', () => {
  const m = new TestMachine().protected().code([0x8e, 0xd0, 0x90, 0x90]).setGpr(0, Selector.DATA0); // mov ss, ax; nop; nop
  m.cpu.registers.set32(State.eflags, 0x102);
  m.run();
  expect(m.handled).toBe(1);
  expect(m.stack(1, 4)).toEqual([CODE + 3]);
  expect(m.cpu.registers.get32(State.dr6) & 0x4000).toBe(0x4000);
});

test('STI takes effect after the next instruction: an interrupt pending comes after it (SDM Vol. 2B, STI)', () => {
  const m = new TestMachine().protected().code([0xfb, 0x90, 0x90]);
  m.cpu.interruptSource = { acknowledge: () => 0x20 };
  m.cpu.setInterruptRequest(true);
  m.run();
  expect(m.handled).toBe(0x20);
  expect(m.stack(1, 4)).toEqual([CODE + 2]);
});

test('an NMI blocks further NMIs until IRET (SDM Vol. 3A, 6.7.1)', () => {
  const m = new TestMachine().protected().code([0x90, 0x90, 0x90]).bytes(0x6020, [0x90, 0xcf]); // nop; iret
  m.cpu.raiseNmi();
  m.cpu.run(2);
  expect(m.rip).toBe(0x6021);
  m.cpu.raiseNmi();
  m.cpu.run(1);
  expect([m.rip, m.cpu.nmiPending]).toEqual([CODE, true]);
  m.cpu.run(1);
  expect(m.rip).toBe(0x6020);
});

test.each([
  ['REP OUTSB, an interrupt', [0xf3, 0x6e], false, 0x202],
  ['REP OUTSB, a single step', [0xf3, 0x6e], true, 0x302],
  ['REP MOVSB, a single step', [0xf3, 0xa4], true, 0x302],
] as const)('%s after an iteration that is not the last: RF of the frame is 1 (SDM Vol. 3B, 17.3.1.1)', (_, code, steps, flags) => {
  const m = new TestMachine().protected().code([...code, 0xf4]);
  const { registers } = m.cpu;
  registers.set32(State.eflags, flags);
  m.cpu.updateMode();
  registers.setGpr(1, steps ? 2n : 3n); // iterations
  registers.setGpr(2, 0x80n);
  registers.setGpr(6, 0x500n);
  registers.setGpr(7, 0x600n);
  let written = 0;
  m.ports.map(0x80, 1, { readPort: () => 0, writePort: () => void (++written === 2 && !steps && m.cpu.setInterruptRequest(true)) });
  m.cpu.interruptSource = { acknowledge: () => 0x30 };
  m.run();
  expect([m.handled, registers.gpr(1)]).toEqual([steps ? 1 : 0x30, 1n]);
  expect(m.stack(3, 4)).toEqual([CODE, Selector.CODE0, 0x1_0000 | flags]);
});

test('an instruction breakpoint is a fault before the instruction; its handler sets RF to let it pass (SDM Vol. 3B, 17.3.1.1)', () => {
  // or dword [esp + 8], 10000h; iretd
  const m = new TestMachine().protected().code([0x90, 0x90, 0xf4]).bytes(0x6010, [0x81, 0x4c, 0x24, 0x08, 0, 0, 1, 0, 0xcf]);
  m.cpu.debug.write(0, BigInt(CODE + 1));
  m.cpu.debug.write(7, 1n);
  m.cpu.run(2);
  expect(m.rip).toBe(0x6010);
  expect(m.stack(3, 4)).toEqual([CODE + 1, Selector.CODE0, 2]);
  expect(m.run()).toBe('halted');
  expect(m.rip).toBe(CODE + 3);
});

test('a data breakpoint traps after the write (SDM Vol. 3B, 17.3.1.2)', () => {
  const m = new TestMachine().protected().code([0xa3, 0x00, 0x80, 0, 0, 0x90, 0x90]); // mov [8000h], eax
  m.cpu.debug.write(1, 0x8002n);
  m.cpu.debug.write(7, (1n << 2n) | (1n << 20n));
  m.run();
  expect(m.handled).toBe(1);
  expect(m.stack(1, 4)).toEqual([CODE + 5]);
  expect(m.cpu.registers.get32(State.dr6) & 0xf).toBe(2);
});

test('HLT waits for an interrupt and counts exactly', () => {
  const m = new TestMachine().protected().code([0xfb, 0xf4]);
  expect(m.run()).toBe('halted');
  expect(m.cpu.instructions).toBe(2);
  m.cpu.interruptSource = { acknowledge: () => 0x20 };
  m.cpu.setInterruptRequest(true);
  m.run();
  expect(m.stack(1, 4)).toEqual([CODE + 2]);
});

test('with IA32_DEBUGCTL.BTF, TF traps only after a branch; the trap clears BTF (SDM Vol. 3B, 17.4.3)', () => {
  const m = new TestMachine().protected().code([0x90, 0x90, 0xeb, 0x01, 0x90, 0x90]); // nop; nop; jmp +1
  m.cpu.registers.set32(State.eflags, 0x102);
  m.cpu.msrs.write(0x1d9, 2n);
  m.run();
  expect(m.handled).toBe(1);
  expect(m.stack(1, 4)).toEqual([CODE + 5]);
  expect(m.cpu.msrs.read(0x1d9)).toBe(0n);
});

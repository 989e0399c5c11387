import { asm16 } from '@minusone/asm';
import { describe, expect, test } from 'vitest';
import { type BootOptions, boot } from './boot.ts';
import type { Machine } from './machine.ts';

const ADDRESS = 0x8000;

/** A machine that runs 16-bit code at 8000H. */
function machineOf(code: Uint8Array, options: Omit<BootOptions, 'flat'> = {}): Promise<Machine> {
  return boot({ flat: { image: code, address: ADDRESS }, memory: '4M', timeoutMs: 20_000, ...options });
}

describe('how a machine ends', () => {
  test('the guest writes Shutdown to port 0x8900: power-off, status 0', async () => {
    const machine = await machineOf(asm16.with({ origin: 0 })`
      mov dx, 0x8900
      mov si, text
    next:
      cs lodsb
      test al, al
      jz next
      out dx, al
      jmp next
    text: db 'Shutdown'`);
    expect(await machine.ended).toEqual({ reason: 'power-off', status: 0 });
  });

  test('the guest writes v to the debug-exit port: status 2v + 1', async () => {
    const machine = await machineOf(asm16`mov al, 21
      out 0xf4, al
      jmp $`);
    expect(await machine.ended).toEqual({ reason: 'power-off', status: 43 });
  });

  test('a triple fault: an exception without an IDT', async () => {
    const machine = await machineOf(asm16.with({ origin: 0 })`
      cs lidt [empty]
      mov eax, cr0
      or al, 1
      mov cr0, eax
      ud2
      empty: dw 0, 0, 0`);
    expect(await machine.ended).toEqual({ reason: 'triple-fault', cpu: 0 });
  });

  test('the reset line of the i8042', async () => {
    const machine = await machineOf(asm16`mov al, 0xfe
      out 0x64, al
      jmp $`);
    expect(await machine.ended).toMatchObject({ reason: 'reset' });
  });

  test.each(['virtual', 'host'] as const)(
    'a guest that loops for ever ends with the time that it was given, on the %s clock',
    async (clock) => {
      const machine = await machineOf(asm16`jmp $`, { timeoutMs: 100, clock });
      expect(await machine.ended).toEqual({ reason: 'time-out' });
      expect(machine.statistics.instructions).toBeGreaterThan(1000);
    },
  );

  test('a guest that waits for ever ends with the time that it was given', async () => {
    const machine = await machineOf(
      asm16`cli
      hlt`,
      { timeoutMs: 100 },
    );
    expect(await machine.ended).toEqual({ reason: 'time-out' });
  });

  test('a guest that waits for ever, when nothing will be typed any more', async () => {
    const machine = await machineOf(asm16`cli
      hlt`);
    machine.endInput();
    expect(await machine.ended).toEqual({ reason: 'dead-idle' });
  });

  test('stop(), whether it runs or waits', async () => {
    for (const code of [
      asm16`jmp $`,
      asm16`cli
      hlt`,
    ]) {
      const machine = await machineOf(code);
      setTimeout(() => machine.stop(), 20);
      expect(await machine.ended).toEqual({ reason: 'stopped' });
    }
  });

  test('an aborted signal stops it, also one that was aborted before', async () => {
    const controller = new AbortController();
    const machine = await machineOf(asm16`jmp $`, { signal: controller.signal });
    controller.abort();
    expect(await machine.ended).toEqual({ reason: 'stopped' });
    expect(await (await machineOf(asm16`jmp $`, { signal: AbortSignal.abort() })).ended).toEqual({ reason: 'stopped' });
  });
});

test('the serial line works both ways: what is typed comes back', async () => {
  const machine = await machineOf(asm16`
    mov dx, 0x3f9
    mov al, 1
    out dx, al          ; the receive interrupt is on, which tells that somebody reads
  next:
    mov dx, 0x3fd
    in al, dx
    test al, 1
    jz next
    mov dx, 0x3f8
    in al, dx
    out dx, al
    jmp next`);
  machine.serial.send('hello');
  expect(await machine.serial.waitFor('hello')).toBe('hello');
  machine.stop();
  await machine.ended;
  await expect(machine.serial.waitFor('more')).rejects.toThrow(/stopped/);
});

test('input that was given at the start is the same in every run, to the instruction', async () => {
  const code = asm16`
    mov dx, 0x3f9
    mov al, 1
    out dx, al
  next:
    mov dx, 0x3fd
    in al, dx
    test al, 1
    jz next
    mov dx, 0x3f8
    in al, dx
    cmp al, '.'
    jne next
    out 0xf4, al
    jmp $`;
  const counts: number[] = [];
  for (let run = 0; run < 2; run++) {
    const machine = await machineOf(code, { input: new TextEncoder().encode('two.') });
    expect(await machine.ended).toEqual({ reason: 'power-off', status: (2 * 0x2e + 1) & 0xff });
    counts.push(machine.statistics.instructions);
  }
  expect(counts[0]).toBe(counts[1]);
});

test('bytes at port 0xE9 are heard', async () => {
  const bytes: number[] = [];
  const machine = await machineOf(
    asm16`mov al, 65
    out 0xe9, al
    out 0xf4, al
    jmp $`,
    { onDebug: (byte) => bytes.push(byte) },
  );
  await machine.ended;
  expect(bytes).toEqual([65]);
});

test('flat code starts in real mode at CS = address >> 4, IP = address & 15', async () => {
  const machine = await boot({
    flat: {
      address: 0x12345,
      image: asm16`
        call next
      next:
        pop ax              ; IP of the label: 5 + 3
        mov bx, cs
        out 0xe9, al
        mov al, bh
        out 0xe9, al
        mov al, bl
        out 0xe9, al
        mov al, 0
        out 0xf4, al
        jmp $`,
    },
    memory: '4M',
    onDebug: (byte) => bytes.push(byte),
  });
  const bytes: number[] = [];
  await machine.ended;
  expect(bytes).toEqual([8, 0x12, 0x34]);
});

test('a BIOS starts at the reset vector, FFFFFFF0H', async () => {
  const bios = new Uint8Array(0x1_0000);
  bios.set(
    asm16`mov al, 5
    out 0xf4, al
    jmp $`,
    0xfff0,
  );
  expect(await (await boot({ bios, memory: '1M', timeoutMs: 20_000 })).ended).toEqual({ reason: 'power-off', status: 11 });
});

test.each([1, 2, 4])('%i processors: those that nobody starts wait, and cost nothing', async (cpus) => {
  const machine = await machineOf(
    asm16`
    mov cx, 10000
    loop $
    mov al, 0
    out 0xf4, al
    jmp $`,
    { cpus },
  );
  expect(await machine.ended).toEqual({ reason: 'power-off', status: 1 });
  expect(machine.statistics.instructions).toBeLessThan(10_010);
});

test.each(['virtual', 'host'] as const)('the timer wakes a halted processor, on the %s clock', async (clock) => {
  const machine = await machineOf(
    asm16.with({ origin: 0 })`
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x7000
    mov word [0x20 * 4], handler
    mov word [0x20 * 4 + 2], 0x800
    mov al, 0x11            ; 8259: edge, cascade, ICW4
    out 0x20, al
    mov al, 0x20
    out 0x21, al
    mov al, 4
    out 0x21, al
    mov al, 1
    out 0x21, al
    mov al, 0xfe
    out 0x21, al
    mov al, 0x34            ; 8254: channel 0, mode 2, 100 Hz
    out 0x43, al
    mov al, 0x9c
    out 0x40, al
    mov al, 0x2e
    out 0x40, al
    mov cx, 5
    sti
  wait:
    hlt
    jmp wait
  handler:
    mov al, 0x20
    out 0x20, al
    loop more
    mov al, 0
    out 0xf4, al
  more:
    iret`,
    { clock },
  );
  expect(await machine.ended).toEqual({ reason: 'power-off', status: 1 });
  expect(machine.statistics.instructions, 'it slept in between').toBeLessThan(200);
  // Five periods of 10 ms, the first of which may be over at once.
  if (clock === 'host') expect(machine.statistics.seconds).toBeGreaterThan(0.035);
  expect(machine.board.clock.nowNs()).toBeGreaterThan(38e6);
});

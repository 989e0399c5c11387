import { asm16 } from '@minusone/asm';
import type { KvmVendor } from '@minusone/kvm';
import { amd } from '@minusone/kvm-amd';
import { intel } from '@minusone/kvm-intel';
import { type BootOptions, boot, kvmAccelerator } from '@minusone/vmm';
import { amd as amdModel, type CpuModel, intel as intelModel } from '@minusone/x86';
import { describe, expect, test } from 'vitest';

// A ready-made machine (`boot`) whose processors are KVM's: what the VMM in it has to do beside running virtual CPUs.
const ADDRESS = 0x8000;
const code = asm16.with({ origin: 0 });

const VENDORS: readonly (readonly [string, CpuModel, () => KvmVendor])[] = [
  ['kvm_intel', intelModel, intel],
  ['kvm_amd', amdModel, amd],
];

describe.each(VENDORS)('a machine on %s', (_name, model, vendor) => {
  /** What real-mode code writes to port E9H until it powers off by the debug-exit port, and how the machine ends. */
  async function run(
    image: Uint8Array,
    options: Omit<BootOptions, 'flat'> = {},
  ): Promise<{ readonly bytes: number[]; readonly end: unknown }> {
    const bytes: number[] = [];
    const machine = await boot({
      flat: { image, address: ADDRESS },
      memory: '4M',
      timeoutMs: 20_000,
      accel: kvmAccelerator(vendor()),
      model,
      onDebug: (byte) => bytes.push(byte),
      ...options,
    });
    return { bytes, end: await machine.ended };
  }

  test('a processor is started by a SIPI, and CPUID shows each its APIC id and how many there are', async () => {
    const image = code`
      mov eax, 1
      cpuid
      shr ebx, 16
      mov al, bl
      out 0xe9, al       ; logical processors
      mov al, bh
      out 0xe9, al       ; initial APIC id
      cmp bh, 0
      jne second
      mov ecx, 0x1b      ; x2APIC mode
      rdmsr
      or ax, 0xc00
      wrmsr
      mov ecx, 0x830     ; ICR: INIT, then SIPI with vector 8, to APIC id 1
      mov edx, 1
      mov eax, 0x4500
      wrmsr
      mov eax, 0x4608
      wrmsr
    halt:
      hlt
      jmp halt
    second:
      out 0xf4, al`;
    expect(await run(image, { cpus: 2 })).toEqual({ bytes: [2, 0, 2, 1], end: { reason: 'power-off', status: 3 } });
  });

  test('the wall clock of kvmclock begins where the real-time clock does', async () => {
    const image = code`
      mov ax, cs
      mov ds, ax
      mov ecx, 0x4b564d00 ; MSR_KVM_WALL_CLOCK_NEW: struct pvclock_wall_clock at 9000H
      mov eax, 0x9000
      xor edx, edx
      wrmsr
      mov si, 0x1004      ; its seconds
      mov cx, 4
    next:
      lodsb
      out 0xe9, al
      loop next
      mov al, 0
      out 0xf4, al`;
    expect((await run(image, { startEpochSeconds: 0x1234_5678 })).bytes).toEqual([0x78, 0x56, 0x34, 0x12]);
  });

  test('an interrupt of the 8259 pair wakes a halted processor, by an interrupt window where it cannot be taken at once', async () => {
    const image = code`
      xor ax, ax
      mov ds, ax
      mov ss, ax
      mov sp, 0x7000
      mov word [0x20 * 4], handler
      mov word [0x20 * 4 + 2], 0x800
      mov al, 0x11
      out 0x20, al
      mov al, 0x20
      out 0x21, al
      mov al, 4
      out 0x21, al
      mov al, 1
      out 0x21, al
      mov al, 0xfe
      out 0x21, al
      mov al, 0x30        ; 8254: channel 0, mode 0, 1000 periods: 838 microseconds
      out 0x43, al
      mov al, 0xe8
      out 0x40, al
      mov al, 3
      out 0x40, al
      mov ecx, 2000000    ; IF is 0 when it comes
    spin:
      dec ecx
      jnz spin
      mov al, 1
      out 0xe9, al
      sti
      nop
      mov al, 3           ; not before the handler
      out 0xe9, al
      mov al, 0x30
      out 0x43, al
      mov al, 0xe8
      out 0x40, al
      mov al, 3
      out 0x40, al
      hlt
      out 0xf4, al
    handler:
      mov al, 2
      out 0xe9, al
      mov al, 0x20
      out 0x20, al
      mov al, 0
      iret`;
    expect(await run(image)).toEqual({ bytes: [1, 2, 3, 2], end: { reason: 'power-off', status: 1 } });
  });

  test('a triple fault ends the machine', async () => {
    const image = code`
      cs lidt [empty]
      mov eax, cr0
      or al, 1
      mov cr0, eax
      ud2
      empty: dw 0, 0, 0`;
    expect((await run(image)).end).toEqual({ reason: 'triple-fault', cpu: 0 });
  });

  test('the A20 gate moves a slot: with it off, addresses wrap at 1 MiB', async () => {
    const image = code`
      mov ax, 0xffff
      mov ds, ax
      xor ax, ax
      mov es, ax
      mov byte es:[0x500], 1
      mov byte [0x510], 2  ; 100500H
      mov al, es:[0x500]
      out 0xe9, al
      in al, 0x92
      and al, 0xfd
      out 0x92, al
      mov al, [0x510]      ; 500H
      out 0xe9, al
      in al, 0x92
      or al, 2
      out 0x92, al
      mov al, [0x510]
      out 0xe9, al
      mov al, 0
      out 0xf4, al`;
    expect((await run(image)).bytes).toEqual([1, 1, 2]);
  });
});

test('an AMD guest sees that its time-stamp counter runs at the P0 frequency: HWCR.TscFreqSel (APM Vol. 2 3.2.10)', async () => {
  const bytes: number[] = [];
  const image = code`
    mov ecx, 0xc0010015
    rdmsr
    shr eax, 24
    and al, 1
    out 0xe9, al
    mov al, 0
    out 0xf4, al`;
  const options = { memory: '4M', accel: kvmAccelerator(amd()), model: 'amd', timeoutMs: 20_000 };
  const machine = await boot({ flat: { image, address: ADDRESS }, onDebug: (byte) => bytes.push(byte), ...options });
  await machine.ended;
  expect(bytes).toEqual([1]);
});

import { policy } from '../../../prelude/attempt.ts';
import { MemoryMap, Policy, Selector } from '../../../prelude/memory-map.ts';
import { say } from '../../../prelude/print.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../../prelude/vtx-attempt.ts';
import { RESUME, SKIP, STATE, vmwrite } from '../../../prelude/vtx-host.ts';
import { VtxMemory } from '../../../prelude/vtx-memory.ts';
import type { Fields } from '../../../prelude/vtx-modes.ts';
import type { Rom } from '../../../rom.ts';
import { RING_3 } from '../instructions.ts';
import { vtxRom } from '../vtx-rom.ts';
import {
  EPT_ABSENT,
  EPT_PRESENT,
  exception,
  inject,
  interrupt,
  intN,
  LOST_STACK,
  NMI,
  REINJECT,
  RING_3_32,
  SHOW_INFORMATION,
} from './event.ts';

const { test, pml4, paePointers } = MemoryMap;
const EPT: GuestOptions = { controls: { secondary: ['enableEpt'] } };
const { entryMsrLoad, msrBitmap } = VtxMemory;

/** The guest goes on; what it prints is part of the attempt. */
const GO_ON = `${say(64, ' ')}\n${RESUME}`;
const write = (fields: Fields): string =>
  Object.entries(fields)
    .map(([name, value]) => vmwrite(name as keyof Fields, value))
    .join('\n');
const injectNow = (fields: Fields): string => `${write(fields)}\n${GO_ON}`;

const returning = (vectors: readonly number[], options: GuestOptions): GuestOptions => ({
  ...options,
  before: `${options.before ?? ''}\n${vectors.map((vector) => policy(vector, Policy.iret)).join('\n')}`,
  afterwards: `${options.afterwards ?? ''}\n${vectors.map((vector) => policy(vector, 0)).join('\n')}`,
});
const WINDOW = { primary: ['interruptWindowExiting'] } as const;
const VIRTUAL_NMIS = { pin: ['nmiExiting', 'virtualNmis'] } as const;
const NMI_WINDOW = { ...VIRTUAL_NMIS, primary: ['nmiWindowExiting'] } as const;

const TABLE_BYTES = 0x400;
/** A table of the guest's is in a page that EPT does not map: copied there. Then the page comes, and the event again. */
const table = (label: string, name: 'idt64' | 'idt32' | 'gdt' | 'tss' | 'tss64', injected: Fields, options: GuestOptions): VtxAttempt => {
  const base = name.startsWith('idt') ? 'GUEST_IDTR_BASE' : name === 'gdt' ? 'GUEST_GDTR_BASE' : 'GUEST_TR_BASE';
  return inject(label, injected, {
    ...options,
    ...EPT,
    fields: { [base]: test, ...options.fields },
    before: `mov esi, ${name}\nmov edi, ${test}\nmov ecx, ${TABLE_BYTES}\nrep movsb\n${EPT_ABSENT}\n${options.before ?? ''}`,
    afterwards: `${EPT_PRESENT}\n${say(64, ' ')}\n${REINJECT}`,
  });
};

/** From real mode to 64-bit mode and back; each CPUID shows where it stands. */
const BOOT = `
  cpuid
  mov eax, cr0
  or al, 1
  mov cr0, eax
  cpuid
  jmpf ${Selector.code0}:.protected
  bits 32
.protected:
  mov ax, ${Selector.data0}
  mov ds, ax
  mov ss, ax
  cpuid
  mov eax, cr4
  or al, 0x20
  mov cr4, eax
  mov eax, ${paePointers}
  mov cr3, eax
  mov eax, cr0
  bts eax, 31
  mov cr0, eax
  cpuid
  btr eax, 31
  mov cr0, eax
  mov eax, ${pml4}
  mov cr3, eax
  mov ecx, 0xc0000080
  rdmsr
  or ah, 1
  wrmsr
  cpuid
  mov eax, cr0
  bts eax, 31
  mov cr0, eax
  cpuid
  jmpf ${Selector.code64}:.long
  bits 64
.long:
  cpuid
  push ${Selector.code0}
  push .compatible
  db 0x48
  retf
  bits 32
.compatible:
  mov eax, cr0
  btr eax, 31
  mov cr0, eax
  cpuid
  jmpf ${Selector.code16}:.small
  bits 16
.small:
  mov eax, cr0
  and al, 0xfe
  mov cr0, eax
  jmpf 0:.real
.real:
  xor ax, ax
  mov ss, ax
  cpuid`;

export const flowRoms: readonly Rom[] = [
  vtxRom(
    'vtx-inject-kept',
    'The valid bit of the VM-entry information: cleared by each exit, kept by an entry that fails (SDM Vol. 3C 28.2, 27.8, 27.2)',
    [
      inject('delivered', interrupt(), { afterwards: SHOW_INFORMATION }),
      inject('the delivery exits', interrupt(), {
        ...EPT,
        fields: LOST_STACK,
        before: EPT_ABSENT,
        afterwards: `${SHOW_INFORMATION}\n${EPT_PRESENT}`,
      }),
      inject('an error code is kept', exception(13, 0x1234), { afterwards: SHOW_INFORMATION }),
      inject('nothing was valid', { VM_ENTRY_INTR_INFO_FIELD: 0x331 }, { afterwards: SHOW_INFORMATION }),
      inject('VMfail', { ...interrupt(), VM_ENTRY_INTR_INFO_FIELD: 0x80000131 }, { afterwards: SHOW_INFORMATION }),
      inject('the guest is refused, then mended', interrupt(), {
        fields: { GUEST_RFLAGS: 2 },
        afterwards: `${SHOW_INFORMATION}\n${write({ GUEST_RFLAGS: 0x202 })}\n${GO_ON}\n${SHOW_INFORMATION}`,
      }),
      inject('an MSR is refused, then not loaded', NMI, {
        fields: { VM_ENTRY_MSR_LOAD_COUNT: 1, VM_ENTRY_MSR_LOAD_ADDR: entryMsrLoad },
        before: `mov dword [${entryMsrLoad}], 0xc0000100\nmov dword [${entryMsrLoad + 4}], 0`,
        afterwards: `${SHOW_INFORMATION}\n${write({ VM_ENTRY_MSR_LOAD_COUNT: 0 })}\n${GO_ON}\n${SHOW_INFORMATION}`,
      }),
      inject('PDPTEs are refused, then mended', exception(6), {
        mode: 'pae',
        before: `mov byte [${paePointers}], 3`,
        afterwards: `${SHOW_INFORMATION}\nmov byte [${paePointers}], 1\n${GO_ON}\n${SHOW_INFORMATION}`,
      }),
    ],
  ),
  vtxRom(
    'vtx-inject-sequence',
    'Injection as hypervisors do it: behind HLT, at windows, of what the guest itself raised (SDM Vol. 3C 33.7)',
    [
      vt(
        'behind HLT',
        'hlt\nmov ebx, 1',
        returning([0x31], {
          controls: { primary: ['hltExiting'] },
          fields: { GUEST_RFLAGS: 0x202 },
          afterwards: `${SKIP}\n${injectNow(interrupt())}`,
        }),
      ),
      vt(
        'at the interrupt window',
        'mov ebx, 1\nsti\nmov ebx, 2\nmov ebx, 3',
        returning([0x31], {
          controls: WINDOW,
          afterwards: `${write({ CPU_BASED_VM_EXEC_CONTROL: 0x8400_6172 })}\n${injectNow(interrupt())}`,
        }),
      ),
      vt(
        'at every interrupt window',
        'sti\nmov ebx, 2\nmov ebx, 3',
        returning([0x31, 0x32], {
          controls: WINDOW,
          afterwards: `${injectNow(interrupt())}\n${injectNow(interrupt(0x32))}`,
        }),
      ),
      inject('two NMIs', NMI, returning([2], { controls: NMI_WINDOW, afterwards: `${injectNow(NMI)}\n${GO_ON}` })),
      inject(
        'an NMI, then an interrupt',
        NMI,
        returning([2, 0x31], {
          controls: VIRTUAL_NMIS,
          fields: { GUEST_RFLAGS: 0x202 },
          afterwards: injectNow(interrupt()),
        }),
      ),
      vt('UD is reflected', 'ud2', { fields: { EXCEPTION_BITMAP: 1 << 6 }, afterwards: injectNow(exception(6)) }),
      vt('GP is reflected', 'mov ax, 0x1f8\nmov ds, ax', { afterwards: injectNow(exception(13, 0x1f8)) }),
      vt('PF is reflected with its CR2', 'mov rax, 0xffff900000000000\nmov al, [rax]', {
        fields: { EXCEPTION_BITMAP: 1 << 14 },
        afterwards: `mov rax, 0xffff900000000000\nmov cr2, rax\n${injectNow(exception(14, 0))}`,
      }),
      vt('UD is emulated', 'ud2\nmov ebx, 1\nud2\nmov ecx, 2', {
        fields: { EXCEPTION_BITMAP: 1 << 6 },
        afterwards: `add qword [.rip], 2\n${write({ GUEST_RIP: '[.rip]' })}\n${GO_ON}\njmp .over\n.rip: dq .guest\n.over:`,
      }),
      vt('single steps', 'nop\nnop\nnop', {
        fields: { GUEST_RFLAGS: 0x102, EXCEPTION_BITMAP: 2 },
        afterwards: `${RESUME}\n${RESUME}\n${write({ GUEST_RFLAGS: 2 })}\n${RESUME}`,
      }),
      vt('GP instead of CPUID, in ring 3', 'cpuid', { fields: RING_3, afterwards: injectNow(exception(13, 0)) }),
    ],
  ),
  vtxRom(
    'vtx-inject-ept-tables',
    'EPT violations of the tables that the delivery of an injected event reads (SDM Vol. 3C 27.6.1.2, 28.2.1, 28.2.4)',
    [
      table('IDT', 'idt64', interrupt(), {}),
      table('IDT, 32-bit', 'idt32', exception(13, 8), { mode: 'paging32' }),
      table('GDT', 'gdt', interrupt(), {}),
      table('GDT, NMI', 'gdt', NMI, { mode: 'paging32' }),
      table('TSS, ring 3', 'tss64', exception(6), { fields: RING_3 }),
      table('TSS, ring 3, 32-bit', 'tss', intN(0x30), { mode: 'paging32', fields: RING_3_32 }),
      table('TSS, IST', 'tss64', interrupt(), {
        before: 'mov byte [idt64 + 0x31*16 + 4], 1',
      }),
      table('TSS, virtual-8086 mode', 'tss', interrupt(), { mode: 'v86' }),
      inject('IVT of real mode', intN(), {
        mode: 'real',
        fields: { GUEST_IDTR_BASE: test },
        before: EPT_ABSENT,
        afterwards: EPT_PRESENT,
      }),
    ],
  ),
  vtxRom(
    'vtx-enter-mode-switches',
    'An unrestricted guest from real mode to 64-bit mode and back: each exit saves what the next entry takes (SDM Vol. 3C 28.2, 28.3, 27.3)',
    [
      vt('all the way', BOOT, {
        mode: 'real',
        controls: { primary: ['useMsrBitmaps'] },
        fields: { MSR_BITMAP: msrBitmap },
        afterwards: `${STATE}\n${Array.from({ length: 8 }, () => `${SKIP}\n${RESUME}\n${STATE}`).join('\n')}`,
      }),
      ...(['real', 'protected', 'paging32', 'pae', 'compatibility', 'long', 'v86'] as const).map((mode) =>
        vt(`again and again, ${mode}`, 'mov bx, 1\ncpuid\nmov cx, 2\ncpuid\nmov dx, 3\npush 5', {
          mode,
          afterwards: `${SKIP}\n${RESUME}\n${SKIP}\n${RESUME}\n${STATE}`,
        }),
      ),
    ],
  ),
];

import { attempt32, attempt64, compatibility, user32, user64 } from '../prelude/attempt.ts';
import { MemoryMap, Selector } from '../prelude/memory-map.ts';
import { Msr, wrmsr } from '../prelude/modes.ts';
import { departs, type Rom } from '../rom.ts';

const NON_CANONICAL = ['0', '0x00008000'] as const;
const setControl = (register: string, bits: number, bits64 = false): string =>
  `mov ${bits64 ? 'rax' : 'eax'}, ${register}\nor ${bits64 ? 'rax' : 'eax'}, ${bits}\nmov ${register}, ${bits64 ? 'rax' : 'eax'}`;

export const privilegedRoms: readonly Rom[] = [
  {
    name: 'control-registers',
    rule: 'Conditions of #GP on MOV to CR0 and CR4 in legacy mode (SDM Vol. 2B MOV, Vol. 3A 2.5)',
    mode: 'protected',
    source: `
      ${attempt32('PG without PE', 'mov eax, 0xe0000010\nmov cr0, eax')}
      ${attempt32('NW without CD', 'mov eax, 0x20000011\nmov cr0, eax')}
      ${attempt32('ET stays 1', 'mov eax, cr0\nand al, 0xef\nmov cr0, eax\nmov ebx, cr0')}
      ${attempt32('reserved bits of CR0 are ignored', 'mov eax, cr0\nor eax, 0x1000\nmov cr0, eax\nmov ebx, cr0')}
      ${attempt32('CR4 bit 31', 'mov eax, 0x80000000\nmov cr4, eax')}
      ${attempt32('CR4 bit 15', 'mov eax, 0x8000\nmov cr4, eax')}
      ${attempt32('PCIDE outside of IA-32e mode', 'mov eax, 0x20000\nmov cr4, eax')}
      ${attempt32('CR1', 'db 0x0f, 0x20, 0xc8')}
      ${attempt32('CR5', 'db 0x0f, 0x20, 0xe8')}
      ${attempt32('CR2 is a register', 'mov eax, 0x12345678\nmov cr2, eax\nmov ebx, cr2')}
      ${attempt32('MOV CR ignores mod', 'db 0x0f, 0x20, 0x00')}
      ${attempt32('CLTS', `${setControl('cr0', 8)}\nclts\nmov eax, cr0`)}
      ${attempt32('LMSW', 'mov ax, 0x1f\nlmsw ax\nmov ebx, cr0\nclts\nmov ax, 1\nlmsw ax\nmov ecx, cr0')}`,
    without: { peer: 'qemu', why: 'TCG checks no values of CR0, and goes on with paging in real mode; SDM Vol. 2B MOV.' },
  },
  {
    name: 'control-registers-long',
    rule: 'Conditions of #GP on control registers and EFER in IA-32e mode (SDM Vol. 2B MOV, Vol. 3A 4.1.2)',
    mode: 'long',
    source: `
      ${attempt64('clear PAE', 'mov rax, cr4\nand al, 0xdf\nmov cr4, rax')}
      ${attempt64('clear PG in 64-bit mode', 'mov rax, cr0\nbtr rax, 31\nmov cr0, rax')}
      ${attempt64('CR0 bit 32', 'mov rax, cr0\nbts rax, 32\nmov cr0, rax')}
      ${attempt64('CR4 bit 32', 'mov rax, cr4\nbts rax, 32\nmov cr4, rax')}
      ${attempt64('CR3 bit 62', 'mov rax, cr3\nbts rax, 62\nmov cr3, rax')}
      ${attempt64('CR3 bit 51', 'mov rax, cr3\nbts rax, 51\nmov cr3, rax')}
      ${attempt64('clear LME', wrmsr(Msr.efer, 0xc01))}
      ${attempt64('reserved bit of EFER', wrmsr(Msr.efer, 0xd03))}
      ${attempt64('LMA cannot be written', `${wrmsr(Msr.efer, 0x901)}\nrdmsr`)}
      ${attempt64('clear WP and set it', 'mov rax, cr0\nbts rax, 16\nmov cr0, rax\nmov rbx, cr0\nbtr rax, 16\nmov cr0, rax')}
      ${attempt64('MOV CR0 takes 64 bits without REX.W', 'mov rax, -1\ndb 0x0f, 0x20, 0xc0')}
      ${attempt64('CR8 by REX', 'mov rax, cr8')}
      ${attempt64('CR9', 'db 0x44, 0x0f, 0x20, 0xc8')}`,
    without: { peer: 'qemu', why: 'TCG checks no values of CR0, CR3, CR4, and goes on with PAE clear; SDM Vol. 2B MOV.' },
  },
  {
    name: 'msr-faults',
    rule: '#GP(0) of RDMSR and WRMSR (SDM Vol. 2B RDMSR, WRMSR)',
    mode: 'long',
    source: `
      ${attempt64('RDMSR of nothing', 'mov ecx, 0x12345678\nrdmsr')}
      ${attempt64('WRMSR to nothing', 'mov ecx, 0x12345678\nwrmsr')}
      ${attempt64('LSTAR non-canonical', wrmsr(Msr.lstar, ...NON_CANONICAL))}
      ${attempt64('CSTAR non-canonical', wrmsr(Msr.cstar, ...NON_CANONICAL))}
      ${attempt64('KERNEL_GS_BASE non-canonical', wrmsr(Msr.kernelGsBase, ...NON_CANONICAL))}
      ${attempt64('SYSENTER_EIP non-canonical', wrmsr(Msr.sysenterEip, ...NON_CANONICAL))}
      ${attempt64('PAT with a reserved type', wrmsr(Msr.pat, 0x02))}
      ${attempt64('PAT', `${wrmsr(Msr.pat, 0x00070406, 0x00070401)}\nrdmsr`)}
      ${attempt64('FMASK', `${wrmsr(Msr.fmask, 0x47700)}\nrdmsr`)}
      ${attempt64('APIC_BASE with reserved bits', wrmsr(Msr.apicBase, 0xfee00801))}
      ${attempt64('MTRRdefType with a reserved type', wrmsr(0x2ff, 2))}
      ${attempt64('MTRRcap is read-only', wrmsr(0xfe, 0))}
      ${user64('RDMSR in ring 3', 'mov ecx, 0x10\nrdmsr')}
      ${user64('WRMSR in ring 3', 'mov ecx, 0x10\nwrmsr')}
      ${attempt64('upper half of RCX is ignored', `mov ecx, ${Msr.star}\nbts rcx, 40\nmov eax, 0\nmov edx, 0x180038\nwrmsr\nrdmsr`)}`,
    departures: departs(
      'qemu',
      [
        'RDMSR of nothing',
        'WRMSR to nothing',
        'LSTAR non-canonical',
        'CSTAR non-canonical',
        'KERNEL_GS_BASE non-canonical',
        'SYSENTER_EIP non-canonical',
        'PAT with a reserved type',
        'APIC_BASE with reserved bits',
        'MTRRdefType with a reserved type',
        'MTRRcap is read-only',
      ],
      'TCG ignores unknown MSRs and checks no values; SDM Vol. 2B RDMSR, WRMSR.',
    ),
  },
  {
    name: 'sysenter-sysexit',
    rule: 'SYSENTER and SYSEXIT (SDM Vol. 2B)',
    mode: 'protected',
    source: `
      ${attempt32('SYSENTER with a null CS', `${wrmsr(Msr.sysenterCs, 0)}\nsysenter`)}
      ${attempt32('SYSEXIT with a null CS', 'sysexit')}
      jmp start
    entry:
      mov eax, cs
      mov ebx, ss
      mov ecx, esp
      pushfd
      pop edx
      mov ebp, esp
      call ok32
    start:
      ${wrmsr(Msr.sysenterCs, Selector.code0)}
      ${wrmsr(Msr.sysenterEsp, MemoryMap.ring0Stack)}
      ${wrmsr(Msr.sysenterEip, 'entry')}
      ${user32('SYSENTER from ring 3', 'sysenter', { flags: 0x3202 })}
      ${attempt32('SYSENTER from ring 0', 'sysenter')}
      ${attempt32('SYSEXIT', `mov ecx, ${MemoryMap.ring3Stack}\nmov edx, .to\nsysexit\n.to:\nmov eax, cs\nmov ebx, ss\nmov ecx, esp\nint 0x30`)}
      ${user32('SYSEXIT in ring 3', 'sysexit')}
      ${attempt32('RPL in SYSENTER_CS is ignored', `${wrmsr(Msr.sysenterCs, Selector.code0 | 3)}\nsysenter`)}`,
  },
  {
    name: 'sysenter-long',
    rule: 'SYSENTER and SYSEXIT in IA-32e mode (SDM Vol. 2B)',
    mode: 'long',
    source: `
      ${wrmsr(Msr.sysenterCs, Selector.data64Ring3 & ~3)}
      ${wrmsr(Msr.sysenterEsp, MemoryMap.ring0Stack)}
      ${wrmsr(Msr.sysenterEip, 'entry')}
      jmp start
    entry:
      mov eax, cs
      mov ebx, ss
      mov rcx, rsp
      call ok64
    start:
      mov dword [gdt + 0x30], 0xffff
      mov dword [gdt + 0x34], 0x00af9a00
      mov dword [gdt + 0x38], 0xffff
      mov dword [gdt + 0x3c], 0x00af9a00
      ${user64('SYSENTER from 64-bit code', 'sysenter', { ss: Selector.data3 })}
      ${compatibility('SYSENTER from compatibility mode', 'sysenter')}
      ${wrmsr(Msr.sysenterCs, Selector.code0)}
      ${attempt64('SYSEXIT to compatibility mode', `mov ecx, ${MemoryMap.ring3Stack}\nmov edx, .to\nsysexit\nbits 32\n.to:\nmov eax, cs\nmov ebx, ss\nmov ecx, esp\nint 0x30\nbits 64`)}
      ${attempt64('SYSEXIT to 64-bit code', `mov ecx, ${MemoryMap.ring3Stack}\nmov edx, .to\ndb 0x48\nsysexit\n.to:\nmov eax, cs\nmov ebx, ss\nmov rcx, rsp\nint 0x30`)}
      ${attempt64('SYSEXIT to a non-canonical address', 'mov rdx, 0x800000000000\ndb 0x48\nsysexit')}
      ${attempt64('SYSEXIT truncates for compatibility mode', `mov rcx, 0x100000000 + ${MemoryMap.ring3Stack}\nmov rdx, .to\nbts rdx, 33\nsysexit\nbits 32\n.to:\nmov ebx, esp\nint 0x30\nbits 64`)}`,
    without: { peer: 'qemu', why: '`-cpu max` is an AMD processor: no SYSENTER in long mode (APM Vol. 2 6.1.2).' },
  },
  {
    name: 'syscall-sysret',
    rule: 'SYSCALL and SYSRET (SDM Vol. 2B)',
    mode: 'long',
    source: `
      ${wrmsr(Msr.star, 0, ((0x18 | 3) << 16) | Selector.code64)}
      ${wrmsr(Msr.lstar, 'entry')}
      ${wrmsr(Msr.fmask, 0x4700)}
      jmp start
    entry:
      mov eax, cs
      mov ebx, ss
      mov rdx, rsp
      pushfq
      pop rbp
      call ok64
    start:
      ${user64('SYSCALL from 64-bit code', 'nop\nsyscall', { flags: 0x3ed7 })}
      ${attempt64('SYSCALL from ring 0', 'syscall')}
      ${attempt64('SYSRET to 64-bit code', `mov rcx, .to\nmov r11, 0x247ed7\nbtr r11, 8\ndb 0x48\nsysret\n.to:\nmov eax, cs\nmov ebx, ss\nint 0x30`)}
      ${attempt64('SYSRET to compatibility mode', `mov rcx, .to\nmov r11, 2\nsysret\nbits 32\n.to:\nmov eax, cs\nmov ebx, ss\nint 0x30\nbits 64`)}
      ${attempt64('SYSRET to a non-canonical address', 'mov rcx, 0x800000000000\nmov r11, 2\ndb 0x48\nsysret')}
      ${user64('SYSRET in ring 3', 'mov rcx, 0\ndb 0x48\nsysret')}
      ${attempt64('SYSRET with RF and VM in R11', `mov rcx, .to\nmov r11, 0x30002\ndb 0x48\nsysret\n.to:\npushfq\npop rax\nint 0x30`)}
      ${wrmsr(Msr.efer, 0xd00)}
      ${attempt64('SYSCALL without SCE', 'syscall')}
      ${attempt64('SYSRET without SCE', 'db 0x48\nsysret')}`,
    departures: [
      ...departs('qemu', ['SYSCALL from 64-bit code'], 'loses the arithmetic flags; SDM Vol. 2B SYSCALL: RFLAGS AND NOT FMASK.'),
      ...departs('qemu', ['SYSRET to a non-canonical address'], 'faults in ring 3, as AMD does; SDM Vol. 2B SYSRET: #GP(0) in ring 0.'),
      ...departs('qemu', ['SYSRET with RF and VM in R11'], 'sets VM; SDM Vol. 2B SYSRET: R11 AND 3C7FD7H.'),
    ],
  },
  {
    name: 'swapgs',
    rule: 'SWAPGS (SDM Vol. 2B)',
    mode: 'long',
    source: `
      ${wrmsr(Msr.gsBase, 0x111000, 0x22)}
      ${wrmsr(Msr.kernelGsBase, 0x333000, 0x44)}
      ${attempt64('exchanges', `swapgs\nmov ecx, ${Msr.gsBase}\nrdmsr\nmov ebx, eax\nmov ebp, edx\nmov ecx, ${Msr.kernelGsBase}\nrdmsr`)}
      ${user64('ring 3', 'swapgs')}
      ${compatibility('not in compatibility mode', 'db 0x0f, 0x01, 0xf8')}`,
  },
  {
    name: 'io-permission',
    rule: 'IOPL and the I/O permission bitmap (SDM Vol. 1 19.5)',
    mode: 'protected',
    source: `
      mov word [tss + 0x66], 0x68
      mov edi, tss + 0x68
      mov ecx, 100
      mov al, 0xff
      cld
      rep stosb
      mov byte [tss + 0x68 + 0x10], 0xf3
      ${user32('port allowed', 'mov dx, 0x84\nin al, dx\nmov al, 0').replaceAll('0x84', '0x83')}
      ${user32('port denied', 'in al, 0x84')}
      ${user32('IOPL 3 asks no bitmap', 'in al, 0x84\nmov al, 0', { flags: 0x3002 })}
      ${user32('a word needs both bits', 'mov dx, 0x82\nin ax, dx\nmov ax, 0')}
      ${user32('a word with one bit set', 'mov dx, 0x83\nin ax, dx')}
      ${user32('a dword', 'mov dx, 0x82\nin eax, dx')}
      ${user32('OUT', 'mov dx, 0x84\nout dx, al')}
      ${user32('INSB', 'mov dx, 0x84\nmov edi, 0x600\ninsb')}
      ${user32('OUTSB is checked before memory', 'mov dx, 0x84\nmov esi, 0x600\noutsb')}
      ${user32('beyond the TSS', 'mov dx, 0x1000\nin al, dx')}
      mov byte [gdt + ${Selector.tss}], 0x78
      mov byte [gdt + ${Selector.tss + 1}], 0
      mov byte [gdt + ${Selector.tss + 5}], 0x89
      mov ax, ${Selector.tss}
      ltr ax
      ${user32('the byte behind the last must be there', 'mov dx, 0x82\nin al, dx')}
      ${user32('a map at its last byte', 'mov dx, 0x7f\nin al, dx')}`,
  },
];

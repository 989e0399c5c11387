import { attempt64 } from '../../prelude/attempt.ts';
import { Access, segment, setGdt, setIdt, tss32 } from '../../prelude/descriptor.ts';
import { MemoryMap, Selector } from '../../prelude/memory-map.ts';
import { Msr, wrmsr } from '../../prelude/modes.ts';
import { say } from '../../prelude/print.ts';
import { type SvmAttempt, svm } from '../../prelude/svm-attempt.ts';
import type { VmcbValues } from '../../prelude/svm-fields.ts';
import { SVM_AGAIN, vmcb } from '../../prelude/svm-host.ts';
import { SvmMemory } from '../../prelude/svm-memory.ts';
import { departs, type Rom, TCG_CHECKS_NO_LIMITS } from '../../rom.ts';
import { svmRom } from './svm-rom.ts';

const INVALID_32 = 'writes 32 bits of EXITCODE, and the host state over that of the guest; 15.5.1.';
const TOP = 1n << 63n;

/** VMRUN writes nothing but EXITCODE; Bochs and QEMU write state of the host. */
const REFUSED = ['changes', 'registers', 'rip', 'stack', 'flags', 'int', 'nrip'] as const;
/** An attempt that VMRUN refuses. */
const bad = (label: string, fields: VmcbValues): SvmAttempt => svm(label, 'mov ebx, 1', { fields, qemu: INVALID_32, hide: REFUSED });
/** Shows values of the host behind an exit, a line each: text and operand. */
const showAll = (values: Readonly<Record<string, string>>): string =>
  Object.entries(values)
    .map(([name, code]) => `${code}\nmov rdi, rax\n${say(64, `  ${name}=`)}\nmov rax, rdi\ncall svm_hex`)
    .concat('call newline64')
    .join('\n');
const rdmsr = (index: number): string => `mov ecx, ${index}\nrdmsr\nshl rdx, 32\nor rax, rdx`;

/** Loads a page of the guest once, then changes its nested entry: 1 or 2 in RBX tell whether the translation was kept. */
const TLB_PAGE = MemoryMap.test;
const nestedEntry = SvmMemory.nestedTable + (TLB_PAGE >>> 12) * 8;
const READS = `mov ebx, [${TLB_PAGE}]\nvmmcall\nmov ebx, [${TLB_PAGE}]`;
const tlb = (label: string, change: string): SvmAttempt =>
  svm(label, READS, {
    before: `mov dword [${TLB_PAGE}], 1\nmov dword [${SvmMemory.free}], 2`,
    after: `mov dword [${nestedEntry}], ${SvmMemory.free | 7}\nadd qword ${vmcb('RIP')}, 3\n${change}\n${SVM_AGAIN}\nmov dword [${nestedEntry}], ${TLB_PAGE | 7}`,
  });

/** Goes on behind the CPUID that exited. */
const CLEAN = (bits: number): string => `mov dword ${vmcb('VMCB_CLEAN')}, ${bits}\nadd qword ${vmcb('RIP')}, 2`;
const CPUIDS = 'mov eax, 0x80000000\ncpuid\nmov eax, 0x80000000\ncpuid\nxor eax, eax\nxor ebx, ebx\nxor ecx, ecx\nxor edx, edx';

const SYSCALL_MSRS: Readonly<Record<string, number>> = {
  star: Msr.star,
  lstar: Msr.lstar,
  cstar: Msr.cstar,
  sfmask: Msr.fmask,
  kernelGsBase: Msr.kernelGsBase,
  sysenterCs: Msr.sysenterCs,
  sysenterEsp: Msr.sysenterEsp,
  sysenterEip: Msr.sysenterEip,
  fsBase: Msr.fsBase,
  gsBase: Msr.gsBase,
};
const TASK = 0xa8;
const TASK_GATE = 0xb0;
const OTHER_TSS = MemoryMap.tasks;

export const svmEntryRoms: readonly Rom[] = [
  svmRom('svm-invalid-control', 'VMEXIT_INVALID by the control area (APM Vol. 2 15.5.1, 15.25.4)', [
    bad('the VMRUN intercept is clear', { INTERCEPT_4: 2 }),
    bad('ASID 0', { GUEST_ASID: 0 }),
    bad('the IOPM ends beyond the physical limit', { IOPM_BASE_PA: TOP }),
    bad('the MSRPM ends beyond the physical limit', { MSRPM_BASE_PA: TOP }),
    bad('reserved bits of N_CR3', { N_CR3: TOP | BigInt(SvmMemory.nestedPml4) }),
    bad('G_PAT with type 2', { G_PAT: 0x0007_0406_0007_0402n }),
    bad('G_PAT with a reserved bit', { G_PAT: 0x0007_0406_0007_0486n }),
    svm('a sound one', 'mov ebx, 1'),
  ]),
  svmRom('svm-invalid-guest', 'VMEXIT_INVALID by the state-save area (APM Vol. 2 15.5.1)', [
    bad('EFER.SVME is 0', { EFER: 0xd01 }),
    bad('CR0.NW without CD', { CR0: 0xa0000031 }),
    bad('CR0 with a high half', { CR0: 0x1_8000_0031n }),
    svm('CR3 reserved bits', 'mov ebx, 1', {
      fields: { CR3: TOP | BigInt(MemoryMap.pml4) },
      bochs: 'does not check CR3; 15.5.1.',
      qemu: INVALID_32,
      manual: 'INVALID',
      hide: REFUSED,
    }),
    bad('CR4 reserved bits', { CR4: 0x80000020 }),
    bad('CR4 with a high half', { CR4: 0x1_0000_0020n }),
    bad('DR6 with a high half', { DR6: 0x1_ffff_0ff0n }),
    bad('DR7 with a high half', { DR7: 0x1_0000_0400n }),
    bad('EFER reserved bits', { EFER: 0x1d03 }),
    bad('EFER with a high half', { EFER: 0x1_0000_1d01n }),
    bad('LME and PG without PAE', { CR4: 0 }),
    bad('CS.L and CS.D in long mode', { CS_ATTRIBUTES: 0xe9b }),
    svm('PG without PE in legacy mode is paged real mode', 'mov bx, 1', { mode: 'pagedReal' }),
  ]),
  svmRom('svm-canonical', 'VMRUN sign-extends bases, forces CPL and LMA, cuts RIP outside of 64-bit mode (APM Vol. 2 15.5.1)', [
    svm('bases', 'mov ebx, 1', {
      fields: { DS_BASE: 0x1234_8000_0000_0000n, GDTR_BASE: 0x5678_0000_0000_0000n | 0n },
      hide: [],
      qemu: 'does not sign-extend; 15.5.1.',
    }),
    svm('CPL in real mode', 'mov bx, 1', { mode: 'real', fields: { CPL: 3 }, bochs: 'gives SS a DPL of 3; 15.5.1.', nrip: '+6' }),
    svm('LMA is not set', 'mov ebx, 1', { fields: { EFER: 0x1901 }, qemu: 'takes LMA as it is; 15.5.1.' }),
    svm('RIP is not canonical', 'mov ebx, 1', { intercepts: ['EXCP13'], fields: { RIP: 0x8000_0000_0000n } }),
    svm('RIP beyond the limit', 'mov ebx, 1', {
      mode: 'protected',
      intercepts: ['EXCP13'],
      fields: { CS_LIMIT: 0xfff },
      qemu: TCG_CHECKS_NO_LIMITS,
    }),
    svm('a null DS', 'mov al, [0x600]', {
      mode: 'protected',
      intercepts: ['EXCP13'],
      fields: { DS_ATTRIBUTES: 0 },
      qemu: TCG_CHECKS_NO_LIMITS,
    }),
  ]),
  svmRom('svm-host-state', 'The host is given back what it had, but for GIF and DR7 (APM Vol. 2 15.6)', [
    svm(
      'registers, tables, modes',
      `mov eax, 0x80010033\nmov cr0, rax\nmov eax, 0x6a0\nmov cr4, rax\n${wrmsr(Msr.efer, 0x1901)}\nmov ax, ${Selector.data3}\nmov ds, ax\nmov es, ax\nlgdt [.table]\nlidt [.table]\nxor esp, esp\njmp .over\n.table: dw 0xff\ndq 0x1000\n.over:`,
      {
        after: `sgdt [${SvmMemory.free}]\nsidt [${SvmMemory.free + 16}]\n${showAll({
          cr0: 'mov rax, cr0\nand eax, 0x9fffffff',
          cr3: 'mov rax, cr3',
          cr4: 'mov rax, cr4',
          efer: rdmsr(Msr.efer),
          rsp: 'mov rax, rsp',
          flags: 'pushfq\npop rax',
          cs: 'mov eax, cs',
          ss: 'mov eax, ss',
          ds: 'mov eax, ds',
          es: 'mov eax, es',
          gdtLimit: `movzx eax, word [${SvmMemory.free}]`,
          idtLimit: `movzx eax, word [${SvmMemory.free + 16}]`,
        })}`,
      },
    ),
    svm('from real mode', 'mov bx, 1', {
      mode: 'real',
      after: showAll({ cr0: 'mov rax, cr0\nand eax, 0x9fffffff', efer: rdmsr(Msr.efer), cs: 'mov eax, cs', ss: 'mov eax, ss' }),
    }),
  ]),
  svmRom('svm-vmload-vmsave', 'VMLOAD and VMSAVE: FS, GS, TR, LDTR, and the MSRs of system calls (APM Vol. 2 15.5.2)', [
    svm(
      'loaded, seen by the guest and saved',
      `${Object.values(SYSCALL_MSRS)
        .map((index, i) => `${rdmsr(index)}\nmov r${i < 8 ? i + 8 : 8}, rax`)
        .slice(0, 8)
        .join('\n')}\nxor eax, eax\nxor edx, edx\nxor ecx, ecx\nstr bx\nsldt si`,
      {
        fields: {
          STAR: 0x11_0000_2222n,
          LSTAR: 0x1111_2222_3333n,
          CSTAR: 0x4444,
          SFMASK: 0x4700,
          KERNEL_GS_BASE: 0x7777_0000n,
          SYSENTER_CS: 0x88,
          SYSENTER_ESP: 0x9999,
          SYSENTER_EIP: 0xaaaa,
          LDTR_SELECTOR: Selector.ldt,
          LDTR_ATTRIBUTES: 0x82,
          LDTR_LIMIT: 0x3f,
          LDTR_BASE: 'ldt',
        },
      },
    ),
    svm(
      'written by the guest',
      `${wrmsr(Msr.lstar, 0x1234, 0x5)}\n${wrmsr(Msr.fsBase, 0x10, 0x7)}\n${wrmsr(Msr.sysenterEip, 0x4321)}\nmov ax, ${Selector.data3}\nmov gs, ax`,
      {
        after: showAll({ lstar: `mov rax, ${vmcb('LSTAR')}`, eip: `mov rax, ${vmcb('SYSENTER_EIP')}`, host: rdmsr(Msr.lstar) }),
      },
    ),
    svm('FS and GS', 'mov rax, [fs:8]\nmov rbx, [gs:0x10]', {
      fields: { FS_BASE: SvmMemory.free, GS_BASE: SvmMemory.free + 0x100 },
      before: `mov dword [${SvmMemory.free + 8}], 0x11\nmov dword [${SvmMemory.free + 12}], 0\nmov dword [${SvmMemory.free + 0x110}], 0x22\nmov dword [${SvmMemory.free + 0x114}], 0`,
    }),
  ]),
  svmRom('svm-asid-tlb', 'ASIDs, TLB_CONTROL: after a flush the changed entry is seen (APM Vol. 2 15.16)', [
    tlb('TLB_CONTROL 1', `mov byte ${vmcb('TLB_CONTROL')}, 1`),
    tlb('TLB_CONTROL 3', `mov byte ${vmcb('TLB_CONTROL')}, 3`),
    tlb('another ASID', `mov byte ${vmcb('TLB_CONTROL')}, 0\nmov dword ${vmcb('GUEST_ASID')}, 2`),
  ]),
  svmRom('svm-clean-bits', 'VMCB clean bits are a hint; what changed has its bit clear, or none is needed (APM Vol. 2 15.15.1, 15.15.3)', [
    svm('nothing changed', CPUIDS, { intercepts: ['CPUID'], after: `${CLEAN(-1)}\n${SVM_AGAIN}` }),
    svm('the intercepts changed', CPUIDS, {
      intercepts: ['CPUID'],
      after: `mov dword ${vmcb('INTERCEPT_3')}, 0\n${CLEAN(~1)}\n${SVM_AGAIN}`,
    }),
    svm('CR2 changed', `${CPUIDS}\nmov rax, cr2`, {
      intercepts: ['CPUID'],
      after: `mov dword ${vmcb('CR2')}, 0x1234\nmov dword ${vmcb('INTERCEPT_3')}, 0\n${CLEAN(~0x201)}\n${SVM_AGAIN}`,
      bochs: 'VMRUN does not load CR2; 15.5.1.',
      hide: ['nrip'],
    }),
    svm('RIP, RSP, RFLAGS and RAX have no bit', CPUIDS, {
      intercepts: ['CPUID'],
      after: `mov dword ${vmcb('RSP')}, 0xc000\nmov dword ${vmcb('RFLAGS')}, 0x203\nmov dword ${vmcb('RAX')}, 7\n${CLEAN(-1)}\n${SVM_AGAIN}`,
    }),
  ]),
  svmRom('svm-tsc-offset', 'TSC_OFFSET is added for the guest, not for the host (APM Vol. 2 15.5.1)', [
    svm('added', 'rdtsc\nshr edx, 28\nxor eax, eax', { fields: { TSC_OFFSET: 0x7000_0000_0000_0000n } }),
    svm('by RDMSR', 'mov ecx, 0x10\nrdmsr\nshr edx, 28\nxor eax, eax', {
      fields: { TSC_OFFSET: 0x5000_0000_0000_0000n },
      qemu: 'leaves the offset out of RDMSR; 15.5.1.',
    }),
    svm('the host', 'mov ebx, 1', {
      fields: { TSC_OFFSET: 0x7000_0000_0000_0000n },
      after: showAll({ tsc: 'rdtsc\nmov eax, edx\nshr eax, 28' }),
    }),
  ]),
  svmRom(
    'svm-task-switch',
    'Task switches: the selector, by what, and the error code (APM Vol. 2 15.14.1)',
    [
      ...(
        [
          ['JMP', `jmpf ${TASK}:0`, {}],
          ['CALL', `callf ${TASK}:0`, {}],
          ['JMP to a task gate', `jmpf ${TASK_GATE}:0`, {}],
          ['IRET', 'iretd', { RFLAGS: 0x4002 }],
          ['INT n', 'int 0x31', {}],
          ['#UD', 'ud2', {}],
          ['#GP with an error code', 'mov ax, 0x1fb\nmov ds, ax', {}],
        ] as const
      ).map(([label, code, fields]) =>
        svm(label, code, {
          mode: 'protected',
          intercepts: ['TASK_SWITCH'],
          fields,
          ...(label === 'INT n' && {
            bochs: 'reports vector and type 0 in EXITINTINFO; 15.7.2.',
            manual: 'TASK_SWITCH i1=a8 int=80000431 at 8:+0 sp=10:d000 fl=2',
          }),
          before: `
          ${setGdt(TASK, segment({ base: OTHER_TSS, limit: 0x67, access: label === 'IRET' ? Access.tss32 | 2 : Access.tss32 }))}
          ${setGdt(TASK_GATE, [`${(TASK << 16) >>> 0}`, `${Access.taskGate << 8}`])}
          ${[6, 13, 0x31].map((vector) => setIdt(vector, [`${(TASK << 16) >>> 0}`, `${Access.taskGate << 8}`])).join('\n')}
          mov word [tss], ${TASK}`,
        }),
      ),
      svm('not intercepted', `jmpf ${TASK}:0\n.task:\nmov ebx, 5`, {
        mode: 'protected',
        hide: ['changes', 'registers'],
        before: `${setGdt(TASK, segment({ base: OTHER_TSS, limit: 0x67, access: Access.tss32 }))}
        mov esi, .image
        mov edi, ${OTHER_TSS}
        mov ecx, 0x68
        rep movsb
        jmp .ready
        .image:
        ${tss32({ eip: '.task', eflags: 2, esp: 0xc000, es: Selector.data0, cs: Selector.code0, ss: Selector.data0, ds: Selector.data0, fs: Selector.data0, gs: Selector.data0 })}
        .ready:`,
      }),
    ],
    { without: { peer: 'qemu', why: 'TCG checks no intercept of task switches.' } },
  ),
  {
    name: 'svm-vmrun-exceptions',
    departures: [
      ...departs('bochs', ['VM_HSAVE_PA of no page'], 'takes any address; APM Vol. 2 15.30.4.'),
      ...departs('bochs', ['VM_CR'], 'has no VM_CR; APM Vol. 2 15.30.1.'),
    ],
    rule: 'VMRUN and its kin in the host: #UD without EFER.SVME, #GP for the address (APM Vol. 3 VMRUN)',
    mode: 'long',
    extension: 'svm',
    source: `
      ${(['vmrun', 'vmload', 'vmsave', 'stgi', 'clgi', 'invlpga', 'vmmcall'] as const).map((name) => attempt64(`${name} without SVME`, `mov eax, 0x200000\n${name}`)).join('\n')}
      ${wrmsr(Msr.efer, 0x1901)}
      ${(['vmrun', 'vmload', 'vmsave'] as const).map((name) => attempt64(`${name} of no page`, `mov eax, 0x200008\n${name}`)).join('\n')}
      ${(['vmrun', 'vmload', 'vmsave'] as const).map((name) => attempt64(`${name} beyond the physical limit`, `mov rax, 0x8000000000000000\n${name}`)).join('\n')}
      ${attempt64('VMMCALL in the host', 'vmmcall')}
      ${attempt64('INVLPGA', 'mov eax, 0x100000\nmov ecx, 1\ninvlpga')}
      ${attempt64('CLGI and STGI', 'clgi\nstgi')}
      ${attempt64('VM_HSAVE_PA', `mov ecx, 0xc0010117\nmov eax, 0x203000\nxor edx, edx\nwrmsr\nxor eax, eax\nrdmsr`)}
      ${attempt64('VM_HSAVE_PA of no page', `mov ecx, 0xc0010117\nmov eax, 0x203001\nxor edx, edx\nwrmsr`)}
      ${attempt64('VM_CR', 'mov ecx, 0xc0010114\nrdmsr')}
      ${attempt64('CPUID Fn8000_0001_ECX bit 2', 'mov eax, 0x80000001\ncpuid\nand ecx, 4\nxor eax, eax\nxor ebx, ebx\nxor edx, edx')}`,
  },
];

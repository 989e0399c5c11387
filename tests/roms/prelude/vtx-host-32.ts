import { FIELD } from '@minusone/vtx';
import { MemoryMap, Selector } from './memory-map.ts';
import { hex, say, show } from './print.ts';
import type { VtxAttempt } from './vtx-attempt.ts';
import { fieldTable } from './vtx-host.ts';
import { GUEST_STACK, VtxMemory } from './vtx-memory.ts';
import { COMMON_FIELDS, type Fields, GUEST_MODES, MODE_FIELDS } from './vtx-modes.ts';

/** A host in 32-bit paged mode: it fills a VMCS, enters a guest, and prints the exit's reason and what it finds of its own state. */

const MODES = ['paging32', 'pae', 'v86'] as const;
/** Where the exit's code keeps what it found. */
const FOUND = VtxMemory.free + 0x100;
const { vmcs, vmxonRegion } = VtxMemory;

/** Options of an attempt from a 32-bit host. */
export interface Host32Options {
  readonly mode?: (typeof MODES)[number];
  readonly fields?: Fields;
  /** The guest's code; VMCALL follows. */
  readonly code?: string;
  readonly afterwards?: string;
  readonly bochs?: string;
  readonly manual?: string;
}

const msr = (index: number): string => `mov ecx, ${index}\nrdmsr`;
/** What can be asked of the host's state, to EAX. */
const ASKED: Readonly<Record<string, string>> = {
  cr0: 'mov eax, cr0',
  cr3: 'mov eax, cr3',
  cr4: 'mov eax, cr4',
  dr7: 'mov eax, dr7',
  esp: 'mov eax, esp',
  flags: 'pushfd\npop eax',
  ...Object.fromEntries(['cs', 'ss', 'ds', 'es', 'fs', 'gs'].map((name) => [name, `mov eax, ${name}`])),
  tr: 'str eax',
  ldtr: 'sldt eax',
  gdtlimit: `sgdt [${FOUND - 16}]\nmovzx eax, word [${FOUND - 16}]`,
  idtlimit: `sidt [${FOUND - 16}]\nmovzx eax, word [${FOUND - 16}]`,
  efer: msr(0xc0000080),
  fsbase: msr(0xc0000100),
  gsbase: msr(0xc0000101),
  sysentercs: msr(0x174),
  sysenteresp: msr(0x175),
};

/** One attempt of such a host; `asks`: names of what it looks at first of all after the exit. */
export function vt32(label: string, asks: string, options: Host32Options = {}): VtxAttempt {
  const asked = asks.split(' ').filter((name) => name !== '');
  const source = `
  vt_${label.replace(/[^A-Za-z0-9]+/g, '_')}:
    ${say(32, `${label}:`)}
    vmclear qword [vtx_vmcs_pointer]
    vmptrld qword [vtx_vmcs_pointer]
    mov esi, vtx_common
    call vtx_set
    mov esi, vtx_mode_${options.mode ?? 'paging32'}
    call vtx_set
    mov esi, .fields
    call vtx_set
    mov ecx, ${FIELD.HOST_RSP}
    vmwrite ecx, esp
    vmlaunch
    call vtx_failed
    jmp .end
  .fields:
    ${fieldTable({ GUEST_RIP: '.guest', HOST_RIP: '.exit', ...options.fields })}
  .guest:
    bits ${options.mode === 'v86' ? 16 : 32}
    ${options.code ?? ''}
    vmcall
    bits 32
  .exit:
    ${asked.map((name, n) => `${ASKED[name]}\nmov [${FOUND + 4 * n}], eax`).join('\n')}
    mov ecx, ${FIELD.VM_EXIT_REASON}
    vmread edx, ecx
    ${show(32, 'reason', 'edx')}
    ${asked.map((name, n) => show(32, name, `[${FOUND + 4 * n}]`)).join('\n')}
    ${options.afterwards ?? ''}
  .end:
    call newline32`;
  return { label, source, options };
}

/** The source of a ROM of such attempts. `cr3`: of the host's own paging. */
export function vtx32Source(attempts: readonly VtxAttempt[], cr3: number, cr4: number): string {
  const host: Fields = {
    ...Object.fromEntries(['ES', 'SS', 'DS', 'FS', 'GS'].map((name) => [`HOST_${name}_SELECTOR`, Selector.data0])),
    HOST_CS_SELECTOR: Selector.code0,
    HOST_TR_SELECTOR: Selector.tss,
    HOST_TR_BASE: 'tss',
    HOST_FS_BASE: 0,
    HOST_GS_BASE: 0,
    HOST_GDTR_BASE: 'gdt',
    HOST_IDTR_BASE: 'idt32',
    HOST_CR0: 0x8000_0031,
    HOST_CR3: cr3,
    HOST_CR4: cr4 | 0x2000,
    HOST_IA32_EFER: 0,
    HOST_IA32_SYSENTER_CS: 0,
    HOST_IA32_SYSENTER_ESP: 0,
    PIN_BASED_VM_EXEC_CONTROL: 0x16,
    CPU_BASED_VM_EXEC_CONTROL: 0x0400_6172,
    VM_EXIT_CONTROLS: 0x0003_6dff,
    VM_ENTRY_CONTROLS: 0x0000_11ff,
    GUEST_RSP: GUEST_STACK,
  };
  const zeros = Object.fromEntries([...MODE_FIELDS].map((name) => [name, 0]));
  return `
    jmp vtx_body
    bits 32
  vtx_set:
    movzx ecx, word [esi]
    cmp ecx, 0xffff
    je .done
    add esi, 2
    mov eax, [esi]
    add esi, 4
    btr ecx, 12
    jc .wide
    vmwrite ecx, eax
    jmp vtx_set
  .wide:
    vmwrite ecx, eax
    mov eax, [esi]
    add esi, 4
    inc ecx
    vmwrite ecx, eax
    jmp vtx_set
  .done:
    ret
  vtx_failed:
    jc .invalid
    ${say(32, ' VMfail ')}
    mov ecx, ${FIELD.VM_INSTRUCTION_ERROR}
    vmread edx, ecx
    ${hex(32, 'edx', 2)}
    ret
  .invalid:
    ${say(32, ' VMfailInvalid')}
    ret
    align 8, 0
  vtx_vmxon_pointer: dq ${vmxonRegion}
  vtx_vmcs_pointer: dq ${vmcs}
  vtx_common:
    ${fieldTable({ ...zeros, ...COMMON_FIELDS, ...host })}
    ${MODES.map((mode) => `vtx_mode_${mode}:\n${fieldTable(GUEST_MODES[mode].fields)}`).join('\n')}
  vtx_body:
    ${cr3 === MemoryMap.paging32Directory ? 'call build_pae' : 'call build_paging32'}
    mov eax, cr4
    or eax, 0x2000
    mov cr4, eax
    mov eax, cr0
    or eax, 0x20
    mov cr0, eax
    mov ecx, 0x3a
    mov eax, 5
    mov edx, 0
    wrmsr
    mov ecx, 0x480
    rdmsr
    mov [${vmxonRegion}], eax
    mov [${vmcs}], eax
    vmxon qword [vtx_vmxon_pointer]
    ${attempts.map((attempt) => attempt.source).join('\n')}`;
}

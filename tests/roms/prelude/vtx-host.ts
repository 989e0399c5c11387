import { FIELD, VMX_MSRS, type VmcsFieldName } from '@minusone/vtx';
import { guestTables, type SecondStagePlaces, secondStageTables } from './guests.ts';
import { Selector } from './memory-map.ts';
import { Msr } from './modes.ts';
import { say } from './print.ts';
import { EPTP, VtxMemory } from './vtx-memory.ts';
import { COMMON_FIELDS, type Fields, type FieldValue, GUEST_MODES, type GuestModeName, MODE_FIELDS } from './vtx-modes.ts';
import { exitPrinter, GUEST_REGISTERS, Hide, showFieldUnlessZero, showValue } from './vtx-print.ts';

const FEATURE_CONTROL = 0x3a;
/** Locked, VMX outside of SMX. */
const FEATURE_CONTROL_VMX = 5;
const CR4_VMXE = 0x2000;

/** Set in the field's number in a table: 8 bytes follow, not 4 that are sign-extended. */
const WIDE = 0x1000;
/** Set there: the value is stored as it is, without the bits that the processor wants to be 1. */
const RAW = 0x8000;

function entry(name: VmcsFieldName, value: FieldValue, raw: boolean): string {
  const field = FIELD[name] | (raw ? RAW : 0);
  const fits = typeof value === 'string' || (BigInt(value) >= -0x8000_0000n && BigInt(value) < 0x8000_0000n);
  return fits ? `dw ${field}\ndd ${value}` : `dw ${field | WIDE}\ndq ${value}`;
}

/** A table of fields for `vtx_set`. Control words get the bits that the processor wants to be 1, unless `raw`. */
export function fieldTable(fields: Fields, raw: Fields = {}): string {
  const lines = Object.entries(fields).map(([name, value]) => entry(name as VmcsFieldName, value as FieldValue, false));
  const rawLines = Object.entries(raw).map(([name, value]) => entry(name as VmcsFieldName, value as FieldValue, true));
  return [...lines, ...rawLines, 'dw 0xffff'].join('\n');
}

/** VMWRITE of a constant or of an operand. Clobbers RAX, RCX. */
export const vmwrite = (field: VmcsFieldName, value: FieldValue): string => `mov rax, ${value}\nmov ecx, ${FIELD[field]}\nvmwrite rcx, rax`;
/** VMREAD to RAX, or to what is given. Clobbers RCX. */
export const vmread = (field: VmcsFieldName, to = 'rax'): string => `mov ecx, ${FIELD[field]}\nvmread ${to}, rcx`;
/** Enters the guest again where it stands, prints the next exit. */
export const RESUME = 'call vtx_go\ncall vtx_print_registers';
/** Prints all of the guest's state. */
export const STATE = 'call vtx_print_state';
/** Prints a line ` name=value ...` of registers, memory operands or numbers. Clobbers RAX, RBX, RCX, RSI. */
export const note = (values: Readonly<Record<string, string>>): string =>
  `${Object.entries(values)
    .map(([name, operand]) => showValue(name, operand))
    .join('\n')}\ncall newline64`;
/** RIP of the guest goes behind the instruction that made it exit. */
export const SKIP = 'call vtx_skip';

const EPT_TABLES: SecondStagePlaces = {
  pml4: VtxMemory.eptPml4,
  pdpt: VtxMemory.eptPdpt,
  directories: VtxMemory.eptDirectories,
  table: VtxMemory.eptTable,
};

/** Routines of the host, which is in 64-bit mode. `vtx_start` goes to VMX operation; everything else is for `vt` attempts. */
export function vtxHost(modes: readonly GuestModeName[]): string {
  const controls: readonly [VmcsFieldName, number][] = [
    ['PIN_BASED_VM_EXEC_CONTROL', VMX_MSRS.IA32_VMX_TRUE_PINBASED_CTLS],
    ['CPU_BASED_VM_EXEC_CONTROL', VMX_MSRS.IA32_VMX_TRUE_PROCBASED_CTLS],
    ['VM_EXIT_CONTROLS', VMX_MSRS.IA32_VMX_TRUE_EXIT_CTLS],
    ['VM_ENTRY_CONTROLS', VMX_MSRS.IA32_VMX_TRUE_ENTRY_CTLS],
  ];
  const fromRegister = (field: VmcsFieldName, code: string): string => `${code}\nmov ecx, ${FIELD[field]}\nvmwrite rcx, rax`;
  const fromMsr = (field: VmcsFieldName, msr: number): string => fromRegister(field, `mov ecx, ${msr}\nrdmsr\nshl rdx, 32\nor rax, rdx`);
  const host: Fields = {
    HOST_CS_SELECTOR: Selector.code64,
    ...Object.fromEntries(['ES', 'SS', 'DS', 'FS', 'GS'].map((name) => [`HOST_${name}_SELECTOR`, Selector.data0])),
    HOST_TR_SELECTOR: Selector.tss,
    HOST_TR_BASE: 'tss64',
    HOST_GDTR_BASE: 'gdt',
    HOST_IDTR_BASE: 'idt64',
    HOST_RIP: 'vtx_exit',
  };
  const zeros = Object.fromEntries(([...MODE_FIELDS] as string[]).concat(ALWAYS_ZERO).map((name) => [name, 0]));
  return `
    jmp vtx_body
    bits 64
    ${guestTables('vtx_build_tables')}
    ${secondStageTables('vtx_build_ept', EPT_TABLES, 0x30)}
  vtx_enable:
    mov rax, cr0
    or al, 0x20
    mov cr0, rax
    mov rax, cr4
    or eax, ${CR4_VMXE}
    mov cr4, rax
    mov ecx, ${FEATURE_CONTROL}
    rdmsr
    test al, 1
    jnz .locked
    mov eax, ${FEATURE_CONTROL_VMX}
    wrmsr
  .locked:
    mov ecx, ${VMX_MSRS.IA32_VMX_BASIC}
    rdmsr
    mov [${VtxMemory.vmxonRegion}], eax
    mov [${VtxMemory.vmcs}], eax
    mov [${VtxMemory.otherVmcs}], eax
    ${controls
      .map(
        ([, msr], i) => `
    mov ecx, ${msr}
    rdmsr
    mov [vtx_must + ${4 * i}], eax`,
      )
      .join('')}
    ret
  vtx_start:
    call vtx_enable
    vmxon qword [vtx_vmxon_pointer]
    jbe .failed
    call vtx_build_tables
    jmp vtx_build_ept
  .failed:
    ${say(64, 'VMXON failed')}
    jmp finish64

  ; RSI: a table of fields
  vtx_set:
    movzx ecx, word [rsi]
    cmp ecx, 0xffff
    je .done
    add rsi, 2
    btr ecx, 12
    jc .wide
    movsxd rax, dword [rsi]
    add rsi, 4
    jmp .have
  .wide:
    mov rax, [rsi]
    add rsi, 8
  .have:
    btr ecx, 15
    jc .write
    ${controls
      .map(
        ([field], i) => `
    cmp ecx, ${FIELD[field]}
    jne .not_${i}
    or eax, [vtx_must + ${4 * i}]
  .not_${i}:`,
      )
      .join('')}
  .write:
    vmwrite rcx, rax
    ja vtx_set
    ${say(64, ' VMWRITE failed')}
    mov eax, ecx
    call vtx_hex
    jmp vtx_set
  .done:
    ret

  ; a clear VMCS with the host's state; the guest's registers 0. An IRET ends what an exit by an NMI has blocked
  vtx_begin:
    mov rax, rsp
    push ${Selector.data0}
    push rax
    pushfq
    push ${Selector.code64}
    push .unblocked
    iretq
  .unblocked:
    vmclear qword [vtx_vmcs_pointer]
    vmptrld qword [vtx_vmcs_pointer]
    mov byte [vtx_launched], 0
    mov dword [vtx_hide], 0
    mov byte [events_left], 40
    mov edi, vtx_rax
    mov ecx, ${GUEST_REGISTERS.length}
    xor eax, eax
    rep stosq
    mov rax, cr4
    ${fromRegister('HOST_CR4', '')}
    ${fromRegister('HOST_CR3', 'mov rax, cr3')}
    ${fromRegister('HOST_CR0', 'mov rax, cr0')}
    ${fromMsr('HOST_IA32_EFER', Msr.efer)}
    ${fromMsr('HOST_IA32_PAT', Msr.pat)}
    ${fromMsr('GUEST_IA32_PAT', Msr.pat)}
    mov esi, vtx_common
    jmp vtx_set

  ; VMLAUNCH or VMRESUME; comes back after the exit, which it has printed, or after the failure
  vtx_go:
    mov ecx, ${FIELD.HOST_RSP}
    vmwrite rcx, rsp
    ${GUEST_REGISTERS.map((name) => `mov ${name}, [vtx_${name}]`).join('\n')}
    cmp byte [vtx_launched], 0
    jne .resume
    vmlaunch
    jmp .failed
  .resume:
    vmresume
  .failed:
    pushfq
    pop rdx
    test dl, 1
    jnz .invalid
    ${say(64, ' VMfail ')}
    ${vmread('VM_INSTRUCTION_ERROR')}
    jmp vtx_hex
  .invalid:
    ${say(64, ' VMfailInvalid')}
    ret
  vtx_exit:
    ${GUEST_REGISTERS.map((name) => `mov [vtx_${name}], ${name}`).join('\n')}
    ${vmread('VM_EXIT_REASON')}
    test eax, eax
    js .not_entered
    mov byte [vtx_launched], 1
  .not_entered:
    ${vmread('GUEST_RIP')}
    ${[64, 32, 16].map((bits) => `cmp rax, vtx_done${bits}\nje .given_up`).join('\n')}
    jmp vtx_print_exit
  .given_up:
    or byte [vtx_hide], ${Hide.registers}
    ${say(64, ' given up')}
    ${showFieldUnlessZero('blocking', 'GUEST_INTERRUPTIBILITY_INFO')}
    ${showFieldUnlessZero('pending', 'GUEST_PENDING_DBG_EXCEPTIONS')}
    ret

  vtx_skip:
    ${vmread('VM_EXIT_INSTRUCTION_LEN', 'rdx')}
    ${vmread('GUEST_RIP')}
    add rax, rdx
    vmwrite rcx, rax
    ret

  ; events that a guest's own handlers gave up come here
  vtx_done64:
    vmcall
    jmp finish64
    bits 32
  vtx_done32:
    vmcall
    jmp finish32
    bits 16
  vtx_done16:
    vmcall
    jmp finish16
    bits 64
    ${exitPrinter()}

    align 8, 0
  vtx_vmxon_pointer: dq ${VtxMemory.vmxonRegion}
  vtx_vmcs_pointer: dq ${VtxMemory.vmcs}
  vtx_other_pointer: dq ${VtxMemory.otherVmcs}
  vtx_eptp: dq ${EPTP}, 0
  vtx_must: dd 0, 0, 0, 0
  vtx_launched: db 0
  vtx_common:
    ${fieldTable({ ...zeros, ...host, ...COMMON_FIELDS })}
    ${modes.map((mode) => `vtx_mode_${mode}:\n${fieldTable(GUEST_MODES[mode].fields)}`).join('\n')}
  vtx_body:
    call vtx_start`;
}

/** Fields that attempts set, and that are 0 in the others: a VMCLEAR does not clear them. */
const ALWAYS_ZERO: readonly VmcsFieldName[] = [
  'EXCEPTION_BITMAP',
  'PAGE_FAULT_ERROR_CODE_MASK',
  'PAGE_FAULT_ERROR_CODE_MATCH',
  'CR3_TARGET_COUNT',
  'VM_EXIT_MSR_STORE_COUNT',
  'VM_EXIT_MSR_LOAD_COUNT',
  'VM_ENTRY_MSR_LOAD_COUNT',
  'VM_ENTRY_INTR_INFO_FIELD',
  'TPR_THRESHOLD',
  'CR0_GUEST_HOST_MASK',
  'CR4_GUEST_HOST_MASK',
  'CR0_READ_SHADOW',
  'CR4_READ_SHADOW',
  'GUEST_INTERRUPTIBILITY_INFO',
  'GUEST_ACTIVITY_STATE',
  'GUEST_PENDING_DBG_EXCEPTIONS',
  'GUEST_IA32_DEBUGCTL',
  'GUEST_SYSENTER_CS',
  'GUEST_SYSENTER_ESP',
  'GUEST_SYSENTER_EIP',
  'HOST_IA32_SYSENTER_CS',
  'HOST_IA32_SYSENTER_ESP',
  'HOST_IA32_SYSENTER_EIP',
  'HOST_FS_BASE',
  'HOST_GS_BASE',
  'TSC_OFFSET',
  'VIRTUAL_PROCESSOR_ID',
];

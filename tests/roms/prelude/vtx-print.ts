import { FIELD, VM_EXIT_REASONS, type VmcsFieldName } from '@minusone/vtx';
import { hexRoutine } from './guests.ts';
import { say } from './print.ts';

/** What of the VM-exit information an exit reason defines (SDM Vol. 3C, 28.2); all the rest stays unprinted, as it is undefined or stale. */
const Defined = { qualification: 1, length: 2, instructionInformation: 4, linearAddress: 8, physicalAddress: 16 } as const;

/** Bits of `[vtx_hide]`: what an attempt does not show. */
export const Hide = { rip: 1, registers: 2, flags: 4, interruptInformation: 8, qualification: 16, resumeFlag: 32 } as const;

const WITH_INSTRUCTION_INFORMATION = [19, 21, 22, 23, 25, 27, 46, 47, 50, 53, 58];
/** Of the exits with a qualification in our table; the others' is 0, and shown where it is not. */
const defined = (reason: number): number => {
  const row = (VM_EXIT_REASONS as Readonly<Record<number, { readonly hasInstructionLength?: true }>>)[reason];
  if (row === undefined) return 0;
  let bits: number = Defined.qualification;
  if (row.hasInstructionLength) bits |= Defined.length;
  if (WITH_INSTRUCTION_INFORMATION.includes(reason)) bits |= Defined.instructionInformation;
  if (reason === 48 || reason === 49) bits |= Defined.physicalAddress;
  return bits;
};

/**
 * Bits of the VM-exit instruction information that are defined when all of its parts are there (SDM Vol. 3C, Tables 28-8 to 28-15). What a part
 * that is absent leaves undefined is masked in the ROM.
 */
function informationMask(reason: number): number {
  const memory = 0x0fff_8783;
  switch (reason) {
    case 23: // VMREAD
    case 25: // VMWRITE
      return memory + 0x78 + 0xf000_0000;
    case 50: // INVEPT
    case 53: // INVVPID
    case 58: // INVPCID
      return memory + 0xf000_0000;
    case 46: // GDTR, IDTR
      return memory + 0x800 + 0x3000_0000;
    case 47: // LDTR, TR
      return memory + 0x78 + 0x3000_0000;
    default:
      return memory;
  }
}

const reasons = Array.from({ length: 76 }, (_, reason) => reason);
const nameOf = (reason: number): string =>
  (VM_EXIT_REASONS as Readonly<Record<number, { readonly name: string }>>)[reason]?.name ?? String(reason);

/** ` name=value` of a field, in hexadecimal without leading zeros. Clobbers RAX, RBX, RCX, RSI. */
export const showField = (name: string, field: VmcsFieldName): string =>
  `call vtx_field\ndw ${FIELD[field]}\ndb ${JSON.stringify(` ${name}=`)}, 0`;
/** The same, nothing where it is 0. */
export const showFieldUnlessZero = (name: string, field: VmcsFieldName): string =>
  `call vtx_field_unless_zero\ndw ${FIELD[field]}\ndb ${JSON.stringify(` ${name}=`)}, 0`;
/** ` name=value` of a register, memory operand or number. Clobbers RAX, RBX, RCX, RSI. */
export const showValue = (name: string, operand: string): string => `${say(64, ` ${name}=`)}\nmov rax, ${operand}\ncall vtx_hex`;
const load = (register: string, field: VmcsFieldName): string => `mov ecx, ${FIELD[field]}\nvmread ${register}, rcx`;

/** Registers of the guest, saved in this order. */
export const GUEST_REGISTERS = 'rax rbx rcx rdx rsi rdi rbp r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');

/** An interruption information with its error code; bit 12 goes where the manual calls it undefined: for double faults, and with IDT-vectoring information. */
const interruption = (name: string, field: VmcsFieldName, errorField: VmcsFieldName, hasUnblocking: boolean): string => `
    ${load('rdx', field)}
    test edx, edx
    jns .no_${name}
    ${
      hasUnblocking
        ? `${load('rax', 'IDT_VECTORING_INFO_FIELD')}
    test eax, eax
    js .mask_${name}
    cmp dl, 8
    jne .unmasked_${name}
  .mask_${name}:
    and edx, 0xffffefff
  .unmasked_${name}:`
        : 'and edx, 0xffffefff'
    }
    ${say(64, ` ${name}=`)}
    mov eax, edx
    call vtx_hex
    test dh, 8
    jz .no_${name}
    mov al, 58
    out 0xe9, al
    ${load('rax', errorField)}
    call vtx_hex
  .no_${name}:`;

const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'];

/** Prints every field that tells of an exit, ` REASON q=... len=... rip=... `, with the guest's registers, and ends the line. */
export function exitPrinter(): string {
  return `
    bits 64
    ${hexRoutine('vtx_hex')}
  vtx_field_unless_zero:
    mov rsi, [rsp]
    movzx ecx, word [rsi]
    vmread rax, rcx
    test rax, rax
    jnz vtx_field
    pop rsi
    add rsi, 2
  .skip:
    mov al, [rsi]
    inc rsi
    test al, al
    jnz .skip
    jmp rsi
  vtx_field:
    pop rsi
    movzx ecx, word [rsi]
    add rsi, 2
    vmread rdx, rcx
  .name:
    mov al, [rsi]
    inc rsi
    test al, al
    jz .value
    out 0xe9, al
    jmp .name
  .value:
    mov rax, rdx
    call vtx_hex
    jmp rsi

  vtx_print_exit:
    mov al, 32
    out 0xe9, al
    ${load('rbp', 'VM_EXIT_REASON')}
    test ebp, ebp
    jns .entered
    ${say(64, 'entry failure, ')}
  .entered:
    movzx ebx, bp
    cmp ebx, ${reasons.length}
    jae .no_name
    movzx esi, word [rbx*2 + vtx_reason_names]
  .letter:
    mov al, [rsi]
    inc rsi
    test al, al
    jz .named
    out 0xe9, al
    jmp .letter
  .no_name:
    mov eax, ebx
    call vtx_hex
  .named:
    movzx r15d, byte [rbx + vtx_defined]
    test ebp, ebp
    jns .usual
    ${showFieldUnlessZero('q', 'EXIT_QUALIFICATION')}
    ret
  .usual:
    test byte [vtx_hide], ${Hide.qualification}
    jnz .no_qualification
    cmp ebp, 48
    je .violation
    test r15b, ${Defined.instructionInformation}
    jnz .displacement
    ${showFieldUnlessZero('q', 'EXIT_QUALIFICATION')}
    jmp .no_qualification
  .displacement:
    ; a displacement: bits beyond the instruction's address size are undefined
    ${load('rdx', 'VMX_INSTRUCTION_INFO')}
    ${load('rax', 'EXIT_QUALIFICATION')}
    and edx, 0x380
    jnz .not_16_bit
    movzx eax, ax
  .not_16_bit:
    cmp edx, 0x80
    jne .masked
    mov eax, eax
  .masked:
    test rax, rax
    jz .no_qualification
    mov rdx, rax
    ${say(64, ' q=')}
    mov rax, rdx
    call vtx_hex
    jmp .no_qualification
  .violation:
    ; bits 11:9 and 6 need features that are not on; 8 and 12 are undefined without a linear address, or during delivery
    ${load('rdx', 'EXIT_QUALIFICATION')}
    and edx, 0x11bf
    test dl, 0x80
    jnz .has_linear
    and edx, 0xfeff
  .has_linear:
    ${load('rax', 'IDT_VECTORING_INFO_FIELD')}
    test eax, eax
    jns .not_delivering
    and edx, 0xefff
  .not_delivering:
    ${say(64, ' q=')}
    mov eax, edx
    call vtx_hex
  .no_qualification:
    test r15b, ${Defined.physicalAddress}
    jz .no_physical
    ${showField('gpa', 'GUEST_PHYSICAL_ADDRESS')}
    ${load('rdx', 'EXIT_QUALIFICATION')}
    test dl, 0x80
    jz .no_physical
    cmp ebp, 48
    jne .no_physical
    ${showField('gla', 'GUEST_LINEAR_ADDRESS')}
  .no_physical:
    test byte [vtx_hide], ${Hide.interruptInformation}
    jnz .no_interruption
    cmp ebp, 1
    ja .no_interruption
    ${interruption('info', 'VM_EXIT_INTR_INFO', 'VM_EXIT_INTR_ERROR_CODE', true)}
    ; software exceptions and ICEBP have a length
    test edx, edx
    jns .no_interruption
    mov eax, edx
    shr eax, 8
    and eax, 7
    cmp eax, 5
    jb .no_interruption
    or r15b, ${Defined.length}
  .no_interruption:
    ${interruption('vectoring', 'IDT_VECTORING_INFO_FIELD', 'IDT_VECTORING_ERROR_CODE', false)}
    test edx, edx
    jns .no_vectoring_length
    mov eax, edx
    shr eax, 8
    and eax, 7
    cmp eax, 4
    jb .no_vectoring_length
    or r15b, ${Defined.length}
    jmp .length
  .no_vectoring_length:
    ; task switches: only by CALL, IRET and JMP, or by a software interrupt, which the vectoring information names
    cmp ebp, 9
    jne .length
    ${load('rax', 'EXIT_QUALIFICATION')}
    shr eax, 30
    cmp al, 3
    je .no_length
  .length:
    test r15b, ${Defined.length}
    jz .no_length
    ${showField('len', 'VM_EXIT_INSTRUCTION_LEN')}
  .no_length:
    call vtx_print_information
    test byte [vtx_hide], ${Hide.rip}
    jnz .no_rip
    ${say(64, ' at ')}
    ${load('rax', 'GUEST_CS_SELECTOR')}
    call vtx_hex
    mov al, 58
    out 0xe9, al
    ; the address counts from the attempt's code, where it is near
    ${load('rax', 'GUEST_RIP')}
    mov rdx, rax
    sub rdx, [vtx_origin]
    cmp rdx, 0x400
    jae .far
    mov al, 43
    out 0xe9, al
    mov rax, rdx
  .far:
    call vtx_hex
    ${say(64, ' sp=')}
    ${load('rax', 'GUEST_SS_SELECTOR')}
    call vtx_hex
    mov al, 58
    out 0xe9, al
    ${load('rax', 'GUEST_RSP')}
    call vtx_hex
    test byte [vtx_hide], ${Hide.flags}
    jnz .no_rip
    ${say(64, ' fl=')}
    ${load('rax', 'GUEST_RFLAGS')}
    test byte [vtx_hide], ${Hide.resumeFlag}
    jz .resume_flag
    btr eax, 16
  .resume_flag:
    call vtx_hex
  .no_rip:
    ${showFieldUnlessZero('activity', 'GUEST_ACTIVITY_STATE')}
    ${showFieldUnlessZero('blocking', 'GUEST_INTERRUPTIBILITY_INFO')}
    ${showFieldUnlessZero('pending', 'GUEST_PENDING_DBG_EXCEPTIONS')}
    ret

  ; VM-exit instruction information, what of it is defined. EBP: reason
  vtx_print_information:
    cmp ebp, 30
    je .io
    test r15b, ${Defined.instructionInformation}
    jz .done
    ${load('rdx', 'VMX_INSTRUCTION_INFO')}
    and edx, [rbp*4 + vtx_information_mask]
    ; the operand size of LGDT and its kin is undefined in 64-bit mode
    cmp ebp, 46
    jne .sized
    ${load('rax', 'GUEST_CS_AR_BYTES')}
    test ah, 0x20
    jz .sized
    and edx, 0xfffff7ff
  .sized:
    test dh, 4
    jz .memory
    ; a register operand: no address
    and edx, 0xf0000c78
    jmp .show
  .memory:
    and edx, 0xffffff87
    bt edx, 22
    jnc .index
    and edx, 0xffc3fffc
  .index:
    bt edx, 27
    jnc .show
    and edx, 0xf87fffff
  .show:
    ${say(64, ' insn=')}
    mov eax, edx
    call vtx_hex
  .done:
    ret
  .io:
    ${load('rdx', 'EXIT_QUALIFICATION')}
    test dl, 0x10
    jz .done
    ${showField('gla', 'GUEST_LINEAR_ADDRESS')}
    ${load('rax', 'EXIT_QUALIFICATION')}
    ${load('rdx', 'VMX_INSTRUCTION_INFO')}
    and edx, 0x38380
    test al, 8
    jz .show
    and edx, 0x380
    jmp .show

  ; the guest's registers that are not 0, and the end of the line
  vtx_print_registers:
    test byte [vtx_hide], ${Hide.registers}
    jnz .none
    ${GUEST_REGISTERS.map(
      (name) => `
    mov rax, [vtx_${name}]
    test rax, rax
    jz .no_${name}
    ${showValue(name, `[vtx_${name}]`)}
  .no_${name}:`,
    ).join('')}
  .none:
    jmp newline64

  ; all of the guest's other state, one line a group
  vtx_print_state:
    ${say(64, '  ')}
    ${showField('cr0', 'GUEST_CR0')}
    ${showField('cr3', 'GUEST_CR3')}
    ${showField('cr4', 'GUEST_CR4')}
    ${showField('efer', 'GUEST_IA32_EFER')}
    ${showField('dr7', 'GUEST_DR7')}
    ${showFieldUnlessZero('debugctl', 'GUEST_IA32_DEBUGCTL')}
    ${showFieldUnlessZero('sysenter_cs', 'GUEST_SYSENTER_CS')}
    ${showFieldUnlessZero('sysenter_esp', 'GUEST_SYSENTER_ESP')}
    ${showFieldUnlessZero('sysenter_eip', 'GUEST_SYSENTER_EIP')}
    call newline64
    mov ebp, 0
  .segment:
    ${say(64, '   ')}
    mov al, [rbp*2 + .names]
    out 0xe9, al
    mov al, [rbp*2 + .names + 1]
    out 0xe9, al
    mov al, 61
    out 0xe9, al
    lea ecx, [rbp*2 + ${FIELD.GUEST_ES_SELECTOR}]
    vmread rax, rcx
    call vtx_hex
    lea ecx, [rbp*2 + ${FIELD.GUEST_ES_AR_BYTES}]
    vmread rdx, rcx
    bt edx, 16
    jc .unusable
    mov al, 32
    out 0xe9, al
    lea ecx, [rbp*2 + ${FIELD.GUEST_ES_BASE}]
    vmread rax, rcx
    call vtx_hex
    mov al, 32
    out 0xe9, al
    lea ecx, [rbp*2 + ${FIELD.GUEST_ES_LIMIT}]
    vmread rax, rcx
    call vtx_hex
    mov al, 32
    out 0xe9, al
    mov eax, edx
    call vtx_hex
    jmp .next
  .unusable:
    ${say(64, ' unusable')}
  .next:
    inc ebp
    cmp ebp, ${SEGMENTS.length}
    jb .segment
    jmp newline64
  .names:
    db "${SEGMENTS.map((name) => name.slice(0, 2)).join('')}"

  vtx_defined: db ${reasons.map(defined).join(', ')}
    align 4, 0
  vtx_information_mask: dd ${reasons.map(informationMask).join(', ')}
  vtx_reason_names: dw ${reasons.map((reason) => `vtx_name_${reason}`).join(', ')}
  ${reasons.map((reason) => `vtx_name_${reason}: db ${JSON.stringify(nameOf(reason))}, 0`).join('\n')}
  vtx_origin: dq 0
  vtx_hide: dd 0
  ${GUEST_REGISTERS.map((name) => `vtx_${name}: dq 0`).join('\n')}`;
}

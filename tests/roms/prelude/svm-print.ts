import { SVM_EXIT_CODES, type SvmExitName, VMCB_FIELDS, type VmcbFieldName } from '@minusone/amdv';
import { hexRoutine } from './guests.ts';
import { say } from './print.ts';
import { vmcbField } from './svm-fields.ts';
import { SvmMemory } from './svm-memory.ts';

/** Bits of `[svm_hide]`: what an attempt does not show. */
export const SvmHide = { rip: 1, registers: 2, flags: 4, i1: 8, i2: 16, nrip: 32, changes: 64, stack: 128, bytes: 256, int: 512 } as const;

/** CPUID Fn8000_000A_EDX: with these there is more to print. */
const NRIPS = 8;
const DECODE_ASSISTS = 0x80;

/** Registers of the guest that VMRUN does not load, saved in this order. */
export const SVM_GUEST_REGISTERS = 'rbx rcx rdx rsi rdi rbp r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');

/** Codes below this have a place in the table of names. */
const LAST_CODE = 0xa6;
const codes = Array.from({ length: LAST_CODE + 1 }, (_, code) => code);
const names = new Map(Object.entries(SVM_EXIT_CODES).map(([name, { code }]) => [code, name as SvmExitName]));

/** The fields of which an exit tells that they changed since the entry: name, and doubleword of the VMCB or both. */
const CHANGES: readonly (readonly [label: string, field: VmcbFieldName, bytes: 4 | 8])[] = [
  ...(['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR'] as const).flatMap((name) => [
    [name.toLowerCase(), `${name}_SELECTOR`, 4] as const,
    [`${name.toLowerCase()}.base`, `${name}_BASE`, 8] as const,
    [`${name.toLowerCase()}.limit`, `${name}_LIMIT`, 4] as const,
  ]),
  ['gdtr', 'GDTR_BASE', 8],
  ['gdtr.limit', 'GDTR_LIMIT', 4],
  ['idtr', 'IDTR_BASE', 8],
  ['idtr.limit', 'IDTR_LIMIT', 4],
  ['cpl', 'CPL', 4],
  ['efer', 'EFER', 8],
  ['cr0', 'CR0', 8],
  ['cr2', 'CR2', 8],
  ['cr3', 'CR3', 8],
  ['cr4', 'CR4', 8],
  ['dr6', 'DR6', 8],
  ['dr7', 'DR7', 8],
  ['g_pat', 'G_PAT', 8],
  ['vintr', 'V_TPR', 8],
];

const field = (name: VmcbFieldName): string => vmcbField(name, SvmMemory.vmcb);
/** ` name=value`, in hexadecimal without leading zeros. Clobbers RAX, RBX, RCX, RSI. */
export const svmShow = (name: string, operand: string): string => `${say(64, ` ${name}=`)}\nmov rax, ${operand}\ncall svm_hex`;
/** The same, nothing where it is 0. */
export const svmShowUnlessZero = (name: string, operand: string): string => {
  const label = `.no_${name.replace(/\W/g, '_')}`;
  return `mov rax, ${operand}\ntest rax, rax\njz ${label}\n${svmShow(name, operand)}\n${label}:`;
};
const unlessHidden = (bit: keyof typeof SvmHide, code: string): string =>
  `test word [svm_hide], ${SvmHide[bit]}\njnz .hidden_${bit}\n${code}\n.hidden_${bit}:`;

/** Exits whose EXITINFO1 is there with decode assists only (APM Vol. 2, 15.8): codes up to `last`, and these. */
const ASSISTED = { last: 0x3f, others: ['CR0_SEL_WRITE', 'SWINT', 'INVLPG'] as const };

/**
 * Prints what tells of an exit: ` NAME i1= i2= int= at cs:rip sp= fl= rax= shadow= inj=`, state that changed since the entry (selector and attributes in one number), general
 * registers. The next instruction, and what decode assists tell, follow in lines of their own.
 */
export function svmExitPrinter(): string {
  return `
    bits 64
    ${hexRoutine('svm_hex')}
  ; an address counts from the attempt's code, where it is near
  svm_address:
    mov rdx, rax
    sub rdx, [svm_origin]
    cmp rdx, 0x200
    jae svm_hex
    mov al, 43
    out 0xe9, al
    mov rax, rdx
    jmp svm_hex
  svm_text:
    mov al, [rsi]
    inc rsi
    test al, al
    jz .done
    out 0xe9, al
    jmp svm_text
  .done:
    ret

  svm_print_exit:
    mov al, 32
    out 0xe9, al
    mov rax, ${field('EXITCODE')}
    mov ebp, eax
    cmp rax, ${LAST_CODE}
    ja .not_listed
    movzx esi, word [rax*2 + svm_names]
    test esi, esi
    jz .number
    call svm_text
    jmp .named
  .not_listed:
    cmp rax, 0x400
    je .npf
    cmp rax, -1
    je .invalid
  .number:
    call svm_hex
    jmp .named
  .npf:
    ${say(64, 'NPF')}
    jmp .named
  .invalid:
    ; nothing but the exit code is written
    ${say(64, 'INVALID')}
    cmp qword ${field('EXITINFO1')}, 0
    jne .named
    jmp .changes
  .named:
    ${unlessHidden(
      'i1',
      `
    call svm_is_assisted
    je .hidden_i1
    mov rdx, ${field('EXITINFO1')}
    cmp ebp, ${SVM_EXIT_CODES.IOIO.code}
    jne .no_io
    and edx, 0xffffe3ff
  .no_io:
    test rdx, rdx
    jz .hidden_i1
    ${svmShow('i1', 'rdx')}`,
    )}
    ${unlessHidden(
      'i2',
      `
    mov rdx, ${field('EXITINFO2')}
    test rdx, rdx
    jz .hidden_i2
    ${say(64, ' i2=')}
    mov rax, rdx
    cmp ebp, ${SVM_EXIT_CODES.IOIO.code}
    jne .plain_i2
    call svm_address
    jmp .hidden_i2
  .plain_i2:
    call svm_hex`,
    )}
    test word [svm_hide], ${SvmHide.int}
    jnz .no_int
    mov rdx, ${field('EXITINTINFO')}
    test edx, edx
    jns .no_int
    ${say(64, ' int=')}
    mov eax, edx
    call svm_hex
    test dh, 8
    jz .no_int
    mov al, 58
    out 0xe9, al
    mov rax, rdx
    shr rax, 32
    call svm_hex
  .no_int:
    ${unlessHidden(
      'rip',
      `
    ${say(64, ' at ')}
    movzx eax, word ${field('CS_SELECTOR')}
    call svm_hex
    mov al, 58
    out 0xe9, al
    mov rax, ${field('RIP')}
    call svm_address`,
    )}
    ${unlessHidden(
      'stack',
      `
    ${say(64, ' sp=')}
    movzx eax, word ${field('SS_SELECTOR')}
    call svm_hex
    mov al, 58
    out 0xe9, al
    mov rax, ${field('RSP')}
    call svm_hex`,
    )}
    ${unlessHidden(
      'flags',
      `
    ; RF is undefined where a fault is being delivered
    mov rdx, ${field('RFLAGS')}
    and edx, 0xfffeffff
    ${svmShow('fl', 'rdx')}`,
    )}
    ${svmShowUnlessZero('shadow', field('INTERRUPT_SHADOW'))}
    mov rdx, ${field('EVENTINJ')}
    test edx, edx
    jns .changes
    ${svmShow('inj', 'rdx')}
  .changes:
    ${unlessHidden(
      'changes',
      `
    mov ebp, svm_changes
  .next:
    movzx edi, word [rbp]
    test edi, edi
    jz .hidden_changes
    mov al, [rbp + 2]
    mov rdx, [rdi + ${SvmMemory.vmcb}]
    mov rbx, [rdi + ${SvmMemory.snapshot}]
    lea rsi, [rbp + 3]
    cmp al, 8
    je .compare
    mov edx, edx
    mov ebx, ebx
  .compare:
    cmp rdx, rbx
    je .same
    mov al, 32
    out 0xe9, al
    call svm_text
    mov al, 61
    out 0xe9, al
    mov rax, rdx
    call svm_hex
    mov rbp, rsi
    jmp .next
  .same:
    mov rbp, rsi
  .end_of_name:
    cmp byte [rbp], 0
    lea rbp, [rbp + 1]
    jne .end_of_name
    jmp .next`,
    )}
    ret

  ; ZF where EXITINFO1 of the exit EBP is of decode assists
  svm_is_assisted:
    cmp ebp, ${ASSISTED.last}
    ja .others
    cmp ebp, ebp
    ret
  .others:
    ${ASSISTED.others.map((name) => `cmp ebp, ${SVM_EXIT_CODES[name].code}\nje .done`).join('\n')}
  .done:
    ret

  ; the guest's registers that are not 0, the end of the line, and what decode assists tell
  svm_print_registers:
    test byte [svm_hide], ${SvmHide.registers}
    jnz .none
    ${svmShowUnlessZero('rax', field('RAX'))}
    ${SVM_GUEST_REGISTERS.map((name) => svmShowUnlessZero(name, `[svm_${name}]`)).join('\n')}
  .none:
    call newline64
    ${unlessHidden(
      'nrip',
      `
    test byte [svm_features], ${NRIPS}
    jz .hidden_nrip
    mov rdx, ${field('NRIP')}
    test rdx, rdx
    jz .hidden_nrip
    ${say(64, '  nrip=')}
    mov rax, rdx
    call svm_address
    call newline64`,
    )}
    test byte [svm_features], ${DECODE_ASSISTS}
    jz .done
    mov rax, ${field('EXITCODE')}
    mov ebp, eax
    call svm_is_assisted
    je .info
    cmp ebp, ${SVM_EXIT_CODES.IOIO.code}
    jne .no_info
    mov eax, ${field('EXITINFO1')}
    and eax, 0x1c00
    jz .no_info
    jmp .show
  .info:
    mov rax, ${field('EXITINFO1')}
  .show:
    mov rdx, rax
    ${say(64, '  assists:')}
    ${svmShow('i1', 'rdx')}
    call newline64
  .no_info:
    test word [svm_hide], ${SvmHide.bytes}
    jnz .done
    movzx edx, byte ${field('GUEST_INSTRUCTION_COUNT')}
    test edx, edx
    jz .done
    ${say(64, '  assists: bytes=')}
    mov edi, ${SvmMemory.vmcb + VMCB_FIELDS.GUEST_INSTRUCTION_COUNT.offset + 1}
  .byte:
    movzx eax, byte [rdi]
    mov cl, 2
    call hex64
    inc edi
    dec edx
    jnz .byte
    call newline64
  .done:
    ret

  svm_changes:
    ${CHANGES.map(([label, name, bytes]) => `dw ${VMCB_FIELDS[name].offset}\ndb ${bytes}, ${JSON.stringify(label)}, 0`).join('\n')}
    dw 0
    align 2, 0
  svm_names: dw ${codes.map((code) => (names.has(code) ? `svm_name_${code}` : '0')).join(', ')}
  ${codes.flatMap((code) => (names.has(code) ? [`svm_name_${code}: db ${JSON.stringify(names.get(code))}, 0`] : [])).join('\n')}
  svm_origin: dq 0
  svm_hide: dw 0, 0
  svm_features: dd 0
  ${SVM_GUEST_REGISTERS.map((name) => `svm_${name}: dq 0`).join('\n')}`;
}

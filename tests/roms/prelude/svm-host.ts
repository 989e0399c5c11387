import type { VmcbFieldName } from '@minusone/amdv';
import { guestTables, type SecondStagePlaces, secondStageTables } from './guests.ts';
import { Selector } from './memory-map.ts';
import { Msr } from './modes.ts';
import { say } from './print.ts';
import { type VmcbValue, vmcbField, vmcbTable } from './svm-fields.ts';
import { SvmMemory } from './svm-memory.ts';
import { SVM_COMMON, SVM_GUEST_MODES, type SvmGuestModeName } from './svm-modes.ts';
import { SVM_GUEST_REGISTERS, SvmHide, svmExitPrinter } from './svm-print.ts';

const EFER_SVME = 0x1000;
/** VM_HSAVE_PA. */
const HSAVE = 0xc0010117;
const CODE_SEGMENTS = [Selector.code64, Selector.code64Ring3, Selector.code0, Selector.code16];
const FEATURES_LEAF = 0x8000000a;

/** Stores to a field of the VMCB, 4 bytes at least. Clobbers RAX. */
export const vmcbWrite = (name: VmcbFieldName, value: VmcbValue): string =>
  `mov rax, ${value}\nmov ${vmcbField(name, SvmMemory.vmcb)}, rax`;
/** The operand of a field. */
export const vmcb = (name: VmcbFieldName): string => vmcbField(name, SvmMemory.vmcb);
/** Enters the guest again where it stands, prints the next exit. */
export const SVM_AGAIN = 'mov al, 32\nout 0xe9, al\ncall svm_go\ncall svm_print_registers';
/** RIP of the guest moves on by so many bytes. */
export const svmSkip = (bytes: number): string => `add qword ${vmcb('RIP')}, ${bytes}`;

const NESTED_TABLES: SecondStagePlaces = {
  pml4: SvmMemory.nestedPml4,
  pdpt: SvmMemory.nestedPdpt,
  directories: SvmMemory.nestedDirectories,
  table: SvmMemory.nestedTable,
};

/** Routines of the host, which is in 64-bit mode. `svm_start` enables SVM; everything else is for `svm` attempts. */
export function svmHost(modes: readonly SvmGuestModeName[]): string {
  return `
    jmp svm_body
    bits 64
    ${guestTables('svm_build_tables')}
    ${secondStageTables('svm_build_nested', NESTED_TABLES, 0)}
  svm_start:
    mov ecx, ${Msr.efer}
    rdmsr
    or eax, ${EFER_SVME}
    wrmsr
    mov ecx, ${HSAVE}
    mov eax, ${SvmMemory.hostSave}
    xor edx, edx
    wrmsr
    mov eax, ${FEATURES_LEAF}
    cpuid
    mov [svm_features], edx
    mov eax, ${SvmMemory.hostVmcb}
    vmsave
    ; accessed, so that a guest's loads of them change nothing
    ${CODE_SEGMENTS.map((selector) => `or byte [gdt + ${(selector & ~7) + 5}], 1`).join('\n')}
    call svm_build_tables
    jmp svm_build_nested

  ; RSI: a table of doublewords
  svm_set:
    movzx ecx, word [rsi]
    cmp ecx, 0xffff
    je .done
    mov eax, [rsi + 2]
    mov [rcx + ${SvmMemory.vmcb}], eax
    add rsi, 6
    jmp svm_set
  .done:
    ret

  ; a VMCB of zeros but for what every guest has; the guest's registers 0; open permission maps
  svm_begin:
    cld
    xor eax, eax
    mov edi, ${SvmMemory.vmcb}
    mov ecx, 512
    rep stosq
    mov edi, ${SvmMemory.ioPermissions}
    mov ecx, ${(5 * 4096) / 8}
    rep stosq
    mov edi, svm_rbx
    mov ecx, ${SVM_GUEST_REGISTERS.length}
    rep stosq
    mov word [svm_hide], ax
    mov byte [events_left], 40
    mov esi, svm_common
    jmp svm_set

  ; VMRUN; comes back after the exit, which it has printed
  svm_go:
    mov esi, ${SvmMemory.vmcb}
    mov edi, ${SvmMemory.snapshot}
    mov ecx, 512
    rep movsq
    ${SVM_GUEST_REGISTERS.map((name) => `mov ${name}, [svm_${name}]`).join('\n')}
    clgi
    mov eax, ${SvmMemory.vmcb}
    vmload
    vmrun
    vmsave
    mov eax, ${SvmMemory.hostVmcb}
    vmload
    ${SVM_GUEST_REGISTERS.map((name) => `mov [svm_${name}], ${name}`).join('\n')}
    mov rax, ${vmcb('RIP')}
    ${[64, 32, 16].map((bits) => `cmp rax, svm_done${bits}\nje .given_up`).join('\n')}
    jmp svm_print_exit
  .given_up:
    or byte [svm_hide], ${SvmHide.registers | SvmHide.nrip}
    ${say(64, ' given up')}
    ret

  ; events that a guest's own handlers gave up come here
  svm_done64:
    vmmcall
    jmp finish64
    bits 32
  svm_done32:
    vmmcall
    jmp finish32
    bits 16
  svm_done16:
    vmmcall
    jmp finish16
    bits 64
    ${svmExitPrinter()}

  svm_common:
    ${vmcbTable(SVM_COMMON)}
    ${modes.map((mode) => `svm_mode_${mode}:\n${vmcbTable({ ...SVM_COMMON, ...SVM_GUEST_MODES[mode].fields }, SVM_COMMON)}`).join('\n')}
  svm_body:
    call svm_start`;
}

import { MemoryMap, Policy, Selector } from './memory-map.ts';
import { type Bits, hex, printSavedRegisters, reg, SAVED, say } from './print.ts';

/** Vectors that have a handler: exceptions, and a few above for software and hardware interrupts. */
export const VECTORS = 0x48;
/** A software interrupt of this vector, callable from every ring, ends an attempt that is not in ring 0. */
export const DONE_VECTOR = 0x30;
/** SDM Vol. 3A, Table 6-1: exceptions that push an error code. */
const WITH_ERROR_CODE = [8, 10, 11, 12, 13, 14, 17];
const NAMES = ['DE', 'DB', 'NMI', 'BP', 'OF', 'BR', 'UD', 'NM', 'DF', '09', 'TS', 'NP', 'SS', 'GP', 'PF', '0F', 'MF', 'AC', 'MC', 'XM'];
/** RF is not shown unless a ROM asks: peers differ in it, and one ROM is about it. */
const RF = 0x10000;

const vectors = Array.from({ length: VECTORS }, (_, vector) => vector);

const policyIs = (bit: number, otherwise: string): string => `test byte [event_policy_now], ${bit}\njz ${otherwise}`;

/** Prints the name of the event whose vector is at [BP + at]; `#GP(0028)` or `int 30`. */
function printName(bits: Bits, vectorAt: number, errorAt: number): string {
  const bp = reg(bits, 'bp');
  const [bx, si] = [reg(bits, 'bx'), reg(bits, 'si')];
  return `
    movzx ${bits === 16 ? 'ebx' : 'ebx'}, byte [${bp} + ${vectorAt}]
    cmp bl, ${NAMES.length}
    jae .no_name
    mov al, '#'
    out 0xe9, al
    lea ${si}, [${bx} + ${bx === 'bx' ? '' : `${bx}*2 + `}event_names]
    ${bits === 16 ? 'add si, bx\nadd si, bx' : ''}
    mov ecx, 3
  .name:
    mov al, [cs:${si}]
    inc ${si}
    cmp al, 32
    je .name_end
    out 0xe9, al
    dec ecx
    jnz .name
  .name_end:
    ${
      errorAt < 0
        ? ''
        : `
    movzx ebx, byte [${bp} + ${vectorAt}]
    mov eax, ${WITH_ERROR_CODE.reduce((mask, vector) => mask | (1 << vector), 0)}
    bt eax, ebx
    jnc .named
    mov al, 40
    out 0xe9, al
    ${hex(bits, `[${bp} + ${errorAt}]`, 4)}
    mov al, 41
    out 0xe9, al`
    }
    jmp .named
  .no_name:
    ${say(bits, 'int ')}
    ${hex(bits, `[${bp} + ${vectorAt}]`, 2)}
  .named:`;
}

/** After the event is printed: return, or give up the attempt. `resume`: code that never returns. */
const decide = (bits: Bits, vectorAt: number, flagsAt: number, discard: number): string => {
  const bp = reg(bits, 'bp');
  const [bx, sp] = [reg(bits, 'bx'), reg(bits, 'sp')];
  const pops = bits === 64 ? [...SAVED[64]].map((name) => `pop ${name}`).join('\n') : 'popad';
  return `
    dec byte [events_left]
    jz .give_up
    ${policyIs(Policy.iret, '.give_up')}
    ${policyIs(Policy.setRf, '.no_rf')}
    ${bits === 16 ? '' : `or dword [${bp} + ${flagsAt}], ${RF}`}
  .no_rf:
    ${policyIs(Policy.clearTf, '.no_tf')}
    and word [${bp} + ${flagsAt}], ${0xfeff}
  .no_tf:
    ${policyIs(Policy.apicEoi, '.no_apic')}
    ${bits === 16 ? '' : `mov ${reg(bits, 'bx')}, ${bits === 64 ? 'qword ' : ''}[apic_eoi]\nmov dword [${bx}], 0`}
  .no_apic:
    ${policyIs(Policy.picEoi, '.no_pic')}
    mov al, 0x20
    out 0x20, al
  .no_pic:
    ${say(bits, '\n ')}
    mov ${sp}, ${bp}
    ${pops}
    ${bits === 16 ? 'add sp, 2\niret' : bits === 32 ? 'push dword [saved_ds]\npop ds\npush dword [cs:saved_es]\npop es\nadd esp, 8\niretd' : 'add rsp, 16\niretq'}
  .give_up:
    ${say(bits, '\n')}
    jmp resume${bits}
    ; vector at ${vectorAt}, ${discard} bytes`;
};

const policyNow = (bits: Bits, vectorAt: number): string => {
  const [bp, bx] = [reg(bits, 'bp'), reg(bits, 'bx')];
  return `
    movzx ebx, byte [${bp} + ${vectorAt}]
    mov al, [${bx} + event_policy]
    mov [event_policy_now], al`;
};

/** DR6 is shown with #DB, then cleared, as the processor never does it. */
const debugStatus = (bits: Bits, vectorAt: number): string => {
  const bp = reg(bits, 'bp');
  const [ax, dr] = bits === 64 ? ['rax', 'rax'] : ['eax', 'eax'];
  return `
    cmp byte [${bp} + ${vectorAt}], 1
    jne .no_dr6
    ${say(bits, ' dr6=')}
    mov ${dr}, dr6
    mov cl, 8
    call hex${bits}
    mov ${ax}, 0xffff0ff0
    mov dr6, ${dr}
  .no_dr6:`;
};

const segmentIfNotFlat = (bits: Bits, name: string): string => `
    mov ax, ${name}
    cmp ax, ${bits === 16 ? 0 : `[flat_${name}]`}
    je .flat_${name}
    ${say(bits, ` ${name}=`)}
    mov ax, ${name}
    mov cl, 4
    call hex${bits}
  .flat_${name}:`;

function real(): string {
  return `
    bits 16
    ${vectors.map((vector) => `real_${vector}: push ${vector}\njmp real_event`).join('\n')}
  real_event:
    pushad
    mov bp, sp
    push ds
    push es
    xor ax, ax
    mov ds, ax
    mov es, ax
    ${policyNow(16, 32)}
    ${printName(16, 32, -1)}
    ${policyIs(Policy.brief, '.full')}
    jmp .shown
  .full:
    ${say(16, ' ')}
    ${hex(16, '[bp + 36]', 4)}
    mov al, 58
    out 0xe9, al
    ${hex(16, '[bp + 34]', 4)}
    ${say(16, ' fl=')}
    ${hex(16, '[bp + 38]', 4)}
    ${debugStatus(16, 32)}
    pop es
    pop ds
    ${segmentIfNotFlat(16, 'ds')}
    ${segmentIfNotFlat(16, 'es')}
    xor ax, ax
    mov ds, ax
    mov es, ax
    ${printSavedRegisters(16)}
  .shown:
    ${decide(16, 32, 38, 2)}
  resume16:
    cli
    cld
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov sp, [resume_sp]
    push 0
    push word [resume_ip]
    retf`;
}

function protectedMode(): string {
  return `
    bits 32
    ${vectors
      .map((vector) => `protected_${vector}: ${WITH_ERROR_CODE.includes(vector) ? '' : 'push 0\n'}push ${vector}\njmp protected_event`)
      .join('\n')}
  protected_event:
    pushad
    mov ebp, esp
    cld
    mov eax, ds
    mov ebx, es
    mov cx, ${Selector.data0}
    mov ds, cx
    mov es, cx
    mov [saved_ds], eax
    mov [saved_es], ebx
    ${policyNow(32, 32)}
    ${printName(32, 32, 36)}
    ${policyIs(Policy.brief, '.full')}
    jmp .shown
  .full:
    ${say(32, ' ')}
    ${hex(32, '[ebp + 44]', 4)}
    mov al, 58
    out 0xe9, al
    ${hex(32, '[ebp + 40]', 8)}
    ${say(32, ' fl=')}
    mov eax, [ebp + 48]
    and eax, [flags_shown]
    mov cl, 8
    call hex32
    test dword [ebp + 48], 0x20000
    jnz .outer
    test byte [ebp + 44], 3
    jz .inner
  .outer:
    ${say(32, ' sp=')}
    ${hex(32, '[ebp + 56]', 4)}
    mov al, 58
    out 0xe9, al
    ${hex(32, '[ebp + 52]', 8)}
  .inner:
    test dword [ebp + 48], 0x20000
    jz .not_v86
    ${['es', 'ds', 'fs', 'gs'].map((name, i) => `${say(32, ` ${name}=`)}\n${hex(32, `[ebp + ${60 + 4 * i}]`, 4)}`).join('\n')}
    jmp .segments
  .not_v86:
    cmp byte [ebp + 32], 14
    jne .no_cr2
    ${say(32, ' cr2=')}
    ${hex(32, 'cr2', 8)}
  .no_cr2:
    mov ax, [saved_ds]
    mov ds, ax
    mov ax, [cs:saved_es]
    mov es, ax
    ${['ds', 'es', 'fs', 'gs'].map((name) => segmentIfNotFlat(32, name).replaceAll('[flat_', '[cs:flat_')).join('\n')}
  .segments:
    mov ax, ${Selector.data0}
    mov ds, ax
    mov es, ax
    ${debugStatus(32, 32)}
    ${printSavedRegisters(32)}
  .shown:
    ${decide(32, 32, 48, 8)}
  resume32:
    cli
    cld
    mov ax, ${Selector.data0}
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov esp, [resume_sp]
    jmp dword [resume_ip]`;
}

function long(): string {
  return `
    bits 64
    ${vectors.map((vector) => `long_${vector}: ${WITH_ERROR_CODE.includes(vector) ? '' : 'push 0\n'}push ${vector}\njmp long_event`).join('\n')}
  long_event:
    ${[...SAVED[64]]
      .reverse()
      .map((name) => `push ${name}`)
      .join('\n')}
    mov rbp, rsp
    cld
    ${policyNow(64, 120)}
    ${printName(64, 120, 128)}
    ${policyIs(Policy.brief, '.full')}
    jmp .shown
  .full:
    ${say(64, ' ')}
    ${hex(64, '[rbp + 144]', 4)}
    mov al, 58
    out 0xe9, al
    ${hex(64, '[rbp + 136]', 16)}
    ${say(64, ' fl=')}
    mov eax, [rbp + 152]
    and eax, [flags_shown]
    mov cl, 8
    call hex64
    ${say(64, ' sp=')}
    ${hex(64, '[rbp + 168]', 4)}
    mov al, 58
    out 0xe9, al
    ${hex(64, '[rbp + 160]', 16)}
    cmp byte [rbp + 120], 14
    jne .no_cr2
    ${say(64, ' cr2=')}
    ${hex(64, 'cr2', 16)}
  .no_cr2:
    ${['ds', 'es', 'fs', 'gs'].map((name) => segmentIfNotFlat(64, name)).join('\n')}
    ${debugStatus(64, 120)}
    ${printSavedRegisters(64)}
  .shown:
    ${decide(64, 120, 152, 16)}
  resume64:
    cli
    cld
    mov ax, ${Selector.data0}
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov rsp, [resume_sp]
    jmp qword [resume_ip]`;
}

/** ` ok`: what an attempt that came to its end shows. Registers and flags are as they were at the end. */
function ok(bits: Bits): string {
  const bp = reg(bits, 'bp');
  const size = bits === 64 ? 8 : 4;
  const count = SAVED[bits].length;
  const saveAll = bits === 64 ? SAVED[64].toReversed().map((name) => `push ${name}`) : ['pushad'];
  return `
    bits ${bits}
  ok${bits}:
    ${bits === 64 ? 'pushfq' : 'pushfd'}
    ${saveAll.join('\n')}
    mov ${bp}, ${reg(bits, 'sp')}
    ${say(bits, 'ok fl=')}
    ${hex(bits, `[${bp} + ${count * size}]`, bits === 16 ? 4 : 8)}
    ${(bits === 16 ? ['ds', 'es'] : ['ds', 'es', 'fs', 'gs']).map((name) => segmentIfNotFlat(bits, name).replaceAll('[flat_', '[cs:flat_')).join('\n')}
    ${printSavedRegisters(bits)}
    ${say(bits, '\n')}
    ${bits === 16 ? 'xor ax, ax' : `mov ax, ${Selector.data0}`}
    mov ds, ax
    jmp resume${bits}
  clear${bits}:
    ${[...SAVED[bits]]
      .filter((name) => !name.endsWith('sp'))
      .map((name) => (bits === 64 ? `xor ${name}, ${name}` : `xor ${name}, ${name}`))
      .join('\n')}
    push 2
    ${bits === 64 ? 'popfq' : bits === 32 ? 'popfd' : 'popf'}
    ret
  finish${bits}:
    ${bits === 16 ? 'xor ax, ax\nmov ds, ax' : ''}
    xor eax, eax
    out 0xf4, al
    mov dx, 0x8900
    ${[...'Shutdown'].map((letter) => `mov al, '${letter}'\nout dx, al`).join('\n')}
    cli
    hlt
    jmp finish${bits}`;
}

/** The default handlers of every mode, the end of an attempt, the end of the ROM, and their variables. */
export function handlers(): string {
  return [
    real(),
    protectedMode(),
    long(),
    ...([16, 32, 64] as const).map(ok),
    `
    align 8, 0
  resume_ip: dq 0
  resume_sp: dq ${MemoryMap.mainStack}
  apic_eoi: dq 0xfee000b0
  saved_ds: dd 0
  saved_es: dd 0
  flags_shown: dd ${(~RF & 0xffffffff) >>> 0}
  events_left: dw 0
  event_policy_now: db 0, 0
  flat_ds: dw ${Selector.data0}
  flat_es: dw ${Selector.data0}
  flat_fs: dw ${Selector.data0}
  flat_gs: dw ${Selector.data0}
  event_policy: times 256 db 0
  event_names: db ${JSON.stringify(NAMES.map((name) => name.padEnd(3)).join(''))}`,
  ].join('\n');
}

export { NAMES as EVENT_NAMES };

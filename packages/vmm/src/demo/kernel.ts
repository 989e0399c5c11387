import { assemble } from '@minusone/asm';

/** Where the demonstration kernel is loaded, and starts in real mode (CS = 0x800, IP = 0). */
export const DEMO_ADDRESS = 0x8000;

/**
 * The embedded default guest: a small 64-bit kernel that goes the whole way from real mode to two preempted user tasks. It touches what every
 * kernel touches, in an order that can be read: CPUID, A20, GDT, protected mode, paging, long mode, IDT, TSS, local APIC timer, ring 3,
 * system calls, context switches, HLT, power-off.
 */
const SOURCE = `
COM1       equ 0x3f8
PML4       equ 0x10000          ; then PDPT, and page directories for the first and the fourth GiB
PDPT       equ 0x11000
PD0        equ 0x12000
PD3        equ 0x13000
IDT        equ 0x14000
TSS        equ 0x15000
LAPIC      equ 0xfee00000
TIMER      equ 0x20             ; vectors
SYSCALL    equ 0x80
IDLE       equ 0                ; threads: 32 bytes each: stack pointer, wake-up tick (-1: gone), top of the kernel stack
THREAD     equ 32
USER_DATA  equ 0x23
USER_CODE  equ 0x2b

bits 16
start:
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7000
    jmp 0:real_mode             ; CS = 0, so that labels are addresses
real_mode:
    mov si, hello
    call print16
    in al, 0x92                 ; A20 by the fast gate
    or al, 2
    out 0x92, al
    lgdt [gdtr]
    mov eax, cr0
    or al, 1                    ; CR0.PE
    mov cr0, eax
    jmp 0x08:protected_mode

print16:                        ; SI: text, ends with 0
    lodsb
    test al, al
    jz .done
    mov ah, al
    mov dx, COM1 + 5
.wait:
    in al, dx
    test al, 0x20               ; transmitter holding register empty
    jz .wait
    mov dx, COM1
    mov al, ah
    out dx, al
    jmp print16
.done:
    ret

bits 32
protected_mode:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x7000
    cld
    mov edi, PML4               ; page tables, IDT and TSS: all zero
    xor eax, eax
    mov ecx, 0x1800
    rep stosd
    mov dword [PML4], PDPT + 7
    mov dword [PDPT], PD0 + 7
    mov dword [PDPT + 24], PD3 + 7
    xor ecx, ecx
.fill:                          ; 2 MiB pages: RAM for everybody, the fourth GiB uncached for the kernel
    mov eax, ecx
    shl eax, 21
    or eax, 0x87
    mov [PD0 + ecx*8], eax
    mov eax, ecx
    shl eax, 21
    add eax, 0xc000009b
    mov [PD3 + ecx*8], eax
    inc ecx
    cmp ecx, 512
    jne .fill
    mov eax, cr4
    or eax, 0x20                ; CR4.PAE
    mov cr4, eax
    mov eax, PML4
    mov cr3, eax
    mov ecx, 0xc0000080         ; IA32_EFER.LME
    rdmsr
    or eax, 0x100
    wrmsr
    mov eax, cr0
    or eax, 0x80000000          ; CR0.PG
    mov cr0, eax
    jmp 0x18:long_mode

bits 64
long_mode:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov rsp, 0x7000
    lea rsi, [rel in_long_mode]
    call print

    xor eax, eax                ; vendor
    cpuid
    lea rdi, [rel vendor]
    mov [rdi], ebx
    mov [rdi + 4], edx
    mov [rdi + 8], ecx
    lea rsi, [rel vendor_line]
    call print
    mov r15d, 0x80000002        ; brand
    lea rdi, [rel brand]
.brand:
    mov eax, r15d
    cpuid
    mov [rdi], eax
    mov [rdi + 4], ebx
    mov [rdi + 8], ecx
    mov [rdi + 12], edx
    add rdi, 16
    inc r15d
    cmp r15d, 0x80000005
    jne .brand
    lea rsi, [rel brand]
    call print
    lea rsi, [rel new_line]
    call print

    lea rax, [rel exception]    ; every exception has a stub of 5 bytes
    mov edi, IDT
    mov ecx, 32
.gates:
    call set_gate
    add rax, 5
    add rdi, 16
    dec ecx
    jnz .gates
    lea rax, [rel timer]
    mov edi, IDT + TIMER*16
    call set_gate
    lea rax, [rel system_call]
    mov edi, IDT + SYSCALL*16
    call set_gate
    mov byte [rdi + 5], 0xee    ; DPL 3
    lidt [rel idtr]
    mov ax, 0x30
    ltr ax

    mov rdi, 1                  ; threads 1 and 2; this one becomes the idle thread 0
    lea rsi, [rel primes]
    call create_thread
    mov rdi, 2
    lea rsi, [rel mandelbrot]
    call create_thread

    mov edi, LAPIC
    mov dword [rdi + 0xf0], 0x1ff        ; spurious vector, software enable
    mov dword [rdi + 0x3e0], 0xb         ; divide by 1
    mov dword [rdi + 0x320], 0x20000 + TIMER   ; periodic
    mov dword [rdi + 0x380], 200000
    sti
idle:
    hlt
    cmp dword [rel alive], 0
    jne idle

    cli
    lea rsi, [rel idle_line]
    call print
    mov rax, [rel idle_ticks]
    call print_decimal
    lea rsi, [rel of_line]
    call print
    mov rax, [rel ticks]
    call print_decimal
    lea rsi, [rel ticks_line]
    call print
power_off:
    lea rsi, [rel shutdown]
    mov dx, 0x8900
    mov ecx, 8
    rep outsb
    cli
    hlt
    jmp power_off

set_gate:                       ; RAX: handler, RDI: gate; keeps RAX
    mov rdx, rax
    mov [rdi], dx
    mov word [rdi + 2], 0x18
    mov word [rdi + 4], 0x8e00
    shr rdx, 16
    mov [rdi + 6], dx
    shr rdx, 16
    mov [rdi + 8], edx
    ret

create_thread:                  ; RDI: number, RSI: entry; its first "return" is an IRETQ to ring 3
    mov rax, rdi
    shl rax, 12
    add rax, 0x20000            ; top of the kernel stack
    mov rdx, rdi
    shl rdx, 5
    lea rcx, [rel threads]
    add rcx, rdx
    mov [rcx + 16], rax
    lea rbx, [rax + 0x10000]    ; top of the user stack
    mov qword [rax - 8], USER_DATA
    mov [rax - 16], rbx
    mov qword [rax - 24], 0x202 ; IF
    mov qword [rax - 32], USER_CODE
    mov [rax - 40], rsi
    sub rax, 40 + 15*8
    mov [rcx], rax
    ret

timer:
    push rax
    mov eax, LAPIC
    mov dword [rax + 0xb0], 0   ; EOI
    inc qword [rel ticks]
    pop rax
switch:                         ; saves this thread, picks another: the next one whose time has come
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    lea rbx, [rel threads]
    mov rcx, [rel current]
    mov rdx, rcx
    shl rdx, 5
    mov [rbx + rdx], rsp
    mov rsi, 2                  ; try the two user threads in turn, then idle
.next:
    inc rcx
    cmp rcx, 2
    jbe .try
    mov rcx, 1
.try:
    mov rdx, rcx
    shl rdx, 5
    mov rax, [rbx + rdx + 8]
    cmp rax, [rel ticks]
    jbe .found
    dec rsi
    jnz .next
    xor ecx, ecx
    xor edx, edx
    inc qword [rel idle_ticks]
.found:
    mov [rel current], rcx
    mov rsp, [rbx + rdx]
    mov rax, [rbx + rdx + 16]
    mov edi, TSS
    mov [rdi + 4], rax          ; RSP0
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    iretq

system_call:                    ; RAX: 1 write (RSI: text), 2 sleep (RDI: ticks), 3 exit
    cmp rax, 1
    je .write
    push rbx
    push rdx
    lea rbx, [rel threads]
    mov rdx, [rel current]
    shl rdx, 5
    cmp rax, 2
    je .sleep
    dec dword [rel alive]
    mov rdi, -1
    jmp .store
.sleep:
    add rdi, [rel ticks]
.store:
    mov [rbx + rdx + 8], rdi
    pop rdx
    pop rbx
    jmp switch
.write:
    push rax
    push rdx
    call print
    pop rdx
    pop rax
    iretq

exception:                      ; 32 calls of 5 bytes: the return address tells the vector
    times 32 call unhandled
unhandled:
    cli
    lea rsi, [rel exception_line]
    call print
    pop rax
    lea rdx, [rel exception + 5]
    sub rax, rdx
    xor edx, edx
    mov ecx, 5
    div rcx
    call print_decimal
    lea rsi, [rel new_line]
    call print
    mov al, 1
    out 0xf4, al
.stop:
    hlt
    jmp .stop

print:                          ; RSI: text, ends with 0; changes RAX, RDX, RSI
    lodsb
    test al, al
    jz .done
    mov ah, al
    mov dx, COM1 + 5
.wait:
    in al, dx
    test al, 0x20
    jz .wait
    mov dx, COM1
    mov al, ah
    out dx, al
    jmp print
.done:
    ret

print_decimal:                  ; RAX
    lea rdi, [rel number_end]
    call format
    mov rsi, rdi
    jmp print

format:                         ; RAX in decimal before RDI; RDI moves to the first digit
    mov r8d, 10
.digit:
    xor edx, edx
    div r8
    add dl, '0'
    dec rdi
    mov [rdi], dl
    test rax, rax
    jnz .digit
    ret

; ---- user tasks, ring 3 ----
primes:                         ; the number of primes below 10000, 20000 ... 100000
    mov r12d, 2                 ; candidate
    xor r13d, r13d              ; primes so far
    mov r14d, 10000
.candidate:
    mov ecx, 2
.divide:
    mov eax, ecx
    mul ecx
    cmp eax, r12d
    ja .prime
    mov eax, r12d
    xor edx, edx
    div ecx
    test edx, edx
    jz .composite
    inc ecx
    jmp .divide
.prime:
    inc r13d
.composite:
    inc r12d
    cmp r12d, r14d
    jne .candidate
    lea rdi, [rel primes_number]
    mov dword [rdi - 8], 0x20202020
    mov dword [rdi - 4], 0x20202020
    mov eax, r13d
    call format
    lea rdi, [rel primes_below]
    mov dword [rdi - 8], 0x20202020
    mov dword [rdi - 4], 0x20202020
    mov eax, r14d
    call format
    mov eax, 1
    lea rsi, [rel primes_line]
    int SYSCALL
    add r14d, 10000
    cmp r14d, 110000
    jne .candidate
    mov eax, 3
    int SYSCALL

mandelbrot:                     ; 22 lines of 76 characters, fixed point with 24 fraction bits
    mov r12, -19 << 20          ; imaginary part, -1.1875 first
    mov r15d, 22
.line:
    lea rdi, [rel line]
    mov r13, -34 << 20          ; real part, -2.125 first
    mov r14d, 76
.point:
    xor r8d, r8d                ; z = r8 + r9 i
    xor r9d, r9d
    xor ecx, ecx
.iterate:
    mov rax, r8
    imul rax, r8
    sar rax, 24
    mov rbx, r9
    imul rbx, r9
    sar rbx, 24
    mov rdx, rax
    add rdx, rbx
    cmp rdx, 4 << 24
    ja .escaped
    imul r9, r8
    sar r9, 23
    add r9, r12
    sub rax, rbx
    add rax, r13
    mov r8, rax
    inc ecx
    cmp ecx, 1000
    jne .iterate
.escaped:
    lea rsi, [rel shades]
    cmp ecx, 1000
    mov eax, 12
    je .shade
    mov eax, ecx
    cmp eax, 11
    jbe .shade
    mov eax, 11
.shade:
    mov al, [rsi + rax]
    mov [rdi], al
    inc rdi
    add r13, 42 << 14           ; 0.041
    dec r14d
    jnz .point
    mov eax, 1
    lea rsi, [rel line]
    int SYSCALL
    mov eax, 2                  ; let the machine be idle for a while
    mov edi, 2
    int SYSCALL
    add r12, 113 << 14          ; 0.11
    dec r15d
    jnz .line
    mov eax, 3
    int SYSCALL

; ---- data ----
align 8, 0
gdt:
    dq 0
    dq 0x00cf9a000000ffff       ; 0x08 32-bit code
    dq 0x00cf92000000ffff       ; 0x10 data
    dq 0x00af9a000000ffff       ; 0x18 64-bit code
    dq 0x00cff2000000ffff       ; 0x20 user data
    dq 0x00affa000000ffff       ; 0x28 user 64-bit code
    dq 0x0000890150000067, 0    ; 0x30 TSS at 0x15000
gdtr:
    dw gdtr - gdt - 1
    dd gdt
    dd 0
idtr:
    dw 0xfff
    dq IDT
threads:
    dq 0, 0, 0x1f000, 0
    dq 0, 0, 0, 0
    dq 0, 0, 0, 0
current:    dq 0
ticks:      dq 0
idle_ticks: dq 0
alive:      dd 2
hello:          db "Ring Minus One: demonstration kernel, in real mode\\n", 0
in_long_mode:   db "64-bit mode, paging on\\n", 0
vendor_line:    db "CPU: "
vendor:         db "            , ", 0
brand:          times 49 db 0
new_line:       db "\\n", 0
idle_line:      db "Both tasks done; idle for ", 0
of_line:        db " of ", 0
ticks_line:     db " timer ticks. Power off.\\n", 0
exception_line: db "Unhandled exception ", 0
shutdown:       db "Shutdown"
shades:         db " .,:;!|=+*%@#"
primes_line:    db "primes below "
                db "        "
primes_below:   db ": "
                db "        "
primes_number:  db "\\n", 0
number:         times 20 db 0
number_end:     db 0
line:           times 76 db ' '
                db "\\n", 0
`;

/** Assembles the demonstration kernel: a flat image for `DEMO_ADDRESS`. */
export function demoKernel(): Uint8Array {
  return assemble(SOURCE, { bits: 16, origin: DEMO_ADDRESS }).bytes;
}

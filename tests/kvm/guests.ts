import { asm16, asm32 } from '@minusone/asm';

/**
 * Guest programs for every hypervisor that they can run under: ours on VT-x, ours on AMD-V, and the host's own KVM. Each ends at HLT (with no interrupt left to give) or
 * shutdown. What it reads of devices is 11H, 12H, 13H ... byte by byte.
 */
export interface GuestProgram {
  readonly name: string;
  /** One slot at address 0, bytes. */
  readonly memoryBytes: number;
  readonly mode: 'real' | 'protected';
  readonly load: readonly { readonly address: number; readonly bytes: Uint8Array }[];
  readonly registers: Readonly<Record<string, number>>;
  /** Vectors for KVM_INTERRUPT, in order, each as soon as it can be injected. */
  readonly interrupts: readonly number[];
  /** Leaf, subleaf, flags, EAX, EBX, ECX, EDX. */
  readonly cpuid: readonly (readonly number[])[];
  readonly singleStep: boolean;
  /** Execution of this address is the debugger's (DR0). */
  readonly breakpoint: number | undefined;
  /** INT3 is the debugger's. */
  readonly softwareBreakpoints: boolean;
  /** With KVM's interrupt controllers; it then ends by `limit`, as HLT waits. */
  readonly irqchip: boolean;
  /** GSIs that are pulsed, one after each write to port 10H. */
  readonly irqs: readonly number[];
  /** MSRs that a filter keeps from the guest; they and unknown ones are the VMM's, and read as 1122334455667788H. */
  readonly userMsrs: { readonly base: number; readonly count: number } | undefined;
  /** The last line says which pages were written. */
  readonly dirtyLog: boolean;
  /** The end, where it is not HLT or shutdown: so many exits. */
  readonly limit: number;
  /** Only a host that is no virtual machine itself runs it as KVM does: nested virtualization is often slow with interrupt windows, or wrong with paging and shutdown. */
  readonly needsBareHost: boolean;
  /** The exits, as `describeExit` writes them. */
  readonly exits: readonly string[];
  /** What registers are to hold in the end. */
  readonly ends: Readonly<Record<string, number>>;
}

const CODE = 0x1000;
const STACK = 0x8000;

type Parts = Partial<Omit<GuestProgram, 'name' | 'exits' | 'load'>> & { readonly vectors?: Readonly<Record<number, number>> };

function guest(name: string, code: Uint8Array, exits: readonly string[], parts: Parts = {}): GuestProgram {
  const { vectors = {}, registers = {}, ...rest } = parts;
  const load = [{ address: CODE, bytes: code }];
  for (const [vector, offset] of Object.entries(vectors)) {
    load.push({ address: Number(vector) * 4, bytes: Uint8Array.of(offset & 0xff, offset >>> 8, 0, 0) });
  }
  return {
    name,
    memoryBytes: 0x1_0000,
    mode: 'real',
    interrupts: [],
    cpuid: [],
    singleStep: false,
    breakpoint: undefined,
    softwareBreakpoints: false,
    irqchip: false,
    irqs: [],
    userMsrs: undefined,
    dirtyLog: false,
    limit: 100,
    needsBareHost: false,
    ends: {},
    ...rest,
    registers: { rip: CODE, rsp: STACK, ...registers },
    load,
    exits,
  };
}

const real = asm16.with({ origin: CODE });
const flat = asm32.with({ origin: CODE });
/** A program, and where its handler stands. */
function withHandler(source: ReturnType<typeof real.assembly>, label: string): { code: Uint8Array; at: number } {
  return { code: source.bytes, at: Number(source.symbols.get(label)) };
}

const ports: GuestProgram[] = [
  guest(
    'OUT of each size, by immediate and by DX',
    real`
      mov eax, 0x44434241
      out 0x10, al
      out 0x10, ax
      out 0x10, eax
      mov dx, 0x3f8
      out dx, al
      out dx, ax
      out dx, eax
      hlt`,
    [
      'io out port 10 size 1 count 1 data 41',
      'io out port 10 size 2 count 1 data 4142',
      'io out port 10 size 4 count 1 data 41424344',
      'io out port 3f8 size 1 count 1 data 41',
      'io out port 3f8 size 2 count 1 data 4142',
      'io out port 3f8 size 4 count 1 data 41424344',
      'hlt',
    ],
  ),
  guest(
    'IN of each size changes that part of EAX alone',
    real`
      mov eax, 0xffffffff
      mov dx, 0x1234
      in al, dx
      mov ebx, eax
      in ax, dx
      mov ecx, eax
      in eax, dx
      hlt`,
    ['io in port 1234 size 1 count 1', 'io in port 1234 size 2 count 1', 'io in port 1234 size 4 count 1', 'hlt'],
    { ends: { rbx: 0xffffff11, rcx: 0xffff1312, rax: 0x17161514, rip: 0x1014 } },
  ),
  guest(
    'REP OUTS, forwards and backwards',
    real`
      cld
      mov si, text
      mov cx, 3
      mov dx, 0x10
      rep outsb
      mov si, text + 2
      mov cx, 2
      std
      rep outsw
      hlt
    text: db "abcd"`,
    [
      'io out port 10 size 1 count 1 data 61',
      'io out port 10 size 1 count 1 data 62',
      'io out port 10 size 1 count 1 data 63',
      'io out port 10 size 2 count 1 data 6364',
      'io out port 10 size 2 count 1 data 6162',
      'hlt',
    ],
    { ends: { rcx: 0 } },
  ),
  guest(
    'INS without REP',
    real`
      cld
      mov di, 0x2000
      mov dx, 0x20
      insb
      insw
      mov eax, [0x2000]
      hlt`,
    ['io in port 20 size 1 count 1', 'io in port 20 size 2 count 1', 'hlt'],
    { ends: { rdi: 0x2003, rax: 0x131211 } },
  ),
  guest(
    'REP INSB in one exit',
    real`
      cld
      mov di, 0x2000
      mov cx, 4
      mov dx, 0x20
      rep insb
      mov eax, [0x2000]
      hlt`,
    ['io in port 20 size 1 count 4', 'hlt'],
    { ends: { rdi: 0x2004, rcx: 0, rax: 0x14131211 } },
  ),
];

const mmio: GuestProgram[] = [
  guest(
    'MMIO writes of each size',
    real`
      mov ax, 0xa000
      mov ds, ax
      mov eax, 0x44434241
      mov [0x10], al
      mov [0x20], ax
      mov [0x30], eax
      mov byte [0x40], 0x5a
      hlt`,
    [
      'mmio write at a0010 data 41',
      'mmio write at a0020 data 4142',
      'mmio write at a0030 data 41424344',
      'mmio write at a0040 data 5a',
      'hlt',
    ],
  ),
  guest(
    'MMIO reads of each size, with extension',
    real`
      mov ax, 0xa000
      mov ds, ax
      mov bl, [0x10]
      mov cx, [0x20]
      mov edx, [0x30]
      movzx esi, byte [0x40]
      movsx edi, word [0x50]
      hlt`,
    [
      'mmio read at a0010 bytes 1',
      'mmio read at a0020 bytes 2',
      'mmio read at a0030 bytes 4',
      'mmio read at a0040 bytes 1',
      'mmio read at a0050 bytes 2',
      'hlt',
    ],
    { ends: { rbx: 0x11, rcx: 0x1312, rdx: 0x17161514, rsi: 0x18, rdi: 0x1a19 } },
  ),
  guest(
    'a read-modify-write reads once and writes once',
    real`
      mov ax, 0xa000
      mov ds, ax
      mov al, 1
      add [0x10], al
      inc byte [0x11]
      not word [0x12]
      xchg [0x14], al
      hlt`,
    [
      'mmio read at a0010 bytes 1',
      'mmio write at a0010 data 12',
      'mmio read at a0011 bytes 1',
      'mmio write at a0011 data 13',
      'mmio read at a0012 bytes 2',
      'mmio write at a0012 data eceb',
      'mmio read at a0014 bytes 1',
      'mmio write at a0014 data 01',
      'hlt',
    ],
    { ends: { rax: 0xa015 } },
  ),
  guest(
    'a comparison with MMIO only reads',
    real`
      mov ax, 0xa000
      mov ds, ax
      cmp byte [0x10], 0x11
      je .same
      mov bl, 1
    .same:
      test byte [0x20], 1
      setz cl
      hlt`,
    ['mmio read at a0010 bytes 1', 'mmio read at a0020 bytes 1', 'hlt'],
    { ends: { rbx: 0, rcx: 1 } },
  ),
  guest(
    'PUSH and POP between MMIO and the stack',
    real`
      mov ax, 0xa000
      mov ds, ax
      push word [0x10]
      pop word [0x20]
      hlt`,
    ['mmio read at a0010 bytes 2', 'mmio write at a0020 data 1112', 'hlt'],
    { ends: { rsp: STACK } },
  ),
  guest(
    'MOVS from MMIO to memory and back',
    real`
      mov ax, 0xa000
      mov ds, ax
      xor ax, ax
      mov es, ax
      mov si, 0x10
      mov di, 0x2000
      cld
      movsw
      push es
      push ds
      pop es
      pop ds
      mov si, 0x2000
      mov di, 0x30
      movsb
      movsb
      hlt`,
    ['mmio read at a0010 bytes 2', 'mmio write at a0030 data 11', 'mmio write at a0031 data 12', 'hlt'],
    { ends: { rsi: 0x2002, rdi: 0x32 } },
  ),
  guest(
    'REP STOSB and REP MOVSW to MMIO',
    real`
      mov ax, 0xa000
      mov es, ax
      mov di, 0x40
      mov cx, 3
      mov al, 0x77
      cld
      rep stosb
      mov si, words
      mov cx, 2
      rep movsw
      hlt
    words: dw 0x0201, 0x0403`,
    [
      'mmio write at a0040 data 77',
      'mmio write at a0041 data 77',
      'mmio write at a0042 data 77',
      'mmio write at a0043 data 0102',
      'mmio write at a0045 data 0304',
      'hlt',
    ],
    { ends: { rcx: 0, rdi: 0x47 } },
  ),
  guest(
    'locked and conditional read-modify-writes',
    real`
      mov ax, 0xa000
      mov ds, ax
      mov ax, 0x1111
      mov bx, 0x2222
      lock add [0x10], bl
      lock bts word [0x20], 3
      cmpxchg [0x30], bl
      setz cl
      neg byte [0x40]
      shl word [0x50], 4
      ; SHL leaves AF undefined
      cmp ax, ax
      hlt`,
    [
      'mmio read at a0010 bytes 1',
      'mmio write at a0010 data 33',
      'mmio read at a0020 bytes 2',
      'mmio write at a0020 data 1a13',
      'mmio read at a0030 bytes 1',
      'mmio write at a0030 data 14',
      'mmio read at a0040 bytes 1',
      'mmio write at a0040 data eb',
      'mmio read at a0050 bytes 2',
      'mmio write at a0050 data 6071',
      'hlt',
    ],
    { ends: { rcx: 0, rax: 0x1114 } },
  ),
  guest(
    'operands of other instructions: SETcc, MUL, XLAT, segment registers',
    real`
      mov ax, 0xa000
      mov ds, ax
      stc
      setc byte [0x10]
      mov al, 2
      mul byte [0x20]
      mov dx, ax
      mov bx, 0x30
      mov al, 4
      xlat
      mov cl, al
      mov [0x50], ds
      mov es, [0x60]
      ; MUL leaves most flags undefined
      cmp ax, ax
      hlt`,
    [
      'mmio write at a0010 data 01',
      'mmio read at a0020 bytes 1',
      'mmio read at a0034 bytes 1',
      'mmio write at a0050 data 00a0',
      'mmio read at a0060 bytes 2',
      'hlt',
    ],
    { ends: { rdx: 0x22, rcx: 0x12 } },
  ),
  guest(
    'a stack in MMIO',
    real`
      mov ax, 0xa000
      mov ss, ax
      mov sp, 0x100
      mov ax, 0x1234
      push ax
      call there
      hlt
    there:
      pop bx
      pop cx
      xor ax, ax
      mov ss, ax
      hlt`,
    ['mmio write at a00fe data 3412', 'mmio write at a00fc data 0f10', 'mmio read at a00fc bytes 2', 'mmio read at a00fe bytes 2', 'hlt'],
    { ends: { rbx: 0x1211, rcx: 0x1413, rsp: 0x100 } },
  ),
  guest(
    'REP MOVSB between two MMIO places, and REPE CMPSB of one with memory',
    real`
      mov ax, 0xa000
      mov ds, ax
      mov es, ax
      cld
      mov si, 0x10
      mov di, 0x20
      mov cx, 2
      rep movsb
      xor ax, ax
      mov es, ax
      mov byte es:[0x3000], 0x13
      mov si, 0x10
      mov di, 0x3000
      mov cx, 3
      repe cmpsb
      hlt`,
    [
      'mmio read at a0010 bytes 1',
      'mmio write at a0020 data 11',
      'mmio read at a0011 bytes 1',
      'mmio write at a0021 data 12',
      'mmio read at a0010 bytes 1',
      'mmio read at a0011 bytes 1',
      'hlt',
    ],
    { ends: { rcx: 1, rsi: 0x12, rdi: 0x3002 } },
  ),
  guest(
    'an instruction that ends on the next page, and code that changes itself',
    real`
      mov byte [changed + 1], 0x42
    changed:
      mov al, 0x41
      out 0x10, al
      jmp 0x1ffe
      times 0xff0 - ($ - $$) nop
      times 0xe nop
      out 0x11, eax
      hlt`,
    ['io out port 10 size 1 count 1 data 42', 'io out port 11 size 4 count 1 data 42000000', 'hlt'],
    { ends: { rip: 0x2002 } },
  ),
  guest(
    'an access that runs over the end of the slot: memory gets its part, MMIO the rest',
    real`
      mov ax, 0x0fff
      mov ds, ax
      mov word [0x0f], 0x5a41
      xor ax, ax
      mov ds, ax
      mov bl, [0xffff]
      mov ax, 0x0fff
      mov ds, ax
      mov cx, [0x0f]
      hlt`,
    ['mmio write at 10000 data 5a', 'mmio read at 10000 bytes 1', 'hlt'],
    { ends: { rbx: 0x41, rcx: 0x1141 } },
  ),
];

const gp = withHandler(
  real.assembly`
      mov ecx, 0x12345
      rdmsr
    next:
      mov al, 0x01
      out 0x10, al
      hlt
    handler:
      push ax
      mov al, 0x0d
      out 0x80, al
      pop ax
      mov bp, sp
      mov word [bp], next
      iret`,
  'handler',
);
const division = withHandler(
  real.assembly`
      xor cx, cx
      div cx
      ud2
      hlt
    handler:
      out 0x80, al
      mov bp, sp
      add word [bp], 2
      iret`,
  'handler',
);
const software = withHandler(
  real.assembly`
      mov al, 1
      int 0x40
      int3
      hlt
    handler:
      out 0x80, al
      inc al
      iret`,
  'handler',
);
const single = withHandler(
  real.assembly`
      cli
      mov cx, 3
    .masked:
      loop .masked
      sti
      nop
      mov bx, ax
      mov al, 2
      out 0x10, al
      hlt
    handler:
      mov al, 0x20
      out 0x80, al
      iret`,
  'handler',
);
const waiting = withHandler(
  real.assembly`
      mov al, 1
      out 0x10, al
      sti
      mov ecx, 2000000
    .wait:
      a32 loop .wait
      cli
      mov al, 2
      out 0x10, al
      hlt
    handler:
      push ax
      mov al, 0x20
      out 0x80, al
      pop ax
      iret`,
  'handler',
);
const halted = withHandler(
  real.assembly`
      xor al, al
      sti
      hlt
      out 0x10, al
      hlt
    handler:
      inc al
      iret`,
  'handler',
);

const events: GuestProgram[] = [
  guest('HLT', real`hlt`, ['hlt'], { ends: { rip: 0x1001 } }),
  guest(
    'an MSR that is not there: #GP through the vector table',
    gp.code,
    ['io out port 80 size 1 count 1 data 0d', 'io out port 10 size 1 count 1 data 01', 'hlt'],
    { vectors: { 13: gp.at } },
  ),
  guest(
    'MSRs of the guest: SYSENTER_CS and STAR keep what is written',
    real`
      mov ecx, 0x174
      mov eax, 0x1234
      xor edx, edx
      wrmsr
      mov ecx, 0xc0000081
      mov edx, 0x00230010
      wrmsr
      xor eax, eax
      xor edx, edx
      rdmsr
      mov ebx, edx
      mov ecx, 0x174
      rdmsr
      hlt`,
    ['hlt'],
    { ends: { rbx: 0x230010, rax: 0x1234 } },
  ),
  guest(
    'exceptions of the guest stay its own: #DE and #UD',
    division.code,
    ['io out port 80 size 1 count 1 data 00', 'io out port 80 size 1 count 1 data 00', 'hlt'],
    { vectors: { 0: division.at, 6: division.at } },
  ),
  guest('INT n and INT3', software.code, ['io out port 80 size 1 count 1 data 01', 'io out port 80 size 1 count 1 data 02', 'hlt'], {
    vectors: { 3: software.at, 64: software.at },
  }),
  guest(
    'an interrupt waits for STI, and for its shadow',
    single.code,
    ['irqWindowOpen', 'io out port 80 size 1 count 1 data 20', 'io out port 10 size 1 count 1 data 02', 'hlt'],
    { vectors: { 32: single.at }, interrupts: [0x20], needsBareHost: true, ends: { rbx: 0x20 } },
  ),
  guest(
    'an interrupt as soon as the guest has interrupts enabled, and the next after its handler',
    waiting.code,
    [
      'io out port 10 size 1 count 1 data 01',
      'irqWindowOpen',
      'io out port 80 size 1 count 1 data 20',
      'irqWindowOpen',
      'io out port 80 size 1 count 1 data 20',
      'io out port 10 size 1 count 1 data 02',
      'hlt',
    ],
    { vectors: { 32: waiting.at }, interrupts: [0x20, 0x20], needsBareHost: true },
  ),
  guest('HLT ends with an interrupt, which its handler sees first', halted.code, ['hlt', 'io out port 10 size 1 count 1 data 01', 'hlt'], {
    vectors: { 32: halted.at },
    interrupts: [0x20],
  }),
  guest(
    'single steps',
    real`
      mov al, 1
      inc ax
      nop
      push ax
      hlt`,
    [
      'debug exception 1 pc 1002 dr6 ffff4ff0',
      'debug exception 1 pc 1003 dr6 ffff4ff0',
      'debug exception 1 pc 1004 dr6 ffff4ff0',
      'debug exception 1 pc 1005 dr6 ffff4ff0',
    ],
    { singleStep: true, limit: 4, ends: { rax: 2, rip: 0x1005 } },
  ),
  guest(
    'shutdown: the vector table is out of reach',
    real`
      lidt [empty]
      int3
      hlt
    empty: dw 0, 0, 0`,
    ['shutdown'],
    { needsBareHost: true },
  ),
  guest(
    'CPUID answers what KVM_SET_CPUID2 said',
    real`
      mov eax, 0x40000000
      cpuid
      mov esi, eax
      mov edi, ebx
      hlt`,
    ['hlt'],
    {
      cpuid: [
        [0, 0, 0, 1, 0x68747541, 0x444d4163, 0x69746e65],
        [1, 0, 0, 0x00830f10, 0, 0x80000000, 0x0f8bfbff],
        [0x40000000, 0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d],
      ],
      ends: { rsi: 0x40000001, rdi: 0x4b4d564b, rcx: 0x564b4d56, rdx: 0x4d },
    },
  ),
];

const modes: GuestProgram[] = [
  guest(
    'protected mode, flat: MMIO above 1 MiB, port I/O',
    flat`
      mov eax, 0x44434241
      mov [0xd0000000], eax
      mov ebx, [0xd0000004]
      add dword [0xd0000008], 1
      out 0x10, eax
      hlt`,
    [
      'mmio write at d0000000 data 41424344',
      'mmio read at d0000004 bytes 4',
      'mmio read at d0000008 bytes 4',
      'mmio write at d0000008 data 16161718',
      'io out port 10 size 4 count 1 data 41424344',
      'hlt',
    ],
    { mode: 'protected', ends: { rbx: 0x14131211 } },
  ),
  guest(
    'from real mode to protected mode and back',
    real`
      cli
      lgdt [pointer]
      mov eax, cr0
      or al, 1
      mov cr0, eax
      jmp 8:inside
    bits 32
    inside:
      mov ax, 0x10
      mov ds, ax
      mov dword [0xd0000000], 0x12345678
      jmp 0x18:narrow
    bits 16
    narrow:
      mov eax, cr0
      and al, 0xfe
      mov cr0, eax
      jmp 0:back
    back:
      xor ax, ax
      mov ds, ax
      mov al, 0x52
      out 0x10, al
      hlt
      align 8
    table:
      dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00009b000000ffff
    pointer:
      dw 31
      dd table`,
    ['mmio write at d0000000 data 78563412', 'io out port 10 size 1 count 1 data 52', 'hlt'],
  ),
  guest(
    '32-bit paging: CR3, a page at two addresses, INVLPG',
    flat`
      mov dword [0x3000], 0x4007
      mov dword [0x4004], 0x1007
      mov dword [0x4008], 0x2007
      mov dword [0x4010], 0x4007
      mov dword [0x4014], 0x2007
      mov eax, 0x3000
      mov cr3, eax
      mov eax, 0x80000011
      mov cr0, eax
      mov dword [0x2000], 0x5a
      mov ebx, [0x5000]
      mov dword [0x4014], 0x1007
      invlpg [0x5000]
      mov ecx, [0x5000]
      mov eax, 0x3000
      mov cr3, eax
      hlt`,
    ['hlt'],
    { mode: 'protected', needsBareHost: true, ends: { rbx: 0x5a, rcx: 0x300005c7 } },
  ),
];

const pics = withHandler(
  real.assembly`
      mov al, 0x11
      out 0x20, al
      out 0xa0, al
      mov al, 0x20
      out 0x21, al
      mov al, 0x28
      out 0xa1, al
      mov al, 4
      out 0x21, al
      mov al, 2
      out 0xa1, al
      mov al, 1
      out 0x21, al
      out 0xa1, al
      xor al, al
      out 0x21, al
      out 0xa1, al
      in al, 0x21
      mov bl, al
      mov bh, 2
      sti
    again:
      mov cl, 0
      mov al, bh
      out 0x10, al
    .wait:
      cmp cl, 1
      jne .wait
      dec bh
      jnz again
      mov ecx, 0x12345
      rdmsr
    handler:
      mov al, 0x0b
      out 0x20, al
      in al, 0x20
      out 0x80, al
      mov al, 0x0b
      out 0xa0, al
      in al, 0xa0
      out 0x81, al
      mov al, 0x20
      out 0xa0, al
      out 0x20, al
      mov cl, 1
      iret`,
  'handler',
);

const controllers: GuestProgram[] = [
  guest(
    'the 8259 pair in KVM: interrupts of the master and of the slave, and what is in service',
    pics.code,
    [
      'io out port 10 size 1 count 1 data 02',
      'io out port 80 size 1 count 1 data 08',
      'io out port 81 size 1 count 1 data 00',
      'io out port 10 size 1 count 1 data 01',
      'io out port 80 size 1 count 1 data 04',
      'io out port 81 size 1 count 1 data 04',
      'rdmsr 12345',
    ],
    // HLT would wait: an MSR that nobody knows ends it.
    {
      vectors: { 35: pics.at, 42: pics.at },
      irqchip: true,
      irqs: [3, 10],
      userMsrs: { base: 0x175, count: 2 },
      limit: 7,
      ends: { rbx: 0, rcx: 0x12345 },
    },
  ),
  guest(
    'a breakpoint in a debug register, on an instruction that runs twice',
    real`
      mov cx, 2
    again:
      nop
      inc ax
      loop again
      hlt`,
    ['debug exception 1 pc 1003 dr6 ffff0ff1'],
    { breakpoint: 0x1003, limit: 1, ends: { rip: 0x1003, rcx: 2 } },
  ),
  guest(
    'INT3 is the debugger, and RIP stands at it',
    real`
      mov ax, 5
      int3
      hlt`,
    ['debug exception 3 pc 1003 dr6 0'],
    { softwareBreakpoints: true, needsBareHost: true, limit: 1, ends: { rip: 0x1003, rax: 5 } },
  ),
  guest(
    'MSRs that a filter denies, and one that nobody knows, are the VMM',
    real`
      mov ecx, 0x175
      rdmsr
      mov esi, eax
      mov edi, edx
      mov eax, 0x5a
      wrmsr
      mov ecx, 0x12345
      rdmsr
      mov ecx, 0x174
      mov eax, 7
      xor edx, edx
      wrmsr
      rdmsr
      hlt`,
    ['rdmsr 175', 'wrmsr 175 data 112233440000005a', 'rdmsr 12345', 'hlt'],
    { userMsrs: { base: 0x175, count: 2 }, ends: { rsi: 0x55667788, rdi: 0x11223344, rax: 7 } },
  ),
  guest(
    'the dirty log has the pages that the guest wrote, by itself and from a device',
    real`
      mov byte [0x3000], 1
      mov al, [0x4000]
      xor ax, ax
      mov es, ax
      cld
      mov di, 0x5ffe
      mov cx, 4
      mov dx, 0x10
      rep insb
      mov ax, 0xa000
      mov ds, ax
      xor si, si
      mov di, 0x9000
      movsw
      hlt`,
    ['io in port 10 size 1 count 2', 'io in port 10 size 1 count 2', 'mmio read at a0000 bytes 2', 'hlt', 'dirty 3 5 6 9'],
    { dirtyLog: true },
  ),
];

export const guestPrograms: readonly GuestProgram[] = [...ports, ...mmio, ...events, ...modes, ...controllers];

/** The registers of the line that ends a run, by name. */
export function registersAtEnd(line: string): Record<string, number> {
  const words = line.split(' ').slice(1);
  return Object.fromEntries(words.flatMap((word, i) => (i % 2 === 0 ? [[word, Number.parseInt(words[i + 1] as string, 16)]] : [])));
}

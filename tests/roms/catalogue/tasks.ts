import { attempt32, user32 } from '../prelude/attempt.ts';
import { Access, gate, segment, setGdt, setIdt, tss16, tss32 } from '../prelude/descriptor.ts';
import { MemoryMap, Selector } from '../prelude/memory-map.ts';
import { show } from '../prelude/print.ts';
import { departs, type Rom } from '../rom.ts';

const { free, code0, code3, data0, data3 } = Selector;
const SECOND = free;
const GATE = free + 8;
const THIRD = free + 16;

/** What a task shows about itself and its TSS. */
const report = (tss: string, digits: 4 | 8 = 8): string => `
    pushfd
    pop ebx
    str eax
    ${show(32, 'tr', 'eax', 4)}
    ${show(32, 'cs', 'cs', 4)}
    ${show(32, 'ss', 'ss', 4)}
    ${show(32, 'esp', 'esp', digits)}
    ${show(32, 'flags', 'ebx')}
    ${show(32, 'ecx', 'ecx', digits)}
    ${show(32, 'link', `[${tss}]`, 4)}
    ${show(32, 'type1', `[gdt + ${Selector.tss + 5}]`, 2)}
    ${show(32, 'type2', `[gdt + ${SECOND + 5}]`, 2)}
    mov eax, cr0
    ${show(32, 'cr0', 'eax')}`;

const state = (eip: string, more: Record<string, number | string> = {}): Record<string, number | string> => ({
  eip,
  eflags: 2,
  esp: MemoryMap.ring0Stack - 0x800,
  ecx: 0x33,
  cs: code0,
  ss: data0,
  ds: data0,
  es: data0,
  fs: data0,
  gs: data0,
  ...more,
});

const prepare = (code: string, tss: string, digits: 4 | 8 = 8): string => `
    jmp start
    align 16
    ${tss}
  second:
    ${report('second_tss', digits)}
    ${code}
  start:
    mov dword [gdt + ${SECOND}], (second_tss << 16) | 0x67
    mov dword [gdt + ${SECOND + 4}], ${Access.tss32 << 8}
    ${setGdt(GATE, gate(SECOND, 0, Access.taskGate))}`;

/** Back to the first task's attempt: whatever task runs now, TR is set up afresh. */
const GIVE_UP = `
    call newline32
    mov dword [gdt + ${Selector.tss + 4}], ${Access.tss32 << 8}
    mov dword [gdt + ${SECOND + 4}], ${Access.tss32 << 8}
    mov ax, ${Selector.tss}
    ltr ax
    push 2
    popfd
    clts
    jmp resume32`;

/** A handler that is a task: the error code, and the state that the faulting task had. */
const handler = `
    pop edx
    ${show(32, 'error', 'edx')}
    ${show(32, 'link', '[third_tss]', 4)}
    ${show(32, 'eip', '[second_tss + 0x20]')}
    ${show(32, 'cs', '[second_tss + 0x4c]', 4)}
    ${show(32, 'ss', '[second_tss + 0x50]', 4)}
    ${show(32, 'esp', '[second_tss + 0x38]')}
    ${show(32, 'ds', '[second_tss + 0x54]', 4)}
    ${GIVE_UP}`;

export const taskRoms: readonly Rom[] = [
  {
    name: 'task-jmp',
    rule: 'JMP to a TSS: busy flags, no link, NT clear, CR0.TS (SDM Vol. 3A 7.3, Table 7-2)',
    mode: 'protected',
    source: `
      ${prepare(GIVE_UP, `second_tss:\n${tss32(state('second'))}`)}
      ${attempt32('JMP', `mov esi, 0x5555\njmpf ${SECOND}:0`)}
      ${attempt32('saved state', 'mov eax, [tss + 0x20]\nmov ebx, [tss + 0x24]\nmov ecx, [tss + 0x38]\nmov edx, [tss + 0x40]\nmov esi, [tss + 0x4c]\nmov edi, [tss + 0x54]')}
      mov dword [second_tss + 0x20], second
      mov dword [second_tss + 0x38], ${MemoryMap.ring0Stack - 0x800}
      ${attempt32('JMP through a task gate', `jmpf ${GATE}:0`)}
      ${attempt32('JMP to a busy TSS', `mov byte [gdt + ${SECOND + 5}], 0x8b\njmpf ${SECOND}:0`)}
      ${attempt32('JMP to an absent TSS', `mov byte [gdt + ${SECOND + 5}], 0x09\njmpf ${SECOND}:0`)}
      mov byte [gdt + ${SECOND + 5}], 0x89
      ${attempt32('TSS too small', `mov byte [gdt + ${SECOND}], 0x66\njmpf ${SECOND}:0`)}
      mov byte [gdt + ${SECOND}], 0x67
      ${user32('from ring 3 to a TSS of DPL 0', `jmpf ${SECOND}:0`)}`,
  },
  {
    name: 'task-call-iret',
    rule: 'CALL to a TSS links and sets NT; IRET goes back (SDM Vol. 3A 7.4)',
    mode: 'protected',
    source: `
      ${prepare('call newline32\nmov edx, 0x77\niretd\n mov edi, 0x99\niretd', `second_tss:\n${tss32(state('second'))}`)}
      ${attempt32('CALL and IRET', `mov esi, 0x5555\ncallf ${SECOND}:0\npushfd\npop eax\nstr ebx\nclts`)}
      ${attempt32('the second task after IRET', `mov eax, [second_tss + 0x20]\nsub eax, second\nmov ebx, [second_tss + 0x24]\nmov ecx, [second_tss + 0x34]\nmov edx, [second_tss + 0x30]\nmovzx esi, byte [gdt + ${SECOND + 5}]\nmovzx edi, byte [gdt + ${Selector.tss + 5}]`).replace('sub eax, second\n', 'sub eax, [second_tss + 0x20]\n')}
      ${attempt32('CALL again runs on after IRET', `callf ${SECOND}:0\npushfd\npop eax\nclts`)}
      mov dword [second_tss + 0x20], second
      ${attempt32('IRET with NT and a bad link', `mov word [tss], ${data0}\npush 0x4002\npopfd\niretd`)}
      ${attempt32('IRET with NT and an available TSS', `mov word [tss], ${SECOND}\npush 0x4002\npopfd\niretd`)}
      push 2
      popfd
      ${setIdt(0x40, gate(GATE - 8, 0, Access.taskGate))}
      ${attempt32('INT through a task gate', 'int 0x40\npushfd\npop eax\nclts')}`,
  },
  {
    name: 'task-fault',
    rule: 'Faults of a task switch come in the new task; handlers are tasks (SDM Vol. 3A 6.15, Interrupt 10, 7.3)',
    mode: 'protected',
    source: `
      ${prepare(GIVE_UP, `second_tss:\n${tss32(state('second'))}\nthird_tss:\n${tss32(state('third', { esp: MemoryMap.ring1Stack }))}\nthird:\n${handler}`)}
      ${[10, 11, 12, 13].map((vector) => setIdt(vector, gate(THIRD, 0, Access.taskGate))).join('\n')}
      ${setGdt(free + 24, segment({ limit: 0xfffff, access: Access.code & 0x7f, flags: 12 }))}
      ${setGdt(free + 32, segment({ limit: 0xfffff, access: Access.data & 0x7f, flags: 12 }))}
      ${[
        ['absent CS', 0x4c, free + 24],
        ['data in CS', 0x4c, data0],
        ['null CS', 0x4c, 0],
        ['null SS', 0x50, 0],
        ['SS of ring 3', 0x50, data3],
        ['absent SS', 0x50, free + 32],
        ['absent DS', 0x54, free + 32],
        ['TSS in ES', 0x48, Selector.tss],
        ['LDT that is none', 0x60, data0],
        ['FS null is fine', 0x58, 0],
      ]
        .map(
          ([name, offset, value]) => `
      mov dword [gdt + ${THIRD}], (third_tss << 16) | 0x67
      mov dword [gdt + ${THIRD + 4}], ${Access.tss32 << 8}
      mov dword [third_tss + 0x20], third
      mov dword [third_tss + 0x38], ${MemoryMap.ring1Stack}
      mov dword [second_tss + 0x20], second
      mov dword [second_tss + 0x38], ${MemoryMap.ring0Stack - 0x800}
      mov ecx, [second_tss + ${offset}]
      mov [0x800], ecx
      mov dword [second_tss + ${offset}], ${value}
      ${attempt32(String(name), `jmpf ${SECOND}:0`)}
      mov ecx, [0x800]
      mov [second_tss + ${offset}], ecx`,
        )
        .join('\n')}`,
    departures: departs(
      'qemu',
      ['absent CS', 'data in CS', 'null CS', 'null SS', 'SS of ring 3', 'absent SS', 'absent DS', 'TSS in ES', 'LDT that is none'],
      'shows the EIP of the instruction that switched; SDM Vol. 3A 6.15, Interrupt 10: that of the new task.',
    ),
  },
  {
    name: 'task-16bit',
    rule: '16-bit TSSs hold 16-bit registers (SDM Vol. 3A 7.6)',
    mode: 'protected',
    source: `
      ${prepare(
        `${show(32, 'edi', 'edi', 4)}\n${GIVE_UP}`,
        `second_tss:\n${tss16({ ip: 'second', flags: 2, cx: 0x44, di: 0x1234, sp: MemoryMap.ring0Stack - 0x800, cs: code0, ss: Selector.data16, ds: data0, es: data0 })}`,
        4,
      )}
      mov dword [gdt + ${SECOND}], (second_tss << 16) | 0x2b
      mov dword [gdt + ${SECOND + 4}], ${Access.tss16 << 8}
      ${attempt32('JMP to a 16-bit TSS', `mov edi, 0x89abcdef\njmpf ${SECOND}:0`)}
      mov word [second_tss + 14], second
      mov dword [gdt + ${SECOND}], (second_tss << 16) | 0x2a
      mov dword [gdt + ${SECOND + 4}], ${Access.tss16 << 8}
      ${attempt32('too small', `jmpf ${SECOND}:0`)}
      mov dword [gdt + ${SECOND}], (second_tss << 16) | 0x2b
      ${attempt32('LTR of a 16-bit TSS', `mov ax, ${SECOND}\nltr ax\nmovzx ebx, byte [gdt + ${SECOND + 5}]`)}`,
  },
  {
    name: 'task-nested-ring3',
    rule: 'A task in ring 3, and an interrupt gate that leads to a task (SDM Vol. 3A 6.12.2, 7.3)',
    mode: 'protected',
    source: `
      ${prepare(
        'call newline32\niretd',
        `second_tss:\n${tss32(state('second'))}\nthird_tss:\n${tss32(state('third', { cs: code3, ss: data3, ds: data3, es: data3, fs: data3, gs: data3, esp: MemoryMap.ring3Stack, esp0: MemoryMap.ring0Stack, ss0: data0 }))}\nthird:\nmov eax, cs\nint 0x40\nmov ebx, 7\nint 0x30`,
      )}
      mov dword [gdt + ${THIRD}], (third_tss << 16) | 0x67
      mov dword [gdt + ${THIRD + 4}], ${Access.tss32 << 8}
      ${setIdt(0x40, gate(SECOND, 0, Access.taskGate | 0x60))}
      ${setIdt(13, gate(SECOND, 0, Access.taskGate))}
      ${attempt32('ring 3 task calls a task by INT', `jmpf ${THIRD}:0`)}
      str eax
      mov dword [0x600], eax`,
  },
  {
    name: 'task-trap-cr3',
    rule: 'The T flag raises #DB in the new task; CR3 comes with the task (SDM Vol. 3A 7.2.1, 7.7)',
    mode: 'paging32',
    source: `
      ${prepare(GIVE_UP, `second_tss:\n${tss32(state('second', { trap: 1, cr3: 0x14000 }))}`)}
      mov esi, ${MemoryMap.paging32Directory}
      mov edi, 0x14000
      mov ecx, 1024
      rep movsd
      mov dword [0x14004], ${0x800000 | 0x87}
      mov dword [0x800000], 0x8888
      ${attempt32('T flag', `jmpf ${SECOND}:0`)}
      ${attempt32('CR3 is that of the task', 'mov eax, cr3\nmov ebx, [0x400000]')}`,
    departures: departs('qemu', ['T flag'], 'TCG has no T flag; SDM Vol. 3A 7.2.1.'),
  },
];

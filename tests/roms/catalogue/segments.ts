import { attempt32, attempt64, user32, user64 } from '../prelude/attempt.ts';
import { Access, Flag, gate, segment, setGdt } from '../prelude/descriptor.ts';
import { Selector } from '../prelude/memory-map.ts';
import { departs, type Rom, TCG_CHECKS_NO_LIMITS } from '../rom.ts';

const { free, data0, data3, code0, code3 } = Selector;
const { big, granular } = Flag;
// Limit bits 19:16 are 0: LAR may show them or not (SDM Vol. 2A LAR: mask 00FxFF00H).
const wide = (access: number): [string, string] => segment({ limit: 0xffff, access, flags: big | granular });

/** The descriptors that the checks are tried on, from `free` on: name and what stands there. */
const KINDS: readonly (readonly [string, readonly [string, string]])[] = [
  ['read-only data', wide(Access.readOnlyData)],
  ['expand-down data', segment({ limit: 0xfff, access: Access.expandDown, flags: big })],
  ['execute-only code', wide(Access.executeOnly)],
  ['conforming code', wide(Access.conforming)],
  ['execute-only conforming code', wide(0x9c)],
  ['absent data', wide(0x12)],
  ['absent code', wide(0x1a)],
  ['data of DPL 3', wide(Access.data | 0x60)],
  ['code of DPL 3', wide(Access.code | 0x60)],
  ['LDT', segment({ limit: 0x3f, access: Access.ldt })],
  ['available 32-bit TSS', segment({ limit: 0x67, access: Access.tss32 })],
  ['busy 32-bit TSS', segment({ limit: 0x67, access: Access.tss32 | 2 })],
  ['available 16-bit TSS', segment({ limit: 0x2b, access: Access.tss16 })],
  ['call gate', gate(code0, 0x4000, Access.callGate32)],
  ['task gate', gate(0x48, 0, Access.taskGate)],
  ['interrupt gate', gate(code0, 0x4000, Access.interruptGate32)],
  ['reserved type 8', segment({ limit: 0, access: 0x88 })],
  ['type 0', segment({ limit: 0, access: 0x80 })],
];
const setKinds = KINDS.map(([, descriptor], i) => setGdt(free + 8 * i, descriptor)).join('\n');
const selectorOf = (name: string): number => free + 8 * KINDS.findIndex(([kind]) => kind === name);

const load = (register: string, selector: number): string => `mov ax, ${selector}\nmov ${register}, ax\nmov bx, ${register}`;

export const segmentRoms: readonly Rom[] = [
  {
    name: 'segment-load',
    rule: 'Checks on loading a data segment register (SDM Vol. 2B MOV, Vol. 3A 5.5, 5.6)',
    mode: 'protected',
    source: `
      ${setKinds}
      ${KINDS.map(([name], i) => attempt32(`DS ${name}`, load('ds', free + 8 * i))).join('\n')}
      ${attempt32('DS null', 'xor ax, ax\nmov ds, ax\nmov bx, ds')}
      ${attempt32('DS null with RPL 3', 'mov ax, 3\nmov ds, ax\nmov bx, ds')}
      ${attempt32('through DS null', 'mov ax, 3\nmov ds, ax\nmov eax, [0x600]')}
      ${attempt32('RPL 3 on DPL 0', load('ds', data0 | 3))}
      ${attempt32('MOV to CS', 'db 0x8e, 0xc8')}
      ${attempt32('MOV to segment 6', 'db 0x8e, 0xf0')}
      ${attempt32('POP ES', `push ${selectorOf('absent data')}\npop es`)}
      ${attempt32('POP FS of a null selector', 'push 0\npop fs')}
      ${attempt32('LES leaves both unchanged on a fault', `mov edi, 5\nmov dword [0x600], 7\nmov word [0x604], ${selectorOf('absent data')}\nles edi, [0x600]`)}
      ${attempt32('LGS', `mov dword [0x600], 7\nmov word [0x604], ${selectorOf('data of DPL 3')}\nlgs edi, [0x600]`)}
      ${attempt32('a load sets the accessed bit', `${setGdt(free, wide(Access.data))}\nmov ax, ${free}\nmov es, ax\nmov ebx, [gdt + ${free + 4}]`)}`,
    departures: departs('qemu', ['through DS null'], TCG_CHECKS_NO_LIMITS),
  },
  {
    name: 'segment-load-ring3',
    rule: 'Data segments must have a DPL as outer as CPL and RPL (SDM Vol. 3A 5.6)',
    mode: 'protected',
    source: `
      ${setKinds}
      ${user32('DPL 0', load('es', data0))}
      ${user32('DPL 3', load('es', data3))}
      ${user32('DPL 3 with RPL 0', load('es', data3 & ~3))}
      ${user32('conforming code of DPL 0', load('es', selectorOf('conforming code')))}
      ${user32('code of DPL 0', load('es', code0))}
      ${user32('code of DPL 3', load('es', code3))}
      ${user32('SS of DPL 0', load('ss', data0))}
      ${user32('SS of RPL 0', load('ss', data3 & ~3))}
      ${user32('SS null', 'xor eax, eax\nmov ss, ax')}
      ${user32('SS code', load('ss', code3))}
      ${user32('SS read-only', load('ss', selectorOf('read-only data') | 3))}`,
  },
  {
    name: 'stack-segment-load',
    rule: 'Checks on loading SS (SDM Vol. 2B MOV, Vol. 3A 5.7)',
    mode: 'protected',
    source: `
      ${setKinds}
      ${KINDS.map(([name], i) => attempt32(`SS ${name}`, `mov edx, esp\n${load('ss', free + 8 * i)}\nmov ax, ${data0}\nmov ss, ax\nmov esp, edx`)).join('\n')}
      ${attempt32('SS null', 'xor ax, ax\nmov ss, ax')}
      ${attempt32('SS with RPL 3', load('ss', data0 | 3))}
      ${attempt32('POP SS', `push ${selectorOf('absent data')}\npop ss`)}
      ${attempt32('LSS', `mov dword [0x600], 7\nmov word [0x604], ${selectorOf('LDT')}\nlss edi, [0x600]`)}`,
  },
  {
    name: 'segment-limits',
    rule: 'Limit checks: byte and page granularity, expand-down (SDM Vol. 3A 5.3)',
    mode: 'protected',
    source: `
      ${setGdt(free, segment({ limit: 0xfff, access: Access.data, flags: big }))}
      ${setGdt(free + 8, segment({ limit: 0, access: Access.data, flags: big | granular }))}
      ${setGdt(free + 16, segment({ limit: 0xfff, access: Access.expandDown, flags: big }))}
      ${setGdt(free + 24, segment({ limit: 0xfff, access: Access.expandDown }))}
      ${setGdt(free + 32, segment({ base: 0xfffffff0, limit: 0xfffff, access: Access.data, flags: big | granular }))}
      ${attempt32('byte at the limit', `mov ax, ${free}\nmov es, ax\nmov byte [es:0xfff], 0x11\nmov bl, [es:0xfff]`)}
      ${attempt32('byte above', `mov ax, ${free}\nmov es, ax\nmov bl, [es:0x1000]`)}
      ${attempt32('word across', `mov ax, ${free}\nmov es, ax\nmov bx, [es:0xfff]`)}
      ${attempt32('dword across by one', `mov ax, ${free}\nmov es, ax\nmov ebx, [es:0xffd]`)}
      ${attempt32('dword at the end', `mov ax, ${free}\nmov es, ax\nmov ebx, [es:0xffc]\nxor ebx, ebx`)}
      ${attempt32('wrapping offset', `mov ax, ${free}\nmov es, ax\nmov ebx, [es:0xffffffff]`)}
      ${attempt32('G scales by 4096 and adds FFF', `mov ax, ${free + 8}\nmov es, ax\nmov byte [es:0xfff], 0x22\nmov bl, [es:0xfff]`)}
      ${attempt32('G above', `mov ax, ${free + 8}\nmov es, ax\nmov bl, [es:0x1000]`)}
      ${attempt32('expand-down below', `mov ax, ${free + 16}\nmov es, ax\nmov bl, [es:0xfff]`)}
      ${attempt32('expand-down above', `mov ax, ${free + 16}\nmov es, ax\nmov byte [es:0x100000], 0x33\nmov bl, [es:0x100000]`)}
      ${attempt32('expand-down to FFFFFFFF', `mov ax, ${free + 16}\nmov es, ax\nmov ebx, [es:0xfffffffd]`)}
      ${attempt32('16-bit expand-down above', `mov ax, ${free + 24}\nmov es, ax\nmov byte [es:0xffff], 0x44\nmov bl, [es:0xffff]`)}
      ${attempt32('16-bit expand-down beyond FFFF', `mov ax, ${free + 24}\nmov es, ax\nmov bl, [es:0x10000]`)}
      ${attempt32('base wraps around', `mov ax, ${free + 32}\nmov es, ax\nmov byte [0x600], 0x66\nmov bl, [es:0x610]`)}
      ${attempt32('SS faults with SS', `mov edx, esp\nmov ax, ${free}\nmov ss, ax\nmov esp, 0x1000\nmov eax, [ss:0x1000]`)}`,
    departures: departs(
      'qemu',
      [
        'byte above',
        'word across',
        'dword across by one',
        'wrapping offset',
        'G above',
        'expand-down below',
        'expand-down to FFFFFFFF',
        '16-bit expand-down beyond FFFF',
        'SS faults with SS',
      ],
      TCG_CHECKS_NO_LIMITS,
    ),
  },
  {
    name: 'segment-types',
    rule: 'Read and write rights of a loaded segment (SDM Vol. 3A 5.5)',
    mode: 'protected',
    source: `
      ${setKinds}
      ${attempt32('write to read-only data', `${load('es', selectorOf('read-only data'))}\nmov [es:0x600], al`)}
      ${attempt32('read from read-only data', `${load('es', selectorOf('read-only data'))}\nmov byte [0x600], 9\nmov al, [es:0x600]`)}
      ${attempt32('write to code', `mov byte [cs:0x600], 1`)}
      ${attempt32('read from code', `mov byte [0x600], 7\nmov al, [cs:0x600]`)}
      ${attempt32('read-modify-write of read-only data', `${load('es', selectorOf('read-only data'))}\ninc byte [es:0x600]`)}
      ${attempt32('STOS to read-only data', `${load('es', selectorOf('read-only data'))}\nmov edi, 0x600\nstosb`)}
      ${attempt32('read from execute-only code', `jmpf ${selectorOf('execute-only code')}:.there\n.there:\nmov al, [cs:0x600]`)}`,
    departures: departs(
      'qemu',
      [
        'write to read-only data',
        'write to code',
        'read-modify-write of read-only data',
        'STOS to read-only data',
        'read from execute-only code',
      ],
      TCG_CHECKS_NO_LIMITS,
    ),
  },
  {
    name: 'lar-lsl',
    rule: 'LAR and LSL by type and privilege (SDM Vol. 2A LAR, LSL)',
    mode: 'protected',
    source: `
      ${setKinds}
      ${KINDS.map(([name], i) => attempt32(`LAR ${name}`, `mov eax, 0x55555555\nmov ecx, ${free + 8 * i}\nlar eax, cx`)).join('\n')}
      ${KINDS.map(([name], i) => attempt32(`LSL ${name}`, `mov eax, 0x55555555\nmov ecx, ${free + 8 * i}\nlsl eax, cx`)).join('\n')}
      ${attempt32('LAR null', 'mov eax, 0x55555555\nlar eax, cx')}
      ${attempt32('LAR beyond the table', 'mov ecx, 0xfff8\nlar eax, cx')}
      ${attempt32('LAR into 16 bits', `mov ecx, ${data3}\nmov eax, 0x55555555\nlar ax, cx`)}
      ${user32('LAR of DPL 0 from ring 3', `mov ecx, ${data0}\nlar eax, cx`)}
      ${user32('LSL of conforming code from ring 3', `mov ecx, ${selectorOf('conforming code')}\nlsl eax, cx`)}`,
  },
  {
    name: 'verr-verw-arpl',
    rule: 'VERR, VERW and ARPL (SDM Vol. 2)',
    mode: 'protected',
    source: `
      ${setKinds}
      ${KINDS.map(([name], i) => attempt32(`VERR ${name}`, `mov ecx, ${free + 8 * i}\nverr cx`)).join('\n')}
      ${KINDS.map(([name], i) => attempt32(`VERW ${name}`, `mov ecx, ${free + 8 * i}\nverw cx`)).join('\n')}
      ${attempt32('VERR null', 'verr cx')}
      ${user32('VERR of DPL 0 from ring 3', `mov ecx, ${data0}\nverr cx`)}
      ${user32('VERR of conforming code from ring 3', `mov ecx, ${selectorOf('conforming code')}\nverr cx`)}
      ${user32('VERW of DPL 3 from ring 3', `mov ecx, ${data3}\nverw cx`)}
      ${attempt32('ARPL raises', 'mov ax, 0x10\nmov bx, 3\narpl ax, bx')}
      ${attempt32('ARPL leaves', 'mov ax, 0x13\nmov bx, 2\narpl ax, bx')}
      ${attempt32('ARPL to memory', 'mov word [0x600], 0x20\nmov bx, 0x1b\narpl [0x600], bx\nmov ax, [0x600]')}`,
  },
  {
    name: 'ldt',
    rule: 'LLDT, SLDT and the local table (SDM Vol. 3A 3.5.1, Vol. 2A LLDT)',
    mode: 'protected',
    source: `
      ${setKinds}
      mov dword [ldt + 8], ${wide(Access.data)[0]}
      mov dword [ldt + 12], ${wide(Access.data)[1]}
      ${attempt32('null LDT', 'xor eax, eax\nlldt ax\nmov ax, 0x0c\nmov es, ax')}
      ${attempt32('LLDT', `mov ax, ${Selector.ldt}\nlldt ax\nsldt ebx`)}
      ${attempt32('through the LDT', 'mov ax, 0x0c\nmov es, ax\nmov byte [0x600], 3\nmov bl, [es:0x600]')}
      ${attempt32('LDT slot 0 is no null selector', 'mov ax, 4\nmov es, ax')}
      ${attempt32('beyond the LDT', 'mov ax, 0x44\nmov es, ax')}
      ${attempt32('LLDT of a TSS', `mov ax, ${Selector.tss}\nlldt ax`)}
      ${attempt32('LLDT of an LDT selector', 'mov ax, 0x0c\nlldt ax')}
      ${attempt32('LLDT absent', `${setGdt(free, segment({ limit: 7, access: 0x02 }))}\nmov ax, ${free}\nlldt ax`)}
      ${attempt32('LTR of a busy TSS', `mov ax, ${Selector.tss}\nltr ax`)}
      ${attempt32('LTR of data', `mov ax, ${data0}\nltr ax`)}
      ${attempt32('LTR null', 'xor eax, eax\nltr ax')}
      ${attempt32('LTR absent', `${setGdt(free, segment({ limit: 0x67, access: 0x09 }))}\nmov ax, ${free}\nltr ax`)}
      ${attempt32('LTR marks the TSS busy', `${setGdt(free, segment({ base: 0x9000, limit: 0x67, access: Access.tss32 }))}\nmov ax, ${free}\nltr ax\nmov ebx, [gdt + ${free + 4}]\nstr ecx`)}`,
    departures: departs('qemu', ['LTR null'], 'accepts a null selector; SDM Vol. 2A LTR: #GP(0).'),
  },
  {
    name: 'segment-long',
    rule: 'Segment registers in 64-bit mode: bases of FS and GS alone (SDM Vol. 3A 3.4.4)',
    mode: 'long',
    source: `
      ${setGdt(free, segment({ base: 0x200000, limit: 0, access: Access.data, flags: big }))}
      mov dword [0x200600], 0x11112222
      mov dword [0x600], 0x33334444
      ${attempt64('DS has base 0 and no limit', `mov ax, ${free}\nmov ds, ax\nmov ebx, [0x600]`)}
      ${attempt64('FS has a base and no limit', `mov ax, ${free}\nmov fs, ax\nmov ebx, [fs:0x600]\nmov ecx, 0xc0000100\nrdmsr`)}
      ${attempt64('a 64-bit base by MSR', 'mov ecx, 0xc0000101\nmov eax, 0x200000\nxor edx, edx\nwrmsr\nmov ebx, [gs:0x600]')}
      ${attempt64('a null selector clears the base or not', 'mov ecx, 0xc0000100\nmov eax, 0x200000\nxor edx, edx\nwrmsr\nmov ebx, [fs:0x600]')}
      ${attempt64('a non-canonical base', 'mov ecx, 0xc0000100\nmov eax, 0\nmov edx, 0x8000\nwrmsr')}
      ${attempt64('SLDT to a 64-bit register', 'mov rax, -1\nsldt rax')}
      ${attempt64('STR to a 64-bit register', 'mov rax, -1\nstr rax')}
      ${attempt64('SMSW to a 64-bit register', 'mov rax, -1\nsmsw rax')}
      ${attempt64('POP FS takes 8 bytes', `push ${data3}\nmov rbx, rsp\npop fs\nsub rsp, 8\npop rax\nsub rbx, rsp`)}
      ${attempt64('WRFSBASE needs CR4.FSGSBASE', 'wrfsbase rax')}
      ${attempt64('WRFSBASE', 'mov rax, cr4\nor rax, 0x10000\nmov cr4, rax\nmov rax, 0x123456789a\nwrfsbase rax\nrdfsbase rbx\nmov ecx, 0xc0000100\nrdmsr')}
      ${attempt64('WRGSBASE of 32 bits', 'mov rax, 0xffffffff80000000\nwrgsbase eax\nrdgsbase rbx')}
      ${attempt64('WRGSBASE non-canonical', 'mov rax, 0x800000000000\nwrgsbase rax')}
      ${user64('WRFSBASE in ring 3', 'mov eax, 0x600\nwrfsbase rax\nmov ebx, [fs:0]')}
      ${attempt64('limits of system tables', 'sgdt [0x600]\nmov ax, [0x600]\nmov rbx, [0x602]')}
      ${attempt64('LAR and LSL still work', `mov ecx, ${Selector.data16}\nlar eax, cx\nlsl ebx, cx`)}`,
    departures: departs(
      'qemu',
      ['a non-canonical base', 'WRGSBASE non-canonical'],
      'takes non-canonical bases; SDM Vol. 2B WRMSR, WRGSBASE.',
    ),
  },
];

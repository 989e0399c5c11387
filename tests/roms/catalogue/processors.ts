import { attempt32 } from '../prelude/attempt.ts';
import { MemoryMap } from '../prelude/memory-map.ts';
import { type Departure, RESET_STATE_REGISTERS, type Rom } from '../rom.ts';

const APIC = 0xfee00000;
const APIC_ON = `mov dword [${APIC + 0xf0}], 0x13f`;
const INIT = 0x4500;
const START_UP = 0x4600;
/** An IPI to the processor of an APIC ID. */
const ipi = (to: number, command: number): string => `mov dword [${APIC + 0x310}], ${to << 24}\nmov dword [${APIC + 0x300}], ${command}`;

/** Where the second processor begins: two pages with the same code. */
const PAGES = [0x70, 0x71] as const;
/** What it finds is stored from here on; how often it has begun is counted. */
const STATE = 0x800;
const COUNT = STATE + 0xf0;
const SELECTORS = ['cs', 'ds', 'es', 'ss', 'fs', 'gs'] as const;
const GENERAL = ['eax', 'ebx', 'ecx', 'esi', 'edi', 'ebp', 'esp'] as const;
const SYSTEM = ['cr0', 'cr2', 'cr3', 'cr4', 'dr0', 'dr6', 'dr7'] as const;
const at = {
  general: (name: (typeof GENERAL)[number]): number => STATE + GENERAL.indexOf(name) * 4,
  selector: (name: (typeof SELECTORS)[number]): number => STATE + 0x20 + SELECTORS.indexOf(name) * 2,
  system: (name: (typeof SYSTEM)[number]): number => STATE + 0x30 + SYSTEM.indexOf(name) * 4,
  flags: STATE + 0x50,
  gdtr: STATE + 0x54,
  idtr: STATE + 0x5c,
  fcw: STATE + 0x64,
  fsw: STATE + 0x66,
  sysenterCs: STATE + 0x68,
} as const;

/** Stores what INIT and the start-up IPI have left, then changes what the next INIT is to put back, or to keep. */
const SECOND = `
  bits 16
second:
  ${GENERAL.map((name) => `mov [${at.general(name)}], ${name}`).join('\n')}
  ${SELECTORS.map((name) => `mov [${at.selector(name)}], ${name}`).join('\n')}
  pushf
  pop word [${at.flags}]
  ${SYSTEM.map((name) => `mov eax, ${name}\nmov [${at.system(name)}], eax`).join('\n')}
  sgdt [${at.gdtr}]
  sidt [${at.idtr}]
  fnstcw [${at.fcw}]
  fnstsw [${at.fsw}]
  mov ecx, 0x174
  rdmsr
  mov [${at.sysenterCs}], eax
  mov eax, 0x1234
  xor edx, edx
  wrmsr
  fninit
  fldpi
  mov eax, 0x12345678
  mov cr2, eax
  mov dr0, eax
  mov ax, 0x2000
  mov es, ax
  mov eax, cr0
  and eax, ~0x60000000
  or al, 0x20
  mov cr0, eax
  inc byte [${COUNT}]
.halt:
  cli
  hlt
  jmp .halt
second_end:
  bits 32`;

const copy = (page: number): string => `mov esi, second\nmov edi, ${page << 12}\nmov ecx, second_end - second\nrep movsb`;
/** Gives the second processor time, for whatever it should not do. */
const wait = 'call give_time';
const GIVE_TIME = 'give_time:\nmov ecx, 100000\n.next:\npause\nloop .next\nret';
const until = (count: number): string => `mov ecx, 3000000\n.until:\npause\ncmp byte [${COUNT}], ${count}\nloopne .until\nxor ecx, ecx`;
const count = `movzx eax, byte [${COUNT}]`;
const shown = [
  attempt32('general registers', GENERAL.map((name) => (name === 'esp' ? '' : `mov ${name}, [${at.general(name)}]`)).join('\n')),
  attempt32(
    'segments and flags',
    `mov eax, [${at.selector('cs')}]\nmov ebx, [${at.selector('es')}]\nmov ecx, [${at.selector('fs')}]\nmovzx edx, word [${at.flags}]\nmov esi, [${at.general('esp')}]`,
  ),
  attempt32(
    'control and debug registers',
    `mov eax, [${at.system('cr0')}]\nmov ebx, [${at.system('cr2')}]\nmov ecx, [${at.system('cr3')}]\nmov edx, [${at.system('cr4')}]\nmov esi, [${at.system('dr0')}]\nmov edi, [${at.system('dr6')}]\nmov ebp, [${at.system('dr7')}]`,
  ),
  attempt32(
    'descriptor tables',
    `movzx eax, word [${at.gdtr}]\nmov ebx, [${at.gdtr + 2}]\nmovzx ecx, word [${at.idtr}]\nmov edx, [${at.idtr + 2}]`,
  ),
] as const;
/** The same attempts once more, under other labels. */
const again = (attempts: readonly string[], suffix: string): string =>
  attempts.map((attempt) => attempt.replace(/at_(\w+):/, `at_$1_${suffix}:`).replace(/db "([^"]*): "/, `db "$1, ${suffix}: "`)).join('\n');

/** Written to memory by the first run of a ROM that INIT starts anew. */
const MARK = 0x600d1417;
const CR0_OF_INIT = 'sets CD and NW; SDM Vol. 3A, Table 9-1: INIT leaves them as they are.';
/** Both peers depart in the same way. */
const departsInCr0 = (label: string, manual: string): Departure[] =>
  (['bochs', 'qemu'] as const).map((peer) => ({ peer, label, why: CR0_OF_INIT, manual }));
const resetState = (register: string): number => MemoryMap.resetState + 4 * RESET_STATE_REGISTERS.indexOf(register);

export const processorRoms: readonly Rom[] = [
  {
    name: 'start-up',
    rule: 'INIT and start-up IPIs: another processor waits, begins, and begins anew (SDM Vol. 3A 8.4.3, 10.4.7; Table 9-1)',
    mode: 'protected',
    cpus: 2,
    source: `
      jmp begin
      ${SECOND}
      ${GIVE_TIME}
    begin:
      ${APIC_ON}
      ${PAGES.map(copy).join('\n')}
      ${attempt32('it waits', `${wait}\n${count}`)}
      ${attempt32('INIT alone begins nothing', `${ipi(1, INIT)}\n${wait}\n${count}`)}
      ${attempt32('a start-up IPI', `${ipi(1, START_UP | PAGES[0])}\n${until(1)}\n${count}`)}
      ${shown.join('\n')}
      ${attempt32('one that runs takes no start-up IPI', `${ipi(1, START_UP | PAGES[1])}\n${wait}\n${count}`)}
      ${attempt32('INIT and a start-up IPI elsewhere', `${ipi(1, INIT)}\n${wait}\n${ipi(1, START_UP | PAGES[1])}\n${until(2)}\n${count}`)}
      ${again(shown, 'again')}
      ${attempt32('INIT keeps the x87 and MSRs', `mov eax, [${at.fcw}]\nmov ebx, [${at.sysenterCs}]`)}
      ${attempt32('a second start-up IPI after INIT is ignored', `${ipi(1, INIT)}\n${wait}\n${ipi(1, START_UP | PAGES[0])}\n${until(3)}\n${ipi(1, START_UP | PAGES[1])}\n${wait}\n${count}\nmov ebx, [${at.selector('cs')}]\nand ebx, 0xffff`)}`,
    departures: departsInCr0('control and debug registers, again', 'ok fl=00000002 eax=00000010 ebp=00000400 edi=ffff0ff0'),
  },
  {
    name: 'init-bootstrap',
    rule: 'INIT of the bootstrap processor begins at the reset vector (SDM Vol. 3A 8.4.2, 9.1; Table 9-1)',
    mode: 'protected',
    source: `
      cmp dword [0x80000], ${MARK}
      je second_run
      mov dword [0x80000], ${MARK}
      ${APIC_ON}
      ; what INIT keeps
      mov ecx, 0x174
      mov eax, 0x4321
      xor edx, edx
      wrmsr
      fninit
      fldpi
      fldpi
      ; what it puts back
      mov eax, 0x12345678
      mov cr2, eax
      mov dr0, eax
      mov eax, cr4
      or eax, 4
      mov cr4, eax
      mov eax, cr0
      and eax, ~0x60000000
      or al, 0x20
      mov cr0, eax
      mov ebx, 0x11111111
      mov esi, 0x22222222
      ${ipi(0, INIT)}
    .never:
      jmp .never
    second_run:
      ${attempt32('registers', `${['eax', 'ebx', 'ecx', 'esi', 'edi', 'ebp'].map((name) => `mov ${name}, [${resetState(name)}]`).join('\n')}`)}
      ${attempt32('stack and segments', `mov eax, [${resetState('esp')}]\nmov ebx, [${resetState('ds')}]\nmov ecx, [${resetState('ss')}]\nmov edx, [${resetState('gs')}]`)}
      ${attempt32('CD and NW, CR2, CR4, DR0', 'mov eax, cr0\nand eax, ~1\nmov ebx, cr2\nmov ecx, cr4\nmov edx, dr0')}
      ${attempt32('the x87 and MSRs', 'sub esp, 4\nfnstcw [esp]\nfnstsw [esp + 2]\npop ebx\nmov ecx, 0x174\nrdmsr')}
      ${attempt32('the local APIC', `mov eax, [${APIC + 0xf0}]\nmov ebx, [${APIC + 0x20}]`)}`,
    departures: departsInCr0('CD and NW, CR2, CR4, DR0', 'ok fl=00000002 eax=00000010'),
  },
];

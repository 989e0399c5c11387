import { Selector } from '../../prelude/memory-map.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../prelude/vtx-attempt.ts';
import { RESUME, vmwrite } from '../../prelude/vtx-host.ts';
import type { Rom } from '../../rom.ts';
import { Activity, APIC_ON, apic, BlockedBy, ipi, takeInterrupt, WAKES_FIRST } from './interrupts.ts';
import { vtxRom } from './vtx-rom.ts';

const INIT = 0x4500;
const START_UP = 0x4600;
const WAIT_FOR_SIPI = 3;
/** The second processor's code, and what it is told to send to the first: a command of the local APIC, behind some thousand instructions. */
const SECOND_PAGE = 0x70;
const COMMAND = 0x7f000;
const DELAY = 20000;

/** In unreal mode, so that it reaches its local APIC. */
const SECOND = `
  bits 16
second:
  cli
  xor ax, ax
  mov ds, ax
  lgdt [gdt_pointer]
  mov eax, cr0
  or al, 1
  mov cr0, eax
  mov bx, ${Selector.data0}
  mov fs, bx
  and al, 0xfe
  mov cr0, eax
  mov dword [fs:0xfee000f0], 0x13f
.next:
  pause
  mov ebx, [fs:${COMMAND}]
  test ebx, ebx
  jz .next
  mov ecx, ${DELAY}
.wait:
  dec ecx
  jnz .wait
  mov dword [fs:0xfee00310], 0
  mov [fs:0xfee00300], ebx
  mov dword [fs:${COMMAND}], 0
  jmp .next
second_end:
  bits 64`;
const START = `
  jmp second_end
  ${SECOND}
  mov esi, second
  mov edi, ${SECOND_PAGE << 12}
  mov ecx, second_end - second
  rep movsb
  mov dword [${COMMAND}], 0
  ${APIC_ON}
  ${apic(0x310, 0x1000000)}
  ${apic(0x300, INIT)}
  ${apic(0x300, START_UP | SECOND_PAGE)}`;

/** The second processor is to send it while the guest runs. */
const send = (command: number): string => `mov dword [${COMMAND}], ${command}`;
/** The same, and it has been sent before the host goes on. */
const sent = (command: number): string => `${send(command)}\n.sent_${command}:\npause\ncmp dword [${COMMAND}], 0\njne .sent_${command}`;
const signal = (label: string, code: string, before: string, options: GuestOptions = {}): VtxAttempt =>
  vt(label, code, { ...options, before: `${before}\n${options.before ?? ''}` });
const WAIT_STATE = 'saves of the wait-for-SIPI state what it masks, not the state; SDM Vol. 3C 28.1, 28.3.4.';
/** A guest that waits, and what the manual asks for behind the qualification. */
const waiting = (label: string, vector: number, before: string, options: GuestOptions = {}, rest = ''): VtxAttempt =>
  signal(label, 'mov ebx, 1', `${before}\n${send(START_UP | vector)}`, {
    ...options,
    fields: { GUEST_ACTIVITY_STATE: WAIT_FOR_SIPI, ...options.fields },
    bochs: WAIT_STATE,
    manual: `SIPI_SIGNAL${vector === 0 ? '' : ` q=${vector.toString(16)}`}${rest || ' at 38:+0 sp=10:d000 fl=2 activity=3'}`,
  });
const TWICE = 'exits more than once by one INIT signal; SDM Vol. 3C 26.2.';
/** The guest goes on in the active state. */
const AWAKE = `${vmwrite('GUEST_ACTIVITY_STATE', 0)}\n${RESUME}`;
const SPIN = '.spin:\njmp .spin';

const signals = (name: string, rule: string, attempts: readonly VtxAttempt[]): Rom => {
  const rom = vtxRom(name, rule, attempts, { cpus: 2 });
  return { ...rom, source: `${rom.source.replace('call vtx_start', `call vtx_start\n${START}`)}` };
};

export const vtxSignalRoms: readonly Rom[] = [
  signals('vtx-init', 'INIT exits, whatever blocks; VMX root operation holds it back (SDM Vol. 3C 24.8, 26.2, 28.3.4)', [
    signal('while the guest runs', SPIN, send(INIT)),
    signal('held back in root operation', 'mov ebx, 1', sent(INIT)),
    signal('blocking by MOV SS and NMI', 'mov ebx, 1', sent(INIT), {
      fields: { GUEST_INTERRUPTIBILITY_INFO: BlockedBy.movSs | BlockedBy.nmi },
    }),
    signal('the guest halts', 'mov ebx, 1', send(INIT), {
      fields: { GUEST_ACTIVITY_STATE: Activity.hlt },
      bochs: WAKES_FIRST,
      manual: 'INIT_SIGNAL at 38:+0 sp=10:d000 fl=2 activity=1',
    }),
    signal('the guest is in shutdown', 'mov ebx, 1', send(INIT), {
      fields: { GUEST_ACTIVITY_STATE: Activity.shutdown },
      bochs: WAKES_FIRST,
      manual: 'INIT_SIGNAL at 38:+0 sp=10:d000 fl=2 activity=2',
    }),
    signal('before a debug trap, which stays pending', 'mov ebx, 1', sent(INIT), {
      fields: { EXCEPTION_BITMAP: 2, GUEST_RFLAGS: 0x102, GUEST_PENDING_DBG_EXCEPTIONS: 0x4000 },
      afterwards: RESUME,
      bochs: TWICE,
      manual: `INIT_SIGNAL at 38:+0 sp=10:d000 fl=102 pending=4000
 EXCEPTION_NMI q=4000 info=80000301 at 38:+0 sp=10:d000 fl=102`,
    }),
    signal('before an interrupt', 'mov ebx, 1', `${sent(INIT)}\n${ipi(0x31)}`, {
      controls: { pin: ['externalInterruptExiting'] },
      fields: { GUEST_RFLAGS: 0x202 },
      afterwards: takeInterrupt(0x31),
    }),
    signal('once', 'mov ebx, 1', sent(INIT), {
      afterwards: RESUME,
      bochs: TWICE,
      manual: 'INIT_SIGNAL at 38:+0 sp=10:d000 fl=2\n VMCALL len=3 at 38:+5 sp=10:d000 fl=2 rbx=1',
    }),
    signal('real mode', SPIN, send(INIT), { mode: 'real' }),
  ]),
  signals(
    'vtx-sipi',
    'A guest that waits for a SIPI exits by one, with its vector; nothing else reaches it (SDM Vol. 3C 25.4.2, 26.2, 28.2.1)',
    [
      waiting('vector 9A', 0x9a, ''),
      waiting('vector 0', 0, ''),
      waiting('vector FF', 0xff, ''),
      waiting(
        'interrupts wait',
        5,
        ipi(0x31),
        { controls: { pin: ['externalInterruptExiting'] }, fields: { GUEST_RFLAGS: 0x202 }, afterwards: takeInterrupt(0x31) },
        ' at 38:+0 sp=10:d000 fl=202 activity=3\n int 31',
      ),
      waiting(
        'INIT is blocked, and stays pending',
        6,
        sent(INIT),
        { afterwards: AWAKE },
        ' at 38:+0 sp=10:d000 fl=2 activity=3\n INIT_SIGNAL at 38:+0 sp=10:d000 fl=2',
      ),
      waiting(
        'one that came in root operation, behind an INIT, is lost',
        0xd,
        `${sent(INIT)}\n${sent(START_UP | 10)}`,
        { afterwards: AWAKE },
        ' at 38:+0 sp=10:d000 fl=2 activity=3\n INIT_SIGNAL at 38:+0 sp=10:d000 fl=2',
      ),
      waiting('the preemption timer does not end it', 7, '', {
        controls: { pin: ['activateVmxPreemptionTimer'] },
        fields: { VMX_PREEMPTION_TIMER_VALUE: 1 },
      }),
      waiting(
        'again',
        8,
        '',
        { afterwards: `${send(START_UP | 9)}\n${RESUME}` },
        ' at 38:+0 sp=10:d000 fl=2 activity=3\n SIPI_SIGNAL q=9 at 38:+0 sp=10:d000 fl=2 activity=3',
      ),
      waiting('one that came in root operation is lost', 0xb, sent(START_UP | 10)),
      waiting('real mode', 0xc, '', { mode: 'real' }, ' at 0:+0 sp=0:d000 fl=2 activity=3'),
      signal('a guest that runs takes none', 'mov ecx, 200000\n.spin:\ndec ecx\njnz .spin', send(START_UP | 9), {
        bochs: WAIT_STATE,
        manual: 'VMCALL len=3 at 38:+9 sp=10:d000 fl=46',
      }),
    ],
  ),
];

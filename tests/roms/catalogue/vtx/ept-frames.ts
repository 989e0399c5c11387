import { MemoryMap } from '../../prelude/memory-map.ts';
import type { GuestOptions, VtxAttempt } from '../../prelude/vtx-attempt.ts';
import { note, RESUME, SKIP } from '../../prelude/vtx-host.ts';
import { VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Rom } from '../../rom.ts';
import { allow, Ept, type EptChange, ept, INVEPT_ALL, pde, pte, put, store64 } from './ept.ts';
import { vtxRom } from './vtx-rom.ts';

const { longTable } = MemoryMap;
const test: number = MemoryMap.test;
const { free } = VtxMemory;
const { R, W, X, RWX } = Ept;
const SECOND = test + 0x1000;
const LARGE = 0x40_0000;
const OTHER_LARGE = 0x80_0000;
const WB = 0x37n;
const UC = 7n;
const APIC = 0xfee0_0000;
const ROM_PAGE = 0xffff_f000;
/** Above the machine's memory. */
const NOTHING = 0x800_0000;

/** MOV EBX, number; RET. */
const code = (at: number, number: number): string => store64(at, 0xc3_0000_0000bbn | (BigInt(number) << 8n));
const RELOAD_CR3 = 'mov rcx, cr3\nmov cr3, rcx\nxor ecx, ecx';
const callTwice = (address: number): string => `mov eax, ${address}\ncall rax\nmov esi, ebx\nvmcall\ncall rax`;

/** The guest runs code, lets the host change something, and runs it again. */
function codeChanged(label: string, change: string, changes: readonly EptChange[], options: GuestOptions = {}, address = test): VtxAttempt {
  return ept(label, callTwice(address), changes, {
    ...options,
    before: `${code(test, 1)}\n${code(free, 2)}\n${code(LARGE, 1)}\n${code(OTHER_LARGE, 2)}\n${options.before ?? ''}`,
    afterwards: `${change}\n${INVEPT_ALL}\n${SKIP}\n${RESUME}\n${options.afterwards ?? ''}`,
  });
}
/** The guest runs code, changes it in some way, and runs it again. */
const changesCode = (label: string, change: string, changes: readonly EptChange[], options: GuestOptions = {}): VtxAttempt =>
  ept(label, `mov eax, ${test}\ncall rax\nmov esi, ebx\n${change}\ncall rax`, changes, {
    hide: ['flags'],
    ...options,
    before: `${code(test, 1)}\n${code(free, 2)}\n${options.before ?? ''}`,
  });
const whole = (...gpas: readonly number[]): EptChange[] => gpas.map(pte).map((what) => put(what, what.whole));
const GUEST_ENTRY = longTable + (test >>> 12) * 8;
const GUEST_SECOND = longTable + (SECOND >>> 12) * 8;
/** An instruction over two pages: what lies in the second says what it loads. */
const TAIL = (at: number, number: number): string => store64(at, 0xc3_0000n | BigInt(number));

/** The page at `test`, or another, is this frame. */
const frame = (host: number | bigint, bits: bigint, gpa = test): EptChange => put(pte(gpa), BigInt(host) | bits);
const ONE_FRAME = [frame(test, WB, SECOND)];

export const vtxEptFrameRoms: readonly Rom[] = [
  vtxRom('vtx-ept-code', 'Code whose frame, bytes or rights change under it (SDM Vol. 3C 29.4.3; Vol. 3A 8.1.3)', [
    codeChanged('another frame', store64(pte(test).at, BigInt(free) | WB), whole(test)),
    codeChanged('other bytes', `mov byte [${test + 1}], 3`, []),
    codeChanged('no X', store64(pte(test).at, allow(pte(test), R | W).value), whole(test)),
    codeChanged('a large page', store64(pde(LARGE).at, BigInt(OTHER_LARGE) | 0xb7n), [put(pde(LARGE), pde(LARGE).whole)], {}, LARGE),
    codeChanged("the guest's PTE", store64(GUEST_ENTRY, free | 7), [], { afterwards: store64(GUEST_ENTRY, test | 7) }),
    codeChanged(
      'the frame of the second half',
      store64(pte(SECOND).at, BigInt(free) | WB),
      whole(SECOND),
      {
        before: `${store64(SECOND - 8, 0xbbn << 40n)}\n${TAIL(SECOND, 0x11)}\n${TAIL(free, 0x12)}`,
        bochs: 'keeps an instruction over two pages after INVEPT; SDM Vol. 3C 29.4.3.1.',
        manual:
          'VMCALL len=3 at 38:+9 sp=10:d000 fl=2 rax=100ffd rbx=110000 rsi=110000\n' +
          ' VMCALL len=3 at 38:+e sp=10:d000 fl=2 rax=100ffd rbx=120000 rsi=110000',
      },
      SECOND - 3,
    ),
    changesCode('by the guest', `mov byte [${test + 1}], 4\n${RELOAD_CR3}`, []),
    changesCode('by another page of the same frame', `mov byte [${SECOND + 1}], 5\n${RELOAD_CR3}`, ONE_FRAME),
    changesCode("by another page of the guest's own", `mov byte [${SECOND + 1}], 6\n${RELOAD_CR3}`, [], {
      before: store64(GUEST_SECOND, test | 7),
      afterwards: store64(GUEST_SECOND, SECOND | 7),
    }),
    changesCode('another frame, by the guest', `mov dword [${GUEST_ENTRY}], ${free | 7}\n${RELOAD_CR3}`, [], {
      afterwards: store64(GUEST_ENTRY, test | 7),
    }),
    changesCode('execute-only code that reads itself', `mov dl, [${test}]`, [allow(pte(test), X)]),
    changesCode('execute-only code that is written', `mov byte [${test + 1}], 7`, [allow(pte(test), X)]),
  ]),
  vtxRom('vtx-ept-frames', 'One frame for two pages, and frames that are no memory (SDM Vol. 3C 29.3.2)', [
    ept('two pages, one frame', `mov dword [${test}], 0x77\nmov ebx, [${SECOND}]`, ONE_FRAME),
    ept(
      'two pages, exchanged',
      `mov esi, ${test}\nmov edi, ${SECOND}\nmovsd\nmov eax, [${test}]\nmov ebx, [${SECOND}]`,
      [frame(SECOND, WB), frame(test, WB, SECOND)],
      { before: `mov dword [${test}], 1\nmov dword [${SECOND}], 2` },
    ),
    ept('an overlap by two pages', `mov esi, ${test}\nmov edi, ${SECOND + 1}\nmov ecx, 7\nrep movsb\nmov rbx, [${test}]`, ONE_FRAME, {
      before: store64(test, 0x0807_0605_0403_0201n),
    }),
    ept(
      'the local APIC',
      `mov dword [${test + 0x80}], 0x30\nmov ebx, [${test + 0x80}]\nor dword [${test + 0x80}], 0x40\nmov ecx, [${test + 0x80}]`,
      [frame(APIC, UC)],
      { hide: ['flags'], afterwards: `mov rbp, cr8\n${note({ cr8: 'rbp' })}\nxor eax, eax\nmov cr8, rax` },
    ),
    ept('the local APIC, read-only', `mov dword [${test + 0x80}], 0x30`, [frame(APIC, R)]),
    ept(
      "memory at the local APIC's address",
      `mov eax, ${APIC + 0x80}\nmov ebx, [rax]\nmov dword [rax], 0x50\nmov ecx, [rax]`,
      [put(pde(APIC), BigInt(LARGE) | 0xb7n)],
      { before: `mov dword [${LARGE + 0x80}], 0x66`, afterwards: `mov rbp, cr8\n${note({ cr8: 'rbp', memory: `[${LARGE + 0x80}]` })}` },
    ),
    ept('ROM', `mov ebx, [${test + 0xff0}]\nmov dword [${test + 0xff0}], 0\nmov ecx, [${test + 0xff0}]`, [frame(ROM_PAGE, WB)]),
    ept('where there is no memory', `mov ebx, [${test}]\nmov dword [${test}], 0\nmov ecx, [${test}]`, [frame(NOTHING, WB)]),
    ept(
      'memory, and behind it none',
      `mov rbx, [${SECOND - 4}]\nmov dword [${SECOND - 2}], 0x5566\nmov rcx, [${SECOND - 4}]`,
      [frame(NOTHING, WB, SECOND)],
      {
        before: store64(SECOND - 8, 0x1111_2222_3333_4444n),
      },
    ),
    ept('code in ROM', `mov eax, ${test + 0xff0}\njmp rax`, [frame(ROM_PAGE, Ept.WB | R | W)]),
    ept('the guest is told a frame above 4 GiB', `mov ebx, [${test}]`, [frame(1n << 32n, RWX | Ept.WB)]),
  ]),
];

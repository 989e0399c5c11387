import { type AsmTag, asm32 } from '@minusone/asm';
import { type Arena, Place, systemDescriptor } from './arena.ts';
import type { Attack } from './attack.ts';

const { CODE, GDT, HOLE, SCRATCH, TSS } = Place;
const code: AsmTag = asm32.with({ origin: CODE });
/** The task that runs, and the one that is switched to. */
const OLD = 0x18;
const NEW = 0x20;

/** 32-bit protected mode, flat: code at 8, data at 10H, two task-state segments, and no IDT: every exception ends in shutdown. */
function protectedMode(oldBase: number, newBase: number, newLimit = 0x67): (arena: Arena) => void {
  return ({ vm, vcpu }) => {
    const flat = (access: number): number[] => [0xff, 0xff, 0, 0, 0, access, 0xcf, 0];
    const task = (base: number, limit: number): Uint8Array => systemDescriptor(BigInt(base), limit, 9).subarray(0, 8);
    vm.memory.write(
      GDT,
      Uint8Array.from([...new Uint8Array(8), ...flat(0x9b), ...flat(0x93), ...task(oldBase, 0x67), ...task(newBase, newLimit)]),
    );
    vcpu.start({ mode: 'protected', ip: CODE, sp: Place.STACK });
    vcpu.setSregs({ ...vcpu.getSregs(), gdt: { base: BigInt(GDT), limit: 0x27 }, idt: { base: 0n, limit: 0 } });
  };
}

/** A sound image of a task that begins at `eip`. */
function image(eip: number): Uint8Array {
  const words = new Uint32Array(26);
  words.set([eip, 2], 8);
  words.set([0x11, 0x22, 0x33, 0x44, Place.STACK], 10);
  words.set([0x10, 8, 0x10, 0x10, 0x10, 0x10], 18);
  return new Uint8Array(words.buffer);
}

const SWITCH = (): Uint8Array => code`
        mov   ax, ${OLD}
        ltr   ax
        jmp   ${NEW}:0
        hlt`;

/**
 * Attacks by hardware task switches, which the extensions leave to their hypervisor (SDM Vol. 3C, 26.2; APM Vol. 2, 15.14.1). Where the new task's EFLAGS has VM set and its first selector
 * is refused, the #TS comes with segment registers that are not yet loaded: VT-x refuses to enter with such a state (SDM Vol. 3C, "Checks on Guest Segment Registers"), AMD-V does not look.
 */
export const taskAttacks: readonly Attack[] = [
  {
    name: 'a switch to a task where no memory is: all ones, with selectors that cannot be',
    section: 'SDM Vol. 3A, 7.3: #TS in the new task, which has no IDT: shutdown',
    before: protectedMode(TSS, HOLE),
    code: SWITCH,
    ends: /^(read 200000[0-6][0-9a-f] [1248]; )+(shutdown|failEntry)$/,
  },
  {
    name: "a switch to a task in the neighbour's memory, by the host's number",
    section: 'SDM Vol. 3A, 7.3',
    before: (arena) => protectedMode(TSS, arena.targets.neighbour)(arena),
    code: SWITCH,
    ends: /^(read [0-9a-f]+ [1248]; )+(shutdown|failEntry)$/,
  },
  {
    name: 'a switch to a task-state segment that is too short',
    section: 'SDM Vol. 3A, 7.3: #TS(selector), which has no gate: shutdown',
    before: protectedMode(TSS, SCRATCH, 0x66),
    code: SWITCH,
    ends: ['shutdown'],
  },
  {
    name: 'a switch from a task whose state is saved where no memory is',
    section: 'SDM Vol. 3A, 7.3; api.rst, 5, KVM_EXIT_MMIO: the VMM hears of each write, once',
    before: (arena) => {
      protectedMode(HOLE, SCRATCH)(arena);
      arena.vm.memory.write(SCRATCH, image(CODE + 0x100));
    },
    code: () => code`
        ${SWITCH()}
        times 0x100 - ($ - $$) nop
        mov   eax, ebx
        out   0x10, al
        hlt`,
    ends: /^(write 200000[2-5][0-9a-f] [0-9a-f]+; ){10,}out 10 1x1 44; hlt$/,
  },
];

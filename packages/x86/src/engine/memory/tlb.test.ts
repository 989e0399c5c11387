import { MachineMemory } from '@minusone/memory';
import { expect, test } from 'vitest';
import { STATE_BYTES, State } from '../../state/layout.ts';
import { AccessKind, Tlb } from './tlb.ts';
import { JUMP_ENTRY_BYTES, JumpField, jumpIndex, TLB_ENTRIES } from './tlb-layout.ts';

const memory = new MachineMemory({ ramBytes: 65536, reservedBytes: 8 * 2 ** 20 });
const state = memory.allocate(STATE_BYTES, 64);
/** Another page with the same index. */
const ALIAS = TLB_ENTRIES * 4096;

function make(): Tlb {
  return new Tlb(new MachineMemory({ ramBytes: 65536, reservedBytes: 8 * 2 ** 20 }), state);
}
function jumpAt(tlb: Tlb, i32: Int32Array, low: number): number {
  const at = (tlb.current.jumpCache + jumpIndex(low) * JUMP_ENTRY_BYTES) >>> 2;
  return i32[at] === low && i32[at + 1] === 0 ? (i32[at + JumpField.record / 4] as number) : 0;
}

test('a page that is read and one that is written do not drive each other out', () => {
  const { current } = make();
  current.fill(0x1000, 0, 0x5000, false, false);
  current.fill(0x1000 + ALIAS, 0, 0x6000, true, false);
  expect(current.find(0x1234, 0, 4, false)).toBe(0x5234);
  expect(current.find(0x1234 + ALIAS, 0, 4, true)).toBe(0x6234);
  expect(current.find(0x1234, 0, 4, true)).toBe(-1);
  expect(current.find(0x1ffe, 0, 4, false)).toBe(-1);
});

test('a new address space forgets what is not global, data, fetches and jumps, and only that (SDM Vol. 3A, 4.10.2.4)', () => {
  const tlb = new Tlb(memory, state);
  const { current } = tlb;
  for (const [low, global] of [
    [0x1000, true],
    [0x2000, false],
  ] as const) {
    for (const write of [false, true]) current.fill(low, 0, low + 0x4000, write, global);
    current.fillFetch(low, 0, low + 0x4000, global);
    current.fillJump(low + 4, 0, low + 8, global);
  }
  current.clearNonGlobal();
  for (const write of [false, true]) {
    expect(current.find(0x1000, 0, 4, write)).toBe(0x5000);
    expect(current.find(0x2000, 0, 4, write)).toBe(-1);
  }
  expect([current.findFetch(0x1000, 0), current.findFetch(0x2000, 0)]).toEqual([0x5000, -1]);
  expect([jumpAt(tlb, memory.i32, 0x1004), jumpAt(tlb, memory.i32, 0x2004)]).toEqual([0x1008, 0]);
  current.clear();
  expect([current.find(0x1000, 0, 4, false), current.findFetch(0x1000, 0), jumpAt(tlb, memory.i32, 0x1004)]).toEqual([-1, -1, 0]);
});

test('an entry that was global and is filled with a local page goes with the address space, and the other way round', () => {
  const { current } = make();
  current.fill(0x1000, 0, 0x5000, false, true);
  current.fill(0x1000 + ALIAS, 0, 0x6000, false, false);
  current.fill(0x2000, 0, 0x7000, false, false);
  current.fill(0x2000 + ALIAS, 0, 0x8000, false, true);
  current.clearNonGlobal();
  expect(current.find(0x1000 + ALIAS, 0, 4, false)).toBe(-1);
  expect(current.find(0x2000 + ALIAS, 0, 4, false)).toBe(0x8000);
  current.clearNonGlobal();
  current.clear();
  expect(current.find(0x2000 + ALIAS, 0, 4, false)).toBe(-1);
});

test('INVLPG forgets a page, global or not, with the jumps that lead there, and no other (SDM Vol. 3A, 4.10.4.1)', () => {
  const tlb = new Tlb(memory, state);
  const { current } = tlb;
  for (const low of [0x1000, 0x2000]) {
    current.fill(low, 0, low + 0x4000, false, true);
    current.fillFetch(low, 0, low + 0x4000, true);
    current.fillJump(low + 4, 0, low + 8, true);
  }
  tlb.clearPage(0x1abc, 0);
  expect([current.find(0x1000, 0, 4, false), current.findFetch(0x1000, 0), jumpAt(tlb, memory.i32, 0x1004)]).toEqual([-1, -1, 0]);
  expect([current.find(0x2000, 0, 4, false), current.findFetch(0x2000, 0), jumpAt(tlb, memory.i32, 0x2004)]).toEqual([
    0x6000, 0x6000, 0x2008,
  ]);
});

test.each([
  [2, 0x40_0000, 0x7f_f000, 0x80_2000],
  [3, 0x4000_0000, 0x7fff_f000, 0x8000_2000],
])(
  'INVLPG forgets all pieces of a large page of level %i, in every set, by any of its addresses (SDM Vol. 3A, 4.10.4.1)',
  (level, first, last, other) => {
    const tlb = make();
    const [set] = tlb.sets.slice(-1) as [Tlb['current']];
    for (const low of [first, last | 0, other | 0]) {
      for (const write of [false, true]) set.fill(low, 5, 0x5000, write, true);
      set.fillFetch(low, 5, 0x5000, true);
      if (low !== (other | 0)) tlb.noteLargePage(low, 5, level);
    }
    const known = (low: number): boolean[] => [
      set.find(low | 0, 5, 4, false) >= 0,
      set.find(low | 0, 5, 4, true) >= 0,
      set.findFetch(low | 0, 5) >= 0,
    ];
    tlb.clearPage(other | 0, 5);
    expect(known(first)).toEqual([true, true, true]);
    tlb.clearPage((first + 0x12345) | 0, 5);
    expect([known(first), known(last)]).toEqual([
      [false, false, false],
      [false, false, false],
    ]);
  },
);

test('dropping the write tags of a page leaves its read tags', () => {
  const tlb = make();
  const { current } = tlb;
  for (const write of [false, true]) current.fill(0x1000, 0, 0x5000, write, false);
  tlb.clearWriteTags(0x5000);
  expect([current.find(0x1000, 0, 4, false), current.find(0x1000, 0, 4, true)]).toEqual([0x5000, -1]);
});

test('dropping the write tags of a page finds every entry that leads to it: in each set, under each linear address, after it has moved', () => {
  const tlb = make();
  const written = (): boolean[] =>
    tlb.sets.slice(0, 2).flatMap((set) => [0x1000, 0x2000].map((low) => set.find(low, 0, 4, true) === 0x5000));
  const [one, other] = tlb.sets as [Tlb['current'], Tlb['current']];
  const fills: (() => void)[] = [
    () => one.fill(0x1000, 0, 0x5000, true, false),
    () => one.fill(0x2000, 0, 0x5000, true, false),
    () => other.fill(0x1000, 0, 0x5000, true, true),
    () => other.fill(0x2000, 0, 0x5000, true, true),
  ];
  for (let which = 0; which < 1 << fills.length; which++) {
    fills.forEach((fill, n) => {
      if ((which & (1 << n)) !== 0) fill();
    });
    expect(written()).toEqual(fills.map((_, n) => (which & (1 << n)) !== 0));
    tlb.clearWriteTags(0x5000);
    expect(written()).toEqual([false, false, false, false]);
  }
  // Driven out by another page, then back under another address.
  one.fill(0x1000, 0, 0x5000, true, false);
  one.fill(0x1000 + ALIAS, 0, 0x6000, true, false);
  one.fill(0x2000, 0, 0x5000, true, false);
  tlb.clearWriteTags(0x5000);
  expect(written()).toEqual([false, false, false, false]);
  expect(one.find(0x1000 + ALIAS, 0, 4, true)).toBe(0x6000);
});

test('sets are recycled least recently used first, and the state points to the current one', () => {
  const tlb = new Tlb(memory, state, 2);
  tlb.select(1, AccessKind.SUPERVISOR);
  tlb.current.fill(0x1000, 0, 0x5000, false, false);
  const first = tlb.current;
  tlb.select(1, AccessKind.USER);
  expect(tlb.current).not.toBe(first);
  tlb.select(1, AccessKind.SUPERVISOR);
  expect(tlb.current.find(0x1000, 0, 4, false)).toBe(0x5000);
  tlb.select(2, AccessKind.SUPERVISOR);
  tlb.select(3, AccessKind.SUPERVISOR);
  expect(tlb.current).toBe(first);
  expect(tlb.current.find(0x1000, 0, 4, false)).toBe(-1);
  expect(memory.i32[(state + State.tlb) >>> 2]).toBe(first.address);
});

import { beforeEach, describe, expect, test } from 'vitest';
import { Access } from '../access.ts';
import { ByteMemory } from '../physical-memory.ts';
import { PagingControls } from './paging-controls.ts';
import { walk } from './walk.ts';
import { WalkResult } from './walk-result.ts';

const A = 0x20n;
const D = 0x40n;
const { READ, WRITE, EXECUTE, USER, INSPECT } = Access;
const controls = new PagingControls({ kind: '4-level', root: 0x1000, wp: true });
const result = new WalkResult();
let memory: ByteMemory;
const entries = () => [0x1000, 0x2000, 0x3000, 0x4000].map((at) => memory.read64(at) & (A | D));

beforeEach(() => {
  memory = new ByteMemory(new Uint8Array(0x6000));
  for (let table = 0x1000; table <= 0x4000; table += 0x1000) memory.write64(table, BigInt(table + 0x1000) | 3n);
});

describe('accessed and dirty flags (SDM Vol. 3A 4.8)', () => {
  test.each([
    ['read', READ],
    ['fetch', EXECUTE],
  ])('a %s sets A in every entry, D in none', (_, access) => {
    expect(walk(controls, memory, 0, 0, access, null, result)).toBe(true);
    expect(entries()).toEqual([A, A, A, A]);
    expect(result.dirty).toBe(false);
  });

  test('a write sets D in the entry that maps the page', () => {
    walk(controls, memory, 0, 0, WRITE, null, result);
    expect(entries()).toEqual([A, A, A, A | D]);
    expect(result).toMatchObject({ dirty: true, allowed: READ | WRITE | EXECUTE });
  });

  test('a read leaves D: the TLB may not hold a write right until D is set', () => {
    walk(controls, memory, 0, 0, READ, null, result);
    expect(result.allowed).toBe(READ | EXECUTE);
    memory.write64(0x4000, 0x5063n);
    walk(controls, memory, 0, 0, READ, null, result);
    expect(result.allowed).toBe(READ | WRITE | EXECUTE);
  });

  test('of a large page, A and D are in the PDE', () => {
    memory.write64(0x3000, 0x20_0083n);
    walk(controls, memory, 0, 0, WRITE, null, result);
    expect(entries()).toEqual([A, A, A | D, 0n]);
  });

  test('an access that rights forbid sets neither flag of the page', () => {
    memory.write64(0x4000, 0x5001n);
    expect(walk(controls, memory, 0, 0, WRITE, null, result)).toBe(false);
    expect(walk(controls, memory, 0, 0, READ | USER, null, result)).toBe(false);
    expect(entries()[3]).toBe(0n);
  });

  test('flags that are set are not written again', () => {
    walk(controls, memory, 0, 0, WRITE, null, result);
    memory.write32 = () => expect.unreachable();
    expect(walk(controls, memory, 0, 0, WRITE, null, result)).toBe(true);
  });

  test('INSPECT sets nothing', () => {
    expect(walk(controls, memory, 0, 0, WRITE | INSPECT, null, result)).toBe(true);
    expect(entries()).toEqual([0n, 0n, 0n, 0n]);
    expect(result.dirty).toBe(false);
  });

  test('32-bit paging: A in the PDE, A and D in the PTE', () => {
    memory.write32(0x1000, 0x2003);
    memory.write32(0x2000, 0x5003);
    walk(new PagingControls({ kind: '32-bit', root: 0x1000 }), memory, 0, 0, WRITE, null, result);
    expect([memory.read32(0x1000), memory.read32(0x2000)]).toEqual([0x2023, 0x5063]);
  });

  test('PAE paging: the PDPTE registers have no A flag', () => {
    const pae = new PagingControls({ kind: 'pae', root: 0x1000, pdptes: [0x3001n, 0n, 0n, 0n] });
    walk(pae, memory, 0, 0, WRITE, null, result);
    expect(entries()).toEqual([0n, 0n, A, A | D]);
  });

  test('the update is one locked compare-and-exchange: if the entry has changed, the walk begins again', () => {
    let meddled = false;
    const locked = Object.assign(memory, {
      compareExchange32(pa: number, expected: number, value: number): boolean {
        if (pa === 0x4000 && !meddled) {
          meddled = true;
          memory.write64(0x4000, 0x8003n); // another processor maps another page
        }
        if ((memory.read32(pa) | 0) !== expected) return false;
        memory.write32(pa, value);
        return true;
      },
    });
    expect(walk(controls, locked, 0x123, 0, WRITE, null, result)).toBe(true);
    expect(result.pa).toBe(0x8123);
    expect(memory.read64(0x4000)).toBe(0x8063n);
  });
});

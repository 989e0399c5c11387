import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Access } from '../access.ts';
import { ByteMemory } from '../physical-memory.ts';
import { REASONS, Reason } from '../reason.ts';
import { PageFaultError } from './page-fault.ts';
import { PagingControls, type PagingFields } from './paging-controls.ts';
import { walk } from './walk.ts';
import { WalkResult } from './walk-result.ts';

const RW = 2n;
const US = 4n;
const XD = 1n << 63n;
const { READ, WRITE, EXECUTE, USER, AC, IMPLICIT } = Access;
const memory = new ByteMemory(new Uint8Array(0x6000));

/** Walks 0 through four levels, whose flags are `flags` (P, A, D are added). */
function attempt(flags: readonly bigint[], access: number, fields: Partial<PagingFields> = {}): WalkResult {
  for (const [i, flag] of flags.entries()) memory.write64(0x1000 * (i + 1), BigInt(0x1000 * (i + 2)) | 0x61n | flag);
  const result = new WalkResult();
  walk(new PagingControls({ kind: '4-level', root: 0x1000, nxe: true, ...fields }), memory, 0, 0, access, null, result);
  return result;
}
const all = (flag: bigint) => [flag, flag, flag, flag];
const USER_PAGE = all(RW | US);
const SUPERVISOR_PAGE = all(RW);

test.each([0, 1, 2, 3])('U/S = 0 at one level makes a supervisor-mode address (SDM Vol. 3A 4.6): level %s', (level) => {
  const flags = USER_PAGE.with(level, RW);
  expect(attempt(flags, READ | USER)).toMatchObject({ ok: false, reason: Reason.SUPERVISOR_ADDRESS, errorCode: 0b00101 });
  expect(attempt(flags, READ)).toMatchObject({ ok: true, user: false });
  expect(attempt(USER_PAGE, READ | USER)).toMatchObject({ ok: true, user: true });
});

test.each([0, 1, 2, 3])('R/W = 0 at one level makes a read-only address (4.6.1): level %s', (level) => {
  const flags = USER_PAGE.with(level, US);
  expect(attempt(flags, WRITE | USER)).toMatchObject({ ok: false, reason: Reason.READ_ONLY, errorCode: 0b00111 });
  expect(attempt(flags, READ | USER).ok).toBe(true);
});

test.each([0, 1, 2, 3])('XD = 1 at one level forbids fetches in either mode (4.6.1): level %s', (level) => {
  expect(attempt(USER_PAGE.with(level, RW | US | XD), EXECUTE | USER)).toMatchObject({
    reason: Reason.EXECUTE_DISABLE,
    errorCode: 0b10101,
  });
  expect(attempt(SUPERVISOR_PAGE.with(level, RW | XD), EXECUTE)).toMatchObject({ reason: Reason.EXECUTE_DISABLE, errorCode: 0b10001 });
  expect(attempt(USER_PAGE.with(level, RW | US | XD), READ | USER)).toMatchObject({ ok: true, executable: false });
});

test('CR0.WP: supervisor-mode writes to read-only addresses, user or supervisor (4.6.1)', () => {
  for (const flags of [all(0n), all(US)]) {
    expect(attempt(flags, WRITE)).toMatchObject({ ok: true, writable: false, allowed: READ | WRITE | EXECUTE });
    expect(attempt(flags, WRITE, { wp: true })).toMatchObject({ ok: false, reason: Reason.READ_ONLY, errorCode: 0b00011 });
  }
  expect(attempt(all(US), WRITE | USER, { wp: false }).ok).toBe(false);
});

test('CR4.SMEP: no supervisor-mode fetch from a user-mode address (4.6.1)', () => {
  expect(attempt(USER_PAGE, EXECUTE, { smep: true })).toMatchObject({ ok: false, reason: Reason.SMEP, errorCode: 0b10001 });
  expect(attempt(USER_PAGE, EXECUTE).ok).toBe(true);
  expect(attempt(USER_PAGE, EXECUTE | USER, { smep: true }).ok).toBe(true);
  expect(attempt(SUPERVISOR_PAGE, EXECUTE, { smep: true }).ok).toBe(true);
});

test('CR4.SMAP: supervisor-mode data accesses to user-mode addresses need EFLAGS.AC, and to be explicit (4.6.1)', () => {
  const smap = { smap: true };
  expect(attempt(USER_PAGE, READ, smap)).toMatchObject({ ok: false, reason: Reason.SMAP, errorCode: 0b00001 });
  expect(attempt(USER_PAGE, WRITE, smap)).toMatchObject({ ok: false, reason: Reason.SMAP, errorCode: 0b00011 });
  expect(attempt(USER_PAGE, WRITE | AC, smap).ok).toBe(true);
  expect(attempt(USER_PAGE, WRITE | AC | IMPLICIT, smap)).toMatchObject({ ok: false, reason: Reason.SMAP });
  expect(attempt(USER_PAGE, EXECUTE, smap).ok).toBe(true); // fetches are SMEP's business
  expect(attempt(USER_PAGE, READ | USER, smap).ok).toBe(true);
  expect(attempt(SUPERVISOR_PAGE, WRITE, smap).ok).toBe(true);
  // With AC, R/W and WP still hold.
  expect(attempt(all(US), WRITE | AC, { smap: true, wp: true })).toMatchObject({ ok: false, reason: Reason.READ_ONLY });
});

test('an implicit supervisor-mode access is one whatever the CPL (4.6)', () => {
  expect(attempt(SUPERVISOR_PAGE, READ | USER | IMPLICIT).ok).toBe(true);
  expect(attempt(SUPERVISOR_PAGE.with(3, 0n), WRITE | USER | IMPLICIT, { wp: true }).errorCode).toBe(0b00011);
});

test('I/D is reported with NXE or with SMEP only (4.7)', () => {
  const absent = [-1n & 0n];
  memory.write64(0x1000, absent[0]!);
  const code = (fields: Partial<PagingFields>) => {
    const result = new WalkResult();
    walk(new PagingControls({ kind: '4-level', root: 0x1000, ...fields }), memory, 0, 0, EXECUTE | USER, null, result);
    return result.errorCode;
  };
  expect(code({})).toBe(PageFaultError.U);
  expect(code({ nxe: true })).toBe(PageFaultError.U | PageFaultError.I);
  expect(code({ smep: true })).toBe(PageFaultError.U | PageFaultError.I);
  // 32-bit paging means CR4.PAE = 0: NXE alone does not count.
  expect(code({ kind: '32-bit', nxe: true })).toBe(PageFaultError.U);
  expect(code({ kind: '32-bit', smep: true })).toBe(PageFaultError.U | PageFaultError.I);
});

test('a fault on an entry that is not present has P = 0, a reserved bit P = 1 and RSVD = 1, before any access right (4.7)', () => {
  memory.write64(0x1000, 0x2001n);
  memory.write64(0x2000, 0x3000n);
  const result = new WalkResult();
  const controls = new PagingControls({ kind: '4-level', root: 0x1000 });
  walk(controls, memory, 0, 0, WRITE | USER, null, result);
  expect(result).toMatchObject({ reason: Reason.NOT_PRESENT, level: 3, errorCode: 0b00110 });
  memory.write64(0x2000, 0x3001n | XD);
  walk(controls, memory, 0, 0, WRITE | USER, null, result);
  expect(result).toMatchObject({ reason: Reason.RESERVED_BIT, level: 3, errorCode: 0b01111 });
});

/** SDM Vol. 3A 4.6.1 once more, clause by clause as the manual lists them, for one kind of access. */
function manualAllows(
  kind: number,
  access: number,
  user: boolean,
  rw: boolean,
  xd: boolean,
  wp: boolean,
  smep: boolean,
  smap: boolean,
): boolean {
  const supervisorMode = (access & USER) === 0 || (access & IMPLICIT) !== 0;
  if (!supervisorMode) {
    if (!user) return false;
    if (kind === READ) return true;
    return kind === WRITE ? rw : !xd;
  }
  if (kind === EXECUTE) return user ? !smep && !xd : !xd;
  const explicitWithAc = (access & IMPLICIT) === 0 && (access & AC) !== 0;
  if (user && smap && !explicitWithAc) return false;
  if (kind === READ) return true;
  return wp ? rw : true;
}

test('every combination of rights, controls and accesses follows 4.6.1, and `allowed` says it for all kinds at once', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()), { minLength: 4, maxLength: 4 }),
      fc.record({ wp: fc.boolean(), smep: fc.boolean(), smap: fc.boolean() }),
      fc.constantFrom(READ, WRITE, EXECUTE, READ | WRITE),
      fc.constantFrom(0, USER, AC, IMPLICIT, IMPLICIT | AC, IMPLICIT | USER),
      (levels, controls, kinds, who) => {
        const flags = levels.map(([rw, us, x]) => (rw ? RW : 0n) | (us ? US : 0n) | (x ? XD : 0n));
        const user = levels.every(([, us]) => us);
        const rw = levels.every(([w]) => w);
        const xd = levels.some(([, , x]) => x);
        const allows = (kind: number) => manualAllows(kind, who, user, rw, xd, controls.wp, controls.smep, controls.smap);
        const result = attempt(flags, kinds | who, controls);
        const expected = [READ, WRITE, EXECUTE].filter((kind) => (kinds & kind) !== 0).every(allows);
        expect(result.ok).toBe(expected);
        if (expected) expect(result.allowed).toBe([READ, WRITE, EXECUTE].reduce((sum, kind) => sum | (allows(kind) ? kind : 0), 0));
      },
    ),
    { numRuns: 2000 },
  );
});

test('every reason has words and a section', () => {
  for (const reason of Object.values(Reason)) expect(REASONS[reason]?.section).toMatch(/^(SDM|APM) Vol/);
  expect(REASONS.length).toBe(Object.keys(Reason).length);
});

import { expect, test } from 'vitest';
import { AccessKind, AccessLog } from './access-log.ts';

test('an instruction that runs again finds each access where it made it before, and is answered from the log', () => {
  const log = new AccessLog();
  log.rewind();
  const read = log.add(AccessKind.MMIO_READ, 0x1000, 4, new Uint8Array(4));
  expect(log.firstPending()).toBe(read);
  read.data.set([1, 2, 3, 4]);
  read.done = 4;
  log.rewind();
  expect(log.replay(AccessKind.MMIO_READ, 0x1000, 4)).toBe(read);
  expect(log.answerAt(0x1002, 2)).toBe(read);
  expect(log.replay(AccessKind.MMIO_WRITE, 0x1000, 4)).toBeUndefined();
  expect(log.firstPending()).toBeUndefined();
});

test('an instruction that has changed since gets no old answers', () => {
  const log = new AccessLog();
  log.add(AccessKind.MMIO_READ, 0x1000, 4, new Uint8Array(4)).done = 4;
  log.rewind();
  expect(log.replay(AccessKind.MMIO_READ, 0x2000, 4)).toBeUndefined();
  expect(log.isEmpty).toBe(true);
});

test('items of a repeated port read stay from one iteration to the next', () => {
  const log = new AccessLog();
  const entry = log.add(AccessKind.PORT_READ, 0x1f0, 2, new Uint8Array(6));
  entry.done = 6;
  log.portRead = entry;
  entry.taken = 2;
  log.clearIteration();
  expect(log.firstPending()).toBeUndefined();
  expect(log.aheadOf(0x1f0, 2)).toBe(entry);
  expect(log.aheadOf(0x1f1, 2)).toBeUndefined();
  // An iteration that is abandoned takes its item again.
  entry.taken = 4;
  log.rewind();
  expect(entry.taken).toBe(2);
});

import { InternalError } from '@minusone/core';
import { PIT_RATE, type Pit8254State, type PitCounterState } from '@minusone/devices';
import type { KvmPitChannelState } from './chip-states.ts';

/** RW1 and RW0 of the control word; `readState` and `writeState` say 4 where the high byte of two comes next. */
const LOW_THEN_HIGH = 3;
const HIGH_NEXT = 4;
/** A counter that has not been programmed since power-on. */
const NO_MODE = 0xff;
/** `countLoadTime` of a counter that has been given a mode and no count. */
const NO_COUNT = -1n;

/** @param ticks clock pulses since the machine was made, up to which the counter has counted */
export function kvmPitChannel(counter: PitCounterState | undefined, ticks: number): KvmPitChannelState {
  if (counter === undefined) throw new InternalError('An 8254 has three counters.');
  const { access, readHighNext, writeLow, countLatch, statusLatch, hasCount } = counter;
  const readState = access === LOW_THEN_HIGH && readHighNext ? HIGH_NEXT : access;
  return {
    count: hasCount ? (counter.bcd ? counter.initialCount % 10_000 : counter.initialCount & 0xffff) : 0,
    latchedCount: countLatch ?? 0,
    countLatched: countLatch === undefined ? 0 : readState,
    statusLatched: statusLatch === undefined ? 0 : 1,
    status: statusLatch ?? 0,
    readState,
    writeState: access === LOW_THEN_HIGH && writeLow !== undefined ? HIGH_NEXT : access,
    writeLatch: writeLow ?? 0,
    rwMode: access,
    mode: hasCount || counter.mode !== 0 ? counter.mode : NO_MODE,
    bcd: counter.bcd ? 1 : 0,
    gate: counter.gate ? 1 : 0,
    countLoadTime: hasCount ? BigInt(PIT_RATE.nsOf(loadTick(counter, ticks))) : NO_COUNT,
  };
}

/** The pulse with which the count that runs was loaded: once in modes 0, 1, 4, 5; at the beginning of each period in modes 2 and 3. */
function loadTick(counter: PitCounterState, ticks: number): number {
  const { mode, initialCount, element, out, halfLeft, counting } = counter;
  if (!counting) return ticks;
  let gone = initialCount - element;
  if (mode === 3) gone = out ? Math.ceil(initialCount / 2) - halfLeft : initialCount - halfLeft;
  else if (mode !== 2 && gone < 0) gone += counter.bcd ? 10_000 : 0x10000;
  return Math.max(0, ticks - Math.max(0, gone));
}

/** Counters that were loaded when `countLoadTime` says, the first one now. */
export function pitState(channels: readonly KvmPitChannelState[], nowNs: number): Pit8254State {
  const now = PIT_RATE.ticksAt(nowNs);
  return {
    counters: channels.map(counterState),
    ticks: channels.map(({ countLoadTime }, at) =>
      at === 0 || countLoadTime < 0n ? now : Math.min(now, PIT_RATE.ticksAt(Number(countLoadTime))),
    ),
  };
}

function counterState(channel: KvmPitChannelState): PitCounterState {
  const mode = channel.mode === NO_MODE ? 0 : channel.mode & 7;
  const isBcd = channel.bcd !== 0;
  const hasCount = channel.mode !== NO_MODE && channel.countLoadTime >= 0n;
  const initialCount = channel.count === 0 ? (isBcd ? 10_000 : 0x10000) : channel.count;
  // OUT right after the count was loaded ("Mode Definitions"): low in modes 0 and 1 until the count has ended.
  const out = hasCount ? mode >= 2 : mode !== 0;
  const isTwoBytes = channel.rwMode === LOW_THEN_HIGH;
  return {
    mode,
    access: channel.rwMode,
    bcd: isBcd,
    gate: channel.gate !== 0,
    out,
    nullCount: !hasCount,
    counting: hasCount,
    loadPending: false,
    strobeArmed: hasCount,
    hasCount,
    initialCount,
    loadedCount: initialCount,
    element: hasCount ? initialCount : 0,
    halfLeft: Math.max(1, Math.ceil(initialCount / 2)),
    countLatch: channel.countLatched !== 0 ? channel.latchedCount : undefined,
    statusLatch: channel.statusLatched !== 0 ? channel.status : undefined,
    writeLow: isTwoBytes && channel.writeState === HIGH_NEXT ? channel.writeLatch : undefined,
    readHighNext: isTwoBytes && channel.readState === HIGH_NEXT,
  };
}

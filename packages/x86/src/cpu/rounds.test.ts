import { expect, test } from 'vitest';
import { type RoundMember, Rounds } from './rounds.ts';

/** Executes exactly what it is given, until it halts. */
class Member implements RoundMember {
  instructions = 0;
  haltsAt = Number.POSITIVE_INFINITY;
  end = 0;
  get isRunnable(): boolean {
    return this.instructions < this.haltsAt;
  }
  stopAt(instructions: number): void {
    this.end = Math.min(this.end, instructions);
  }
  stop(): void {}
  run(count: number): undefined {
    this.end = this.instructions + count;
    this.instructions = Math.min(this.end, this.haltsAt);
  }
}

function rounds(count: number): { rounds: Rounds<Member, string>; members: Member[] } {
  const made = new Rounds<Member, string>({ clock: 'virtual' }, (member, instructions) => member.run(instructions));
  const members = Array.from({ length: count }, () => new Member());
  for (const member of members) made.add(member);
  return { rounds: made, members };
}

test('a member that runs alone executes exactly its budget, and the others sleep through it', () => {
  const { rounds: made, members } = rounds(3);
  const [, second] = members as [Member, Member, Member];
  expect(made.run(12_345, second)).toEqual({ reason: 'budget' });
  expect(members.map(({ instructions }) => instructions)).toEqual([0, 12_345, 0]);
  expect(made.clock.nowNs()).toBe(12_345);
  made.run(20_000);
  expect(members.map(({ instructions }) => instructions)).toEqual([20_000, 32_345, 20_000]);
});

test('a member that waits alone is idle with the next deadline; time jumps there when told to', () => {
  const { rounds: made, members } = rounds(1);
  const member = members[0] as Member;
  member.haltsAt = 100;
  made.clock
    .createTimer(() => {
      member.haltsAt = 150;
    })
    .arm(5000);
  expect(made.run(1_000_000, member)).toEqual({ reason: 'idle', deadlineNs: 5000 });
  expect([made.clock.nowNs(), member.instructions]).toEqual([100, 100]);
  made.skipToDeadline();
  expect(made.clock.nowNs()).toBe(5000);
  expect(made.run(1_000_000, member)).toEqual({ reason: 'idle', deadlineNs: undefined });
  expect([made.clock.nowNs(), member.instructions]).toEqual([5050, 150]);
});

test('a member that was taken out runs no more', () => {
  const { rounds: made, members } = rounds(2);
  made.remove(members[0] as Member);
  made.run(20_000);
  expect(members.map(({ instructions }) => instructions)).toEqual([0, 20_000]);
});

import { type VtxAttempt, vtxSource } from '../../prelude/vtx-attempt.ts';
import type { Departure, Rom } from '../../rom.ts';

function departuresOf({ label, options: { bochs, manual } }: VtxAttempt): readonly Departure[] {
  return bochs === undefined ? [] : [{ peer: 'bochs', label, why: bochs, ...(manual !== undefined && { manual }) }];
}

/** A ROM of VT-x: a host in 64-bit mode that enters one guest after the other. */
export const vtxRom = (name: string, rule: string, attempts: readonly VtxAttempt[], more: Partial<Rom> = {}): Rom => ({
  name,
  rule,
  mode: 'long',
  extension: 'vtx',
  source: vtxSource(attempts),
  departures: attempts.flatMap(departuresOf),
  without: { peer: 'qemu', why: 'TCG has no VMX.' },
  ...more,
});

import { vtxSource } from '../../prelude/vtx-attempt.ts';
import type { Rom } from '../../rom.ts';

/** A ROM of VT-x: a host in 64-bit mode that enters one guest after the other. */
export const vtxRom = (name: string, rule: string, attempts: readonly string[], more: Partial<Rom> = {}): Rom => ({
  name,
  rule,
  mode: 'long',
  extension: 'vtx',
  source: vtxSource(attempts),
  without: { peer: 'qemu', why: 'TCG has no VMX.' },
  ...more,
});

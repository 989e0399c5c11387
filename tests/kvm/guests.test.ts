import { describe, expect, test } from 'vitest';
import { guestPrograms, registersAtEnd } from './guests.ts';
import { runGuest } from './run-guest.ts';
import { vendors } from './vendors.ts';

describe.each(vendors)('guest programs on %s: exits and their data as the KVM API says', (_name, vendor) => {
  test.each(guestPrograms.map((guest) => [guest.name, guest] as const))('%s', (_what, guest) => {
    const lines = runGuest(vendor(), guest);
    const end = lines.pop() as string;
    expect(lines).toEqual(guest.exits);
    expect(registersAtEnd(end)).toMatchObject(guest.ends);
  });
});

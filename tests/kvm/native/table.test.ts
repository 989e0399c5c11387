import { describe, expect, test } from 'vitest';
import { guestPrograms, registersAtEnd } from '../guests.ts';
import { hostIsVirtual, nativeKvmUnavailable, runNatively } from './native-kvm.ts';

const unavailable = nativeKvmUnavailable();
if (unavailable !== undefined) console.log(`Not compared with the host's KVM: ${unavailable}.`);
const isVirtual = unavailable === undefined && hostIsVirtual();
if (isVirtual) console.log('The host is a virtual machine: what nested virtualization is known to get wrong is left out.');

describe.skipIf(unavailable !== undefined)("the table of guest programs is what the host's KVM does", () => {
  for (const guest of guestPrograms) {
    test.skipIf(isVirtual && guest.needsBareHost)(guest.name, () => {
      const lines = runNatively(guest);
      const end = lines.pop() as string;
      expect(lines).toEqual(guest.exits);
      expect(registersAtEnd(end)).toMatchObject(guest.ends);
    });
  }
});

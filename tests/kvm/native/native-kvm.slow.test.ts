import { describe, expect, test } from 'vitest';
import { guestPrograms } from '../guests.ts';
import { runGuest } from '../run-guest.ts';
import { vendors } from '../vendors.ts';
import { hostIsVirtual, nativeKvmUnavailable, runNatively } from './native-kvm.ts';

const unavailable = nativeKvmUnavailable();
if (unavailable !== undefined) console.log(`Not compared with the host's KVM: ${unavailable}.`);
const isVirtual = unavailable === undefined && hostIsVirtual();
if (isVirtual) console.log('The host is a virtual machine: what nested virtualization is known to get wrong is left out.');

describe.skipIf(unavailable !== undefined)("line by line as under the host's KVM: exits, their data, and the registers in the end", () => {
  for (const guest of guestPrograms) {
    test.skipIf(isVirtual && guest.needsBareHost)(guest.name, () => {
      const native = runNatively(guest);
      expect(native.slice(0, -1)).toEqual(guest.exits);
      for (const [name, vendor] of vendors) expect(runGuest(vendor(), guest), name).toEqual(native);
    });
  }
});

import type { KvmVendor } from '@minusone/kvm';
import { amd } from '@minusone/kvm-amd';
import { intel } from '@minusone/kvm-intel';

/** The hardware that KVM runs on here: every rule of its holds on either. */
export const vendors: readonly (readonly [name: string, vendor: () => KvmVendor])[] = [
  ['AMD-V', () => amd()],
  ['VT-x', () => intel()],
];

import type { KvmVendor } from '@minusone/kvm';
import { amd } from '@minusone/kvm-amd';
import { intel } from '@minusone/kvm-intel';

/** Both vendor modules, as a user would take them. */
export const VENDORS: readonly { readonly extension: string; readonly vendor: () => KvmVendor }[] = [
  { extension: 'VT-x', vendor: () => intel() },
  { extension: 'AMD-V', vendor: () => amd() },
];

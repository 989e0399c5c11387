/** The public face of `@minusone/kvm-amd`: KVM's vendor module for AMD-V. */

export { type AmdOptions, amd } from './amd.ts';

/** The public face of `@minusone/kvm-intel`: KVM's vendor module for VT-x. */

export { UnsupportedProcessorError } from './errors.ts';
export { type IntelOptions, intel } from './intel.ts';

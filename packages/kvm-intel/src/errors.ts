import { InvalidArgumentError } from '@minusone/core';

/** The processor's VT-x lacks what this module cannot do without. */
export class UnsupportedProcessorError extends InvalidArgumentError {
  /** @param missing controls, by the manual's names */
  constructor(missing: readonly string[]) {
    super(
      `kvm_intel cannot run on this processor: it does not offer ${missing.map((name) => `"${name}"`).join(', ')}.`,
      'Take capabilities with EPT and "unrestricted guest", such as `vmx:max`.',
      { missing: missing.join(', ') },
    );
    this.name = 'UnsupportedProcessorError';
  }
}

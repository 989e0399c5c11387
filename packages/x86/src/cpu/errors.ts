import { MinusOneError } from '@minusone/core';

/** A processor was to run whose memory has been given back. */
export class CpuDisposedError extends MinusOneError {
  constructor() {
    super('CPU_DISPOSED', 'This processor has been disposed of.', { hint: 'Its virtual machine was destroyed: make a new one.' });
  }
}

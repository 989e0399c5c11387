import { MinusOneError } from '@minusone/core';
import type { VcpuExit } from '@minusone/kvm';

/** `waitFor` will never see its text: the machine ended first, or the time was up. Code `TEXT_NOT_SEEN`. */
export class TextNotSeenError extends MinusOneError {
  constructor(text: string, why: string, tail: string) {
    super(
      'TEXT_NOT_SEEN',
      `The guest's serial output did not show ${JSON.stringify(text)}: ${why}. It ends with ${JSON.stringify(tail)}.`,
      {
        hint: 'Look at the output, give the guest more time, or wait for another text.',
        details: { text, why, tail },
      },
    );
  }
}

/** A size such as `512M` does not make sense. Code `INVALID_SIZE`. */
export class InvalidSizeError extends MinusOneError {
  constructor(text: string, hint: string) {
    super('INVALID_SIZE', `'${text}' is not a memory size.`, { hint, details: { text } });
  }
}

/** KVM cannot go on with a guest: VM entry fails, or an exit that nothing can be done about. Code `GUEST_STOPPED`. */
export class GuestStoppedError extends MinusOneError {
  constructor(vcpu: number, exit: VcpuExit) {
    const explanation = 'explanation' in exit ? `\n${exit.explanation}` : '';
    super('GUEST_STOPPED', `Virtual CPU ${vcpu} cannot go on: ${exit.reason}.${explanation}`, {
      hint: 'The explanation names what the hardware refused; a guest in a sound state never sees this.',
      details: { vcpu, reason: exit.reason },
    });
  }
}

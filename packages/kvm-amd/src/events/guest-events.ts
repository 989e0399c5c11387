import { VMCB_FIELD } from '@minusone/amdv';
import type { VendorEvent, VendorEvents } from '@minusone/kvm';
import { Eflags } from '@minusone/x86';
import { Clean, type ControlBlock } from '../vmcb/control-block.ts';
import type { Intercepts } from '../vmcb/intercepts.ts';
import { eventInjection, interruptedEvent, isSoftwareEvent } from './event-injection.ts';
import type { NmiMask } from './nmi-mask.ts';

/** Events on their way in and out: injection and re-injection, the interrupt shadow, the interrupt window. */
export class GuestEvents implements VendorEvents {
  readonly #block: ControlBlock;
  readonly #intercepts: Intercepts;
  readonly #nmi: NmiMask;
  #interruptWindow = false;
  /** What was injected by the last entry, or will be by the next. */
  #injected: VendorEvent | undefined;
  #taken = true;
  /** A VMCB knows a shadow, not its kind: that of one set from outside is remembered until the guest runs. */
  #shadowKind: 1 | 2 = 1;

  constructor(block: ControlBlock, intercepts: Intercepts, nmi: NmiMask) {
    this.#block = block;
    this.#intercepts = intercepts;
    this.#nmi = nmi;
  }

  /** After every exit: EVENTINJ has been used up, EXITINTINFO is news. */
  exited(): void {
    this.#taken = false;
    this.#shadowKind = 1;
    this.#block.set(VMCB_FIELD.EVENTINJ, Clean.NONE, 0);
  }
  /** The entry failed: what was to be injected is still to come. */
  entryFailed(): void {
    this.#taken = true;
  }

  inject(event: VendorEvent): void {
    const block = this.#block;
    this.#injected = event;
    if (isSoftwareEvent(event)) {
      const low = (block.low(VMCB_FIELD.RIP) >>> 0) + event.instructionLength;
      const high = (block.high(VMCB_FIELD.RIP) + (low > 0xffff_ffff ? 1 : 0)) | 0;
      if (event.type === 'privileged-software-exception') {
        // INT1 looks like any #DB to EVENTINJ: its frame gets RIP, which is to be the next one already.
        block.set(VMCB_FIELD.RIP, Clean.NONE, low | 0, high);
        this.#injected = { ...event, instructionLength: 0 };
      } else {
        // The frame gets nRIP (APM Vol. 2 15.20), and RIP stays at the instruction.
        block.set(VMCB_FIELD.NRIP, Clean.NONE, low | 0, high);
      }
    }
    block.set(VMCB_FIELD.EVENTINJ, Clean.NONE, eventInjection(event), event.errorCode ?? 0);
    if (event.type === 'nmi') this.#nmi.set(true);
  }

  takeInterruptedEvent(): VendorEvent | undefined {
    if (this.#taken) return undefined;
    this.#taken = true;
    const block = this.#block;
    const event = interruptedEvent(block.low(VMCB_FIELD.EXITINTINFO), block.high(VMCB_FIELD.EXITINTINFO), this.#injected);
    this.#injected = undefined;
    // An NMI that did not reach its handler blocks none yet; its next injection will.
    if (event?.type === 'nmi') this.#nmi.set(false);
    return event;
  }

  shadow(): 0 | 1 | 2 {
    return (this.#block.low(VMCB_FIELD.INTERRUPT_SHADOW) & 1) === 0 ? 0 : this.#shadowKind;
  }
  setShadow(shadow: 0 | 1 | 2): void {
    this.#block.set(VMCB_FIELD.INTERRUPT_SHADOW, Clean.NONE, shadow === 0 ? 0 : 1);
    if (shadow !== 0) this.#shadowKind = shadow;
  }

  interruptAllowed(): boolean {
    return (this.#block.low(VMCB_FIELD.RFLAGS) & Eflags.IF) !== 0 && this.shadow() === 0;
  }
  nmiAllowed(): boolean {
    return !this.#nmi.masked && this.shadow() === 0;
  }

  /** A virtual interrupt of the highest priority, which exits when it would be taken (APM Vol. 2 15.21.4 "Virtual Interrupts", VINTR intercept). */
  setInterruptWindow(wanted: boolean): void {
    if (wanted === this.#interruptWindow) return;
    this.#interruptWindow = wanted;
    this.#block.set(VMCB_FIELD.V_IRQ, Clean.TPR, wanted ? 1 : 0);
    this.#intercepts.virtualInterrupt(wanted);
  }

  reset(): void {
    this.#injected = undefined;
    this.#taken = true;
    this.#block.set(VMCB_FIELD.EVENTINJ, Clean.NONE, 0);
    this.setShadow(0);
    this.setInterruptWindow(false);
    this.#nmi.reset();
  }
}

import { Segment } from '@minusone/x86';
import type { VcpuExit } from '../exits/vcpu-exit.ts';
import type { VcpuCore } from './core.ts';

/** `struct kvm_guest_debug` (api.rst, 4.87 KVM_SET_GUEST_DEBUG). */
export interface GuestDebugControl {
  /** KVM_GUESTDBG_ENABLE; false ends debugging. */
  readonly enable: boolean;
  readonly singleStep?: boolean;
  /** KVM_GUESTDBG_USE_SW_BP: INT3 exits. */
  readonly useSwBp?: boolean;
  /** KVM_GUESTDBG_USE_HW_BP: `debugreg` stands in for the guest's DR0-3 and DR7. */
  readonly useHwBp?: boolean;
  readonly injectDb?: boolean;
  readonly injectBp?: boolean;
  /** DR0 to DR3, two that are not used, DR6, DR7. */
  readonly debugreg?: readonly bigint[];
}

const DR6_FIXED = 0xffff0ff0n;

/** What a debugger outside asked of a virtual CPU. */
export class GuestDebug {
  #control: GuestDebugControl = { enable: false };

  get singleSteps(): boolean {
    return this.#control.enable && this.#control.singleStep === true;
  }
  /** #DB is the debugger's. */
  get takesDebug(): boolean {
    return this.#control.enable && (this.#control.singleStep === true || this.#control.useHwBp === true);
  }
  get takesBreakpoint(): boolean {
    return this.#control.enable && this.#control.useSwBp === true;
  }

  set(core: VcpuCore, control: GuestDebugControl): void {
    this.#control = control;
    const [a = 0n, b = 0n, c = 0n, d = 0n, , , , dr7 = 0n] = control.debugreg ?? [];
    core.vendor.debug.control({
      interceptDebug: this.takesDebug,
      interceptBreakpoint: this.takesBreakpoint,
      singleStep: this.singleSteps,
      breakpoints:
        control.enable && control.useHwBp === true ? { addresses: [a, b, c, d], dr7: Number(BigInt.asIntN(32, dr7)) } : undefined,
    });
    core.stateChanged();
  }

  /** KVM_EXIT_DEBUG. `pc` is linear. */
  exit(core: VcpuCore, exception: number, debugBits: number): VcpuExit {
    const { vendor } = core;
    const rip = (BigInt(vendor.state.ripHigh() >>> 0) << 32n) | BigInt(vendor.state.ripLow() >>> 0);
    const base = vendor.state.segment(Segment.CS, core.segment).base;
    const is64Bit = (core.segment.attributes & 0x2000) !== 0 && (vendor.controlRegisters.efer() & 0x400) !== 0;
    const dr7 = this.#control.debugreg?.[7] ?? BigInt(vendor.debug.dr7() >>> 0);
    return {
      reason: 'debug',
      exception,
      pc: is64Bit ? rip : BigInt.asUintN(32, base + rip),
      dr6: exception === 1 ? BigInt(debugBits >>> 0) | DR6_FIXED : 0n,
      dr7,
    };
  }
}

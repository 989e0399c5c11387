import { InvalidArgumentError } from '@minusone/core';
import { ApicRegister, type LocalApic, lvtWritable } from '@minusone/x86';

/** `struct kvm_lapic_state`: KVM_APIC_REG_SIZE. */
export const LAPIC_PAGE_BYTES = 0x400;

/** Bits of an LVT entry that are kept: what software writes, and remote IRR. */
const REMOTE_IRR = 0x4000;

/**
 * KVM_GET_LAPIC (api.rst): the registers of a local APIC as the first KiB of its page, 32 bits every 16 bytes; ICR's two halves apart also in x2APIC mode.
 * @param x2apicIds KVM_X2APIC_API_USE_32BIT_IDS: in x2APIC mode the ID register is the whole id; otherwise its low eight bits stand in bits 31:24, as in xAPIC mode
 */
export function getLapic(lapic: LocalApic, x2apicIds = false): Uint8Array {
  const page = new Uint8Array(LAPIC_PAGE_BYTES);
  const view = new DataView(page.buffer);
  for (let offset = 0; offset < LAPIC_PAGE_BYTES; offset += 16) view.setUint32(offset, lapic.readRegister(offset) ?? 0, true);
  if (lapic.isX2apic) view.setUint32(ApicRegister.ID, x2apicIds ? lapic.id : lapic.id << 24, true);
  return page;
}

/**
 * KVM_SET_LAPIC (api.rst). Set IA32_APIC_BASE first: it says how the page is to be read. IA32_TSC_DEADLINE is not in it. The timer goes on from its current count.
 * @throws {InvalidArgumentError} a page of another size; with 32-bit ids, another id than the virtual CPU's
 */
export function setLapic(lapic: LocalApic, page: Uint8Array, x2apicIds = false): void {
  if (page.length !== LAPIC_PAGE_BYTES) {
    throw new InvalidArgumentError(`A local APIC's state of ${page.length} bytes.`, `It has ${LAPIC_PAGE_BYTES}.`, { bytes: page.length });
  }
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  const at = (offset: number): number => view.getUint32(offset, true);
  if (lapic.isX2apic && x2apicIds && at(ApicRegister.ID) !== lapic.initialId) {
    throw new InvalidArgumentError('An x2APIC id cannot be changed.', `That of this virtual CPU is ${lapic.initialId}.`, {
      id: at(ApicRegister.ID),
    });
  }
  const old = lapic.save();
  const set = (first: number): Uint32Array => Uint32Array.from({ length: 8 }, (_, word) => at(first + 16 * word));
  const lvt = new Map<number, number>();
  for (const [offset, writable] of lvtWritable) lvt.set(offset, at(offset) & (writable | REMOTE_IRR));
  lapic.restore({
    base: old.base,
    id: lapic.isX2apic ? lapic.initialId : at(ApicRegister.ID) >>> 24,
    tpr: at(ApicRegister.TPR) & 0xff,
    // In x2APIC mode LDR follows the id (SDM Vol. 3A, 10.12.10.2).
    ldr: lapic.isX2apic ? old.ldr : at(ApicRegister.LDR) & 0xff000000,
    dfr: at(ApicRegister.DFR) | 0x0fffffff,
    svr: at(ApicRegister.SVR) & 0x11ff,
    esr: at(ApicRegister.ESR),
    pendingErrors: 0,
    icrLow: at(ApicRegister.ICR_LOW),
    icrHigh: at(ApicRegister.ICR_HIGH),
    isr: set(ApicRegister.ISR),
    tmr: set(ApicRegister.TMR),
    irr: set(ApicRegister.IRR),
    lvt,
    lint0: old.lint0,
    timer: {
      mode: (at(ApicRegister.LVT_TIMER) >>> 17) & 3,
      divide: at(ApicRegister.TIMER_DIVIDE) & 0xb,
      initial: at(ApicRegister.TIMER_INITIAL),
      startNs: 0,
      endNs: undefined,
      deadline: old.timer.deadline,
    },
  });
  lapic.resumeTimer(at(ApicRegister.TIMER_CURRENT));
}

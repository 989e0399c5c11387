import { InterruptionType } from '../../controls/interruption.ts';
import type { VmcsFieldName } from '../../vmcs/fields.ts';
import { fieldValue, turn } from '../families.ts';
import { type EntryCheck, guestStateChecks } from '../row.ts';
import type { EntryView } from '../view.ts';

const SECTION = '27.3.1.4';
const MANUAL = { capabilities: 'vmx:manual' } as const;
const mode: readonly VmcsFieldName[] = ['VM_ENTRY_CONTROLS', 'GUEST_CS_AR_BYTES'];

/** Bits of RFLAGS that must be 0: 63:22, 15, 5 and 3. */
const RFLAGS_RESERVED = 0xffc0_8028;

const is64Bit = (view: EntryView): boolean => view.ia32eModeGuest && view.segments.CS.ar.l;

/** Whether bits 63:N are alike, N the linear-address width. Unlike a canonical address, bit N-1 may differ from them. */
function isWithinLinearWidth(view: EntryView, field: VmcsFieldName): boolean {
  const upper = (view.high(field) | 0) >> (view.capabilities.processor.linearAddressWidth - 32);
  return upper === 0 || upper === -1;
}

const signExtended = (view: EntryView, field: VmcsFieldName): bigint =>
  BigInt.asUintN(64, BigInt.asIntN(view.capabilities.processor.linearAddressWidth, view.value(field)));

/** SDM Vol. 3C, "Checks on Guest RIP, RFLAGS, and SSP". */
export const guestRipRflagsChecks: readonly EntryCheck[] = guestStateChecks([
  {
    id: 'guest.rip.high-half',
    section: SECTION,
    fields: ['GUEST_RIP', ...mode],
    holds: (view) => is64Bit(view) || view.high('GUEST_RIP') === 0,
    says: (view) => `${fieldValue(view, 'GUEST_RIP')}: bits 63:32 must be 0, for the guest will not be in 64-bit mode`,
    suggest: (view) => ({ GUEST_RIP: BigInt(view.low('GUEST_RIP')) }),
    breakIt: { state: 'protected', change: () => ({ GUEST_RIP: 0x1_0000_1000n }) },
  },
  {
    id: 'guest.rip.linear-address-width',
    section: SECTION,
    fields: ['GUEST_RIP', ...mode],
    holds: (view) => !is64Bit(view) || isWithinLinearWidth(view, 'GUEST_RIP'),
    says: (view) => `${fieldValue(view, 'GUEST_RIP')}: bits 63:${view.capabilities.processor.linearAddressWidth} must be identical`,
    suggest: (view) => ({ GUEST_RIP: signExtended(view, 'GUEST_RIP') }),
    breakIt: () => ({ GUEST_RIP: 0x4000_0000_0000_1000n }),
  },
  {
    id: 'guest.rflags.reserved',
    section: SECTION,
    fields: ['GUEST_RFLAGS'],
    holds: (view) => (view.low('GUEST_RFLAGS') & RFLAGS_RESERVED) === 0 && view.high('GUEST_RFLAGS') === 0,
    says: (view) => `${fieldValue(view, 'GUEST_RFLAGS')}: bits 63:22, 15, 5 and 3 must be 0`,
    suggest: (view) => ({ GUEST_RFLAGS: view.value('GUEST_RFLAGS') & 0x3f_7fd7n }),
    breakIt: (view) => ({ GUEST_RFLAGS: view.value('GUEST_RFLAGS') | 8n }),
  },
  {
    id: 'guest.rflags.bit-1',
    section: SECTION,
    fields: ['GUEST_RFLAGS'],
    holds: (view) => (view.low('GUEST_RFLAGS') & 2) !== 0,
    says: (view) => `${fieldValue(view, 'GUEST_RFLAGS')}: bit 1 must be 1`,
    suggest: (view) => ({ GUEST_RFLAGS: view.value('GUEST_RFLAGS') | 2n }),
    breakIt: (view) => ({ GUEST_RFLAGS: view.value('GUEST_RFLAGS') & ~2n }),
  },
  {
    id: 'guest.rflags.vm-not-in-ia32e',
    section: SECTION,
    fields: ['GUEST_RFLAGS', 'VM_ENTRY_CONTROLS'],
    holds: (view) => !view.rflags.vm || !view.ia32eModeGuest,
    says: 'RFLAGS.VM is 1, but the VM-entry control "IA-32e mode guest" is 1',
    suggest: (view) => ({ GUEST_RFLAGS: view.rflags.with({ vm: false }) }),
    breakIt: (view) => ({ GUEST_RFLAGS: view.rflags.with({ vm: true }) }),
  },
  {
    id: 'guest.rflags.vm-needs-pe',
    section: SECTION,
    fields: ['GUEST_RFLAGS', 'GUEST_CR0'],
    holds: (view) => !view.rflags.vm || view.cr0.pe,
    says: 'RFLAGS.VM is 1, but CR0.PE is 0',
    suggest: (view) => ({ GUEST_RFLAGS: view.rflags.with({ vm: false }) }),
    breakIt: { state: 'real', change: (view) => ({ GUEST_RFLAGS: view.rflags.with({ vm: true }) }) },
  },
  {
    id: 'guest.rflags.if-for-external-interrupt',
    section: SECTION,
    fields: ['GUEST_RFLAGS', 'VM_ENTRY_INTR_INFO_FIELD'],
    holds: (view) => view.rflags.if || !view.injection.valid || view.injection.type !== InterruptionType.EXTERNAL_INTERRUPT,
    says: 'an external interrupt is to be injected, but RFLAGS.IF is 0',
    suggest: (view) => ({ GUEST_RFLAGS: view.rflags.with({ if: true }) }),
    breakIt: () => ({ VM_ENTRY_INTR_INFO_FIELD: 0x8000_0020n }),
  },
  {
    id: 'guest.ssp.aligned',
    section: SECTION,
    fields: ['GUEST_SSP', 'VM_ENTRY_CONTROLS'],
    holds: (view) => !view.entry.loadCetState || (view.low('GUEST_SSP') & 3) === 0,
    says: (view) => `the VM-entry control "load CET state" is 1, but ${fieldValue(view, 'GUEST_SSP')}: bits 1:0 must be 0`,
    suggest: (view) => ({ GUEST_SSP: view.value('GUEST_SSP') & ~3n }),
    breakIt: { ...MANUAL, change: (view) => ({ ...turn(view, { entry: { loadCetState: true } }), GUEST_SSP: 1n }) },
  },
  {
    id: 'guest.ssp.linear-address-width',
    section: SECTION,
    fields: ['GUEST_SSP', 'VM_ENTRY_CONTROLS'],
    holds: (view) => !view.entry.loadCetState || isWithinLinearWidth(view, 'GUEST_SSP'),
    says: (view) => `${fieldValue(view, 'GUEST_SSP')}: bits 63:${view.capabilities.processor.linearAddressWidth} must be identical`,
    suggest: (view) => ({ GUEST_SSP: signExtended(view, 'GUEST_SSP') }),
    breakIt: { ...MANUAL, change: (view) => ({ ...turn(view, { entry: { loadCetState: true } }), GUEST_SSP: 1n << 62n }) },
  },
]);

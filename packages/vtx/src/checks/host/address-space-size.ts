import { canonicalRow, fieldValue, turn } from '../families.ts';
import { type EntryCheck, hostStateChecks, type VmcsChanges } from '../row.ts';
import type { EntryView } from '../view.ts';

const SECTION = '27.2.4';

/** A sound 32-bit host. */
const host32 = (view: EntryView): VmcsChanges => ({
  ...turn(view, { exit: { hostAddressSpaceSize: false } }),
  HOST_IA32_EFER: 0n,
  HOST_RIP: 0x1000n,
});

/** SDM Vol. 3C, "Checks Related to Address-Space Size". */
export const addressSpaceSizeChecks: readonly EntryCheck[] = hostStateChecks([
  {
    id: 'host.address-space-size-is-ia32e-mode',
    section: SECTION,
    fields: ['VM_EXIT_CONTROLS'],
    usesEnvironment: 'processor',
    holds: (view) => view.exit.hostAddressSpaceSize === view.environment.inIa32eMode,
    says: (view) =>
      view.environment.inIa32eMode
        ? 'the logical processor is in IA-32e mode, but the VM-exit control "host address-space size" is 0'
        : 'the logical processor is outside IA-32e mode, but the VM-exit control "host address-space size" is 1',
    suggest: (view) =>
      view.environment.inIa32eMode
        ? { ...turn(view, { exit: { hostAddressSpaceSize: true } }), HOST_IA32_EFER: view.hostEfer.with({ lma: true, lme: true }) }
        : {
            ...turn(view, { exit: { hostAddressSpaceSize: false } }),
            HOST_IA32_EFER: view.hostEfer.with({ lma: false, lme: false }),
            HOST_RIP: BigInt(view.low('HOST_RIP')),
          },
    breakIt: { state: 'protected', change: host32 },
  },
  {
    id: 'host.ia32e-guest-needs-address-space-size',
    section: SECTION,
    fields: ['VM_EXIT_CONTROLS', 'VM_ENTRY_CONTROLS'],
    holds: (view) => view.exit.hostAddressSpaceSize || !view.entry.ia32eModeGuest,
    says: 'the VM-entry control "IA-32e mode guest" is 1, but the VM-exit control "host address-space size" is 0',
    suggest: (view) => ({
      ...turn(view, { entry: { ia32eModeGuest: false } }),
      GUEST_IA32_EFER: view.efer.with({ lma: false, lme: false }),
      GUEST_CR4: view.cr4.with({ pae: false, pcide: false }),
      GUEST_RIP: BigInt(view.low('GUEST_RIP')),
    }),
    breakIt: { environment: { inIa32eMode: false }, change: host32 },
  },
  {
    id: 'host.cr4.pcide-needs-address-space-size',
    section: SECTION,
    fields: ['VM_EXIT_CONTROLS', 'HOST_CR4'],
    holds: (view) => view.exit.hostAddressSpaceSize || !view.hostCr4.pcide,
    says: 'CR4.PCIDE is 1, but the VM-exit control "host address-space size" is 0',
    suggest: (view) => ({ HOST_CR4: view.hostCr4.with({ pcide: false }) }),
    breakIt: {
      state: 'protected',
      environment: { inIa32eMode: false },
      change: (view) => ({ ...host32(view), HOST_CR4: view.hostCr4.with({ pcide: true }) }),
    },
  },
  {
    id: 'host.rip.high-half',
    section: SECTION,
    fields: ['VM_EXIT_CONTROLS', 'HOST_RIP'],
    holds: (view) => view.exit.hostAddressSpaceSize || view.high('HOST_RIP') === 0,
    says: (view) => `the VM-exit control "host address-space size" is 0, but ${fieldValue(view, 'HOST_RIP')}: bits 63:32 must be 0`,
    suggest: (view) => ({ HOST_RIP: BigInt(view.low('HOST_RIP')) }),
    breakIt: {
      state: 'protected',
      environment: { inIa32eMode: false },
      change: (view) => ({ ...host32(view), HOST_RIP: 0x1_0000_1000n }),
    },
  },
  {
    id: 'host.cr4.pae-with-address-space-size',
    section: SECTION,
    fields: ['VM_EXIT_CONTROLS', 'HOST_CR4'],
    holds: (view) => !view.exit.hostAddressSpaceSize || view.hostCr4.pae,
    says: 'the VM-exit control "host address-space size" is 1, but CR4.PAE is 0',
    suggest: (view) => ({ HOST_CR4: view.hostCr4.with({ pae: true }) }),
    breakIt: (view) => ({ HOST_CR4: view.hostCr4.with({ pae: false }) }),
  },
  canonicalRow({
    id: 'host.rip',
    section: SECTION,
    field: 'HOST_RIP',
    when: (view) => view.exit.hostAddressSpaceSize,
    whenFields: ['VM_EXIT_CONTROLS'],
    whenSays: 'the VM-exit control "host address-space size" is 1',
  }),
]);

import { MSR_ENTRY_BYTES } from '../controls/msr-areas.ts';
import type { EntryEnvironment } from '../environment.ts';
import type { EntryCheck } from '../row.ts';
import type { EntryView } from '../view.ts';

const SECTION = '27.4';

/** A rule of an entry of the VM-entry MSR-load area, for whoever loads the MSRs: the value's own rules are WRMSR's. */
export interface MsrLoadRule {
  readonly id: string;
  readonly section: string;
  /** Whether the entry must be refused. `index` is bits 31:0 of the entry, `reserved` its bits 63:32. */
  readonly refuses: (index: number, reserved: number, environment: EntryEnvironment) => boolean;
  readonly says: string;
  /** An entry that only this rule refuses. */
  readonly example: readonly [index: number, reserved: number];
}

/** SDM Vol. 3C, 27.4, "Loading MSRs": exit reason 34, "VM-entry failure due to MSR loading", the qualification is the entry's number, from 1. */
export const MSR_LOAD_RULES: readonly MsrLoadRule[] = [
  {
    id: 'msr-load.fs-gs-base',
    section: SECTION,
    refuses: (index) => index === 0xc000_0100 || index === 0xc000_0101,
    says: 'IA32_FS_BASE and IA32_GS_BASE cannot be loaded from the area: the guest-state area has them',
    example: [0xc000_0100, 0],
  },
  {
    id: 'msr-load.x2apic',
    section: SECTION,
    refuses: (index) => index >>> 8 === 8,
    says: 'MSRs 800H to 8FFH, the registers of the local APIC in x2APIC mode, cannot be loaded from the area',
    example: [0x808, 0],
  },
  {
    id: 'msr-load.only-in-smm',
    section: SECTION,
    refuses: (index, _, environment) => index === 0x9b && !environment.inSmm,
    says: 'IA32_SMM_MONITOR_CTL can be written only in SMM',
    example: [0x9b, 0],
  },
  {
    id: 'msr-load.model-specific',
    section: SECTION,
    refuses: (index) => index === 0x79 || index === 0x8b,
    says: 'IA32_BIOS_UPDT_TRIG and IA32_BIOS_SIGN_ID cannot be loaded on VM entries',
    example: [0x8b, 0],
  },
  {
    id: 'msr-load.reserved',
    section: SECTION,
    refuses: (_, reserved) => reserved !== 0,
    says: 'bits 63:32 of the entry must be 0',
    example: [0x277, 1],
  },
];

/** Beyond the recommended maximum, 512 * (IA32_VMX_MISC[27:25] + 1), the manual leaves the behaviour open (SDM Vol. 3D, A.6): no more entries than its greatest are looked at. */
const MOST_ENTRIES = 4096;

/** The number, from 1, of the first entry that a rule refuses; 0 where there is none, or where nothing is known of the memory. */
function firstRefused(view: EntryView, rule: MsrLoadRule): number {
  const { read32 } = view.environment;
  const count = view.low('VM_ENTRY_MSR_LOAD_COUNT');
  if (read32 === undefined || count === 0 || !view.isPhysical('VM_ENTRY_MSR_LOAD_ADDR')) return 0;
  const area = view.address('VM_ENTRY_MSR_LOAD_ADDR');
  for (let n = 0; n < Math.min(count, MOST_ENTRIES); n++) {
    const [index, reserved] = [read32(area + n * MSR_ENTRY_BYTES), read32(area + n * MSR_ENTRY_BYTES + 4)];
    if (index === undefined || reserved === undefined) return 0;
    if (rule.refuses(index, reserved, view.environment)) return n + 1;
  }
  return 0;
}

/** SDM Vol. 3C, "Loading MSRs", as far as the entries themselves tell. */
export const msrLoadingChecks: readonly EntryCheck[] = MSR_LOAD_RULES.map(
  (rule): EntryCheck => ({
    id: rule.id,
    section: rule.section,
    fields: ['VM_ENTRY_MSR_LOAD_COUNT', 'VM_ENTRY_MSR_LOAD_ADDR'],
    usesEnvironment: 'memory',
    holds: (view) => firstRefused(view, rule) === 0,
    says: (view) => `entry ${firstRefused(view, rule)} of the VM-entry MSR-load area: ${rule.says}`,
    suggest: (view) => ({ VM_ENTRY_MSR_LOAD_COUNT: BigInt(firstRefused(view, rule) - 1) }),
    failure: (view) => ({ kind: 'VM exit', reason: 34, qualification: firstRefused(view, rule) }),
    breakIt: {
      // A sound entry (IA32_PAT), then the bad one.
      environment: { read32: (hpa) => ([0x277, 0, 6, 0, ...rule.example, 0, 0] as const)[(hpa - 0x5000) / 4] ?? 0 },
      change: () => ({ VM_ENTRY_MSR_LOAD_COUNT: 2n, VM_ENTRY_MSR_LOAD_ADDR: 0x5000n }),
    },
  }),
);

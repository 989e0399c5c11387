import { SvmEventType } from '../events/event-information.ts';
import { Intercept } from '../intercepts/intercepts.ts';
import type { VmrunCheck } from './row.ts';
import type { VmrunView } from './view.ts';

/** What the maps take: three and two pages (APM Vol. 2, 15.10.1 "I/O Permissions Map", 15.11 "MSR Intercepts"). */
const IOPM_BYTES = 0x3000;
const MSRPM_BYTES = 0x2000;
const VMRUN = Intercept.VMRUN;
const NMI_VECTOR = 2;

function mapRow(id: string, field: 'IOPM_BASE_PA' | 'MSRPM_BASE_PA', bytes: number, what: string): VmrunCheck {
  return {
    id,
    section: '15.5.1',
    fields: [field],
    holds: (view) => view.fitsPhysical(field, bytes),
    says: (view) => `${view.text(field)}: the ${what} permissions map of ${bytes} bytes ends beyond the physical-address limit`,
    suggest: (view) => ({ [field]: view.physicalPage(field) & ~0xffffn }),
    breakIt: {
      change: (view) => ({ [field]: (1n << BigInt(view.capabilities.processor.physicalAddressWidth)) - BigInt(bytes) + 0x1000n }),
    },
  };
}

/** Memory types of a PAT entry; 2 and 3 are reserved, and bits 7:3 (APM Vol. 2, 7.8.1 "PAT Register"). */
function isPat(view: VmrunView): boolean {
  for (let half = 0; half < 2; half++) {
    const word = half === 0 ? view.low('G_PAT') : view.high('G_PAT');
    for (let shift = 0; shift < 32; shift += 8) {
      const type = (word >>> shift) & 0xff;
      if (type > 7 || type === 2 || type === 3) return false;
    }
  }
  return true;
}

/** BOUND is invalid in 64-bit mode: the manual's example of an event that is impossible for the guest's mode. */
const BOUND_RANGE = 5;

const isReservedType = (type: number): boolean => type === 1 || type > SvmEventType.SOFTWARE_INTERRUPT;

/** Rules on the control area. */
export const controlChecks: readonly VmrunCheck[] = [
  {
    id: 'control.intercept.vmrun',
    section: '15.5.1',
    fields: ['INTERCEPT_4'],
    holds: (view) => (view.low('INTERCEPT_4') & VMRUN) !== 0,
    says: (view) => `${view.text('INTERCEPT_4')}: the VMRUN intercept (bit 0) is clear`,
    suggest: (view) => ({ INTERCEPT_4: view.value('INTERCEPT_4') | BigInt(VMRUN) }),
    breakIt: { change: (view) => ({ INTERCEPT_4: view.value('INTERCEPT_4') & ~BigInt(VMRUN) }) },
  },
  {
    id: 'control.asid',
    section: '15.16',
    fields: ['GUEST_ASID'],
    holds: (view) => view.low('GUEST_ASID') !== 0,
    says: () => 'GUEST_ASID is 0, which is the host',
    suggest: () => ({ GUEST_ASID: 1n }),
    breakIt: { change: () => ({ GUEST_ASID: 0n }) },
  },
  mapRow('control.iopm', 'IOPM_BASE_PA', IOPM_BYTES, 'I/O'),
  mapRow('control.msrpm', 'MSRPM_BASE_PA', MSRPM_BYTES, 'MSR'),
  {
    id: 'control.eventinj.type',
    section: '15.20',
    fields: ['EVENTINJ'],
    holds: (view) => !view.injects || !isReservedType(view.injectedType),
    says: (view) => `${view.text('EVENTINJ')}: type ${view.injectedType} is reserved`,
    suggest: (view) => ({ EVENTINJ: (view.value('EVENTINJ') & ~0x7ffn) | 0x30dn }),
    breakIt: { change: () => ({ EVENTINJ: 0x8000_0120n }) },
  },
  {
    id: 'control.eventinj.vector',
    section: '15.20',
    fields: ['EVENTINJ'],
    holds: (view) =>
      !view.injects || view.injectedType !== SvmEventType.EXCEPTION || (view.injectedVector !== NMI_VECTOR && view.injectedVector < 32),
    says: (view) => `${view.text('EVENTINJ')}: vector ${view.injectedVector} is no exception's`,
    suggest: (view) => ({
      EVENTINJ: view.injectedVector === NMI_VECTOR ? (view.value('EVENTINJ') & ~0x700n) | 0x200n : view.value('EVENTINJ') & ~0x700n,
    }),
    breakIt: { change: () => ({ EVENTINJ: 0x8000_0302n }) },
  },
  {
    id: 'control.eventinj.mode',
    section: '15.20',
    fields: ['EVENTINJ', 'EFER', 'CR0', 'CS_ATTRIBUTES'],
    holds: (view) => !view.injects || view.injectedType !== SvmEventType.EXCEPTION || !view.is64Bit || view.injectedVector !== BOUND_RANGE,
    says: (view) => `${view.text('EVENTINJ')}: #BR cannot happen in 64-bit mode`,
    suggest: () => ({ EVENTINJ: 0n }),
    breakIt: { change: () => ({ EVENTINJ: 0x8000_0305n }) },
  },
  {
    id: 'control.np.host-paging',
    section: '15.25.3',
    fields: ['NP_ENABLE'],
    usesEnvironment: true,
    holds: (view) => !view.isNested || view.environment.hostPaging,
    says: () => "NP_ENABLE is 1, but the host's CR0.PG is 0: its paging mode is that of the nested tables",
    suggest: () => ({ NP_ENABLE: 0n }),
    breakIt: { environment: { hostPaging: false }, change: () => ({ NP_ENABLE: 1n }) },
  },
  {
    id: 'control.ncr3.reserved',
    section: '15.25.3',
    fields: ['NP_ENABLE', 'N_CR3'],
    holds: (view) => !view.isNested || view.isPhysical('N_CR3'),
    says: (view) =>
      `${view.text('N_CR3')}: it has bits beyond the ${view.capabilities.processor.physicalAddressWidth} of a physical address`,
    suggest: (view) => ({ N_CR3: view.physicalPage('N_CR3') }),
    breakIt: { change: () => ({ NP_ENABLE: 1n, N_CR3: (1n << 63n) | 0x6000n }) },
  },
  {
    id: 'control.g-pat',
    section: '15.25.4',
    fields: ['NP_ENABLE', 'G_PAT'],
    holds: (view) => !view.isNested || isPat(view),
    says: (view) => `${view.text('G_PAT')}: a byte of it is no memory type (0, 1, 4 to 7)`,
    suggest: () => ({ G_PAT: 0x0007_0406_0007_0406n }),
    breakIt: { change: () => ({ NP_ENABLE: 1n, G_PAT: 0x0007_0402_0007_0406n }) },
  },
];

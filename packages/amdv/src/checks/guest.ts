import { Cr0, Cr4, Efer } from '@minusone/x86';
import type { VmcbFieldName } from '../vmcb/fields.ts';
import type { VmrunCheck } from './row.ts';
import { VmcbAttribute } from './view.ts';

const SECTION = '15.5.1';
const LONG = Efer.LME | Efer.LMA;
const bits = (mask: number): bigint => BigInt(mask >>> 0);

/** A register whose bits 63:32 must be 0. */
function highHalfRow(id: string, field: VmcbFieldName): VmrunCheck {
  return {
    id,
    section: SECTION,
    fields: [field],
    holds: (view) => view.high(field) === 0,
    says: (view) => `${view.text(field)}: bits 63:32 are not 0`,
    suggest: (view) => ({ [field]: view.value(field) & 0xffff_ffffn }),
    breakIt: { change: (view) => ({ [field]: view.value(field) | (1n << 32n) }) },
  };
}

/** Rules on the state-save area. */
export const guestChecks: readonly VmrunCheck[] = [
  {
    id: 'guest.efer.svme',
    section: SECTION,
    fields: ['EFER'],
    holds: (view) => (view.low('EFER') & Efer.SVME) !== 0,
    says: (view) => `${view.text('EFER')}: SVME (bit 12) is 0`,
    suggest: (view) => ({ EFER: view.value('EFER') | bits(Efer.SVME) }),
    breakIt: { change: (view) => ({ EFER: view.value('EFER') & ~bits(Efer.SVME) }) },
  },
  {
    id: 'guest.cr0.nw-without-cd',
    section: SECTION,
    fields: ['CR0'],
    holds: (view) => (view.low('CR0') & (Cr0.CD | Cr0.NW)) !== Cr0.NW,
    says: (view) => `${view.text('CR0')}: CD is 0 and NW is 1`,
    suggest: (view) => ({ CR0: view.value('CR0') & ~bits(Cr0.NW) }),
    breakIt: { change: (view) => ({ CR0: view.value('CR0') | bits(Cr0.NW) }) },
  },
  highHalfRow('guest.cr0.high', 'CR0'),
  {
    id: 'guest.cr3.reserved',
    section: SECTION,
    fields: ['CR3'],
    holds: (view) => view.isPhysical('CR3'),
    says: (view) => `${view.text('CR3')}: it has bits beyond the ${view.capabilities.processor.physicalAddressWidth} of a physical address`,
    suggest: (view) => ({ CR3: view.value('CR3') & ((1n << BigInt(view.capabilities.processor.physicalAddressWidth)) - 1n) }),
    breakIt: { change: (view) => ({ CR3: view.value('CR3') | (1n << 63n) }) },
  },
  {
    id: 'guest.cr4.reserved',
    section: SECTION,
    fields: ['CR4'],
    holds: (view) => view.high('CR4') === 0 && (view.low('CR4') & ~view.capabilities.processor.cr4Mask) === 0,
    says: (view) => `${view.text('CR4')}: the processor has 0x${(view.capabilities.processor.cr4Mask >>> 0).toString(16)} of it`,
    suggest: (view) => ({ CR4: view.value('CR4') & bits(view.capabilities.processor.cr4Mask) }),
    breakIt: { change: (view) => ({ CR4: view.value('CR4') | (1n << 31n) }) },
  },
  highHalfRow('guest.dr6.high', 'DR6'),
  highHalfRow('guest.dr7.high', 'DR7'),
  {
    id: 'guest.efer.reserved',
    section: SECTION,
    fields: ['EFER'],
    holds: (view) => view.high('EFER') === 0 && (view.low('EFER') & ~(view.capabilities.processor.eferMask | LONG)) === 0,
    says: (view) => `${view.text('EFER')}: the processor has 0x${(view.capabilities.processor.eferMask >>> 0).toString(16)} of it`,
    suggest: (view) => ({ EFER: view.value('EFER') & bits(view.capabilities.processor.eferMask | LONG) }),
    breakIt: { change: (view) => ({ EFER: view.value('EFER') | 2n }) },
  },
  {
    id: 'guest.efer.long-mode',
    section: SECTION,
    fields: ['EFER'],
    holds: (view) => view.capabilities.processor.hasLongMode || (view.low('EFER') & LONG) === 0,
    says: (view) => `${view.text('EFER')}: LME or LMA is 1, but the processor has no long mode`,
    suggest: (view) => ({ EFER: view.value('EFER') & ~bits(LONG) }),
    breakIt: { state: 'real', processor: { hasLongMode: false }, change: (view) => ({ EFER: view.value('EFER') | bits(Efer.LME) }) },
  },
  {
    id: 'guest.cr4.pae-with-long-mode',
    section: SECTION,
    fields: ['EFER', 'CR0', 'CR4'],
    holds: (view) => !view.isLong || view.hasPae,
    says: () => 'EFER.LME and CR0.PG are 1, but CR4.PAE is 0',
    suggest: (view) => ({ CR4: view.value('CR4') | bits(Cr4.PAE) }),
    breakIt: { change: (view) => ({ CR4: view.value('CR4') & ~bits(Cr4.PAE) }) },
  },
  {
    id: 'guest.cr0.pe-with-long-mode',
    section: SECTION,
    fields: ['EFER', 'CR0'],
    holds: (view) => !view.isLong || (view.low('CR0') & Cr0.PE) !== 0,
    says: () => 'EFER.LME and CR0.PG are 1, but CR0.PE is 0',
    suggest: (view) => ({ CR0: view.value('CR0') | bits(Cr0.PE) }),
    breakIt: { change: (view) => ({ CR0: view.value('CR0') & ~bits(Cr0.PE) }) },
  },
  {
    id: 'guest.cs.l-with-d',
    section: SECTION,
    fields: ['EFER', 'CR0', 'CR4', 'CS_ATTRIBUTES'],
    holds: (view) => {
      if (!view.isLong || !view.hasPae) return true;
      return (view.low('CS_ATTRIBUTES') & (VmcbAttribute.L | VmcbAttribute.D)) !== (VmcbAttribute.L | VmcbAttribute.D);
    },
    says: (view) => `${view.text('CS_ATTRIBUTES')}: in long mode L and D are both 1`,
    suggest: (view) => ({ CS_ATTRIBUTES: view.value('CS_ATTRIBUTES') & ~bits(VmcbAttribute.D) }),
    breakIt: { change: (view) => ({ CS_ATTRIBUTES: view.value('CS_ATTRIBUTES') | bits(VmcbAttribute.D) }) },
  },
];

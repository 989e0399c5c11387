import { VMX_MSRS, type VmxMsrName } from '@minusone/vtx';
import { attempt64, policy, user64 } from '../../prelude/attempt.ts';
import { Policy } from '../../prelude/memory-map.ts';
import type { Rom } from '../../rom.ts';

/** RDMSR; of EDX:EAX only these bits, as our model and the peer's have not the same controls. */
const read = (name: VmxMsrName, low = -1, high = -1): string =>
  attempt64(name, `mov ecx, ${VMX_MSRS[name]}\nrdmsr\nand eax, ${low}\nand edx, ${high}\ncmp eax, eax`);
const ALLOWED_0: readonly VmxMsrName[] = [
  'IA32_VMX_PROCBASED_CTLS',
  'IA32_VMX_EXIT_CTLS',
  'IA32_VMX_ENTRY_CTLS',
  'IA32_VMX_PROCBASED_CTLS2',
  'IA32_VMX_TRUE_PROCBASED_CTLS',
  'IA32_VMX_TRUE_EXIT_CTLS',
  'IA32_VMX_TRUE_ENTRY_CTLS',
];
const WHOLE: readonly VmxMsrName[] = [
  'IA32_VMX_PINBASED_CTLS',
  'IA32_VMX_TRUE_PINBASED_CTLS',
  'IA32_VMX_CR0_FIXED0',
  'IA32_VMX_CR0_FIXED1',
  'IA32_VMX_CR4_FIXED0',
  'IA32_VMX_EPT_VPID_CAP',
  'IA32_VMX_PROCBASED_CTLS3',
];
const REVISION = 0x7fff_ffff;
const TIMER_RATE = 0x1f;

export const vmxCapabilityRoms: readonly Rom[] = [
  {
    name: 'vtx-capability-msrs',
    rule: 'The capability MSRs, as far as both models have the same controls (SDM Vol. 3D Appendix A)',
    mode: 'long',
    extension: 'vtx',
    without: { peer: 'qemu', why: 'TCG has no VMX.' },
    source: `
    ${policy(13, Policy.brief)}
    ${WHOLE.map((name) => read(name)).join('\n')}
    ${ALLOWED_0.map((name) => read(name, -1, 0)).join('\n')}
    ${read('IA32_VMX_BASIC', ~REVISION)}
    ${read('IA32_VMX_MISC', ~TIMER_RATE)}
    ${[0x493, 0x4ff].map((index) => attempt64(`MSR ${index.toString(16)}`, `mov ecx, ${index}\nrdmsr`)).join('\n')}
    ${Object.entries(VMX_MSRS)
      .map(([name, index]) => attempt64(`WRMSR to ${name}`, `mov ecx, ${index}\nwrmsr`))
      .join('\n')}
    ${user64('RDMSR in ring 3', `mov ecx, ${VMX_MSRS.IA32_VMX_BASIC}\nrdmsr`)}`,
  },
];

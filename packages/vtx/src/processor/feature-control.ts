import { type MsrRow, raise, Vector } from '@minusone/x86';
import { VMX_MSRS, type VmxMsrName } from '../capabilities/msrs.ts';
import type { VmxOperation } from './operation.ts';

/** Bits of IA32_FEATURE_CONTROL (SDM Vol. 3C, 24.7 "Enabling and Entering VMX Operation"). */
export const FeatureControl = { LOCK: 1, VMX_IN_SMX: 2, VMX_OUTSIDE_SMX: 4 } as const;
const INDEX = 0x3a;

/** IA32_FEATURE_CONTROL and the capability MSRs (SDM Vol. 3D, Appendix A) of whichever processor reads them. One that its capabilities lack is #GP(0). */
export function vmxMsrRows(operation: () => VmxOperation): readonly MsrRow[] {
  return [
    {
      index: INDEX,
      name: 'IA32_FEATURE_CONTROL',
      section: 'Vol. 3C 24.7',
      read: () => BigInt(operation().featureControl),
      write: (_cpu, value) => {
        const op = operation();
        const allowed = BigInt(FeatureControl.LOCK | FeatureControl.VMX_OUTSIDE_SMX);
        // Locked until the next reset; VMX in SMX operation needs SMX, which there is none of.
        if ((op.featureControl & FeatureControl.LOCK) !== 0 || (value & ~allowed) !== 0n) raise(Vector.GP, 0);
        op.featureControl = Number(value);
      },
    },
    ...(Object.keys(VMX_MSRS) as VmxMsrName[]).map(
      (name): MsrRow => ({
        index: VMX_MSRS[name],
        name,
        section: 'Vol. 3D, Appendix A',
        read: () => operation().capabilities.msrs[name] ?? raise(Vector.GP, 0),
      }),
    ),
  ];
}

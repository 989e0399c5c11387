import type { VmxCapabilities } from '../capabilities/capabilities.ts';
import { isReadOnlyData } from './encoding.ts';
import { VmInstructionError } from './instruction-errors.ts';
import type { Vmcs } from './vmcs.ts';

/** What VMREAD gives: the value, or the VM-instruction error that it fails with (VMfailValid). */
export type VmreadResult = { readonly ok: true; readonly value: bigint } | { readonly ok: false; readonly error: 12 };
/** What VMWRITE gives: nothing, or the VM-instruction error that it fails with (VMfailValid). */
export type VmwriteResult = { readonly ok: true } | { readonly ok: false; readonly error: 12 | 13 };

const unsupported = { ok: false, error: VmInstructionError.UNSUPPORTED_COMPONENT } as const;
const readOnly = { ok: false, error: VmInstructionError.READ_ONLY_COMPONENT } as const;
const done = { ok: true } as const;

/** Whether an operand names a field of this processor: bits 63:32 (in 64-bit mode), 31:15 and 12 must be 0 too. */
function fieldOf(encoding: bigint, capabilities: VmxCapabilities): number | undefined {
  if (encoding < 0n || encoding > 0xffff_ffffn) return undefined;
  return capabilities.hasField(Number(encoding)) ? Number(encoding) : undefined;
}

/**
 * What VMREAD reads (SDM Vol. 3C, chapter 31, "VMREAD: Read Field from Virtual-Machine Control Structure").
 *
 * @param encoding the whole register operand (32 bits of it outside 64-bit mode)
 * @param operandBits 64 in 64-bit mode, else 32: what is wider is cut, what is shorter is zero-extended
 * @example vmread(vmcs, capabilities, BigInt(FIELD.GUEST_RIP)) // { ok: true, value: 0n }
 */
export function vmread(vmcs: Vmcs, capabilities: VmxCapabilities, encoding: bigint, operandBits: 32 | 64 = 64): VmreadResult {
  const field = fieldOf(encoding, capabilities);
  if (field === undefined) return unsupported;
  const value = vmcs.read(field);
  return { ok: true, value: operandBits === 32 ? value & 0xffff_ffffn : value };
}

/**
 * What VMWRITE writes (SDM Vol. 3C, chapter 31, "VMWRITE: Write Field to Virtual-Machine Control Structure"): the operand cut to the field's width; outside 64-bit
 * mode it has 32 bits, and a full access to a wider field clears bits 63:32.
 *
 * @param encoding the whole register operand (32 bits of it outside 64-bit mode)
 * @param value the other operand
 * @example vmwrite(vmcs, capabilities, BigInt(FIELD.VM_EXIT_REASON), 0n) // { ok: false, error: 13 } where IA32_VMX_MISC[29] is 0
 */
export function vmwrite(
  vmcs: Vmcs,
  capabilities: VmxCapabilities,
  encoding: bigint,
  value: bigint,
  operandBits: 32 | 64 = 64,
): VmwriteResult {
  const field = fieldOf(encoding, capabilities);
  if (field === undefined) return unsupported;
  if (isReadOnlyData(field) && !capabilities.writesReadOnlyData) return readOnly;
  const low = Number(value & 0xffff_ffffn);
  if ((field & 1) === 1) vmcs.set(field & ~1, vmcs.low(field & ~1), low);
  else vmcs.set(field, low, operandBits === 32 ? 0 : Number((value >> 32n) & 0xffff_ffffn));
  return done;
}

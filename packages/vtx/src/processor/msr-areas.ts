import { guestFault } from '@minusone/x86';
import { MSR_LOAD_RULES } from '../checks/guest/msr-loading.ts';
import { FIELD } from '../vmcs/fields.ts';
import { addressOf } from './controls.ts';
import type { VmxOperation } from './operation.ts';
import type { Region } from './region.ts';

/** MSR areas (SDM Vol. 3C, 25.7.2, 25.8.2): entries of 16 bytes: index, reserved, value. Cold: most hypervisors leave them empty. */

const ENTRY_BYTES = 16;
const {
  VM_ENTRY_MSR_LOAD_COUNT,
  VM_ENTRY_MSR_LOAD_ADDR,
  VM_EXIT_MSR_STORE_COUNT,
  VM_EXIT_MSR_STORE_ADDR,
  VM_EXIT_MSR_LOAD_COUNT,
  VM_EXIT_MSR_LOAD_ADDR,
} = FIELD;

/** 27.4 "Loading MSRs": the number, from 1, of the entry that WRMSR would refuse; 0 where all are loaded. */
export function loadGuestMsrs(op: VmxOperation): number {
  return load(op, VM_ENTRY_MSR_LOAD_COUNT, VM_ENTRY_MSR_LOAD_ADDR);
}

/** 28.6 "Loading MSRs": false where one cannot be loaded. */
export function loadHostMsrs(op: VmxOperation): boolean {
  return load(op, VM_EXIT_MSR_LOAD_COUNT, VM_EXIT_MSR_LOAD_ADDR) === 0;
}

function load(op: VmxOperation, countField: number, addressField: number): number {
  const { vmcs } = op.current as Region;
  const count = vmcs.low(countField);
  if (count === 0) return 0;
  const { cpu } = op;
  const area = addressOf(vmcs, addressField);
  for (let n = 0; n < count; n++) {
    const at = area + n * ENTRY_BYTES;
    const index = cpu.physical.read32(at);
    const reserved = cpu.physical.read32(at + 4);
    const environment = { inIa32eMode: cpu.isLongMode, inSmm: false };
    if (MSR_LOAD_RULES.some((rule) => rule.refuses(index, reserved, environment))) return n + 1;
    if (!attempt(() => cpu.msrs.write(index, cpu.physical.read64(at + 8)))) return n + 1;
  }
  return 0;
}

/** 28.4 "Saving MSRs": false where RDMSR would fault. */
export function storeGuestMsrs(op: VmxOperation): boolean {
  const { vmcs } = op.current as Region;
  const count = vmcs.low(VM_EXIT_MSR_STORE_COUNT);
  if (count === 0) return true;
  const { cpu } = op;
  const area = addressOf(vmcs, VM_EXIT_MSR_STORE_ADDR);
  for (let n = 0; n < count; n++) {
    const at = area + n * ENTRY_BYTES;
    const index = cpu.physical.read32(at);
    // x2APIC registers and the SMBASE cannot be stored, and bits 63:32 must be 0.
    if (cpu.physical.read32(at + 4) !== 0 || index >>> 8 === 8 || index === 0x9e) return false;
    if (!attempt(() => cpu.physical.write64(at + 8, cpu.msrs.read(index)))) return false;
  }
  return true;
}

/** Runs what may raise #GP; false where it did. */
function attempt(action: () => void): boolean {
  try {
    action();
    return true;
  } catch (thrown) {
    if (thrown !== guestFault) throw thrown;
    return false;
  }
}

import { type CapabilityContext, type CapabilityRow, capabilities } from './capability-table.ts';

export type { CapabilityContext, CapabilityRow } from './capability-table.ts';
export { capabilities } from './capability-table.ts';

const byName: ReadonlyMap<string, CapabilityRow> = new Map(capabilities.map((row) => [row.name, row]));

/** The row of a capability, named with or without `KVM_CAP_`; undefined where Linux 6.12 has none of that name. */
export function capability(name: string): CapabilityRow | undefined {
  return byName.get(name.replace(/^KVM_CAP_/, ''));
}

/** KVM_CHECK_EXTENSION (api.rst, 4.4): 0 for a capability that is not there, or that nobody knows. Names as `NR_MEMSLOTS` or `KVM_CAP_NR_MEMSLOTS`. */
export function checkExtension(name: string, context: CapabilityContext): number {
  const value = capability(name)?.value ?? 0;
  return typeof value === 'function' ? value(context) : value;
}

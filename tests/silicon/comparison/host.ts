import { readFileSync } from 'node:fs';
import { amd, type CpuModel, cpuidBits, instructionTable, intel } from '@minusone/x86';

/** Names of Linux's flags that differ from ours. */
const FLAG_NAMES: Readonly<Record<string, string>> = {
  pni: 'SSE3', ssse3: 'SSSE3', sse4_1: 'SSE41', sse4_2: 'SSE42', lahf_lm: 'LAHF64', abm: 'LZCNT', clflush: 'CLFSH', '3dnowprefetch': 'PREFETCHW', sha_ni: 'SHA', mmxext: 'MMXEXT',
}; // biome-ignore format: one list

/** The host's processor, as far as the comparison wants to know. */
export interface Host {
  readonly vendor: 'intel' | 'amd';
  readonly features: ReadonlySet<string>;
  readonly name: string;
}

/** Reads /proc/cpuinfo. */
export function readHost(): Host {
  const text = readFileSync('/proc/cpuinfo', 'utf8');
  const field = (name: string): string => new RegExp(`^${name}\\s*:\\s*(.*)$`, 'm').exec(text)?.[1] ?? '';
  const features = new Set<string>();
  for (const flag of field('flags').split(' ')) features.add(FLAG_NAMES[flag] ?? flag.toUpperCase());
  return { vendor: field('vendor_id') === 'GenuineIntel' ? 'intel' : 'amd', features, name: field('model name') };
}

/** Our model of the host's vendor, with every feature that a row of the table asks for and the host has. */
export function modelOf(host: Host): CpuModel {
  const base = host.vendor === 'intel' ? intel : amd;
  const wanted = new Set(instructionTable.rows.flatMap(({ options }) => options.features ?? []));
  const more = [...wanted].filter((name) => cpuidBits.has(name) && host.features.has(name));
  return base.with(...more);
}

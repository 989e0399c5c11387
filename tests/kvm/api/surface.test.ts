import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { capabilities, type IoctlRow, ioctls, Kvm, Vcpu, Vm } from '@minusone/kvm';
import { describe, expect, test } from 'vitest';
import { ROOT } from '../../../scripts/workspace.mjs';

const CLASSES: Readonly<Record<string, { readonly prototype: object }>> = { Kvm, Vm, Vcpu };
const SOURCES = { Kvm: 'kvm.ts', Vm: 'vm/vm.ts', Vcpu: 'vcpu/vcpu.ts' } as const;
const there = ioctls.filter((row) => row.at.length > 0);
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

function methodOf(at: string): unknown {
  const [name = '', method = ''] = at.split('.');
  return (CLASSES[name]?.prototype as Record<string, unknown> | undefined)?.[method];
}

describe('the table of ioctls is what the API has', () => {
  test('each call is there once, and each that is there names a method', () => {
    expect(new Set(ioctls.map(({ name }) => name)).size).toBe(ioctls.length);
    expect(ioctls.length).toBe(101);
    for (const { name, at } of there) for (const one of at) expect(methodOf(one), `${name}: ${one}`).toBeTypeOf('function');
    for (const { name, at, note } of ioctls) if (at.length === 0) expect(note, name).toBeDefined();
  });

  test('each method whose documentation names an ioctl is in the table', () => {
    const documented = Object.entries(SOURCES).flatMap(([name, file]) => {
      const text = read(`packages/kvm/src/${file}`);
      // A comment, overloads between, and the method's name.
      return [...text.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*?)\*\/\s+(?:async )?(\w+)\(/g)].flatMap(([, comment = '', method]) => {
        const [ioctl] = comment.match(/KVM_(?!CAP_)[A-Z0-9_]+/) ?? [];
        return ioctl === undefined || method === 'constructor' ? [] : [[`${name}.${method}`, ioctl.slice(4)] as const];
      });
    });
    expect(documented.length).toBeGreaterThan(60);
    const rows = new Map(ioctls.flatMap((row) => row.at.map((at) => [at, row.name] as const)));
    for (const [at, ioctl] of documented) expect([at, rows.get(at)]).toEqual([at, ioctl]);
    const undocumented = [...rows].filter(([at]) => !documented.some(([one]) => one === at)).map(([at]) => at);
    // The ways to run say it once.
    expect(undocumented).toEqual(['Vcpu.runAsync', 'Vcpu.exits', 'Vm.runAsync']);
  });

  test('each method is called by a test', () => {
    const text = ['packages/kvm/src', 'tests/kvm']
      .flatMap((folder) => (readdirSync(join(ROOT, folder), { recursive: true }) as string[]).map((file) => join(folder, file)))
      .filter((file) => /^tests.*\.ts$|\.test\.ts$/.test(file) && !file.endsWith('surface.test.ts'))
      .map((file) => read(file))
      .join('\n');
    const uncalled = there
      .flatMap(({ at }) => at)
      .filter((at) => !new RegExp(`\\b${RECEIVERS[at.split('.')[0] as keyof typeof RECEIVERS]}\\.${at.split('.')[1]}\\(`).test(text));
    expect(uncalled).toEqual([]);
  });
});

/** What tests call the object of each class. */
const RECEIVERS = { Kvm: '(?:kvm|Kvm\\([^\\n]*\\))', Vm: '(?:vm|made|machine)', Vcpu: '(?:vcpu|second|first)' } as const;

const HEADER = '/usr/include/linux/kvm.h';

// The kernel's own list of names, where its headers are installed (some version of them).
describe.skipIf(!existsSync(HEADER))("names are the kernel's", () => {
  const header = existsSync(HEADER) ? readFileSync(HEADER, 'latin1') : '';
  /** Linux 6.2 to 6.12, which an older header does not have yet. */
  const LATER_IOCTLS = ['SET_USER_MEMORY_REGION2', 'CREATE_GUEST_MEMFD', 'SET_MEMORY_ATTRIBUTES', 'PRE_FAULT_MEMORY'];
  const LATER_CAPABILITIES = [
    'GUEST_MEMFD',
    'MEMORY_ATTRIBUTES',
    'MEMORY_FAULT_INFO',
    'PRE_FAULT_MEMORY',
    'USER_MEMORY2',
    'VM_TYPES',
    'X86_APIC_BUS_CYCLES_NS',
    'X86_GUEST_MODE',
    'PMU_EVENT_MASKED_EVENTS',
    'DIRTY_LOG_RING_WITH_BITMAP',
  ];

  test('of ioctls', () => {
    const defined = new Set([...header.matchAll(/^#define\s+KVM_(\w+)\s+_IO/gm)].map(([, name]) => name as string));
    const unknown = ioctls.map((row: IoctlRow) => row.name).filter((name) => !defined.has(name) && !LATER_IOCTLS.includes(name));
    expect(unknown).toEqual([]);
  });

  test('of capabilities', () => {
    const defined = new Set([...header.matchAll(/^#define\s+KVM_CAP_(\w+)\s+\d/gm)].map(([, name]) => name as string));
    const unknown = capabilities.map(({ name }) => name).filter((name) => !defined.has(name) && !LATER_CAPABILITIES.includes(name));
    expect(unknown).toEqual([]);
    expect(new Set(capabilities.map(({ name }) => name)).size).toBe(126);
  });
});

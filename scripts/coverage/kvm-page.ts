import { capabilities, checkExtension, type IoctlRow, ioctls } from '../../packages/kvm/src/index.ts';
import { amd, intel } from '../../packages/x86/src/index.ts';
import { code, generatedFrom, table } from './markdown.ts';

const BY_TIER = [0, 1, 2, 3, 4] as const;

/** docs/coverage/kvm.md: the KVM API, call by call. */
export function kvmPage(): string {
  const isThere = (row: IoctlRow): boolean => row.at.length > 0;
  const there = ioctls.filter(isThere);
  const enabled = capabilities.filter((row) => checkExtension(row.name, { model: intel }) !== 0);
  const parts = [
    generatedFrom('packages/kvm/src'),
    '# The KVM API',
    `What \`@minusone/kvm\` has of the KVM API of Linux 6.12 on x86: ${there.length} of ${ioctls.length} ioctls and ${enabled.length} of ${capabilities.length} capabilities. Sections are those of Documentation/virt/kvm/api.rst as Linux 6.1 numbers them. A tier says how many of Firecracker, kvmtool, crosvm and QEMU use a call: 0 all four, 1 three, 2 two, 3 one, 4 none.`,
    table(
      ['tier', 'there', 'of'],
      BY_TIER.map((tier) => {
        const rows = ioctls.filter((row) => row.tier === tier);
        return [String(tier), String(rows.filter(isThere).length), String(rows.length)];
      }),
    ),
    '## Calls that are there',
    'A method each. A wrong argument, a wrong order of calls or a state that no processor can have is a named error (`packages/kvm/src/errors.ts`), and nothing is changed then; state that only the hardware refuses is the exit `failEntry`.',
    table(
      ['ioctl', 'on', 'section', 'tier', 'at', 'what differs'],
      there.map((row) => [...head(row), code(row.at, ', '), row.note ?? '']),
    ),
    '## Calls that are not there',
    'No method: `checkExtension` of their capability is 0, and `enableCap` of it is an `UnknownCapabilityError` that says why.',
    table(
      ['ioctl', 'on', 'section', 'tier', 'why, and what a caller finds'],
      ioctls.filter((row) => !isThere(row)).map((row) => [...head(row), row.note ?? '']),
    ),
    '## Capabilities',
    'What `checkExtension` answers, by the vendor of the processor; 0 is "not there". `enableCap` turns on those that say so.',
    table(
      ['capability', 'VT-x', 'AMD-V', 'enabled on', 'note'],
      capabilities.map(({ name, enabledOn, note }) => {
        const value = (model: typeof intel): string => String(checkExtension(name, { model }));
        return [code([`KVM_CAP_${name}`]), value(intel), value(amd), enabledOn === undefined ? '' : TARGETS[enabledOn], note];
      }),
    ),
  ];
  return `${parts.join('\n\n')}\n`;
}

const TARGETS = { system: '/dev/kvm', vm: 'VM', vcpu: 'virtual CPU', device: 'device' } as const;

function head(row: IoctlRow): string[] {
  return [code([`KVM_${row.name}`]), row.on.map((target) => TARGETS[target]).join(', '), row.section, String(row.tier)];
}

import { SVM_FEATURE_NAMES, SVM_FEATURES, type SvmFeature } from '../capabilities/features.ts';
import { VMRUN_CHECKS } from '../checks/all-checks.ts';
import { breakCheck } from '../checks/break-check.ts';
import { VmrunView } from '../checks/view.ts';
import { SVM_EXIT_CODES, type SvmExitName } from '../exit/codes.ts';
import { INTERCEPTS, type InterceptName } from '../intercepts/intercepts.ts';
import { VMCB_FIELD_NAMES, VMCB_FIELDS, type VmcbFieldName } from '../vmcb/fields.ts';

// What coverage pages are made from: the tables as plain rows, with what the CPU side does of them.

/** Fields that this package takes no notice of: what they belong to is not announced, and the APM then ignores them; and VMCB clean bits, which only allow. */
const IGNORED_FIELDS: readonly VmcbFieldName[] = [
  'V_GIF',
  'V_NMI',
  'V_NMI_MASK',
  'V_GIF_ENABLE',
  'V_NMI_ENABLE',
  'X2AVIC_ENABLE',
  'AVIC_ENABLE',
  'GUEST_INTERRUPT_MASK',
  'SEV_ENABLE',
  'SEV_ES_ENABLE',
  'AVIC_APIC_BAR',
  'GHCB_PA',
  'LBR_VIRTUALIZATION_ENABLE',
  'VIRTUAL_VMLOAD_VMSAVE',
  'VMCB_CLEAN',
  'AVIC_BACKING_PAGE',
  'AVIC_LOGICAL_TABLE',
  'AVIC_PHYSICAL_TABLE',
  'S_CET',
  'SSP',
  'ISST_ADDR',
  'DBGCTL',
  'BR_FROM',
  'BR_TO',
  'LASTEXCPFROM',
  'LASTEXCPTO',
  'SPEC_CTRL',
];

/** Intercepts of what the CPU does not have, or does not announce: they never happen. */
const NEVER_MET: readonly InterceptName[] = [
  'SMI',
  'FERR_FREEZE',
  'SKINIT',
  'RDPRU',
  'EFER_WRITE_TRAP',
  'CR0_WRITE_TRAP',
  'CR3_WRITE_TRAP',
  'CR4_WRITE_TRAP',
  'CR8_WRITE_TRAP',
  'INVLPGB',
  'INVLPGB_ILLEGAL',
  'MCOMMIT',
  'TLBSYNC',
  'BUSLOCK',
  'IDLE_HLT',
];

/** A field of the VMCB. */
export interface VmcbFieldDocumentation {
  readonly name: VmcbFieldName;
  readonly offset: number;
  readonly bit: number;
  readonly bits: number;
  readonly title: string;
  readonly section: string;
  readonly isUsed: boolean;
}

/** Every field, in the order of the VMCB. */
export function documentVmcbFields(): readonly VmcbFieldDocumentation[] {
  return VMCB_FIELD_NAMES.map((name) => {
    const { offset, bit, bits, title, section } = VMCB_FIELDS[name];
    return { name, offset, bit, bits, title, section, isUsed: !IGNORED_FIELDS.includes(name) };
  });
}

/** An intercept of vectors 3 to 5. */
export interface InterceptDocumentation {
  readonly name: InterceptName;
  readonly field: string;
  readonly bit: number;
  readonly title: string;
  readonly section: string;
  /** Whether the CPU has what it is about. */
  readonly isMet: boolean;
}

/** Every intercept that has a bit of its own. */
export function documentIntercepts(): readonly InterceptDocumentation[] {
  return (Object.keys(INTERCEPTS) as InterceptName[]).map((name) => {
    const { field, bit, title, section } = INTERCEPTS[name];
    return { name, field, bit, title, section, isMet: !NEVER_MET.includes(name) };
  });
}

const NO_REGISTER = 'there is no such register';
const NO_EXCEPTION = 'no such exception is raised';
const NO_AVIC = 'AVIC is not announced';

/** Why an exit code never comes, where that is not because of what is intercepted: names, and why. */
const NEVER_MADE: readonly (readonly [names: RegExp, why: string])[] = [
  [/^CR\d+_WRITE_TRAP$/, 'write traps are for guests with encrypted state'],
  [/^CR(?!(0|2|3|4|8)_)\d+_(READ|WRITE)$/, NO_REGISTER],
  [/^DR(8|9|1\d)_(READ|WRITE)$/, NO_REGISTER],
  [/^EXCP2$/, 'NMIs have an intercept of their own'],
  [/^EXCP18$/, 'there are no machine checks'],
  [/^EXCP(9|15|2\d|3\d)$/, NO_EXCEPTION],
  [/^AVIC_/, NO_AVIC],
  [/^(VMGEXIT|BUSY)$/, 'no guest has encrypted state'],
  [/^IDLE_REQUIRED$/, 'it belongs to SEV-SNP'],
];

/** An exit code, and whether the CPU ever makes it. */
export interface ExitDocumentation {
  readonly name: SvmExitName;
  readonly code: number;
  readonly info1: string;
  readonly info2: string;
  readonly isMade: boolean;
  /** Why not. */
  readonly why: string;
}

/** Every exit code, in their order. */
export function documentExits(): readonly ExitDocumentation[] {
  const intercepts = documentIntercepts();
  return (Object.keys(SVM_EXIT_CODES) as SvmExitName[]).map((name) => {
    const { code, info1 = '', info2 = '' } = SVM_EXIT_CODES[name];
    const isIntercepted = intercepts.find((intercept) => INTERCEPTS[intercept.name].exit === code)?.isMet ?? true;
    const why = NEVER_MADE.find(([names]) => names.test(name))?.[1] ?? (isIntercepted ? '' : 'the CPU does not have it');
    return { name, code, info1, info2, isMade: why === '', why };
  });
}

/** A feature of CPUID Fn8000_000A_EDX. */
export interface SvmFeatureDocumentation {
  readonly name: SvmFeature;
  readonly bit: number;
  readonly title: string;
  readonly isOffered: boolean;
}

/** Every feature, by bit. */
export function documentSvmFeatures(): readonly SvmFeatureDocumentation[] {
  return SVM_FEATURE_NAMES.map((name) => {
    const { bit, title, works } = SVM_FEATURES[name];
    return { name, bit, title, isOffered: works };
  });
}

/** A check of VMRUN, with its words on a guest that breaks it. */
export interface VmrunCheckDocumentation {
  readonly id: string;
  readonly section: string;
  readonly fields: readonly VmcbFieldName[];
  readonly example: string;
}

/** Every check of VMRUN, in their order. */
export function documentVmrunChecks(): readonly VmrunCheckDocumentation[] {
  return VMRUN_CHECKS.map((check) => {
    const { vmcb, capabilities, environment } = breakCheck(check);
    const view = new VmrunView(vmcb, capabilities, environment);
    return { id: check.id, section: check.section, fields: check.fields, example: check.says(view) };
  });
}

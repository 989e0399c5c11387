import { Access } from '../access.ts';
import type { PagingControls, PagingKind } from '../guest/paging-controls.ts';
import { walk } from '../guest/walk.ts';
import { WalkFault, WalkResult } from '../guest/walk-result.ts';
import type { PhysicalMemory } from '../physical-memory.ts';
import { REASONS } from '../reason.ts';
import { type SecondStage, StageFault, type StageResult } from '../second-stage/second-stage.ts';
import { entryFlags, structureName } from './entry-flags.ts';
import type { WalkRecorder } from './recorder.ts';

/** One paging-structure entry on the path. */
export interface TranslationStep {
  /** The manual's name: PML5E, PML4E, PDPTE, PDE, PTE; with `EPT ` before it in EPT. */
  readonly structure: string;
  /** 5 PML5E ... 1 PTE. */
  readonly level: number;
  /** Where it was read, in the address space its table lives in; undefined for a PDPTE register. */
  readonly address: number | undefined;
  readonly entry: bigint;
  /** Flags that are 1, by the manual's names. */
  readonly flags: readonly string[];
  /** A and D flags that the access sets. */
  readonly sets: readonly string[];
  /** What the second stage did for the read, and for the write of the flags. */
  readonly stages: readonly StageTranslation[];
}

/** A guest-physical access through the second stage. */
export interface StageTranslation {
  readonly gpa: number;
  /** `Access` flags. */
  readonly access: number;
  readonly steps: readonly TranslationStep[];
  /** With a stage below this one: its translation of the address found, or of the entry that it could not reach. */
  readonly stages: readonly StageTranslation[];
  readonly ok: boolean;
  /** Host-physical address, if `ok`. */
  readonly pa: number | undefined;
  readonly fault: TranslationFault | undefined;
}

/** Why a translation ended, in words. */
export interface TranslationFault {
  readonly kind:
    | 'page fault'
    | 'EPT violation'
    | 'EPT misconfiguration'
    | 'page-modification log full'
    | 'nested page fault'
    | 'stage below'
    | 'second stage';
  /** `Reason`. */
  readonly reason: number;
  readonly says: string;
  readonly section: string;
  /** Error code of a page fault; EXITINFO1 of a nested page fault; exit qualification of an EPT violation; otherwise 0. */
  readonly code: bigint;
  /** The guest-physical address that the second stage refused. */
  readonly gpa: number | undefined;
  /** The second stage refused an access to a guest paging-structure entry. */
  readonly onTable: boolean;
}

/** The whole path of a translation. */
export interface Translation {
  readonly gva: bigint;
  /** `Access` flags. */
  readonly access: number;
  readonly kind: PagingKind;
  readonly steps: readonly TranslationStep[];
  /** The second stage's translation of the final address, or of the entry that could not be reached. */
  readonly stages: readonly StageTranslation[];
  readonly ok: boolean;
  /** Guest-physical and host-physical address, if `ok`. */
  readonly gpa: number | undefined;
  readonly pa: number | undefined;
  /** Bytes of the effective page. */
  readonly pageBytes: number | undefined;
  readonly fault: TranslationFault | undefined;
  /** What the walk answered, rights included. */
  readonly result: WalkResult;
}

/**
 * Translates a linear address, for people and tests: the walk of `walk()`, with every step on record. Changes nothing: A and D flags
 * that the access would set are listed in `sets`.
 *
 * @param controls paging mode and control bits
 * @param memory physical memory that the tables stand in
 * @param gva linear address; negative numbers stand for the upper half
 * @param access `Access` flags
 * @param stage a second stage, if any
 * @example
 * console.log(formatTranslation(translate(controls, memory, 0x401000n, Access.READ | Access.USER)).join('\n'));
 */
export function translate(
  controls: PagingControls,
  memory: PhysicalMemory,
  gva: bigint,
  access: number,
  stage: SecondStage | null = null,
): Translation {
  const recorder = new PathRecorder();
  const result = new WalkResult();
  const lo = Number(BigInt.asIntN(32, gva));
  const hi = Number(BigInt.asIntN(32, gva >> 32n));
  const ok = walk(controls, memory, lo, hi, access | Access.INSPECT, stage, result, recorder);
  return {
    gva: BigInt.asUintN(64, gva),
    access,
    kind: controls.kind,
    steps: recorder.path.steps,
    stages: recorder.path.waiting,
    ok,
    gpa: ok ? result.gpa : undefined,
    pa: ok ? result.pa : undefined,
    pageBytes: ok ? result.pageBytes : undefined,
    fault: ok ? undefined : faultOfWalk(result),
    result,
  };
}

/** Steps of one walk, at whichever stage; `waiting` are translations not yet owned by a step. */
interface Path {
  readonly steps: MutableStep[];
  waiting: StageTranslation[];
}

interface MutableStep extends TranslationStep {
  sets: readonly string[];
  stages: readonly StageTranslation[];
}

class PathRecorder implements WalkRecorder {
  path: Path = { steps: [], waiting: [] };
  readonly #outer: Path[] = [];

  entry(table: number, level: number, address: number, lo: number, hi: number): void {
    const entry = (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
    this.path.steps.push({
      structure: structureName(table, level),
      level,
      address: address < 0 ? undefined : address,
      entry,
      flags: entryFlags(table, level, entry),
      sets: [],
      stages: this.path.waiting,
    });
    this.path.waiting = [];
  }

  update(_address: number, lo: number): void {
    const step = this.path.steps.at(-1)!;
    // A and D are bits 5 and 6 of a guest's entry, 8 and 9 of an EPT entry: the same names in either.
    const table = step.structure.startsWith('EPT') ? 1 : 0;
    step.sets = entryFlags(table, step.level, BigInt(lo >>> 0)).filter(
      (flag) => (flag === 'A' || flag === 'D') && !step.flags.includes(flag),
    );
    step.stages = [...step.stages, ...this.path.waiting];
    this.path.waiting = [];
  }

  enterStage(): void {
    this.#outer.push(this.path);
    this.path = { steps: [], waiting: [] };
  }

  leaveStage(result: StageResult): void {
    const { steps, waiting } = this.path;
    const ok = result.fault === StageFault.NONE;
    this.path = this.#outer.pop()!;
    this.path.waiting.push({
      gpa: result.gpa,
      access: result.access,
      steps,
      stages: waiting,
      ok,
      pa: ok ? result.pa : undefined,
      fault: ok ? undefined : faultOfStage(result),
    });
  }
}

function faultOfWalk(result: WalkResult): TranslationFault {
  if (result.fault === WalkFault.SECOND_STAGE) return { ...faultOfStage(result.stage), onTable: result.stageOnTable };
  const row = REASONS[result.reason]!;
  return { kind: 'page fault', reason: result.reason, ...row, code: BigInt(result.errorCode), gpa: undefined, onTable: false };
}

const STAGE_FAULT_KINDS: readonly TranslationFault['kind'][] = [
  'second stage',
  'EPT violation',
  'EPT misconfiguration',
  'page-modification log full',
  'nested page fault',
  'stage below',
];

function faultOfStage(stage: StageResult): TranslationFault {
  const row = REASONS[stage.reason] ?? { says: `the second stage's reason ${stage.reason}`, section: '' };
  return {
    kind: STAGE_FAULT_KINDS[stage.fault] ?? 'second stage',
    reason: stage.reason,
    says: row.says,
    section: row.section,
    code:
      stage.fault === StageFault.NESTED_PAGE_FAULT
        ? (BigInt(stage.errorCodeHigh) << 32n) | BigInt(stage.errorCode)
        : BigInt(stage.qualification),
    gpa: stage.gpa,
    onTable: (stage.access & Access.TABLE) !== 0,
  };
}

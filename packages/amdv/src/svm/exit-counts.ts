import { SVM_EXIT_CODES, type SvmExitName, svmExitName } from '../exit/codes.ts';

const NPF = 0x400;
const INVALID = -1;
/** Codes below NPF that exist, and two more places. */
const NPF_PLACE = 0x100;
const INVALID_PLACE = 0x101;

/** How often each exit has been taken. */
export class ExitCounts {
  readonly #counts: Float64Array = new Float64Array(INVALID_PLACE + 1);

  count(code: number): void {
    const place = code === NPF ? NPF_PLACE : code === INVALID ? INVALID_PLACE : code;
    this.#counts[place] = (this.#counts[place] as number) + 1;
  }

  /** By name; exits that were never taken are not there. */
  get byName(): Readonly<Partial<Record<SvmExitName, number>>> {
    const counts: Partial<Record<SvmExitName, number>> = {};
    for (const { code } of Object.values(SVM_EXIT_CODES)) {
      const place = code === NPF ? NPF_PLACE : code === INVALID ? INVALID_PLACE : code;
      const taken = this.#counts[place] ?? 0;
      const name = svmExitName(code);
      if (taken > 0 && name !== undefined) counts[name] = taken;
    }
    return counts;
  }
}

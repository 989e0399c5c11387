import { type SvmAttempt, svmSource } from '../../prelude/svm-attempt.ts';
import { type Departure, lacks, type Rom } from '../../rom.ts';

/** Exits that are due to no instruction's intercept: nRIP is 0 (APM Vol. 2 15.7.1). Bochs stores one whatever the exit. */
const WITHOUT_NRIP = '(EXCP(?![345] )\\d+|NPF|INTR|NMI|INIT|VINTR|SHUTDOWN|TASK_SWITCH|INVALID)';
const ASSISTS = /^ {2}assists:.*$/gm;
/** Neither peer has decode assists; QEMU has no NRIP save. */
const SILENT: Rom['silent'] = {
  bochs: [ASSISTS, new RegExp(`(?<=^ *${WITHOUT_NRIP}\\b.*)\\n {2}nrip=\\S+`, 'gm')],
  qemu: [ASSISTS, /^ {2}nrip=.*$/gm],
};

/** What only the manual says of an attempt: where Bochs departs from it, nobody has said what the next instruction is. */
function manualLines({ options }: SvmAttempt, rom: Partial<Rom>): readonly string[] {
  const bochsSays = !lacks(rom, 'bochs') && options.bochs === undefined;
  if (options.manual !== undefined) return [];
  return [
    ...(options.nrip === undefined || bochsSays ? [] : [`  nrip=${options.nrip}`]),
    ...(options.assists === undefined ? [] : [`  assists: ${options.assists}`]),
  ];
}

function departuresOf({ label, options }: SvmAttempt): readonly Departure[] {
  const manual = options.manual === undefined ? {} : { manual: options.manual };
  return (['bochs', 'qemu'] as const).flatMap((peer) => {
    const why = options[peer];
    return why === undefined ? [] : [{ peer, label, why, ...manual }];
  });
}

/** A ROM of AMD-V: a host in 64-bit mode that enters one guest after the other. */
export function svmRom(name: string, rule: string, attempts: readonly SvmAttempt[], more: Partial<Rom> = {}): Rom {
  const lines = attempts.map((attempt) => [attempt.label, manualLines(attempt, more).join('\n')] as const);
  return {
    name,
    rule,
    mode: 'long',
    extension: 'svm',
    source: svmSource(attempts),
    silent: SILENT,
    manual: Object.fromEntries(lines.filter(([, text]) => text !== '')),
    departures: attempts.flatMap(departuresOf).filter(({ peer }) => !lacks(more, peer)),
    ...more,
  };
}

/** Bochs cannot leave a virtual-8086 guest. */
export const BOCHS_V86: Rom['without'] = {
  peer: 'bochs',
  why: '#VMEXIT from virtual-8086 mode to a 64-bit host ends the run: RFLAGS.VM is not cleared first (APM Vol. 2 15.6).',
};

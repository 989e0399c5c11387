import { UsageError } from '../errors.ts';
import { oneOf, type ParsedOptions } from '../options/option.ts';
import { readNamedFile } from '../options/read-file.ts';
import type { CliIo } from '../terminal/cli-io.ts';
import type { Command } from './command.ts';

const ENTRY_FAILS = 1;
const BAD_INPUT = 2;

/** The processors whose rules may be asked for, by extension. */
export const EXPLAIN_PROCESSORS = {
  vmx: ['vmx:max', 'vmx:skylake', 'vmx:minimal', 'vmx:manual'],
  svm: ['svm:max', 'svm:zen3', 'svm:minimal'],
} as const;

/** `minusone explain`. */
export const explainCommand: Command = {
  name: 'explain',
  summary: 'say why VM entry or VMRUN would fail with a VMCS or VMCB, and what would mend it',
  operands: ['FILE'],
  options: [
    { name: 'vmx', value: EXPLAIN_PROCESSORS.vmx.join('|'), help: 'it is a VMCS, and what the processor offers; default vmx:max' },
    { name: 'svm', value: EXPLAIN_PROCESSORS.svm.join('|'), help: 'it is a VMCB, and what the processor offers; default svm:max' },
  ],
  details: `FILE holds a JSON object: names of fields to numbers or strings of digits ("0x20a0"); fields left out take a sound 64-bit guest's values.
Names are those of VMCS fields (GUEST_CR4, VM_ENTRY_CONTROLS) or, for a VMCB, the APM's (CR4, INTERCEPT_3); without --vmx or --svm they decide
which it is, and where they fit both it is a VMCS. '-' is standard input.

Exit status: 0 where the entry would succeed, 1 where it would fail, 2 on bad input.`,
  failureStatus: BAD_INPUT,
  run: explain,
};

async function explain(options: ParsedOptions, io: CliIo): Promise<number> {
  const [path] = options.operands;
  if (path === undefined) throw new UsageError('There is nothing to explain.', 'Write `minusone explain FILE`.');
  if (options.isSet('vmx') && options.isSet('svm')) throw new UsageError('--vmx and --svm exclude each other.', 'Give one of them.');
  const vmx = oneOf('processor', options.value('vmx') ?? 'vmx:max', EXPLAIN_PROCESSORS.vmx);
  const svm = oneOf('processor', options.value('svm') ?? 'svm:max', EXPLAIN_PROCESSORS.svm);
  const text = new TextDecoder().decode(path === '-' ? await io.input.readAll() : await readNamedFile(path));
  const isVmcb = options.isSet('svm') || (!options.isSet('vmx') && (await namesAreOfVmcb(text)));
  const { ok, says } = isVmcb ? await explainVmcb(text, svm) : await explainVmcs(text, vmx);
  io.out(`${says}\n`);
  return ok ? 0 : ENTRY_FAILS;
}

interface Explained {
  readonly ok: boolean;
  readonly says: string;
}

async function explainVmcs(text: string, capabilities: (typeof EXPLAIN_PROCESSORS.vmx)[number]): Promise<Explained> {
  const { explainJson, formatExplanation } = await import('@minusone/vtx');
  const explanation = explainJson(text, { capabilities });
  return { ok: explanation.ok, says: formatExplanation(explanation) };
}

async function explainVmcb(text: string, capabilities: (typeof EXPLAIN_PROCESSORS.svm)[number]): Promise<Explained> {
  const { explainJson, formatExplanation } = await import('@minusone/amdv');
  const explanation = explainJson(text, { capabilities });
  return { ok: explanation.ok, says: formatExplanation(explanation) };
}

/** Whether some name is a VMCB's alone and none a VMCS's alone. Text that is no object is for `explainJson` to refuse. */
async function namesAreOfVmcb(text: string): Promise<boolean> {
  let names: readonly string[];
  try {
    names = Object.keys(JSON.parse(text) ?? {});
  } catch {
    return false;
  }
  const { isVmcsFieldName } = await import('@minusone/vtx');
  const { namesVmcbField } = await import('@minusone/amdv');
  const ofVmcb = names.find((name) => namesVmcbField(name) && !isVmcsFieldName(name));
  const ofVmcs = names.find((name) => isVmcsFieldName(name) && !namesVmcbField(name));
  if (ofVmcb !== undefined && ofVmcs !== undefined) {
    throw new UsageError(
      `${ofVmcs} is a field of a VMCS, and ${ofVmcb} one of a VMCB.`,
      'Write the fields of one of them, or say which it is by --vmx or --svm.',
      { ofVmcs, ofVmcb },
    );
  }
  return ofVmcb !== undefined;
}

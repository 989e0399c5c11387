import { MinusOneError } from '@minusone/core';
import { UsageError } from '../errors.ts';
import { oneOf, type ParsedOptions } from '../options/option.ts';
import { readNamedFile } from '../options/read-file.ts';
import { reportError } from '../report-error.ts';
import type { CliIo } from '../terminal/cli-io.ts';
import type { Command } from './command.ts';

const ENTRY_FAILS = 1;
const BAD_INPUT = 2;
const PROCESSORS = ['vmx:max', 'vmx:skylake', 'vmx:minimal', 'vmx:manual'] as const;

/** `minusone explain`. */
export const explainCommand: Command = {
  name: 'explain',
  summary: 'say why VM entry would fail with a VMCS, and what would mend it',
  operands: ['FILE'],
  options: [{ name: 'vmx', value: PROCESSORS.join('|'), help: 'what the processor offers; default vmx:max' }],
  details:
    "FILE holds a JSON object: names of VMCS fields as in the SDM (GUEST_CR4) to numbers or strings of digits (\"0x20a0\"); fields left out take a sound 64-bit guest's\nvalues. '-' is standard input. Exit status: 0 where the entry would succeed, 1 where it would fail, 2 on bad input.",
  async run(options, io) {
    try {
      return await explain(options, io);
    } catch (error) {
      if (!(error instanceof MinusOneError)) throw error;
      reportError(error, io);
      return BAD_INPUT;
    }
  },
};

async function explain(options: ParsedOptions, io: CliIo): Promise<number> {
  const [path] = options.operands;
  if (path === undefined) throw new UsageError('There is nothing to explain.', 'Write `minusone explain FILE`.');
  const bytes = path === '-' ? await io.input.readAll() : await readNamedFile(path);
  const capabilities = oneOf('processor', options.value('vmx') ?? 'vmx:max', PROCESSORS);
  const { explainJson, formatExplanation } = await import('@minusone/vtx');
  const explanation = explainJson(new TextDecoder().decode(bytes), { capabilities });
  io.out(`${formatExplanation(explanation)}\n`);
  return explanation.ok ? 0 : ENTRY_FAILS;
}

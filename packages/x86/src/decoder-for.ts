import type { CpuModel } from './cpu/cpuid/model.ts';
import type { Extension } from './cpu/extension.ts';
import { Decoder } from './decode/decoder.ts';
import { instructionTable } from './instructions/index.ts';

/**
 * The decoder of a machine whose processors are of one model and carry the same kinds of extensions: their instructions are in its table, and what needs a feature
 * that neither the model nor an extension brings is #UD.
 */
export function decoderFor(model: CpuModel, extensions: readonly Extension[] = []): Decoder {
  const rows = extensions.flatMap(({ instructions }) => instructions);
  const features = extensions.flatMap((extension) => extension.features);
  const table = rows.length === 0 ? instructionTable : instructionTable.extended(rows);
  return new Decoder(table, new Set([...model.features, ...features]));
}

import { InvalidArgumentError } from '@minusone/core';
import { type CpuModel, cpuModels } from '@minusone/x86';

/** Whose processors have which extension. */
const MAKERS = { intel: { genitive: "Intel's", extension: 'VT-x' }, amd: { genitive: "AMD's", extension: 'AMD-V' } } as const;

/**
 * The CPU model that a vendor module is asked to run on.
 *
 * @param vendor whose processors the module is for
 * @param wanted a model, or its name
 * @throws {InvalidArgumentError} there is no model of that name, or it is another maker's
 */
export function vendorModel(vendor: 'intel' | 'amd', wanted: CpuModel | string): CpuModel {
  const model = typeof wanted === 'string' ? cpuModels[wanted] : wanted;
  if (model === undefined) {
    throw new InvalidArgumentError(`There is no CPU model "${wanted}".`, `The models are ${Object.keys(cpuModels).join(', ')}.`, {
      model: String(wanted),
    });
  }
  if (model.vendor !== vendor) {
    const { genitive, extension } = MAKERS[vendor];
    throw new InvalidArgumentError(
      `The model "${model.name}" is not ${genitive}, and has no ${extension}.`,
      `Take \`${vendor}\` of @minusone/x86, or one made from it.`,
      { model: model.name },
    );
  }
  return model;
}

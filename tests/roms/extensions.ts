import { Svm } from '@minusone/amdv';
import { Vmx } from '@minusone/vtx';
import { amd, type CpuModel, type Extension, type InstructionForm, type InstructionRow, instructionTable, intel } from '@minusone/x86';

/** A virtualization extension that a ROM is about. */
export type RomExtension = 'vtx' | 'svm';

/** The machines that have it: Bochs' model, ours. */
export interface ExtensionMachine {
  /** As `bochs --help cpu` lists it. */
  readonly bochsModel: string;
  readonly model: CpuModel;
  /** The extension of one CPU of ours. */
  readonly create: () => Extension;
  /** Rows of its instructions, for the assembler. */
  readonly instructions: readonly InstructionRow[];
}

export const extensionMachines: Readonly<Record<RomExtension, ExtensionMachine>> = {
  vtx: {
    bochsModel: 'corei7_skylake_x',
    model: intel,
    instructions: new Vmx().instructions,
    create: () => new Vmx(),
  },
  svm: { bochsModel: 'ryzen', model: amd, instructions: new Svm().instructions, create: () => new Svm() },
};

/** Instruction forms to assemble a ROM with. */
export function formsFor(extension: RomExtension | undefined): readonly InstructionForm[] {
  if (extension === undefined) return instructionTable.forms;
  let known = forms.get(extension);
  if (known === undefined) {
    known = instructionTable.extended(extensionMachines[extension].instructions).forms;
    forms.set(extension, known);
  }
  return known;
}
const forms = new Map<RomExtension, readonly InstructionForm[]>();

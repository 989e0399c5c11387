import {
  amd,
  type CpuModel,
  type Extension,
  type InstructionForm,
  type InstructionRow,
  instructionTable,
  intel,
  system,
} from '@minusone/x86';

/** A virtualization extension that a ROM is about. */
export type RomExtension = 'vtx' | 'svm';

/** The machines that have it: Bochs' model, ours. */
export interface ExtensionMachine {
  /** As `bochs --help cpu` lists it. */
  readonly bochsModel: string;
  readonly model: CpuModel;
  /** The extension of one CPU of ours. */
  readonly create?: () => Extension;
  /** Rows of its instructions, for the assembler. */
  readonly instructions: readonly InstructionRow[];
}

const nothing = (): void => {};
const row = (mnemonic: string, encoding: string): InstructionRow => system(mnemonic, [encoding], nothing);

export const extensionMachines: Readonly<Record<RomExtension, ExtensionMachine>> = {
  vtx: {
    bochsModel: 'corei7_skylake_x',
    model: intel,
    instructions: [
      row('VMCALL', 'NP 0F 01 C1'),
      row('VMLAUNCH', 'NP 0F 01 C2'),
      row('VMRESUME', 'NP 0F 01 C3'),
      row('VMXOFF', 'NP 0F 01 C4'),
      row('VMPTRLD', 'NP 0F C7 /6 Mq'),
      row('VMPTRST', 'NP 0F C7 /7 Mq'),
      row('VMCLEAR', '66 0F C7 /6 Mq'),
      row('VMXON', 'F3 0F C7 /6 Mq'),
      row('VMREAD', 'NP 0F 78 /r Ey,Gy f64'),
      row('VMWRITE', 'NP 0F 79 /r Gy,Ey f64'),
      row('INVEPT', '66 0F 38 80 /r Gy,Mdq f64'),
      row('INVVPID', '66 0F 38 81 /r Gy,Mdq f64'),
    ],
  },
  svm: { bochsModel: 'ryzen', model: amd, instructions: [] },
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

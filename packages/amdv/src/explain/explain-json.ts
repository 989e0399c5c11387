import { SVM_PRESETS, SvmCapabilities, type SvmPresetName, svmCapabilities } from '../capabilities/capabilities.ts';
import type { VmrunEnvironment } from '../checks/environment.ts';
import { ExplainInputError, UnknownVmcbFieldError, VmcbValueError } from '../errors.ts';
import { soundVmcb } from '../states/sound-states.ts';
import type { Vmcb } from '../vmcb/vmcb.ts';
import { type Explanation, explainVmcb } from './explain-vmcb.ts';
import { resemblingFields, vmcbPlace } from './field-names.ts';

/** What `explainJson` is told besides the text. */
export interface ExplainOptions {
  /** The processor: a preset's name, or capabilities; 'svm:max' by default. */
  readonly capabilities?: SvmPresetName | SvmCapabilities;
  readonly environment?: Partial<VmrunEnvironment>;
}

/** A number or a string such as `0x10`, `16`, `0b10000`; strings hold what a JSON number cannot. */
function parseValue(name: string, value: unknown): bigint {
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value) && value >= 0) return BigInt(value);
    throw new VmcbValueError(
      name,
      value,
      'A number must be an integer from 0 to 2^53 - 1; write a greater one as a string: "0xffff800000000000".',
    );
  }
  if (typeof value === 'string' && /^(0x[0-9a-f]+|0b[01]+|[0-9]+)$/i.test(value.trim().replaceAll('_', ''))) {
    return BigInt(value.trim().replaceAll('_', ''));
  }
  throw new VmcbValueError(name, value, 'It must be a number, or a string such as "0x1000".');
}

/**
 * Makes a VMCB from JSON: an object of field names to numbers or strings of digits (`"0x10"`). Names are the APM's (`CR4`, `CS_ATTRIBUTES`) or, as in other programs,
 * `GUEST_CR4`, `GUEST_CS_ATTR`, `CONTROL32_INTERCEPT1`. Fields that are absent take the values of a sound 64-bit guest.
 *
 * @throws {ExplainInputError} if the text is not JSON, or not an object
 * @throws {UnknownVmcbFieldError} if a name is no field's; the hint names some that resemble it
 * @throws {VmcbValueError} if a value is no number, or does not fit its field
 * @example vmcbFromJson('{ "CR4": "0xa0", "RIP": 4096 }', svmCapabilities('svm:max'))
 */
export function vmcbFromJson(text: string, capabilities: SvmCapabilities): Vmcb {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    // The reason quotes the text, line ends too.
    const reason = (cause as Error).message.replace(/\s+/g, ' ');
    throw new ExplainInputError(`This is not JSON: ${reason}.`, 'Write an object: { "CR4": "0xa0" }.', {}, cause);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new ExplainInputError('The JSON is not an object.', 'Write an object of field names and values: { "CR4": "0xa0" }.', {
      type: Array.isArray(json) ? 'array' : json === null ? 'null' : typeof json,
    });
  }
  const vmcb = soundVmcb('64-bit', capabilities);
  for (const [name, value] of Object.entries(json)) {
    const place = vmcbPlace(name);
    if (place === undefined) {
      const near = resemblingFields(name);
      throw new UnknownVmcbFieldError(name, near.length === 0 ? 'Names are those of VMCB_FIELDS.' : `Did you mean ${near.join(', ')}?`);
    }
    const number = parseValue(name, value);
    if (number >= 1n << BigInt(place >>> 17)) {
      throw new VmcbValueError(name, number, `It must be 0 to 0x${((1n << BigInt(place >>> 17)) - 1n).toString(16)}.`);
    }
    vmcb.write(place, number);
  }
  return vmcb;
}

/**
 * Explains what VMRUN says to a VMCB given as JSON: what the command `minusone explain FILE` does.
 *
 * @param text as `vmcbFromJson`, and its errors
 * @throws {SvmCapabilityError} if `options.capabilities` names no preset
 * @example explainJson('{ "GUEST_ASID": 0 }').failed[0].id // 'control.asid'
 */
export function explainJson(text: string, options: ExplainOptions = {}): Explanation {
  const { capabilities: named = 'svm:max', environment } = options;
  const capabilities = named instanceof SvmCapabilities ? named : svmCapabilities(named);
  return explainVmcb(vmcbFromJson(text, capabilities), capabilities, environment);
}

/** The presets' names, for a command's help. */
export const EXPLAIN_PRESETS: readonly SvmPresetName[] = Object.keys(SVM_PRESETS) as SvmPresetName[];

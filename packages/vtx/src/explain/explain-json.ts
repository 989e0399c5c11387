import { VmxCapabilities } from '../capabilities/capabilities.ts';
import { VMX_PRESETS, type VmxPresetName, vmxCapabilities } from '../capabilities/presets.ts';
import type { EntryEnvironment } from '../checks/environment.ts';
import { ExplainInputError, UnknownVmcsFieldError, VmcsValueError } from '../errors.ts';
import { soundVmcs } from '../states/sound-states.ts';
import { FIELD, isVmcsFieldName, VMCS_FIELD_NAMES } from '../vmcs/fields.ts';
import type { Vmcs } from '../vmcs/vmcs.ts';
import { type EntryExplanation, explainEntry } from './explain-entry.ts';

/** What `explainJson` is told besides the text. */
export interface ExplainOptions {
  /** The processor: a preset's name, or capabilities; 'vmx:max' by default. */
  readonly capabilities?: VmxPresetName | VmxCapabilities;
  readonly environment?: Partial<EntryEnvironment>;
}

function capabilitiesOf({ capabilities = 'vmx:max' }: ExplainOptions): VmxCapabilities {
  return capabilities instanceof VmxCapabilities ? capabilities : vmxCapabilities(capabilities);
}

/** The names that resemble a wrong one: those that share most of its parts. */
function resembling(name: string): readonly string[] {
  const parts = name.toUpperCase().split(/[^A-Z0-9]+/);
  const score = (candidate: string): number => candidate.split('_').filter((part) => parts.includes(part)).length;
  return VMCS_FIELD_NAMES.filter((candidate) => score(candidate) > 0)
    .sort((a, b) => score(b) - score(a) || a.length - b.length)
    .slice(0, 3);
}

/** A number or a string such as `0x10`, `16`, `0b10000`; strings hold what a JSON number cannot. */
function parseValue(name: string, value: unknown): bigint {
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value) && value >= 0) return BigInt(value);
    throw new VmcsValueError(
      name,
      value,
      'A number must be an integer from 0 to 2^53 - 1; write a greater one as a string: "0xffff800000000000".',
    );
  }
  if (typeof value === 'string' && /^(0x[0-9a-f]+|0b[01]+|[0-9]+)$/i.test(value.trim().replaceAll('_', ''))) {
    return BigInt(value.trim().replaceAll('_', ''));
  }
  throw new VmcsValueError(name, value, 'It must be a number, or a string such as "0x1000".');
}

/**
 * Makes a VMCS from JSON: an object of field names (as in `VMCS_FIELDS`) to numbers or strings of digits (`"0x10"`). Fields that are absent take the values of a sound
 * 64-bit guest.
 *
 * @throws {ExplainInputError} if the text is not JSON, or not an object
 * @throws {UnknownVmcsFieldError} if a name is no field's; the hint names some that resemble it
 * @throws {VmcsValueError} if a value is no number, or does not fit its field
 * @example vmcsFromJson('{ "GUEST_CR4": "0x20a0", "GUEST_RIP": 4096 }', vmxCapabilities('vmx:max'))
 */
export function vmcsFromJson(text: string, capabilities: VmxCapabilities): Vmcs {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    // The reason quotes the text, line ends too.
    const reason = (cause as Error).message.replace(/\s+/g, ' ');
    throw new ExplainInputError(`This is not JSON: ${reason}.`, 'Write an object: { "GUEST_CR4": "0x20a0" }.', {}, cause);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new ExplainInputError('The JSON is not an object.', 'Write an object of field names and values: { "GUEST_CR4": "0x20a0" }.', {
      type: Array.isArray(json) ? 'array' : json === null ? 'null' : typeof json,
    });
  }
  const vmcs = soundVmcs('64-bit', capabilities);
  for (const [name, value] of Object.entries(json)) {
    if (!isVmcsFieldName(name)) {
      const near = resembling(name);
      throw new UnknownVmcsFieldError(name, near.length === 0 ? 'Names are those of VMCS_FIELDS.' : `Did you mean ${near.join(', ')}?`);
    }
    vmcs.write(FIELD[name], parseValue(name, value));
  }
  return vmcs;
}

/**
 * Explains what VM entry says to a VMCS given as JSON: what the command `minusone explain FILE` does.
 *
 * @param text as `vmcsFromJson`, and its errors
 * @throws {UnknownCapabilityError} if `options.capabilities` names no preset
 * @example explainJson('{ "GUEST_RFLAGS": 0 }').failed[0].id // 'guest.rflags.bit-1'
 */
export function explainJson(text: string, options: ExplainOptions = {}): EntryExplanation {
  const capabilities = capabilitiesOf(options);
  return explainEntry(vmcsFromJson(text, capabilities), capabilities, options.environment);
}

/** The presets' names, for a command's help. */
export const EXPLAIN_PRESETS: readonly VmxPresetName[] = Object.keys(VMX_PRESETS) as VmxPresetName[];

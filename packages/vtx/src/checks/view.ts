import type { VmxCapabilities } from '../capabilities/capabilities.ts';
import { type Bits, bitsOf, type WordSource } from '../controls/bits.ts';
import { decodeInterruptionInfo, type InterruptionInfo } from '../controls/interruption.ts';
import {
  ACCESS_RIGHTS_BITS,
  CR0_BITS,
  CR4_BITS,
  DEBUGCTL_BITS,
  EFER_BITS,
  INTERRUPTIBILITY_BITS,
  PENDING_DEBUG_BITS,
  RFLAGS_BITS,
} from '../controls/registers.ts';
import {
  ENTRY_CONTROLS,
  EXIT_CONTROLS,
  PIN_BASED_CONTROLS,
  PRIMARY_CONTROLS,
  SECONDARY_CONTROLS,
  TERTIARY_CONTROLS,
  VM_FUNCTIONS,
} from '../controls/tables.ts';
import { FIELD, type VmcsFieldName } from '../vmcs/fields.ts';
import type { Vmcs } from '../vmcs/vmcs.ts';
import { DEFAULT_ENVIRONMENT, type EntryEnvironment } from './environment.ts';

/** The segment registers of the guest-state area. */
export type SegmentName = 'ES' | 'CS' | 'SS' | 'DS' | 'FS' | 'GS' | 'LDTR' | 'TR';

const pinBasedBits = bitsOf(PIN_BASED_CONTROLS);
const primaryBits = bitsOf(PRIMARY_CONTROLS);
const secondaryBits = bitsOf(SECONDARY_CONTROLS);
const tertiaryBits = bitsOf(TERTIARY_CONTROLS);
const functionBits = bitsOf(VM_FUNCTIONS);
const exitBits = bitsOf(EXIT_CONTROLS);
const entryBits = bitsOf(ENTRY_CONTROLS);
const cr0Bits = bitsOf(CR0_BITS);
const cr4Bits = bitsOf(CR4_BITS);
const rflagsBits = bitsOf(RFLAGS_BITS);
const eferBits = bitsOf(EFER_BITS);
const debugctlBits = bitsOf(DEBUGCTL_BITS);
const interruptibilityBits = bitsOf(INTERRUPTIBILITY_BITS);
const pendingDebugBits = bitsOf(PENDING_DEBUG_BITS);
const accessRightsBits = bitsOf(ACCESS_RIGHTS_BITS);

/** A guest segment as the checks see it. */
export class SegmentView {
  readonly name: SegmentName;
  readonly ar: Bits<typeof ACCESS_RIGHTS_BITS>;
  readonly #vmcs: Vmcs;

  constructor(vmcs: Vmcs, name: SegmentName) {
    this.#vmcs = vmcs;
    this.name = name;
    const field = FIELD[`GUEST_${name}_AR_BYTES`];
    this.ar = accessRightsBits({ low: () => vmcs.low(field), all: () => vmcs.read(field) });
  }
  get selector(): number {
    return this.#vmcs.low(FIELD[`GUEST_${this.name}_SELECTOR`]);
  }
  get rpl(): number {
    return this.selector & 3;
  }
  /** The selector's table indicator: 1 is the LDT. */
  get ti(): boolean {
    return (this.selector & 4) !== 0;
  }
  get limit(): number {
    return this.#vmcs.low(FIELD[`GUEST_${this.name}_LIMIT`]);
  }
  get isUsable(): boolean {
    return !this.ar.unusable;
  }
  /** Bits 3:0 of the access rights. */
  get type(): number {
    return this.ar.value & 15;
  }
  get dpl(): number {
    return (this.ar.value >>> 5) & 3;
  }
}

/**
 * A VMCS as the checks of VM entry see it: control words with the manual's names, registers with their bits, what follows from both. It reads the VMCS anew each
 * time, so that one view serves any number of entries.
 */
export class EntryView {
  readonly vmcs: Vmcs;
  readonly capabilities: VmxCapabilities;
  environment: EntryEnvironment;
  readonly pinBased: Bits<typeof PIN_BASED_CONTROLS>;
  readonly primary: Bits<typeof PRIMARY_CONTROLS>;
  /** All 0 where "activate secondary controls" is 0 (SDM Vol. 3C, 25.6.2). */
  readonly secondary: Bits<typeof SECONDARY_CONTROLS>;
  /** All 0 where "activate tertiary controls" is 0. */
  readonly tertiary: Bits<typeof TERTIARY_CONTROLS>;
  /** All 0 where "enable VM functions" is 0. */
  readonly vmFunctions: Bits<typeof VM_FUNCTIONS>;
  readonly exit: Bits<typeof EXIT_CONTROLS>;
  readonly entry: Bits<typeof ENTRY_CONTROLS>;
  readonly cr0: Bits<typeof CR0_BITS>;
  readonly cr4: Bits<typeof CR4_BITS>;
  readonly rflags: Bits<typeof RFLAGS_BITS>;
  readonly efer: Bits<typeof EFER_BITS>;
  readonly debugctl: Bits<typeof DEBUGCTL_BITS>;
  readonly interruptibility: Bits<typeof INTERRUPTIBILITY_BITS>;
  readonly pendingDebug: Bits<typeof PENDING_DEBUG_BITS>;
  readonly hostCr0: Bits<typeof CR0_BITS>;
  readonly hostCr4: Bits<typeof CR4_BITS>;
  readonly hostEfer: Bits<typeof EFER_BITS>;
  readonly segments: Readonly<Record<SegmentName, SegmentView>>;
  #injectionValue = 0;
  #injection: InterruptionInfo = decodeInterruptionInfo(0);

  constructor(vmcs: Vmcs, capabilities: VmxCapabilities, environment: EntryEnvironment = DEFAULT_ENVIRONMENT) {
    this.vmcs = vmcs;
    this.capabilities = capabilities;
    this.environment = environment;
    const word = (name: VmcsFieldName): WordSource => {
      const encoding = FIELD[name];
      return { low: () => vmcs.low(encoding), all: () => vmcs.read(encoding) };
    };
    const gated = (name: VmcsFieldName, isActive: () => boolean): WordSource => {
      const source = word(name);
      return { low: () => (isActive() ? source.low() : 0), all: source.all };
    };
    this.pinBased = pinBasedBits(word('PIN_BASED_VM_EXEC_CONTROL'));
    this.primary = primaryBits(word('CPU_BASED_VM_EXEC_CONTROL'));
    this.secondary = secondaryBits(gated('SECONDARY_VM_EXEC_CONTROL', () => this.primary.activateSecondaryControls));
    this.tertiary = tertiaryBits(gated('TERTIARY_VM_EXEC_CONTROL', () => this.primary.activateTertiaryControls));
    this.vmFunctions = functionBits(gated('VM_FUNCTION_CONTROL', () => this.secondary.enableVmFunctions));
    this.exit = exitBits(word('VM_EXIT_CONTROLS'));
    this.entry = entryBits(word('VM_ENTRY_CONTROLS'));
    this.cr0 = cr0Bits(word('GUEST_CR0'));
    this.cr4 = cr4Bits(word('GUEST_CR4'));
    this.rflags = rflagsBits(word('GUEST_RFLAGS'));
    this.efer = eferBits(word('GUEST_IA32_EFER'));
    this.debugctl = debugctlBits(word('GUEST_IA32_DEBUGCTL'));
    this.interruptibility = interruptibilityBits(word('GUEST_INTERRUPTIBILITY_INFO'));
    this.pendingDebug = pendingDebugBits(word('GUEST_PENDING_DBG_EXCEPTIONS'));
    this.hostCr0 = cr0Bits(word('HOST_CR0'));
    this.hostCr4 = cr4Bits(word('HOST_CR4'));
    this.hostEfer = eferBits(word('HOST_IA32_EFER'));
    const segment = (name: SegmentName): SegmentView => new SegmentView(vmcs, name);
    this.segments = {
      ES: segment('ES'),
      CS: segment('CS'),
      SS: segment('SS'),
      DS: segment('DS'),
      FS: segment('FS'),
      GS: segment('GS'),
      LDTR: segment('LDTR'),
      TR: segment('TR'),
    };
  }

  /** Bits 31:0 of a field, unsigned. */
  low(name: VmcsFieldName): number {
    return this.vmcs.low(FIELD[name]);
  }
  /** Bits 63:32 of a field, unsigned. */
  high(name: VmcsFieldName): number {
    return this.vmcs.high(FIELD[name]);
  }
  /** The whole field. */
  value(name: VmcsFieldName): bigint {
    return this.vmcs.read(FIELD[name]);
  }
  /** A physical address as a Number; its bits beyond 53 are lost, so check its width first. */
  address(name: VmcsFieldName): number {
    return this.high(name) * 0x1_0000_0000 + this.low(name);
  }

  /** Whether an address sets no bit beyond the processor's physical-address width. */
  isPhysical(name: VmcsFieldName): boolean {
    const { physicalAddressWidth } = this.capabilities.processor;
    return physicalAddressWidth >= 64 || this.high(name) >>> (physicalAddressWidth - 32) === 0;
  }
  /** Whether bits 63 to N-1 are alike, N the processor's linear-address width (SDM Vol. 1, 3.3.7.1). */
  isCanonical(name: VmcsFieldName): boolean {
    const sign = (this.high(name) | 0) >> (this.capabilities.processor.linearAddressWidth - 33);
    return sign === 0 || sign === -1;
  }

  get ia32eModeGuest(): boolean {
    return this.entry.ia32eModeGuest;
  }
  get unrestrictedGuest(): boolean {
    return this.secondary.unrestrictedGuest;
  }
  /** The guest will be in virtual-8086 mode: RFLAGS.VM is 1 where it may be. (Where it may not, a check of RFLAGS fails, and segments are judged as they stand.) */
  get isVirtual8086(): boolean {
    return this.rflags.vm && !this.entry.ia32eModeGuest && this.cr0.pe;
  }
  /** CR0.PG, CR4.PAE and no IA-32e mode. */
  get usesPaePaging(): boolean {
    return this.cr0.pg && this.cr4.pae && !this.entry.ia32eModeGuest;
  }
  /** The VM-entry interruption-information field, taken apart. */
  get injection(): InterruptionInfo {
    const value = this.low('VM_ENTRY_INTR_INFO_FIELD');
    if (value !== this.#injectionValue) {
      this.#injection = decodeInterruptionInfo(value);
      this.#injectionValue = value;
    }
    return this.#injection;
  }
  get activityState(): number {
    return this.low('GUEST_ACTIVITY_STATE');
  }
}

import type { BootState } from '@minusone/loader';
import { ApicRegister, CodeSpace, CpuEngine, decoderFor, type Extension, Processors } from '@minusone/x86';
import type { Accelerator, ProcessorParts, ProcessorSet, ProcessorsResult, ProcessorsStatistics } from './accelerator.ts';
import { applyBootState } from './apply-boot-state.ts';

/** Spurious vector FFH, APIC software-enabled; LINT0 unmasked in ExtINT mode. */
const SPURIOUS_ENABLED = 0x1ff;
const LINT0_EXTINT = 0x700;

/** Our emulated processors, without a hypervisor: acceleration `none`. */
export const bareCpu: Accelerator = bareCpuWith(() => []);

/**
 * The same with extensions, for guests that are hypervisors themselves.
 * @param extensions made for each processor, and once for the decoder
 * @example boot({ accel: bareCpuWith(() => [new Vmx()]), kernel: 'hypervisor.elf' })
 */
export function bareCpuWith(extensions: () => readonly Extension[]): Accelerator {
  return {
    name: 'none',
    createProcessors(parts: ProcessorParts): ProcessorSet {
      const { memory, physical, ports, model, cpus, clock, jit } = parts;
      const space = new CodeSpace(memory, decoderFor(model, extensions()), undefined, jit === true ? {} : jit);
      physical.observer = space;
      const processors = new Processors({
        memory,
        physical,
        ports,
        model,
        cpus,
        clock,
        engine: (cpu) => new CpuEngine(space, cpu),
        extensions,
        external: parts.interruptAcknowledge,
      });
      return new BareProcessors(processors);
    },
  };
}

/** The emulated CPUs of a machine without a hypervisor, for whoever wants to look inside. */
export class BareProcessors implements ProcessorSet {
  readonly #processors: Processors;

  constructor(processors: Processors) {
    this.#processors = processors;
  }

  get clock(): ProcessorSet['clock'] {
    return this.#processors.clock;
  }
  get messages(): ProcessorSet['messages'] {
    return this.#processors.bus;
  }
  get intr(): ProcessorSet['intr'] {
    return this.#localApic.lint0;
  }
  get idleCount(): number {
    return this.#processors.idleCount;
  }

  /** The CPUs themselves. */
  get cpus(): Processors['cpus'] {
    return this.#processors.cpus;
  }

  onEoi(listener: (vector: number) => void): void {
    this.#processors.bus.onEoi(listener);
  }

  start(state: BootState): void {
    applyBootState(this.#processors.bootstrap, state);
    // Firmware that starts at the reset vector sets the APIC up by itself.
    if (state.keepsReset) return;
    // Virtual wire mode, as firmware leaves it (MultiProcessor Specification 1.4, 3.6.2.2): interrupts of the 8259 pair reach the first processor.
    this.#localApic.writeRegister(ApicRegister.SVR, SPURIOUS_ENABLED);
    this.#localApic.writeRegister(ApicRegister.LVT_LINT0, LINT0_EXTINT);
  }

  run(instructions: number): ProcessorsResult {
    const result = this.#processors.run(instructions);
    switch (result.reason) {
      case 'idle':
        return { reason: 'idle', deadlineNs: result.deadlineNs };
      case 'shutdown':
        return { reason: 'shutdown', cpu: result.cpu?.index ?? 0 };
      case 'stopped':
        return { reason: 'stopped' };
      default:
        return { reason: 'budget' };
    }
  }

  stop(): void {
    this.#processors.stop();
  }

  get statistics(): ProcessorsStatistics {
    const engines = this.#processors.cpus.map(({ engine }) => engine.statistics);
    return {
      instructions: this.#processors.instructions,
      instructionsInRegions: engines.reduce((sum, { instructionsInRegions }) => sum + instructionsInRegions, 0),
      exits: {},
    };
  }

  get #localApic(): NonNullable<Processors['bootstrap']['apic']> {
    const { apic } = this.#processors.bootstrap;
    if (apic === undefined) throw new TypeError('the first processor has a local APIC');
    return apic;
  }
}

import { type Assembly, assemble } from '@minusone/asm';
import { formsFor, type RomExtension } from './extensions.ts';
import { handlers } from './prelude/handlers.ts';
import { MemoryMap } from './prelude/memory-map.ts';
import { bitsOf, modes, type StartMode } from './prelude/modes.ts';
import { printRoutines } from './prelude/print.ts';
import { tables } from './prelude/tables.ts';

/** A place in a peer's output where it does not do what the manual says. */
export interface Departure {
  readonly peer: 'bochs' | 'qemu';
  /** Label of the attempt whose lines differ. */
  readonly label: string;
  /** What the peer does, and the manual's section that it departs from. */
  readonly why: string;
  /** What the manual asks for, where no peer shows it: the attempt's lines after the label. */
  readonly manual?: string;
}

/** The same departure in several attempts. */
export const departs = (peer: Departure['peer'], labels: readonly string[], why: string): Departure[] =>
  labels.map((label) => ({ peer, label, why }));

/** QEMU's TCG checks no segment limits and no types of data accesses. */
export const TCG_CHECKS_NO_LIMITS = 'TCG checks neither limits nor types when memory is accessed; SDM Vol. 3A 5.3, 5.5.';

/** A change in our code that makes a ROM fail: `find`, which is there once, becomes `replace`. */
export interface Mutation {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** One program that exercises one rule and prints what came of it. */
export interface Rom {
  /** Of the file in `expected/`. */
  readonly name: string;
  /** What it is about, with the manual's section. */
  readonly rule: string;
  /** The mode in which the source begins. */
  readonly mode: StartMode;
  /** Assembly source; it ends by `finish`, which is added, or by shutting the processor down. */
  readonly source: string;
  readonly departures?: readonly Departure[];
  /** Peers that lack the feature altogether, so that they cannot run this ROM. */
  readonly without?: Absence | readonly Absence[];
  /** Text that a peer does not print, as it says by CPUID that it lacks what is behind it. */
  readonly silent?: Readonly<Partial<Record<Departure['peer'], readonly RegExp[]>>>;
  /** What the manual asks for in an attempt besides what any peer shows: lines to follow, by label. */
  readonly manual?: Readonly<Record<string, string>>;
  /** The virtualization extension that it is about: its instructions may be used, and all machines have it. */
  readonly extension?: RomExtension;
  /** Processors of the machine; by default 1. */
  readonly cpus?: 1 | 2;
  /** CPUID features that it is about and our model does not have by itself; the peers have them. */
  readonly features?: readonly string[];
}

/** What a ROM asks of the machine it runs on. */
export type RomMachine = Pick<Rom, 'extension' | 'cpus' | 'features'>;

/** A peer that lacks a feature altogether. */
export interface Absence {
  readonly peer: Departure['peer'];
  readonly why: string;
}

/** Whether a peer lacks what a ROM is about. */
export const lacks = (rom: Pick<Rom, 'without'>, peer: Departure['peer']): boolean =>
  [rom.without ?? []].flat().some((absence) => absence.peer === peer);

const ROM_BYTES = 0x10000;
const STUB = 0xff00;
const RESET_VECTOR = 0xfff0;
/** What the stub stores of the state after reset, 4 bytes each, FLAGS after them. SP is 0 then: one PUSHF wraps around. */
export const RESET_STATE_REGISTERS: readonly string[] = ['eax', 'ebx', 'ecx', 'esi', 'edi', 'ebp', 'esp', 'ds', 'es', 'ss', 'fs', 'gs'];

let prelude: Assembly | undefined;

function preludeAssembly(): Assembly {
  prelude ??= assemble([printRoutines(16), printRoutines(32), printRoutines(64), handlers(), modes(), tables()].join('\n'), {
    bits: 16,
    origin: MemoryMap.prelude,
  });
  if (prelude.bytes.length > MemoryMap.body - MemoryMap.prelude) throw new RangeError(`The prelude has ${prelude.bytes.length} bytes.`);
  return prelude;
}

/** Assembles a ROM: 64 KiB whose last 16 bytes are the reset vector. It copies itself to RAM, so that its tables and code can be written. */
export function buildRom(rom: Pick<Rom, 'mode' | 'source' | 'extension'>): Uint8Array {
  const { bytes: preludeBytes, symbols } = preludeAssembly();
  const bits = bitsOf(rom.mode);
  const body = assemble(`${rom.source}\nbits ${bits}\njmp finish${bits}`, {
    bits,
    origin: MemoryMap.body,
    symbols: Object.fromEntries(symbols),
    forms: formsFor(rom.extension),
  }).bytes;
  if (body.length > MemoryMap.bodyEnd - MemoryMap.body) throw new RangeError(`The body has ${body.length} bytes.`);
  const image = new Uint8Array(ROM_BYTES);
  image.set(preludeBytes, 0);
  image.set(body, MemoryMap.body - MemoryMap.prelude);
  const stub = `
    ${RESET_STATE_REGISTERS.map((register, i) => `mov [${MemoryMap.resetState + 4 * i}], ${register}`).join('\n')}
    pushf
    pop word [${MemoryMap.resetState + 4 * RESET_STATE_REGISTERS.length}]
    cli
    cld
    mov ax, 0xf000
    mov ds, ax
    xor si, si
    mov es, si
    mov ss, si
    mov sp, ${MemoryMap.mainStack}
    mov di, ${MemoryMap.prelude}
    mov cx, ${MemoryMap.body - MemoryMap.prelude + body.length}
    rep movsb
    jmpf 0:${symbols.get(`start_${rom.mode}`)}`;
  image.set(assemble(stub, { bits: 16, origin: STUB }).bytes, STUB);
  image.set(assemble(`jmpf 0xf000:${STUB}`, { bits: 16, origin: RESET_VECTOR }).bytes, RESET_VECTOR);
  return image;
}

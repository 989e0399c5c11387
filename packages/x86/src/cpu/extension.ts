import type { SecondStage, WalkResult } from '@minusone/mmu';
import type { InstructionRow } from '../table/row.ts';
import type { Cpu } from './cpu.ts';
import type { CpuidResult } from './cpuid/leaves.ts';
import type { MsrRow } from './msr/row.ts';

/**
 * What VT-x and SVM have in common, seen from a CPU that knows neither: an extension adds CPUID bits, MSRs and instructions; while a
 * guest of it runs, its layer is asked at every place where the manuals let a hypervisor intercept.
 */
export interface Extension {
  /** For error messages and the documentation. */
  readonly name: string;
  /** Feature names that the CPU model then offers (rows of the table may ask for them). */
  readonly features: readonly string[];
  readonly msrs: readonly MsrRow[];
  /** Rows of its instructions: the machine's decoder is to be made with them (`decoderFor`). */
  readonly instructions: readonly InstructionRow[];
  /** Called once, when the CPU is made and before it is reset: one extension object serves one CPU. */
  attach?(cpu: Cpu): void;
  /** RESET# and power-up; the CPU's layer is gone already. */
  reset?(cpu: Cpu): void;
  /** Whether an INIT signal waits now (VMX root operation, SDM Vol. 3C, 23.8). */
  blocksInit?(cpu: Cpu): boolean;
  /** Adds its bits and leaves to what CPUID answers. */
  cpuid?(cpu: Cpu, leaf: number, subleaf: number, result: CpuidResult): void;
  /** Bits of CR4 and IA32_EFER that software may then set (CR4.VMXE, EFER.SVME). */
  readonly cr4Bits?: number;
  readonly eferBits?: number;
  /** Whether INIT, A20M and CR0 or CR4 values are constrained now (VMX operation): returns true to refuse the new value with #GP(0). */
  refusesControlRegister?(cpu: Cpu, register: 0 | 4, value: number): boolean;
}

/** A virtualization layer above the machine: pushed by VM entry, popped by VM exit. */
export interface Layer {
  /**
   * Is this event mine? If so the layer has done its exit (all of it: guest state saved, host state loaded, RIP set) and returns true; the CPU abandons what it was
   * doing. If not, nothing has changed and the CPU goes on. An exit that completes the instruction first (trap-like) sees `cpu.nextRip...`.
   */
  intercept(event: InterceptEvent): boolean;
  /**
   * Asked at each instruction boundary, after debug traps and before NMIs and interrupts, while `wantsBoundary` is true: for interrupt and NMI windows, virtual interrupts, preemption timers.
   * Returns true where an exit or a delivery took place.
   */
  boundary(): boolean;
  readonly wantsBoundary: boolean;
  /** `boundary` is to be asked even before debug traps (SDM Vol. 3C, 26.5.2 "Monitor Trap Flag"). */
  readonly boundaryFirst?: boolean;
  /** After how many instructions, at the latest, `boundary` may be wanted: the CPU looks there exactly. Absent, or infinite: nothing is due by itself. */
  readonly instructionsToBoundary?: number;
  /** The CPU has nothing to execute (HLT, shutdown): the layer arms a timer for what it wants a boundary for, as no instructions lead there. */
  waits?(): void;
  /** IRET leaves the blocking of NMIs as it is (SDM Vol. 3C, 26.3: "NMI exiting" without "virtual NMIs"). */
  readonly iretKeepsNmiBlocking?: boolean;
  /** MOV DR is intercepted before the checks of CPL, CR4.DE and DR7.GD (SDM Vol. 3C, 26.1.3), not after them. */
  readonly debugRegistersFirst?: boolean;
  /** The second stage of its guest's memory (EPT, NPT); null: guest-physical addresses are the machine's. */
  readonly stage: SecondStage | null;
  /** Keeps its guest's translations apart from others' (VPID or ASID with EPTP or nCR3): 1 to 2^20; 0 is the machine itself. */
  readonly addressSpaceTag: number;
  /** The next step is to be one instruction, or one iteration of a repeated string instruction; `stepped` is called after it where it raised nothing. */
  readonly stepsIterations?: boolean;
  stepped?(): void;
  /** Whether a pending external interrupt, an NMI, is taken (or exits) at this boundary. `unmasked`: by the guest's own RFLAGS.IF and shadow; by its blocking of NMIs. */
  acceptsInterrupt(unmasked: boolean): boolean;
  acceptsNmi(unmasked: boolean): boolean;
  /** Bits of `Layered`: what compiled code is to leave to TypeScript while this layer runs. May change only with `cpu.layerChanged()`. */
  readonly slowRows: number;
  /** What the guest reads of CR0 or CR4 (read shadows); absent: the register. */
  readControlRegister?(register: 0 | 4, value: number): number;
  /** What a guest's write of CR0 or CR4 that was not intercepted puts into the register (guest/host masks); absent: the value. */
  mergeControlRegister?(register: 0 | 4, value: number): number;
  /** CR8, where the layer keeps the guest's task priority itself (TPR shadow, V_TPR): undefined where it does not. */
  readCr8?(): number | undefined;
  /** Returns true if the layer took the value (or has exited: then it throws `layerExit`). */
  writeCr8?(priority: number): boolean;
}

/** Bits of `Layer.slowRows`: rows that have an emitter for the usual case, which a layer may want to see in TypeScript. */
export const Layered = {
  /** CLI, STI, PUSHF. */
  FLAGS: 1,
  /** RDTSC, RDTSCP. */
  TIME: 2,
  /** PAUSE. */
  PAUSE: 4,
} as const;

/** What may be intercepted, with what exit qualifications (SDM Vol. 3C, 27.2.1) and EXITINFO (APM Vol. 2, 15.7 ff.) need. */
export type InterceptEvent =
  /** An instruction that is intercepted whole, before it does anything but the checks that come first (CPL, #UD). */
  | { readonly kind: 'instruction'; readonly mnemonic: string }
  /** `operandLow/High`: the linear address. */
  | { readonly kind: 'invlpg'; readonly addressLow: number; readonly addressHigh: number }
  /** LGDT, SIDT, LLDT, STR ... and their memory operands by the decoded instruction. */
  | {
      readonly kind: 'descriptor-table';
      readonly mnemonic: string;
      readonly table: 'gdtr' | 'idtr' | 'ldtr' | 'tr';
      readonly write: boolean;
    }
  | {
      readonly kind: 'control-register';
      readonly register: number;
      readonly write: true;
      readonly gpr: number;
      readonly value: bigint;
      readonly by: 'mov' | 'clts' | 'lmsw' | 'task-switch';
      /** LMSW: all 16 bits of its operand. */
      readonly source?: number;
    }
  | {
      readonly kind: 'control-register';
      readonly register: number;
      readonly write: false;
      readonly gpr: number;
      readonly by: 'mov' | 'smsw';
    }
  | { readonly kind: 'debug-register'; readonly register: number; readonly write: boolean; readonly gpr: number }
  | {
      readonly kind: 'io';
      readonly port: number;
      readonly size: 1 | 2 | 4;
      readonly input: boolean;
      readonly string: boolean;
      readonly rep: boolean;
      /** Port in an immediate (IN AL,imm8), not in DX. */
      readonly immediate: boolean;
      /** String forms: the effective segment and address size in bytes. */
      readonly segment: number;
      readonly addressBytes: 2 | 4 | 8;
    }
  | { readonly kind: 'msr'; readonly index: number; readonly write: boolean; readonly value: bigint }
  | {
      readonly kind: 'exception';
      readonly vector: number;
      readonly type: number;
      readonly errorCode: number;
      readonly hasErrorCode: boolean;
      /** #PF: the linear address (CR2 is not yet written). */
      readonly addressLow: number;
      readonly addressHigh: number;
      /** #DB: the bits that DR6 would get (not yet written). */
      readonly debugBits: number;
    }
  /** INT n (APM Vol. 2, 15.13.5). */
  | { readonly kind: 'software-interrupt'; readonly vector: number }
  /** An external interrupt is pending, not masked and not yet acknowledged: `cpu.acknowledgeInterrupt()` takes it. */
  | { readonly kind: 'external-interrupt' }
  | { readonly kind: 'nmi' }
  | { readonly kind: 'init' }
  | { readonly kind: 'sipi'; readonly vector: number }
  | {
      readonly kind: 'task-switch';
      readonly selector: number;
      readonly source: 'call' | 'iret' | 'jmp' | 'gate';
      readonly errorCode: number;
      readonly hasErrorCode: boolean;
      /** RF as the outgoing TSS would get it. */
      readonly resume: boolean;
    }
  /**
   * The second stage refused an access. `result.stage` says which and why, `result.stageOnTable` on whose behalf; the linear address is the access's. With
   * `cpu.delivering.active` an event was being delivered.
   */
  | { readonly kind: 'second-stage-fault'; readonly result: WalkResult; readonly addressLow: number; readonly addressHigh: number }
  | { readonly kind: 'triple-fault' };

/** Thrown to unwind the TypeScript code of an instruction that a layer took over; caught by the run loop. */
export const layerExit: object = Object.freeze({ name: 'layer exit' });

/** Thrown by the TypeScript code of an instruction that needs an answer from outside first (see `ReadGate`): nothing has changed, `run` returns 'restart'. */
export const instructionWaits: object = Object.freeze({ name: 'instruction waits' });

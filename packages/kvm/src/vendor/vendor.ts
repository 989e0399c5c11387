import type { Cpu, CpuModel, Extension } from '@minusone/x86';
import type { HostPages } from '../host/host-pages.ts';
import type { SecondStageFormat } from './second-stage-format.ts';
import type { VendorExit } from './vendor-exit.ts';

/**
 * The line between KVM and the module of a virtualization extension, as Linux's `kvm_x86_ops`: `@minusone/kvm-intel` programs a VMCS, `@minusone/kvm-amd` a VMCB;
 * what a guest's action means is KVM's own business.
 */
export interface KvmVendor {
  /** `kvm_intel`, `kvm_amd`. */
  readonly name: string;
  /** The model of the processors that the hypervisor runs on, and (but for the extension itself) the most that its guests may be offered. */
  readonly model: CpuModel;
  /** How entries of the second stage's tables are written. */
  readonly tables: SecondStageFormat;
  /** The extension of a processor that is to serve one virtual CPU; made before the processor. */
  createExtension(): Extension;
  /** Takes over a processor whose extension is one that `createExtension` made: turns the extension on, makes the control block, leaves the guest in its state after reset. */
  createVcpu(parts: VendorVcpuParts): VendorVcpu;
}

/** A task-priority threshold that every write of CR8 is below. */
export const EVERY_PRIORITY = 16;

/** What a virtual CPU is made of. */
export interface VendorVcpuParts {
  /** The emulated processor that serves this virtual CPU, and nobody else. */
  readonly cpu: Cpu;
  readonly extension: Extension;
  /** Pages of the host's memory, for control blocks and bitmaps. */
  readonly pages: HostPages;
  /** Host-physical address of the root of the VM's second stage. */
  readonly root: number;
  /** KVM's vCPU id. */
  readonly id: number;
  /** 1 and up, different for every virtual CPU of a host: for VPID or ASID. */
  readonly tag: number;
}

/** A segment register as KVM_GET_SREGS and a VMCS have it. `attributes`: access-rights format (SDM Vol. 3C, 24.4.1), bit 16 is "unusable". */
export interface SegmentState {
  selector: number;
  base: bigint;
  /** Bytes, inclusive. */
  limit: number;
  attributes: number;
}

/** GDTR, IDTR. */
export interface DescriptorTableState {
  base: bigint;
  limit: number;
}

/** An event that was on its way into the guest when an exit came between (IDT-vectoring information, EXITINTINFO), or that is to be injected. */
export interface VendorEvent {
  readonly type: 'interrupt' | 'nmi' | 'exception' | 'software-interrupt' | 'software-exception' | 'privileged-software-exception';
  readonly vector: number;
  /** Undefined: the event has none. */
  readonly errorCode: number | undefined;
  /** Bytes of the instruction of a software event, for the return address. */
  readonly instructionLength: number;
}

/** What makes a guest's instructions exit, besides what always does. */
export interface DebugControl {
  /** #DB and #BP of the guest exit. */
  readonly interceptDebug: boolean;
  readonly interceptBreakpoint: boolean;
  /** RFLAGS.TF is set in the guest without its knowledge (the vendor module keeps it out of what the guest pushes only as far as KVM does). */
  readonly singleStep: boolean;
  /** DR0-3 and DR7 of the debugger stand in for the guest's. */
  readonly breakpoints: { readonly addresses: readonly [bigint, bigint, bigint, bigint]; readonly dr7: number } | undefined;
}

/** Registers in the control block: the instruction pointer, segments, descriptor tables, PDPTEs, MSRs. RSP and RAX are kept in step with `cpu.registers`, where KVM finds them. */
export interface VendorState {
  /** RIP as two signed halves. */
  ripLow(): number;
  ripHigh(): number;
  setRip(low: number, high: number): void;
  cpl(): number;
  /** By `Segment` number: ES CS SS DS FS GS LDTR TR. Fills and returns `into`. */
  segment(index: number, into: SegmentState): SegmentState;
  setSegment(index: number, value: SegmentState): void;
  gdtr(): DescriptorTableState;
  setGdtr(value: DescriptorTableState): void;
  idtr(): DescriptorTableState;
  setIdtr(value: DescriptorTableState): void;
  /** PDPTEs of PAE paging. */
  pdptes(): readonly [bigint, bigint, bigint, bigint];
  setPdptes(values: readonly [bigint, bigint, bigint, bigint]): void;
  /** MSRs that the control block holds (EFER apart): undefined / false where it is not one of them, and the processor's own file has it. */
  msr(index: number): bigint | undefined;
  setMsr(index: number, value: bigint): boolean;
  /** Added to the host's TSC for the guest. */
  setTscOffset(ticks: bigint): void;
}

/** CR0, CR4 and EFER as the guest sees them. Nothing is checked but by hardware at entry: KVM has checked. */
export interface VendorControlRegisters {
  cr0(): number;
  setCr0(value: number): void;
  cr3(): bigint;
  setCr3(value: bigint): void;
  cr4(): number;
  setCr4(value: number): void;
  efer(): number;
  setEfer(value: number): void;
}

/** RFLAGS and DR7 as the guest sees them, and what a debugger puts over them. */
export interface VendorDebug {
  rflags(): number;
  setRflags(value: number): void;
  dr7(): number;
  setDr7(value: number): void;
  control(control: DebugControl): void;
}

/** Events on their way into the guest. */
export interface VendorEvents {
  /** 0 none, 1 by STI, 2 by MOV SS (KVM_X86_SHADOW_INT_*: as KVM_GET_VCPU_EVENTS). */
  shadow(): 0 | 1 | 2;
  setShadow(shadow: 0 | 1 | 2): void;
  /** A maskable interrupt, an NMI could be injected now. */
  interruptAllowed(): boolean;
  nmiAllowed(): boolean;
  /** To be delivered by the next entry. At most one. */
  inject(event: VendorEvent): void;
  /** What the last exit interrupted the delivery of; taken once. */
  takeInterruptedEvent(): VendorEvent | undefined;
  /** Exit as soon as a maskable interrupt could be delivered. */
  setInterruptWindow(wanted: boolean): void;
}

/** Blocking of NMIs. */
export interface VendorNmis {
  readonly masked: boolean;
  set(masked: boolean): void;
  /** Exit as soon as an NMI could be delivered. */
  setWindow(wanted: boolean): void;
}

/** CR8, kept by the extension (TPR bits 7:4). */
export interface VendorPriority {
  get(): number;
  /**
   * @param threshold below which priority (0-15) a write is to exit (TPR threshold; on AMD-V CR8 writes exit instead where needed). `EVERY_PRIORITY`: each write exits as
   * CONTROL_REGISTER, for a local APIC that is the user's
   */
  set(priority: number, threshold: number): void;
}

/** What exits besides what always does. */
export interface VendorIntercepts {
  /** HLT, PAUSE and MWAIT (KVM_CAP_X86_DISABLE_EXITS clears them); all do by default. */
  idle(exits: { readonly hlt: boolean; readonly pause: boolean; readonly mwait: boolean }): void;
  /** An exception, by vector. #MC and #AC never reach a guest unseen. */
  exception(vector: number, intercept: boolean): void;
}

/** Which MSRs exit: by default all but `GUEST_OWN_MSRS`. */
export interface VendorMsrIntercepts {
  /** Whether reads, writes of an MSR exit. */
  set(index: number, read: boolean, write: boolean): void;
}

/**
 * One virtual CPU, as the extension has it. General registers (but those that the control block holds), x87, SSE and XCR0 state, CR2, DR0-3, DR6 and the MSRs that
 * entry and exit leave alone stay in the processor between exits, where KVM reads and writes them (`cpu.registers`, `cpu.msrs`).
 * Everything here may be called only while the guest is out (`isInGuest` false).
 */
export interface VendorVcpu {
  readonly cpu: Cpu;
  readonly state: VendorState;
  readonly controlRegisters: VendorControlRegisters;
  readonly debug: VendorDebug;
  readonly events: VendorEvents;
  readonly nmis: VendorNmis;
  readonly priority: VendorPriority;
  readonly intercepts: VendorIntercepts;
  readonly msrIntercepts: VendorMsrIntercepts;

  /** The guest is in (VMX non-root operation, guest mode): after an `enter` that used up its instructions. */
  readonly isInGuest: boolean;
  /**
   * Enters the guest, or goes on with it, for at most so many instructions. True: it has exited, and `exit` says why. False: the instructions are used up (or `cpu.stop` was
   * called) and the guest is still in.
   */
  enter(instructions: number): boolean;
  /** Makes a guest that is still in exit at its next boundary, as a physical interrupt does. An exit that came first is in `exit`; otherwise that is `INTERRUPT`. */
  leave(): void;
  /** The last exit: one object, filled anew by each. */
  readonly exit: VendorExit;
  /** Exits by the manual's names (`CPUID`, `HLT`, `EPT_VIOLATION` or `NPF` ...), counted where the extension makes them. */
  readonly exits: Readonly<Record<string, number>>;
  /** Of an entry that was refused: which checks failed, with values and what would mend them, as text. */
  explainEntry(): string;
  /** Ends the instruction that exited: RIP moves behind it, the interrupt shadow goes. Only after exits with `instructionLength` > 0. */
  skipInstruction(): void;

  /** The second stage's tables changed: forget what was cached of them for this virtual CPU. */
  flushTlb(): void;
  /** Forgets the guest's own translations (its CR3 or CR0/CR4 were set from outside). */
  flushGuestTlb(): void;

  /** INIT or RESET of the virtual CPU: the control block's part of the state (SDM Vol. 3A, Table 9-1). */
  reset(init: boolean): void;
}

/**
 * Why `vcpu.run` came back: `kvm_run.exit_reason` with what belongs to it (Documentation/virt/kvm/api.rst, 5 "The kvm_run structure"). A union told apart by `reason`.
 *
 * `io` and `mmio` are completed on the next run: for a read, fill `data` first. One guest instruction may give several (a string, a page-crossing or a
 * read-modify-write access); none is given twice.
 */
export type VcpuExit =
  /** KVM_EXIT_IO. `data`: `count` items of `size` bytes. */
  | {
      readonly reason: 'io';
      readonly direction: 'in' | 'out';
      readonly port: number;
      readonly size: 1 | 2 | 4;
      readonly count: number;
      readonly data: Uint8Array;
    }
  /** KVM_EXIT_MMIO. At most 8 bytes, within a page. */
  | { readonly reason: 'mmio'; readonly isWrite: boolean; readonly physAddr: number; readonly data: Uint8Array }
  /** KVM_EXIT_HLT: only without KVM's own local APIC. */
  | { readonly reason: 'hlt' }
  /** With KVM's own local APIC: the vCPU is halted, and nothing but an interrupt (the next timer is due at `deadlineNs` of the VM's clock) will wake it. */
  | { readonly reason: 'idle'; readonly deadlineNs: number | undefined }
  /** The instructions given are used up. */
  | { readonly reason: 'budget' }
  /** KVM_EXIT_INTR: `immediateExit` was set, or the run was interrupted. */
  | { readonly reason: 'intr' }
  /** KVM_EXIT_IRQ_WINDOW_OPEN. */
  | { readonly reason: 'irqWindowOpen' }
  /** KVM_EXIT_SHUTDOWN: triple fault. */
  | { readonly reason: 'shutdown'; readonly explanation: string }
  /** KVM_EXIT_FAIL_ENTRY. `explanation`: the checks that failed, with values, and what would mend them. */
  | { readonly reason: 'failEntry'; readonly hardwareEntryFailureReason: bigint; readonly explanation: string }
  /** KVM_EXIT_INTERNAL_ERROR. `explanation`: the instruction, disassembled, and the walk of the address concerned. */
  | {
      readonly reason: 'internalError';
      readonly suberror: 'emulation' | 'simulEx' | 'deliveryEv' | 'unexpectedExitReason';
      readonly explanation: string;
    }
  /** KVM_EXIT_DEBUG. */
  | { readonly reason: 'debug'; readonly exception: number; readonly pc: bigint; readonly dr6: bigint; readonly dr7: bigint }
  /** KVM_EXIT_HYPERCALL. Set `ret` before the next run. */
  | { readonly reason: 'hypercall'; readonly nr: bigint; readonly args: readonly bigint[]; ret: bigint }
  /** KVM_EXIT_X86_RDMSR, KVM_EXIT_X86_WRMSR (KVM_CAP_X86_USER_SPACE_MSR). Set `data` or `error` before the next run; an error is #GP. */
  | {
      readonly reason: 'msr';
      readonly isWrite: boolean;
      readonly index: number;
      readonly cause: 'invalid' | 'unknown' | 'filter';
      data: bigint;
      error: boolean;
    }
  /** KVM_EXIT_IOAPIC_EOI (split irqchip). */
  | { readonly reason: 'ioapicEoi'; readonly vector: number }
  /** KVM_EXIT_SYSTEM_EVENT. */
  | { readonly reason: 'systemEvent'; readonly type: 'shutdown' | 'reset' | 'crash' }
  /** KVM_EXIT_SET_TPR: CR8 went below what it was, without KVM's own local APIC. */
  | { readonly reason: 'setTpr' };

export type VcpuExitReason = VcpuExit['reason'];

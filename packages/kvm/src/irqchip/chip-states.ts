/** `struct kvm_pic_state` (api.rst, 4.26 KVM_GET_IRQCHIP): one 8259A. Bytes. */
export interface KvmPicState {
  /** The lines as they were: edges are detected against it. */
  readonly lastIrr: number;
  readonly irr: number;
  readonly imr: number;
  readonly isr: number;
  /** The level with the highest priority, 0-7. */
  readonly priorityAdd: number;
  readonly irqBase: number;
  readonly readRegSelect: number;
  readonly poll: number;
  readonly specialMask: number;
  /** 0 initialized; 1, 2, 3: ICW2, ICW3, ICW4 comes next. */
  readonly initState: number;
  readonly autoEoi: number;
  readonly rotateOnAutoEoi: number;
  readonly specialFullyNestedMode: number;
  /** ICW4 comes. */
  readonly init4: number;
  readonly elcr: number;
  readonly elcrMask: number;
}

/** `struct kvm_ioapic_state`. */
export interface KvmIoapicState {
  readonly baseAddress: bigint;
  readonly ioregsel: number;
  readonly id: number;
  /** Asserted pins, a bit each. */
  readonly irr: number;
  /** 24 redirection table entries as the data sheet has them. */
  readonly redirtbl: readonly bigint[];
}

/** `struct kvm_pit_channel_state` (api.rst, 4.72 KVM_GET_PIT2). */
export interface KvmPitChannelState {
  /** 0: 65536. */
  readonly count: number;
  readonly latchedCount: number;
  readonly countLatched: number;
  readonly statusLatched: number;
  readonly status: number;
  readonly readState: number;
  readonly writeState: number;
  readonly writeLatch: number;
  readonly rwMode: number;
  readonly mode: number;
  readonly bcd: number;
  readonly gate: number;
  /** When the count was loaded, ns of the VM's clock. */
  readonly countLoadTime: bigint;
}

/** `struct kvm_pit_state2`. */
export interface KvmPitState2 {
  readonly channels: readonly [KvmPitChannelState, KvmPitChannelState, KvmPitChannelState];
  /** KVM_PIT_FLAGS_HPET_LEGACY, _SPEAKER_DATA_ON. */
  readonly flags: { readonly hpetLegacy: boolean; readonly speakerDataOn: boolean };
}

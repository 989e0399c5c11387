/** Guest interruptibility state (SDM Vol. 3C, 25.4.2, "Format of Interruptibility State"). The first two are KVM_X86_SHADOW_INT_STI and KVM_X86_SHADOW_INT_MOV_SS, too. */
export const Interruptibility = { STI: 1, MOV_SS: 2, NMI: 8, SHADOW: 3 } as const;

/**
 * MSRs in which a host's value is never confused with the guest's, so that vendor modules let them through to the processor: SYSENTER_CS, _ESP, _EIP, STAR to FMASK, FS.base,
 * GS.base, KernelGSbase. Entry and exit, or VMLOAD and VMSAVE, switch them, or the host, being TypeScript, has no use for them.
 */
export const GUEST_OWN_MSRS: readonly number[] = [
  0x174, 0x175, 0x176, 0xc000_0081, 0xc000_0082, 0xc000_0083, 0xc000_0084, 0xc000_0100, 0xc000_0101, 0xc000_0102,
];

/** One ioctl of KVM on x86 and where it is in our API. */
export interface IoctlRow {
  readonly fd: 'system' | 'vm' | 'vcpu' | 'device';
  readonly name: string;
  /** Section of api.rst. */
  readonly section: string;
  readonly tier: 0 | 1 | 2 | 3 | 4;
  /** `Kvm.createVm`, `Vm.irqLine`, `Vcpu.run` ... */
  readonly at?: string;
  /** Why it is not there, or what differs. */
  readonly note?: string;
}
export const ioctls: readonly IoctlRow[] = [];

/** What VMRUN looks at besides the VMCB and the capabilities: the host as it is. */
export interface VmrunEnvironment {
  /** CR0.PG of the host is 1. */
  readonly hostPaging: boolean;
}

/** A host with paging. */
export const DEFAULT_ENVIRONMENT: VmrunEnvironment = { hostPaging: true };

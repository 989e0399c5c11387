/** What VM entry looks at besides the VMCS and the capabilities: the logical processor as it is, and memory. */
export interface EntryEnvironment {
  /** IA32_EFER.LMA at the time of VM entry. */
  readonly inIa32eMode: boolean;
  /** The logical processor is in SMM. */
  readonly inSmm: boolean;
  /** The physical address of the VMCS that is entered. */
  readonly currentVmcs?: number;
  /** Reads 32 bits of physical memory; undefined where nothing is known of it. Without this function, checks that depend on memory are taken to hold. */
  readonly read32?: (hpa: number) => number | undefined;
}

/** A 64-bit host outside SMM, with nothing known of its memory. */
export const DEFAULT_ENVIRONMENT: EntryEnvironment = { inIa32eMode: true, inSmm: false };

/** What the next run has to do first, of an exit that the user has seen. */
export const Completion = { NONE: 0, PORT_OUT: 1, PORT_IN: 2, EMULATION: 3, HYPERCALL: 4, RDMSR: 5, WRMSR: 6 } as const;
export type Completion = (typeof Completion)[keyof typeof Completion];

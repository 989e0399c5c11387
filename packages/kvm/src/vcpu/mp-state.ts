/** KVM_MP_STATE_* (api.rst, 4.38 KVM_GET_MP_STATE). */
export type MpState = 'runnable' | 'uninitialized' | 'initReceived' | 'halted' | 'sipiReceived' | 'stopped';

export const MP_STATES: readonly MpState[] = ['runnable', 'uninitialized', 'initReceived', 'halted', 'sipiReceived', 'stopped'];

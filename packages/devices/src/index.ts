export type { EdgeRequests, I8259State } from './interrupts/i8259.ts';
export { I8259Pair, type I8259PairOptions, type I8259PairState } from './interrupts/i8259-pair.ts';
export * from './port-device.ts';
export * from './serial/uart-16550a.ts';
export * from './serial/uart-registers.ts';
export { Pit8254, type Pit8254Options, type Pit8254State } from './time/pit-8254.ts';
export type { PitCounterState } from './time/pit-counter.ts';
export { SystemControlPortB, type SystemControlPortBState } from './time/system-control-port-b.ts';
export * from './time/tick-rate.ts';

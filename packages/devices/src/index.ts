export * from './port-device.ts';
export * from './serial/uart-16550a.ts';
export * from './serial/uart-registers.ts';

export * from './exits/vcpu-exit.ts';
export * from './host/host-pages.ts';
export * from './vendor/second-stage-format.ts';
export * from './vendor/vendor.ts';
export * from './vendor/vendor-exit.ts';

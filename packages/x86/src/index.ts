export * from './decode/insn.ts';
export * from './decode/operands.ts';
export * from './state/layout.ts';
export * from './state/mode.ts';
export * from './table/form.ts';
export * from './table/row.ts';

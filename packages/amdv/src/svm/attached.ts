import { type Cpu, raise, Vector } from '@minusone/x86';
import type { Svm } from './svm.ts';

/** The rows of instructions are one table for every CPU of a machine; each finds its own CPU's extension here. */
const attached = new WeakMap<Cpu, Svm>();

export function attach(cpu: Cpu, svm: Svm): void {
  attached.set(cpu, svm);
}

/** The SVM of the CPU that executes; #UD where it has none. */
export function svmOf(cpu: Cpu): Svm {
  return attached.get(cpu) ?? raise(Vector.UD);
}

import { cpuidPage } from './cpuid-page.ts';
import { instructionsPage } from './instructions-page.ts';
import { kvmPage } from './kvm-page.ts';
import { msrsPage } from './msrs-page.ts';
import { svmPage } from './svm-page.ts';
import { vmxPage } from './vmx-page.ts';

/** The coverage pages as the tables give them: path in the checkout, and text. */
export function coveragePages(): ReadonlyMap<string, string> {
  return new Map([
    ['docs/coverage/instructions.md', instructionsPage()],
    ['docs/coverage/msrs.md', msrsPage()],
    ['docs/coverage/cpuid.md', cpuidPage()],
    ['docs/coverage/vmx.md', vmxPage()],
    ['docs/coverage/svm.md', svmPage()],
    ['docs/coverage/kvm.md', kvmPage()],
  ]);
}

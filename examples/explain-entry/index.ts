// Why does this VM entry fail? Each check of the manual is a row that names itself, shows the values, and says what would mend it.
import { explainEntry, FIELD, formatExplanation, soundVmcs, vmxCapabilities } from '@minusone/vtx';

const capabilities = vmxCapabilities('vmx:max');
const vmcs = soundVmcs('64-bit', capabilities);
vmcs.write(FIELD.GUEST_CS_AR_BYTES, 0xe09bn); // L and D/B are both 1
vmcs.write(FIELD.GUEST_RFLAGS, 0n); // bit 1 is always 1

const explanation = explainEntry(vmcs, capabilities);
console.log(formatExplanation(explanation));
for (const { suggestion } of explanation.failed) vmcs.assign(suggestion);
console.log(formatExplanation(explainEntry(vmcs, capabilities)));

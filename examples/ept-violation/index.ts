// Taking one page from under a guest: its next access is an EPT violation, which says what was tried and where. The page comes back, and the guest has noticed nothing.
import { asm16 } from '@minusone/asm';
import { EPT_VIOLATION_QUALIFICATION, ExitReason, exitReasonText, FIELD, qualificationText, soundValues, Vmx } from '@minusone/vtx';
import { Gpr, intel } from '@minusone/x86';
import { oneProcessor } from '../one-processor.ts';

const VMXON_REGION = 0x1000;
const VMCS = 0x2000;
const EPT = 0x3000;
const EPT_PAGE_TABLE = EPT + 0x3000;
const GUEST = 0x10_0000;
const PAGES = 16;
const ALL_RIGHTS = 0x37n; // read, write, execute; write-back

const vmx = new Vmx();
const { cpu, physical } = oneProcessor(intel, vmx);
for (const table of [EPT, EPT + 0x1000, EPT + 0x2000]) physical.write64(table, BigInt(table + 0x1000) | 7n);
const entryAt = (page: number): number => EPT_PAGE_TABLE + 8 * page;
const entryOf = (page: number): bigint => BigInt(GUEST + 0x1000 * page) | ALL_RIGHTS;
for (let page = 0; page < PAGES; page++) physical.write64(entryAt(page), entryOf(page));
physical.write(
  GUEST + 0x1000,
  asm16`
        mov   word [0x5678], 40
        hlt
        add   word [0x5678], 2
        mov   ax, [0x5678]
        hlt`,
);

physical.write32(VMXON_REGION, vmx.capabilities.revisionId);
physical.write32(VMCS, vmx.capabilities.revisionId);
vmx.vmxon(VMXON_REGION);
vmx.vmclear(VMCS);
vmx.vmptrld(VMCS);
const eptp = BigInt(EPT) | 0x1en;
vmx.current?.assign({ ...soundValues('real', vmx.capabilities), EPT_POINTER: eptp, GUEST_RIP: 0x1000n });

/** Lets the guest run up to its next exit, and says which it was. */
function go(enter: () => ReturnType<Vmx['vmlaunch']>): number {
  const entry = enter();
  if (!entry.ok) throw new Error(entry.says);
  cpu.run(1000);
  const reason = Number(vmx.vmread(FIELD.VM_EXIT_REASON));
  console.log(`${exitReasonText(reason)} at ${vmx.vmread(FIELD.GUEST_RIP).toString(16)}`);
  return reason;
}

go(() => vmx.vmlaunch());
vmx.vmwrite(FIELD.GUEST_RIP, vmx.vmread(FIELD.GUEST_RIP) + 1n); // behind HLT

physical.write64(entryAt(5), 0n);
vmx.invept(1, eptp); // as on hardware, old translations have to be forgotten
if (go(() => vmx.vmresume()) === ExitReason.EPT_VIOLATION) {
  console.log(`  guest-physical address ${vmx.vmread(FIELD.GUEST_PHYSICAL_ADDRESS).toString(16)}`);
  console.log(`  ${qualificationText(EPT_VIOLATION_QUALIFICATION, Number(vmx.vmread(FIELD.EXIT_QUALIFICATION)))}`);
}

physical.write64(entryAt(5), entryOf(5));
go(() => vmx.vmresume()); // the instruction runs again, from its beginning
console.log(`AX = ${cpu.registers.gpr(Gpr.RAX) & 0xffffn}`);

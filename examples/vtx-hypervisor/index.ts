// A hypervisor of one's own, directly on VT-x, without KVM: EPT tables, a VMCS, and a loop over exit reasons. The same on AMD-V: ../amdv-hypervisor.
import { asm16 } from '@minusone/asm';
import { decodeQualification, ExitReason, exitReasonText, FIELD, IO_INSTRUCTION_QUALIFICATION, soundValues, Vmx } from '@minusone/vtx';
import { Gpr, intel } from '@minusone/x86';
import { oneProcessor } from '../one-processor.ts';

// Physical memory: regions for VMXON and the VMCS, EPT tables, and from 2 MiB on what the guest sees from 0 on.
const VMXON_REGION = 0x1000;
const VMCS = 0x2000;
const EPT = 0x3000;
const GUEST = 0x20_0000;

const vmx = new Vmx();
const { cpu, physical } = oneProcessor(intel, vmx);
physical.write64(EPT, BigInt(EPT + 0x1000) | 7n); // read, write, execute
physical.write64(EPT + 0x1000, BigInt(EPT + 0x2000) | 7n);
physical.write64(EPT + 0x2000, BigInt(GUEST) | 0xb7n); // a page of 2 MiB, write-back
physical.write(
  GUEST + 0x1000,
  asm16`
        xor   eax, eax
        cpuid
        mov   eax, ebx
        out   0x10, eax
        mov   eax, edx
        out   0x10, eax
        mov   eax, ecx
        out   0x10, eax
        hlt`,
);

physical.write32(VMXON_REGION, vmx.capabilities.revisionId);
physical.write32(VMCS, vmx.capabilities.revisionId);
vmx.vmxon(VMXON_REGION);
vmx.vmclear(VMCS);
vmx.vmptrld(VMCS);
vmx.current?.assign({ ...soundValues('real', vmx.capabilities), EPT_POINTER: BigInt(EPT) | 0x1en, GUEST_RIP: 0x1000n });

const { registers } = cpu;
const vendor = new Uint32Array(new TextEncoder().encode('RingMinusOne').buffer);
const said: number[] = [];
for (let entry = vmx.vmlaunch(); ; entry = vmx.vmresume()) {
  if (!entry.ok) throw new Error(entry.says);
  cpu.run(1000); // up to the exit
  const reason = Number(vmx.vmread(FIELD.VM_EXIT_REASON));
  if (reason === ExitReason.HLT) break;
  if (reason === ExitReason.CPUID) {
    registers.setGpr(Gpr.RBX, BigInt(vendor[0] as number));
    registers.setGpr(Gpr.RDX, BigInt(vendor[1] as number));
    registers.setGpr(Gpr.RCX, BigInt(vendor[2] as number));
  } else if (reason === ExitReason.IO_INSTRUCTION) {
    const { port } = decodeQualification(IO_INSTRUCTION_QUALIFICATION, Number(vmx.vmread(FIELD.EXIT_QUALIFICATION)));
    if (port === 0x10) said.push(Number(registers.gpr(Gpr.RAX)));
  } else {
    throw new Error(exitReasonText(reason));
  }
  vmx.vmwrite(FIELD.GUEST_RIP, vmx.vmread(FIELD.GUEST_RIP) + vmx.vmread(FIELD.VM_EXIT_INSTRUCTION_LEN));
}
console.log(`the guest believes to be on a ${new TextDecoder().decode(Uint32Array.from(said))}`);
console.log(JSON.stringify(vmx.exits));

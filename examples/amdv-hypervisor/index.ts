// A hypervisor of one's own, directly on AMD-V, without KVM: NPT tables, a VMCB, and a loop over exit codes. The same on VT-x: ../vtx-hypervisor.
import { Svm, SvmExit, soundVmcbValues, svmExitName, VMCB_FIELD, Vmcb } from '@minusone/amdv';
import { asm16 } from '@minusone/asm';
import { amd, Gpr } from '@minusone/x86';
import { oneProcessor } from '../one-processor.ts';

// Physical memory: the VMCB, NPT tables, permission maps, and from 2 MiB on what the guest sees from 0 on.
const VMCB = 0x1000;
const NPT = 0x2000;
const IO_PERMISSIONS = 0x5000;
const MSR_PERMISSIONS = 0x8000;
const GUEST = 0x20_0000;

const svm = new Svm();
const { cpu, physical } = oneProcessor(amd, svm);
physical.write64(NPT, BigInt(NPT + 0x1000) | 7n); // present, writable, user
physical.write64(NPT + 0x1000, BigInt(NPT + 0x2000) | 7n);
physical.write64(NPT + 0x2000, BigInt(GUEST) | 0x87n); // a page of 2 MiB
physical.write(IO_PERMISSIONS, new Uint8Array(0x3000).fill(0xff)); // every port exits
physical.write(MSR_PERMISSIONS, new Uint8Array(0x2000).fill(0xff)); // every MSR exits
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

const page = physical.hostPage(VMCB);
const vmcb = new Vmcb(cpu.memory.u8.subarray(page, page + 4096));
vmcb.assign({
  ...soundVmcbValues('real', svm.capabilities),
  N_CR3: BigInt(NPT),
  IOPM_BASE_PA: BigInt(IO_PERMISSIONS),
  MSRPM_BASE_PA: BigInt(MSR_PERMISSIONS),
  RIP: 0x1000n,
});

const { registers } = cpu;
const vendor = new Uint32Array(new TextEncoder().encode('RingMinusOne').buffer);
const said: number[] = [];
for (;;) {
  svm.vmrun(VMCB);
  cpu.run(1000); // up to the exit
  const code = Number(BigInt.asIntN(32, vmcb.read(VMCB_FIELD.EXITCODE)));
  if (code === SvmExit.HLT) break;
  if (code === SvmExit.CPUID) {
    registers.setGpr(Gpr.RBX, BigInt(vendor[0] as number));
    registers.setGpr(Gpr.RDX, BigInt(vendor[1] as number));
    registers.setGpr(Gpr.RCX, BigInt(vendor[2] as number));
  } else if (code === SvmExit.IOIO) {
    const port = Number(vmcb.read(VMCB_FIELD.EXITINFO1) >> 16n);
    if (port === 0x10) said.push(Number(vmcb.read(VMCB_FIELD.RAX)));
  } else {
    throw new Error(svmExitName(code));
  }
  vmcb.write(VMCB_FIELD.RIP, vmcb.read(VMCB_FIELD.NRIP));
}
console.log(`the guest believes to be on a ${new TextDecoder().decode(Uint32Array.from(said))}`);
console.log(JSON.stringify(svm.exits));

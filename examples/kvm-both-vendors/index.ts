// The same guest on VT-x and on AMD-V: one word differs in the VMM, nothing in what the guest does; only the hardware calls its exits by other names.
import { asm16 } from '@minusone/asm';
import { Kvm, type KvmVendor } from '@minusone/kvm';
import { amd } from '@minusone/kvm-amd';
import { intel } from '@minusone/kvm-intel';

const guest = asm16`
        mov   cx, 3
  next: mov   al, cl
        add   al, '0'
        out   0x10, al
        mov   [0x9000], al    ; no slot: the VMM's
        loop  next
        hlt`;

function run(vendor: KvmVendor): void {
  const vm = new Kvm(vendor).createVm({ memory: '32K' });
  const vcpu = vm.createVcpu(0);
  vm.memory.write(0x1000, guest);
  vcpu.start({ mode: 'real', ip: 0x1000 });
  const seen: string[] = [];
  for (const exit of vcpu.exits()) {
    if (exit.reason === 'io') seen.push(`out ${exit.port.toString(16)} ${exit.data[0]}`);
    if (exit.reason === 'mmio') seen.push(`mmio ${exit.physAddr.toString(16)} ${exit.data[0]}`);
    if (exit.reason === 'hlt') break;
  }
  console.log(`${vendor.name}: ${seen.join(', ')}`);
  console.log(`  ${JSON.stringify(vcpu.statistics.exits)}`);
}

run(intel());
run(amd());

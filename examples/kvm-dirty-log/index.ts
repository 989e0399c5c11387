// Dirty logging: which pages did the guest write since we last asked? Live migration and snapshots begin here.
import { asm16 } from '@minusone/asm';
import { Kvm } from '@minusone/kvm';
import { intel } from '@minusone/kvm-intel';

const kvm = new Kvm(intel());
const vm = kvm.createVm();
const memory = kvm.allocateMemory('64K');
vm.setUserMemoryRegion({ slot: 0, flags: { logDirtyPages: true }, guestPhysAddr: 0, memorySize: 0x10000, memory });
const vcpu = vm.createVcpu(0);
vm.memory.write(
  0x1000,
  asm16`
        mov   byte [0x2345], 1
        mov   byte [0x7fff], 1
        out   0x10, al
        mov   byte [0x2001], 2
        hlt`,
);
vm.getDirtyLog(0); // what the VMM itself wrote
vcpu.start({ mode: 'real', ip: 0x1000 });
for (const exit of vcpu.exits()) {
  const bitmap = vm.getDirtyLog(0);
  const dirty = Array.from({ length: 16 }, (_, page) => page).filter((page) => (((bitmap[page >>> 3] as number) >>> (page & 7)) & 1) === 1);
  console.log(`at ${exit.reason}: pages ${dirty.join(', ')}`);
  if (exit.reason === 'hlt') break;
}

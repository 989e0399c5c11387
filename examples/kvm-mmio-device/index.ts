// A memory-mapped device under KVM: where no slot is, an access is an exit, and the VMM answers. A read-modify-write gives two: a read and a write.
import { asm16 } from '@minusone/asm';
import { Kvm } from '@minusone/kvm';
import { intel } from '@minusone/kvm-intel';

const DEVICE = 0xd0000;
const THERMOMETER = DEVICE;
const ALARM = DEVICE + 4;

const vm = new Kvm(intel()).createVm({ memory: '64K' });
const vcpu = vm.createVcpu(0);
vm.memory.write(
  0x1000,
  asm16`
        mov   ax, 0xd000
        mov   ds, ax
        mov   ax, [0]         ; the thermometer
        or    [4], ax         ; the alarm: read, or, write
        hlt`,
);
vcpu.start({ mode: 'real', ip: 0x1000 });
let alarm = 0x8000;
for (const exit of vcpu.exits()) {
  if (exit.reason === 'hlt') break;
  if (exit.reason !== 'mmio') throw new Error(`unexpected exit: ${exit.reason}`);
  const view = new DataView(exit.data.buffer, exit.data.byteOffset, exit.data.length);
  if (exit.isWrite) alarm = view.getUint16(0, true);
  else view.setUint16(0, exit.physAddr === THERMOMETER ? 25 : alarm, true);
  console.log(
    `${exit.isWrite ? 'write' : 'read '} ${exit.physAddr === ALARM ? 'alarm' : 'thermometer'}: 0x${view.getUint16(0, true).toString(16)}`,
  );
}

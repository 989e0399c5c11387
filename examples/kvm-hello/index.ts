// A VMM in ten lines: a guest on KVM on emulated VT-x, and its port writes. Runs in browsers as it stands.
import { asm16 } from '@minusone/asm';
import { Kvm } from '@minusone/kvm';
import { intel } from '@minusone/kvm-intel';

const vm = new Kvm(intel()).createVm({ memory: '64K' });
const vcpu = vm.createVcpu(0);
vm.memory.write(
  0x1000,
  asm16.with({ origin: 0x1000 })`
        mov   si, text
  next: lodsb
        test  al, al
        jz    done
        out   0x10, al
        jmp   next
  done: hlt
  text: db    "Hello from ring minus one!", 0`,
);
vcpu.start({ mode: 'real', ip: 0x1000 });
let text = '';
for (const exit of vcpu.exits()) {
  if (exit.reason === 'io') text += String.fromCharCode(exit.data[0] as number);
  if (exit.reason === 'hlt') break;
}
console.log(text);

// Two guests side by side under one program: each has its own memory and its own time, and knows nothing of the other.
import { asm16 } from '@minusone/asm';
import { Kvm, type Vcpu } from '@minusone/kvm';
import { intel } from '@minusone/kvm-intel';

/** Counts to ten at its own pace, and says each number. */
const guest = (pace: number) => asm16`
        mov   bx, 0
  next: inc   bx
        mov   cx, ${pace}
  wait: loop  wait
        mov   ax, bx
        out   0x10, ax
        cmp   bx, 10
        jne   next
        hlt`;

const kvm = new Kvm(intel());
function start(pace: number): Vcpu {
  const vm = kvm.createVm({ memory: '64K' });
  const vcpu = vm.createVcpu(0);
  vm.memory.write(0x1000, guest(pace));
  vcpu.start({ mode: 'real', ip: 0x1000 });
  return vcpu;
}

const guests = [
  { name: 'hare', vcpu: start(100), said: 0 },
  { name: 'tortoise', vcpu: start(400), said: 0 },
];
const running = new Set(guests);
while (running.size > 0) {
  // Turns of 1000 instructions: whoever uses fewer for a number gets further.
  for (const one of running) {
    const exit = one.vcpu.run({ instructions: 1000 });
    if (exit.reason === 'io') one.said = (exit.data[0] as number) | ((exit.data[1] as number) << 8);
    if (exit.reason === 'io' && one.said === 10)
      console.log(`${one.name} has counted to ten; ${guests.map(({ name, said }) => `${name} ${said}`).join(', ')}`);
    if (exit.reason === 'hlt') running.delete(one);
  }
}

// A machine in ten lines: a few bytes of real-mode code, and what they say over the serial port. Runs in browsers as it stands.
import { asm16 } from '@minusone/asm';
import { boot } from '@minusone/vmm';

const image = asm16.with({ origin: 0x7c00 })`
        mov   si, text
        mov   dx, 0x3f8       ; COM1
  next: outsb
        cmp   byte [si], 0
        jne   next
        out   0xf4, al        ; ends the machine
  text: db    "Hello from ring minus one!", 0`;

const machine = await boot({ flat: { image, address: 0x7c00 }, memory: '1M' });
console.log(await machine.serial.waitFor('!'));
await machine.ended;
console.log(`${machine.statistics.instructions} instructions`);

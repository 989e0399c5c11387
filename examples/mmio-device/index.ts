// A device of one's own: a thermometer with two registers, memory-mapped at 0xD0000, and a guest that reads it.
import { asm16 } from '@minusone/asm';
import type { AccessSize, MmioDevice } from '@minusone/core';
import { boot } from '@minusone/vmm';

/** Offset 0: the temperature in degrees. Offset 4: the alarm; the guest writes at which temperature it was raised. */
class Thermometer implements MmioDevice {
  static readonly ADDRESS = 0xd0000;
  static readonly BYTES = 8;
  #temperature = 18;
  alarmAt: number | undefined;

  readMmio(offset: number, _size: AccessSize): number {
    return offset === 0 ? this.#temperature++ : 0;
  }

  writeMmio(offset: number, _size: AccessSize, value: number): void {
    if (offset === 4) this.alarmAt = value;
  }
}

const image = asm16.with({ origin: 0x7c00 })`
          mov   ax, ${Thermometer.ADDRESS >> 4}
          mov   es, ax
  again:  mov   eax, es:[0]
          cmp   eax, 25
          jb    again
          mov   es:[4], eax
          out   0xf4, al`;

const machine = await boot({ flat: { image, address: 0x7c00 }, memory: '1M' });
const thermometer = new Thermometer();
machine.ram.physical.mapMmio(Thermometer.ADDRESS, Thermometer.BYTES, thermometer);
await machine.ended;
console.log(`alarm at ${thermometer.alarmAt} degrees`);

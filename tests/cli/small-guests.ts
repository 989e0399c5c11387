import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asm16 } from '@minusone/asm';

const at = asm16.with({ origin: 0x7c00 });

/** Real-mode guests of a few instructions, for `--flat FILE@0x7c00`, by what they do. */
export const SMALL_GUESTS = {
  /** Turns the machine off: the word that the shutdown port waits for. */
  powerOff: at`
      mov dx, 0x8900
      mov si, word_
      mov cx, 8
      rep outsb
      hlt
    word_: db "Shutdown"`,
  /** Writes 5 to the debug-exit port. */
  debugExit5: at`
      mov al, 5
      out 0xf4, al
      hlt`,
  /** Writes 255 to the debug-exit port: 2v+1 is more than an exit status holds. */
  debugExit255: at`
      mov al, 255
      out 0xf4, al
      hlt`,
  /** No IDT, and an interrupt: double fault, triple fault. */
  tripleFault: at`
      lidt [idtr]
      int 3
    idtr: dw 0, 0, 0`,
  /** Pulses the reset line by the keyboard controller. */
  reset: at`
      mov al, 0xfe
      out 0x64, al
      hlt`,
  loopForEver: at`again: jmp again`,
  /** Halts with interrupts off. */
  haltForEver: at`
      cli
      hlt`,
  /** Writes `AB` to the serial port and `cd` to the debug port, alternately, then turns itself off by debug exit 0. */
  bothPorts: at`
      mov dx, 0x3f8
      mov al, 'A'
      out dx, al
      mov al, 'c'
      out 0xe9, al
      mov al, 'B'
      out dx, al
      mov al, 'd'
      out 0xe9, al
      mov al, 0
      out 0xf4, al
      hlt`,
  /** Echoes what comes over the serial port, polled, as a guest without a driver does it, up to a full stop. */
  echo: at`
    wait_:
      mov dx, 0x3fd
      in al, dx
      test al, 1
      jz wait_
      mov dx, 0x3f8
      in al, dx
      out dx, al
      cmp al, '.'
      jnz wait_
      mov al, 0
      out 0xf4, al
      hlt`,
  /** The same by interrupt (IRQ 4, vector 0x0C in real mode), halting in between; turns the machine off by debug exit 0. */
  echoByInterrupt: at`
      cli
      xor ax, ax
      mov ds, ax
      mov ss, ax
      mov sp, 0x7000
      mov word [0x0c * 4], handler
      mov [0x0c * 4 + 2], ax
      mov al, 0x11              ; 8259: ICW1 to ICW4; vectors from 8
      out 0x20, al
      mov al, 8
      out 0x21, al
      mov al, 4
      out 0x21, al
      mov al, 1
      out 0x21, al
      mov al, 0xef              ; IRQ 4 alone
      out 0x21, al
      mov dx, 0x3f9             ; receive interrupt
      mov al, 1
      out dx, al
      mov dx, 0x3fc             ; OUT2
      mov al, 8
      out dx, al
      sti
    again:
      hlt
      jmp again
    handler:
      mov dx, 0x3f8
      in al, dx
      out dx, al
      cmp al, '.'
      jne .more
      mov al, 0
      out 0xf4, al
    .more:
      mov al, 0x20
      out 0x20, al
      iret`,
  /** Writes to the serial port for ever. */
  chatter: at`
      mov dx, 0x3f8
    again:
      mov al, 'y'
      out dx, al
      jmp again`,
} as const;

/** Puts bytes into files of a temporary folder. */
export class GuestFiles {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'minusone-cli-'));

  /** @returns the file's path */
  write(name: string, data: Uint8Array | string): string {
    const path = join(this.folder, name);
    writeFileSync(path, data);
    return path;
  }

  /** The value of `--flat` for a small guest. */
  flat(name: keyof typeof SMALL_GUESTS): string {
    return `${this.write(`${name}.bin`, SMALL_GUESTS[name])}@0x7c00`;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

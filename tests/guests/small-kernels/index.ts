import { type AsmTag, asm16, asm32, asm64 } from '@minusone/asm';
import { elf } from './elf.ts';

/**
 * The least kernels of every kind that can be booted. Each writes, to the debug port, its name, its command line and its initrd's text as it finds
 * them by its own protocol, a line each, and leaves by the debug-exit port with the value 1, which is status 3.
 */
const LOAD_ADDRESS = 0x20_0000;
const ENTRY_64_OFFSET = 0x200;

/** PRINT writes the text at SI (ESI, RSI) up to a zero byte, and a line feed. */
const PRINT = `
  print:
      lodsb
      test al, al
      jz .done
      out 0xe9, al
      jmp print
    .done:
      mov al, 10
      out 0xe9, al
      ret
  leave_:
      mov al, 1
      out 0xf4, al
      hlt
  stop: jmp stop
`;

function assembleAt(
  tag: AsmTag,
  origin: number,
  source: string,
): { readonly code: Uint8Array; readonly labels: ReadonlyMap<string, bigint> } {
  const { bytes, symbols } = tag.with({ origin }).assembly(Object.assign([source], { raw: [source] }));
  return { code: bytes, labels: symbols };
}

/** Linux's 64-bit boot protocol: RSI is the zero page. Offsets: Documentation/arch/x86/zero-page.rst. */
export function bzImage(): Uint8Array {
  const { code } = assembleAt(
    asm64,
    LOAD_ADDRESS + ENTRY_64_OFFSET,
    `
      mov rsp, 0x80000
      mov rbx, rsi
      lea rsi, [rel name]
      call print
      mov esi, [rbx + 0x228]        ; cmd_line_ptr
      call print
      mov esi, [rbx + 0x218]        ; ramdisk_image
      call print
      jmp leave_
    ${PRINT}
    name: db "bzImage", 0`,
  );
  const payload = new Uint8Array(0x1000);
  payload.set(code, ENTRY_64_OFFSET);
  const image = new Uint8Array(1024 + payload.length);
  image.set(payload, 1024);
  const view = new DataView(image.buffer);
  // boot.rst, "The Real-Mode Kernel Header"
  view.setUint8(0x1f1, 1); // setup_sects
  view.setUint32(0x1f4, payload.length / 16, true); // syssize
  view.setUint16(0x1fe, 0xaa55, true); // boot_flag
  view.setUint16(0x200, 0x6aeb, true); // jump: the header ends at 0x26C
  view.setUint32(0x202, 0x53726448, true); // header: HdrS
  view.setUint16(0x206, 0x020f, true); // version
  view.setUint8(0x211, 1); // loadflags: LOADED_HIGH
  view.setUint32(0x22c, 0x7fffffff, true); // initrd_addr_max
  view.setUint16(0x236, 1, true); // xloadflags: XLF_KERNEL_64
  view.setUint32(0x238, 255, true); // cmdline_size
  view.setUint32(0x258, LOAD_ADDRESS, true); // pref_address
  view.setUint32(0x260, payload.length, true); // init_size
  return image;
}

/** Fields of hvm_start_info (Xen, start_info.h): modlist_paddr 16, cmdline_paddr 24; a module's paddr is its first field. */
const fromStartInfo = (base: string, si: string, sp: string): string => `
      mov ${sp}, 0x80000
      mov ${si}, name
      call print
      mov ${si}, [${base} + 24]
      call print
      mov ${si}, [${base} + 16]
      mov ${si}, [${si}]
      call print
      jmp leave_
    ${PRINT}`;

/** PVH: 32-bit protected mode, EBX is the hvm_start_info. The entry is in a note. */
export function elfPvh(): Uint8Array {
  const { code } = assembleAt(asm32, LOAD_ADDRESS, `${fromStartInfo('ebx', 'esi', 'esp')}\nname: db "PVH", 0`);
  const descriptor = new Uint8Array(4);
  new DataView(descriptor.buffer).setUint32(0, LOAD_ADDRESS, true);
  // e_entry leads nowhere: PVH has its own.
  return elf({ bits: 64, code, address: LOAD_ADDRESS, entry: 0, note: { name: 'Xen', type: 18, descriptor } });
}

/** Plain ELF64: 64-bit mode, RDI is the hvm_start_info. */
export function elf64(): Uint8Array {
  const { code } = assembleAt(asm64, LOAD_ADDRESS, `${fromStartInfo('rdi', 'rsi', 'rsp')}\nname: db "ELF64", 0`);
  return elf({ bits: 64, code, address: LOAD_ADDRESS, entry: LOAD_ADDRESS });
}

/** Fields of the Multiboot information (Multiboot Specification 0.6.96, 3.3): cmdline 16, mods_addr 24; mod_start is a module's first field. */
const MULTIBOOT = `
      cmp eax, 0x2badb002
      jne stop
      mov esp, 0x80000
      mov esi, name
      call print
      mov esi, [ebx + 16]
      call print
      mov esi, [ebx + 24]
      mov esi, [esi]
      call print
      jmp leave_
    ${PRINT}
    name: db "Multiboot", 0`;
const MULTIBOOT_MAGIC = 0x1badb002;

/** Multiboot 1 with the address fields in its header, as raw bytes. */
export function multiboot(): Uint8Array {
  const flags = 0x10000;
  return assembleAt(
    asm32,
    LOAD_ADDRESS,
    `header:
      dd ${MULTIBOOT_MAGIC}, ${flags}, ${-(MULTIBOOT_MAGIC + flags) >>> 0}
      dd header, header, 0, 0, entry
    entry: ${MULTIBOOT}`,
  ).code;
}

/** Multiboot 1 as a 32-bit ELF file. */
export function multibootElf(): Uint8Array {
  const { code, labels } = assembleAt(
    asm32,
    LOAD_ADDRESS,
    `dd ${MULTIBOOT_MAGIC}, 0, ${-MULTIBOOT_MAGIC >>> 0}
    entry: ${MULTIBOOT}`,
  );
  return elf({ bits: 32, code, address: LOAD_ADDRESS, entry: Number(labels.get('entry')) });
}

/** A flat image for any paragraph below 1 MiB: real mode, CS = address >> 4, IP = address & 15. It writes its own CS. */
export function flat(ip: number): Uint8Array {
  return assembleAt(
    asm16,
    ip,
    `
      mov ax, cs
      mov ds, ax
      mov ss, ax
      mov sp, 0x8000
      mov si, name
      call print
      mov bx, cs
      mov cx, 4
    digit:
      rol bx, 4
      mov al, bl
      and al, 15
      add al, 'A'
      out 0xe9, al
      loop digit
      jmp leave_
    ${PRINT}
    name: db "flat", 0`,
  ).code;
}

/** A BIOS of 64 KiB: the reset vector in its last 16 bytes; checks that it also stands below 1 MiB, and that it cannot be written. */
export function bios(): Uint8Array {
  const { code } = assembleAt(
    asm16,
    0,
    `start:
      mov ax, 0xf000
      mov ds, ax
      xor ax, ax
      mov ss, ax
      mov sp, 0x8000
      mov byte [name], 'X'
      mov si, name
      call print
      jmp leave_
    ${PRINT}
    name: db "BIOS", 0`,
  );
  const image = new Uint8Array(0x10000).fill(0xf4);
  image.set(code, 0);
  image.set(asm16`jmp 0xf000:0`, 0xfff0);
  return image;
}

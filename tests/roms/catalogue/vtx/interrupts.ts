import { policy } from '../../prelude/attempt.ts';
import { Policy, Selector } from '../../prelude/memory-map.ts';
import { type GuestOptions, vt } from '../../prelude/vtx-attempt.ts';
import { note, RESUME, SKIP } from '../../prelude/vtx-host.ts';
import type { Rom } from '../../rom.ts';
import { vtxRom } from './vtx-rom.ts';

const APIC = 0xfee00000;
/** A store to a register of the local APIC. Clobbers RDI. */
export const apic = (register: number, value: number): string => `mov edi, ${APIC + register}\nmov dword [rdi], ${value}`;
export const APIC_ON = apic(0xf0, 0x13f);
/** A self-IPI of the host: it waits, as RFLAGS.IF is 0. */
export const ipi = (vector: number): string => `${APIC_ON}\n${apic(0x300, 0x44000 | vector)}`;
/** A self-IPI of the guest with an NMI. */
export const NMI_HERE = `${apic(0x300, 0x4400)}\nxor edi, edi`;
/** The host takes what waits, prints it at the start of a line, and ends it. */
export const takeInterrupt = (vector: number): string => `
  ${policy(vector, Policy.iret | Policy.brief | Policy.apicEoi)}
  mov byte [events_left], 10
  mov al, 32
  out 0xe9, al
  sti
  nop
  nop
  cli
  ${policy(vector, 0)}
  call newline64`;

export const vtxInterruptRoms: readonly Rom[] = [];

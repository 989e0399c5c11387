import { Access, gate } from '../../../prelude/descriptor.ts';
import { MemoryMap, Selector } from '../../../prelude/memory-map.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../../prelude/vtx-attempt.ts';
import { note, RESUME, vmread, vmwrite } from '../../../prelude/vtx-host.ts';
import { VtxMemory } from '../../../prelude/vtx-memory.ts';
import type { Fields, GuestModeName } from '../../../prelude/vtx-modes.ts';

const Type = { intr: 0, nmi: 2, exception: 3, int: 4, icebp: 5, trap: 6, other: 7 } as const;

/** An event to inject: the three VM-entry fields. */
export function event(type: keyof typeof Type, vector: number, { error, length = 0 }: { error?: number; length?: number } = {}): Fields {
  return {
    VM_ENTRY_INTR_INFO_FIELD: (0x8000_0000 + (Type[type] << 8) + vector + (error === undefined ? 0 : 0x800)) >>> 0,
    VM_ENTRY_EXCEPTION_ERROR_CODE: error ?? 0,
    VM_ENTRY_INSTRUCTION_LEN: length,
  };
}
export const interrupt = (vector = 0x31): Fields => event('intr', vector);
export const NMI: Fields = event('nmi', 2);
export const exception = (vector: number, error?: number): Fields => event('exception', vector, error === undefined ? {} : { error });
export const intN = (vector = 0x31, length = 2): Fields => event('int', vector, { length });
/** INT3, INTO. */
export const trap = (vector: number, length = 1): Fields => event('trap', vector, { length });
export const ICEBP: Fields = event('icebp', 1, { length: 1 });

/** One of each type. */
export const EVENTS: readonly (readonly [string, Fields])[] = [
  ['an interrupt', interrupt()],
  ['an NMI', NMI],
  ['UD', exception(6)],
  ['INT n', intN()],
  ['INT3', trap(3)],
  ['INT1', ICEBP],
];

/** 32-bit code in ring 3. */
export const RING_3_32: Fields = {
  GUEST_CS_SELECTOR: Selector.code3,
  GUEST_CS_AR_BYTES: 0xc0fb,
  GUEST_SS_SELECTOR: Selector.data3,
  GUEST_SS_AR_BYTES: 0xc0f3,
};

const IF = 0x200;
/** Flags of a guest that an interrupt may be injected to (27.3.1.4). */
const interruptible = ({ VM_ENTRY_INTR_INFO_FIELD }: Fields, mode: GuestModeName = 'long'): Fields => {
  const isInterrupt = ((Number(VM_ENTRY_INTR_INFO_FIELD) >>> 8) & 7) === Type.intr;
  return isInterrupt ? { GUEST_RFLAGS: (mode === 'v86' ? 0x23002 : 2) + IF } : {};
};

/** Injects an event, with the prelude's handlers behind it; an interrupt with RFLAGS.IF set. */
export const inject = (label: string, injected: Fields, options: GuestOptions = {}, code = 'mov ebx, 1'): VtxAttempt =>
  vt(label, code, { ...options, fields: { ...injected, ...interruptible(injected, options.mode), ...options.fields } });

/** A table of gates of a ROM's own, empty but for the one that an attempt makes and takes away. */
export const IDT = VtxMemory.free;

export interface FrameOptions extends GuestOptions {
  /** Access byte, code selector, IST of the gate. */
  readonly access?: number;
  readonly selector?: number;
  readonly ist?: number;
  /** The delivery changes the stack: SS and the stack pointer are in the frame. */
  readonly outer?: boolean;
  /** EFLAGS of the frame are shown whole, with RF. */
  readonly wholeFlags?: boolean;
  /** The return address is shown as it is. */
  readonly absolute?: boolean;
  /** The handler returns, and shows nothing. */
  readonly returns?: boolean;
  /** What the guest does if the handler is not reached. */
  readonly code?: string;
}

/** Takes the frame from the stack: EAX is the return address, counted from the guest's code; EBX CS, ECX flags, EDX and ESI the outer stack, EDI the error code. */
function handler(bits: 16 | 32 | 64, hasError: boolean, outer: boolean, { wholeFlags, returns, absolute, access }: FrameOptions): string {
  const isSmall = access === Access.interruptGate16 || access === Access.trapGate16;
  const letter = bits === 64 ? 'r' : bits === 32 ? 'e' : '';
  const names = [...(hasError ? ['di'] : []), 'ax', 'bx', 'cx', ...(outer ? ['dx', 'si'] : [])];
  const pops = names.map((name) => `pop ${isSmall ? '' : letter}${name}`).join('\n');
  if (returns === true) return `bits ${bits}\n.handler:\niret${bits === 64 ? 'q' : bits === 32 ? 'd' : ''}`;
  return `
    bits ${bits}
  .handler:
    ${pops}
    ${absolute === true ? '' : `lea ${letter}ax, [${bits === 16 ? 'eax' : `${letter}ax`} - .guest]`}
    ${wholeFlags === true ? '' : 'movzx ecx, cx'}
    vmcall`;
}

/** A guest in which one vector has a handler, that shows the frame in registers; of EFLAGS the low half, where RF is not. */
export function handled(label: string, vector: number, hasError: boolean, options: FrameOptions = {}): VtxAttempt {
  const { mode = 'long', access = Access.interruptGate32, ist = 0, code = 'mov ebp, 1', ...more } = options;
  const isLong = mode === 'long' || mode === 'compatibility';
  const isReal = mode === 'real';
  const bytes = isReal ? 4 : isLong ? 16 : 8;
  const own = isReal ? 16 : isLong ? 64 : 32;
  const at = IDT + vector * bytes;
  const selector = options.selector ?? (isLong ? Selector.code64 : Selector.code0);
  const [low, high] = gate(selector, '.handler', access, ist);
  const set = (first: string, second: string): string => `mov dword [${at}], ${first}${isReal ? '' : `\nmov dword [${at + 4}], ${second}`}`;
  return vt(label, `${code}\nvmcall\n${handler(own, hasError, isLong || (options.outer ?? mode === 'v86'), options)}`, {
    ...more,
    mode,
    fields: { GUEST_IDTR_BASE: IDT, GUEST_IDTR_LIMIT: at - IDT + bytes - 1, ...options.fields },
    before: `${set(isReal ? '.handler' : low, high)}\n${options.before ?? ''}`,
    afterwards: `${options.afterwards ?? ''}\n${set('0', '0')}`,
  });
}

/** Injects an event whose handler shows the frame. */
export function frame(label: string, injected: Fields, options: FrameOptions = {}): VtxAttempt {
  const info = Number(injected.VM_ENTRY_INTR_INFO_FIELD);
  const fields = { ...injected, ...interruptible(injected, options.mode), ...options.fields };
  return handled(label, info & 0xff, (info & 0x800) !== 0, { ...options, fields });
}

/** The IDT-vectoring information goes to the VM-entry fields, as a hypervisor does it, and the guest goes on. */
export const REINJECT = [
  ['VM_ENTRY_INTR_INFO_FIELD', 'IDT_VECTORING_INFO_FIELD'],
  ['VM_ENTRY_EXCEPTION_ERROR_CODE', 'IDT_VECTORING_ERROR_CODE'],
  ['VM_ENTRY_INSTRUCTION_LEN', 'VM_EXIT_INSTRUCTION_LEN'],
]
  .map(([to, from]) => `${vmread(from as keyof Fields, 'rdx')}\n${vmwrite(to as keyof Fields, 'rdx')}`)
  .join('\n')
  .concat(`\n${RESUME}`);
/** Shows what the exit left of the VM-entry interruption information. */
export const SHOW_INFORMATION = `${vmread('VM_ENTRY_INTR_INFO_FIELD', 'rdx')}\n${note({ entry: 'rdx' })}`;

const TEST_PAGE = MemoryMap.test >>> 12;
/** The stack is in a page of its own, that a ROM takes away and gives back. */
export const LOST_STACK: Fields = { GUEST_RSP: MemoryMap.test + 0x800 };
export const ABSENT = `mov dword [${MemoryMap.longTable + TEST_PAGE * 8}], 0`;
export const PRESENT = `mov dword [${MemoryMap.longTable + TEST_PAGE * 8}], ${MemoryMap.test | 7}`;
export const EPT_ABSENT = `mov dword [${VtxMemory.eptTable + TEST_PAGE * 8}], 0`;
export const EPT_PRESENT = `mov dword [${VtxMemory.eptTable + TEST_PAGE * 8}], ${MemoryMap.test | 0x37}`;

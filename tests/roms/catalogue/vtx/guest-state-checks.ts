import { MemoryMap } from '../../prelude/memory-map.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../prelude/vtx-attempt.ts';
import { VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Fields } from '../../prelude/vtx-modes.ts';
import type { Rom } from '../../rom.ts';
import { ENTRY_KEEPS_DEBUG, ENTRY_KEEPS_EFER, entry, HIGHEST, inMode, LONG_CR0, LONG_EFER, NOT_CANONICAL } from './entries.ts';
import { vtxRom } from './vtx-rom.ts';

const LONG_CR4 = 0x2020;
const TF = 0x100;

const PAT: GuestOptions = { controls: { entry: ['loadIa32Pat'] } };
/** The guest does not run by itself in its activity state: the timer brings it back. */
const TIMER: GuestOptions = { controls: { pin: ['activateVmxPreemptionTimer'] } };
const timed = (label: string, fields: Fields, more: GuestOptions = {}): VtxAttempt =>
  entry(label, { VMX_PREEMPTION_TIMER_VALUE: 1000, ...fields }, { ...TIMER, ...more });
const NMIS: GuestOptions = { controls: { pin: ['nmiExiting', 'virtualNmis'] } };
const inject = (type: number, vector: number): Fields => ({ VM_ENTRY_INTR_INFO_FIELD: -0x8000_0000 + (type << 8) + vector });
const blocking = (bits: number): Fields => ({ GUEST_INTERRUPTIBILITY_INFO: bits });
const refusedByManual = (why: string): GuestOptions => ({ bochs: why, manual: 'entry failure, INVALID_STATE' });
const pending = (bits: number | bigint): Fields => ({ GUEST_PENDING_DBG_EXCEPTIONS: bits });

const DEBUGCTL = refusedByManual('looks at no bits of DEBUGCTL; SDM Vol. 3C 27.3.1.1.');
const RIP = refusedByManual('lets RIP be beyond the linear-address width; SDM Vol. 3C 27.3.1.4.');
const HALTED = refusedByManual('injects any event into a halted guest; SDM Vol. 3C 27.3.1.5.');
const NMI_BLOCKED = refusedByManual('injects a virtual NMI where they are blocked; SDM Vol. 3C 27.3.1.5.');
const BS = refusedByManual('looks at no BS; SDM Vol. 3C 27.3.1.5.');
/** No gate: what is injected ends in a #GP that exits. */
const NO_IDT: Fields = { GUEST_IDTR_LIMIT: 0 };

export const vtxGuestStateCheckRoms: readonly Rom[] = [
  vtxRom('vtx-refused-cr', "The guest's CR0, CR3, CR4, DR7 (SDM Vol. 3C 27.3.1.1, 27.8)", [
    entry('CR0 without NE', { GUEST_CR0: LONG_CR0 - 0x20 }),
    entry('CR0 without PG, IA-32e mode', { GUEST_CR0: 0x31 }),
    entry(
      'CR0 without PG, IA-32e mode, unrestricted',
      { GUEST_CR0: 0x31 },
      {
        unrestricted: true,
        ...refusedByManual('lets CR0.PG be 0 with "IA-32e mode guest"; SDM Vol. 3C 27.3.1.1.'),
      },
    ),
    entry('CR0 without PG', { GUEST_CR0: 0x31 }, inMode('paging32')),
    entry('CR0 without PE and PG', { GUEST_CR0: 0x30 }, inMode('paging32')),
    entry('CR0 with PG and without PE', { GUEST_CR0: 0x8000_0030 }, inMode('real')),
    entry('CR0 without NE, unrestricted', { GUEST_CR0: 0x10 }, inMode('real')),
    entry('CR0 with NW and without CD', { GUEST_CR0: LONG_CR0 + 0x2000_0000 }),
    entry('CR0 with bit 32', { GUEST_CR0: 0x1_0000_0000 + LONG_CR0 }),
    entry('CR4 without VMXE', { GUEST_CR4: 0x20 }),
    entry('CR4 without PAE, IA-32e mode', { GUEST_CR4: 0x2000 }),
    entry('CR4 with PCIDE', { GUEST_CR4: LONG_CR4 + 0x2_0000 }),
    entry('CR4 with PCIDE outside IA-32e mode', { GUEST_CR4: 0x2_2010 }, inMode('paging32')),
    entry('CR4 with bit 15', { GUEST_CR4: LONG_CR4 + 0x8000 }),
    entry('CR4 with bit 31', { GUEST_CR4: LONG_CR4 + 0x8000_0000 }),
    entry('CR4 with bit 32', { GUEST_CR4: 0x1_0000_0000 + LONG_CR4 }),
    entry('CR3 too wide', { GUEST_CR3: (1n << 56n) + BigInt(MemoryMap.pml4) }),
    entry('CR3 with bit 63', { GUEST_CR3: (1n << 63n) + BigInt(MemoryMap.pml4) }),
    entry('CR3 with all bits below 12', { GUEST_CR3: MemoryMap.pml4 + 0xfff }),
    entry('DR7 with bit 32', { GUEST_DR7: 0x1_0000_0400n }),
    vt('DR7 with bit 32, not loaded', '', { fields: { GUEST_DR7: 0x1_0000_0400n }, raw: ENTRY_KEEPS_DEBUG }),
    entry('DR7 with reserved bits below', { GUEST_DR7: 0xd000 }),
  ]),
  vtxRom('vtx-refused-msrs', "The guest's DEBUGCTL, SYSENTER MSRs, PAT and EFER (SDM Vol. 3C 27.3.1.1, 27.8)", [
    entry('DEBUGCTL with bit 5', { GUEST_IA32_DEBUGCTL: 0x20 }, DEBUGCTL),
    entry('DEBUGCTL with bit 16', { GUEST_IA32_DEBUGCTL: 0x1_0000 }, DEBUGCTL),
    entry('DEBUGCTL with bit 63', { GUEST_IA32_DEBUGCTL: 1n << 63n }, DEBUGCTL),
    entry('DEBUGCTL with LBR and BTF', { GUEST_IA32_DEBUGCTL: 3 }),
    vt('DEBUGCTL with bit 16, not loaded', '', { fields: { GUEST_IA32_DEBUGCTL: 0x1_0000 }, raw: ENTRY_KEEPS_DEBUG }),
    entry('SYSENTER_ESP not canonical', { GUEST_SYSENTER_ESP: NOT_CANONICAL }),
    entry('SYSENTER_ESP, the highest half', { GUEST_SYSENTER_ESP: HIGHEST }),
    entry('SYSENTER_EIP not canonical', { GUEST_SYSENTER_EIP: NOT_CANONICAL }),
    entry('SYSENTER_EIP not canonical, 32-bit guest', { GUEST_SYSENTER_EIP: NOT_CANONICAL }, inMode('paging32')),
    ...[2, 3, 8].map((type) => entry(`PAT with type ${type}`, { GUEST_IA32_PAT: type }, PAT)),
    entry('PAT with type 3 in its last byte', { GUEST_IA32_PAT: 0x0300_0000_0000_0000n }, PAT),
    entry('PAT with type 2, not loaded', { GUEST_IA32_PAT: 2 }),
    ...[1, 9, 16, 63].map((bit) => entry(`EFER with bit ${bit}`, { GUEST_IA32_EFER: BigInt(LONG_EFER) + (1n << BigInt(bit)) })),
    entry('EFER without LMA', { GUEST_IA32_EFER: LONG_EFER - 0x400 }),
    entry('EFER without LME', { GUEST_IA32_EFER: LONG_EFER - 0x100 }),
    entry('EFER without LME and LMA', { GUEST_IA32_EFER: LONG_EFER - 0x500 }),
    vt('EFER without LMA, not loaded', '', { fields: { GUEST_IA32_EFER: 0 }, raw: ENTRY_KEEPS_EFER }),
    entry('EFER with LMA, 32-bit guest', { GUEST_IA32_EFER: 0x500 }, inMode('paging32')),
    entry('EFER with LME, 32-bit guest', { GUEST_IA32_EFER: 0x100 }, inMode('paging32')),
    entry('EFER with LME, without paging', { GUEST_IA32_EFER: 0x100 }, inMode('protected')),
    entry('EFER with LMA, without paging', { GUEST_IA32_EFER: 0x400 }, inMode('protected')),
  ]),
  vtxRom('vtx-refused-tables', "The guest's GDTR, IDTR, RIP and RFLAGS (SDM Vol. 3C 27.3.1.3, 27.3.1.4, 27.8)", [
    ...(['GDTR', 'IDTR'] as const).flatMap((name) => [
      entry(`${name} base not canonical`, { [`GUEST_${name}_BASE`]: NOT_CANONICAL }),
      entry(`${name} base, the highest half`, { [`GUEST_${name}_BASE`]: HIGHEST }),
      entry(`${name} limit with bit 16`, { [`GUEST_${name}_LIMIT`]: 0x1_ffff }),
      entry(`${name} limit with bit 31`, { [`GUEST_${name}_LIMIT`]: -0x8000_0000 }),
      entry(`${name} base not canonical, 32-bit guest`, { [`GUEST_${name}_BASE`]: NOT_CANONICAL }, inMode('paging32')),
    ]),
    entry('RIP with bit 32, 32-bit guest', { GUEST_RIP: 0x1_0000_0000 }, inMode('paging32')),
    entry('RIP with bit 32, compatibility mode', { GUEST_RIP: 0x1_0000_0000 }, inMode('compatibility')),
    entry('RIP with bit 48', { GUEST_RIP: 1n << 48n }, RIP),
    entry('RIP with bit 63', { GUEST_RIP: 1n << 63n }, RIP),
    ...[3, 5, 15, 22, 31, 32, 63].map((bit) => entry(`RFLAGS with bit ${bit}`, { GUEST_RFLAGS: (1n << BigInt(bit)) + 2n })),
    entry('RFLAGS without bit 1', { GUEST_RFLAGS: 0 }),
    entry('RFLAGS.VM in IA-32e mode', { GUEST_RFLAGS: 0x2_0002 }),
    entry('RFLAGS.VM in real mode', { GUEST_RFLAGS: 0x2_0002 }, inMode('real')),
    entry('an interrupt without RFLAGS.IF', inject(0, 0x20)),
  ]),
  vtxRom('vtx-refused-activity', "The guest's activity state (SDM Vol. 3C 27.3.1.5, 27.8)", [
    timed('HLT', { GUEST_ACTIVITY_STATE: 1 }),
    timed('shutdown', { GUEST_ACTIVITY_STATE: 2 }),
    ...[4, 5, 0x100, -1].map((state) => timed(`state ${state}`, { GUEST_ACTIVITY_STATE: state })),
    timed('HLT in ring 3', {
      GUEST_ACTIVITY_STATE: 1,
      GUEST_CS_SELECTOR: 0x2b,
      GUEST_CS_AR_BYTES: 0xa0fb,
      GUEST_SS_SELECTOR: 0x33,
      GUEST_SS_AR_BYTES: 0xc0f3,
    }),
    timed('HLT with blocking by STI', { GUEST_ACTIVITY_STATE: 1, GUEST_RFLAGS: 0x202, ...blocking(1) }),
    timed('HLT with blocking by MOV SS', { GUEST_ACTIVITY_STATE: 1, ...blocking(2) }),
    timed('shutdown with blocking by MOV SS', { GUEST_ACTIVITY_STATE: 2, ...blocking(2) }),
    timed('HLT with blocking by NMI', { GUEST_ACTIVITY_STATE: 1, ...blocking(8) }),
    timed('wait-for-SIPI with blocking by STI', { GUEST_ACTIVITY_STATE: 3, GUEST_RFLAGS: 0x202, ...blocking(1) }),
    ...(
      [
        [3, 6],
        [3, 0],
        [4, 0x80],
        [6, 3],
      ] as const
    ).map(([type, vector]) =>
      timed(
        `HLT, type ${type} of vector ${vector}`,
        { GUEST_ACTIVITY_STATE: 1, VM_ENTRY_INSTRUCTION_LEN: 1, ...inject(type, vector) },
        HALTED,
      ),
    ),
    timed('HLT, an NMI', { GUEST_ACTIVITY_STATE: 1, ...inject(2, 2), ...NO_IDT }),
    timed('HLT, an interrupt', { GUEST_ACTIVITY_STATE: 1, GUEST_RFLAGS: 0x202, ...inject(0, 0x20), ...NO_IDT }),
    timed('HLT, a debug exception', { GUEST_ACTIVITY_STATE: 1, ...inject(3, 1), ...NO_IDT }),
    ...(
      [
        [0, 0x20],
        [3, 1],
        [4, 0x80],
      ] as const
    ).map(([type, vector]) =>
      timed(`shutdown, type ${type} of vector ${vector}`, {
        GUEST_ACTIVITY_STATE: 2,
        GUEST_RFLAGS: 0x202,
        VM_ENTRY_INSTRUCTION_LEN: 1,
        ...inject(type, vector),
      }),
    ),
    timed('wait-for-SIPI, an NMI', { GUEST_ACTIVITY_STATE: 3, ...inject(2, 2) }),
  ]),
  vtxRom('vtx-refused-blocking', "The guest's interruptibility state (SDM Vol. 3C 27.3.1.5, 27.8)", [
    ...[4, 5, 6, 31].map((bit) => entry(`bit ${bit}`, blocking(bit === 31 ? -0x8000_0000 : 1 << bit))),
    entry('STI', { ...blocking(1), GUEST_RFLAGS: 0x202 }),
    entry('STI without RFLAGS.IF', blocking(1)),
    entry('MOV SS', blocking(2)),
    entry('STI and MOV SS', { ...blocking(3), GUEST_RFLAGS: 0x202 }),
    entry('SMI', blocking(4)),
    entry('NMI', blocking(8)),
    entry('an interrupt with STI', { ...blocking(1), ...inject(0, 0x30), GUEST_RFLAGS: 0x202 }),
    entry('an interrupt with MOV SS', { ...blocking(2), ...inject(0, 0x30), GUEST_RFLAGS: 0x202 }),
    entry('an NMI with MOV SS', { ...blocking(2), ...inject(2, 2) }),
    entry('a virtual NMI with NMI blocked', { ...blocking(8), ...inject(2, 2) }, { ...NMIS, ...NMI_BLOCKED }),
    entry('an NMI with NMI blocked, without virtual NMIs', { ...blocking(8), ...inject(2, 2), ...NO_IDT }),
    entry('an exception with MOV SS', { ...blocking(2), ...inject(3, 6), ...NO_IDT }),
  ]),
  vtxRom('vtx-refused-pending-debug', "The guest's pending debug exceptions (SDM Vol. 3C 27.3.1.5, 27.8)", [
    ...[4, 11, 13, 15, 16, 17].map((bit) => entry(`bit ${bit}`, pending(1 << bit))),
    entry('bit 63', pending(1n << 63n), refusedByManual('looks at no bits above 31; SDM Vol. 3C 27.3.1.5.')),
    entry('STI and TF without BS', { ...blocking(1), GUEST_RFLAGS: 0x202 + TF }, BS),
    entry('MOV SS and TF without BS', { ...blocking(2), GUEST_RFLAGS: 2 + TF }, BS),
    entry('MOV SS and TF with BS', { ...blocking(2), ...pending(0x4000), GUEST_RFLAGS: 2 + TF }),
    timed('HLT and TF without BS', { GUEST_ACTIVITY_STATE: 1, GUEST_RFLAGS: 2 + TF }, BS),
    entry('STI, BS without TF', { ...blocking(1), ...pending(0x4000), GUEST_RFLAGS: 0x202 }, BS),
    entry('MOV SS, BS without TF', { ...blocking(2), ...pending(0x4000) }, BS),
    timed('HLT, BS without TF', { GUEST_ACTIVITY_STATE: 1, ...pending(0x4000) }, BS),
    entry(
      'MOV SS, TF and BTF without BS',
      { ...blocking(2), GUEST_RFLAGS: 2 + TF, GUEST_IA32_DEBUGCTL: 2 },
      {
        bochs: 'saves BS with TF, whatever BTF; SDM Vol. 3C 28.3.4.',
        manual: 'VMCALL len=3 at 38:+0 sp=10:d000 fl=102 blocking=2',
      },
    ),
    entry('MOV SS, TF and BTF with BS', { ...blocking(2), GUEST_RFLAGS: 2 + TF, GUEST_IA32_DEBUGCTL: 2, ...pending(0x4000) }, BS),
    entry('MOV SS with an enabled breakpoint', { ...blocking(2), ...pending(0x1003) }),
    entry('nothing blocks, BS without TF', { ...pending(0x4000), EXCEPTION_BITMAP: 2 }),
    entry(
      'nothing blocks, TF without BS',
      { GUEST_RFLAGS: 2 + TF },
      {
        bochs: 'saves pending debug exceptions, though MOV SS does not block; SDM Vol. 3C 28.3.4.',
        manual: 'VMCALL len=3 at 38:+0 sp=10:d000 fl=102',
      },
    ),
  ]),
  vtxRom('vtx-refused-link', 'The VMCS link pointer: exit qualification 4 (SDM Vol. 3C 27.3.1.5, 27.8)', [
    entry('another VMCS', { VMCS_LINK_POINTER: VtxMemory.otherVmcs }),
    entry('misaligned', { VMCS_LINK_POINTER: VtxMemory.otherVmcs + 0x800 }),
    entry('misaligned by 1', { VMCS_LINK_POINTER: VtxMemory.otherVmcs + 1 }),
    entry('too wide', { VMCS_LINK_POINTER: (1n << 56n) + BigInt(VtxMemory.otherVmcs) }),
    entry('another revision', { VMCS_LINK_POINTER: VtxMemory.free + 0x1000 }),
    entry('the current VMCS', { VMCS_LINK_POINTER: VtxMemory.vmcs }),
    entry(
      'a shadow VMCS',
      { VMCS_LINK_POINTER: VtxMemory.otherVmcs },
      {
        before: `or dword [${VtxMemory.otherVmcs}], 0x80000000`,
        afterwards: `and dword [${VtxMemory.otherVmcs}], 0x7fffffff`,
      },
    ),
    entry('all ones but the last', { VMCS_LINK_POINTER: -2 }),
  ]),
  vtxRom('vtx-refused-pdptes', 'Page-directory-pointer-table entries: exit qualification 2 (SDM Vol. 3C 27.3.1.6, 27.8)', [
    ...[1, 2, 5, 6, 7, 8].map((bit) => pdpteInMemory(`bit ${bit} in memory`, 0, 1n << BigInt(bit))),
    pdpteInMemory('bit 62 of the last in memory', 3, 1n << 62n),
    pdpteInMemory('bit 1 of the third in memory', 2, 2n),
    pdpteInMemory('not present, with reserved bits, in memory', 3, -1n - BigInt(MemoryMap.paeDirectories + 0x3000 + 1), -2n),
    ...[1, 2, 5, 6, 7, 8, 62].map((bit) => pdpteInVmcs(`bit ${bit} with EPT`, 0, 1n << BigInt(bit))),
    pdpteInVmcs('bit 5 of the last with EPT', 3, 0x20n),
    entry('not present, with reserved bits, with EPT', { GUEST_PDPTR3: -2 }, { mode: 'pae', controls: { secondary: ['enableEpt'] } }),
    entry('in the VMCS without EPT', { GUEST_PDPTR0: -1 }, inMode('pae')),
    entry('in IA-32e mode with EPT', { GUEST_PDPTR0: -1 }, { controls: { secondary: ['enableEpt'] } }),
  ]),
];

/** A PDPTE with more bits, in memory or in the VMCS. */
function pdpteInMemory(
  label: string,
  n: number,
  bits: bigint,
  value = BigInt(MemoryMap.paeDirectories + 0x1000 * n + 1) + bits,
): VtxAttempt {
  const at = MemoryMap.paePointers + 8 * n;
  return vt(label, '', {
    mode: 'pae',
    before: `mov rax, ${value}\nmov [${at}], rax`,
    afterwards: `mov eax, ${MemoryMap.paeDirectories + 0x1000 * n + 1}\nmov [${at}], rax`,
  });
}
function pdpteInVmcs(label: string, n: 0 | 3, bits: bigint): VtxAttempt {
  const value = BigInt(MemoryMap.paeDirectories + 0x1000 * n + 1) + bits;
  return entry(label, { [`GUEST_PDPTR${n}`]: value }, { mode: 'pae', controls: { secondary: ['enableEpt'] } });
}

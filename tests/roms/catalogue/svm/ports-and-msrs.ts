import { type SvmAttempt, type SvmGuestOptions, svm } from '../../prelude/svm-attempt.ts';
import { SvmMemory } from '../../prelude/svm-memory.ts';
import type { Rom } from '../../rom.ts';
import { svmRom } from './svm-rom.ts';

const FREE = SvmMemory.free;
const { ioPermissions, msrPermissions } = SvmMemory;
/** Sets the bit of a port. */
const port = (number: number): string => `bts dword [${ioPermissions + (number >>> 5) * 4}], ${number & 31}`;
const IO = ['IOIO_PROT'] as const;
const MSR = ['MSR_PROT'] as const;

const RANGES = [
  [0, 0],
  [0xc0000000, 0x800],
  [0xc0010000, 0x1000],
] as const;
/** Sets the bit of an MSR: reads, or writes. */
function msr(index: number, write: boolean): string {
  const [first, offset] = RANGES.findLast(([start]) => index >= start) as readonly [number, number];
  const bit = (index - first) * 2 + (write ? 1 : 0);
  return `bts dword [${msrPermissions + offset + (bit >>> 5) * 4}], ${bit & 31}`;
}
const access = (index: number, write: boolean): string => `mov ecx, ${index}\n${write ? 'wrmsr' : 'rdmsr'}`;
/** The edges of each range of the map, and what follows. */
const COVERED = [0, 0x1fff, 0xc0000000, 0xc0001fff, 0xc0010000, 0xc0011fff];
const EDGES = [...COVERED, 0x2000, 0xbfffffff, 0xc0002000, 0xc000ffff, 0xc0012000, 0xffffffff];

/** An attempt that ends in IOIO. */
const io = (label: string, code: string, options: SvmGuestOptions): SvmAttempt =>
  svm(label, code, { qemu: 'leaves the address size out of EXITINFO1; 15.10.2.', ...options });
const NO_MSR = 'TCG raises no #GP for an MSR that does not exist.';
const LOW_BITS = 'does not ignore bits 11:0 of the address; 15.10.1, 15.11.';

export const svmPortRoms: readonly Rom[] = [
  svmRom('svm-ioio', 'IN and OUT: EXITINFO1 and EXITINFO2, by size, direction and address size (APM Vol. 2 15.10.2)', [
    io('OUT imm8, AL', 'out 0x80, al', { intercepts: IO, before: port(0x80) }),
    io('OUT imm8, AX', 'out 0x80, ax', { intercepts: IO, before: port(0x80) }),
    io('OUT imm8, EAX', 'out 0x80, eax', { intercepts: IO, before: port(0x80) }),
    io('IN AL, imm8', 'in al, 0x84', { intercepts: IO, before: port(0x84) }),
    io('IN EAX, DX', 'mov edx, 0x1234\nin eax, dx', { intercepts: IO, before: port(0x1234) }),
    io('OUT DX, AX', 'mov edx, 0xabcd\nmov eax, 0x12345678\nout dx, ax', { intercepts: IO, before: port(0xabcd) }),
    io('32-bit code', 'mov edx, 0xabcd\nin ax, dx', { mode: 'paging32', intercepts: IO, before: port(0xabcd) }),
    io('16-bit code', 'mov dx, 0xabcd\nout dx, eax', { mode: 'real', intercepts: IO, before: port(0xabcd) }),
    io('with an address-size prefix', 'db 0x67\nout 0x80, al', { intercepts: IO, before: port(0x80) }),
    svm('a port without its bit', 'mov edx, 0x81\nin al, dx\nxor eax, eax', { intercepts: IO, before: port(0x80) }),
    svm('IOIO_PROT clear', 'out 0x80, al', { before: port(0x80) }),
  ]),
  svmRom('svm-ioio-string', 'INS and OUTS: string, REP, address size, segment (APM Vol. 2 15.10.2, 15.10.3)', [
    io('OUTSB', `mov edx, 0x80\nmov esi, ${FREE}\noutsb`, { intercepts: IO, before: port(0x80), assists: 'i1=c00' }),
    io('OUTSW', `mov edx, 0x80\nmov esi, ${FREE}\noutsw`, { intercepts: IO, before: port(0x80), assists: 'i1=c00' }),
    io('OUTSD of FS', `mov edx, 0x80\nmov esi, ${FREE}\nfs outsd`, { intercepts: IO, before: port(0x80), assists: 'i1=1000' }),
    io('OUTSB of ES', `mov edx, 0x80\nmov esi, ${FREE}\nes outsb`, { mode: 'paging32', intercepts: IO, before: port(0x80) }),
    io('REP OUTSB', `mov edx, 0x80\nmov ecx, 5\nmov esi, ${FREE}\nrep outsb`, { intercepts: IO, before: port(0x80), assists: 'i1=c00' }),
    io('REP OUTSB of nothing', `mov edx, 0x80\nmov esi, ${FREE}\nrep outsb`, { intercepts: IO, before: port(0x80), assists: 'i1=c00' }),
    io('INSB', `mov edx, 0x80\nmov edi, ${FREE}\ninsb`, { intercepts: IO, before: port(0x80) }),
    io('REP INSD with an address-size prefix', `mov edx, 0x80\nmov edi, ${FREE}\nmov ecx, 3\ndb 0x67\nrep insd`, {
      intercepts: IO,
      before: port(0x80),
    }),
    io('32-bit code', `mov edx, 0x80\nmov edi, ${FREE}\ninsw`, { mode: 'protected', intercepts: IO, before: port(0x80) }),
    io('16-bit code', 'mov dx, 0x80\nmov si, 0x600\noutsb', { mode: 'real', intercepts: IO, before: port(0x80), assists: 'i1=c00' }),
    io('the intercept comes before the page fault', 'mov edx, 0x80\nmov rsi, 0xffff900000000000\noutsb', {
      intercepts: ['IOIO_PROT', 'EXCP14'],
      before: port(0x80),
      assists: 'i1=c00',
    }),
  ]),
  svmRom(
    'svm-iopm-edges',
    'Any of the ports of an access is enough; the map has 64K + 3 bits; bits 11:0 of its address are ignored (APM Vol. 2 15.10.1)',
    [
      io('the last of four', 'out 0x80, eax', { intercepts: IO, before: port(0x83) }),
      svm('the one behind', 'out 0x80, eax', { intercepts: IO, before: port(0x84) }),
      svm('the one before', 'out 0x84, eax', { intercepts: IO, before: port(0x83) }),
      io('over a byte of the map', 'mov edx, 0x86\nout dx, eax', { intercepts: IO, before: port(0x88) }),
      io('port 0', 'mov dx, 0\nin al, dx', { intercepts: IO, before: port(0) }),
      io('over a page of the map', 'mov edx, 0x7fff\nout dx, ax', { intercepts: IO, before: port(0x8000) }),
      io('port FFFF', 'mov edx, 0xffff\nout dx, al', { intercepts: IO, before: port(0xffff) }),
      io('over port FFFF', 'mov edx, 0xfffe\nout dx, eax', { intercepts: IO, before: port(0x10001) }),
      svm('low bits of the address', 'out 0x80, al', {
        intercepts: IO,
        before: port(0x80),
        fields: { IOPM_BASE_PA: ioPermissions + 0x123 },
        qemu: LOW_BITS,
      }),
    ],
  ),
  svmRom('svm-ioio-priority', 'IOPL and the TSS come before the intercept (APM Vol. 2 15.10.2)', [
    io('ring 3 with IOPL 3', 'out 0x80, al', { mode: 'ring3', intercepts: IO, before: port(0x80), fields: { RFLAGS: 0x3002 } }),
    svm('ring 3 by the TSS', 'out 0x80, al', {
      mode: 'ring3',
      intercepts: IO,
      before: `${port(0x80)}\nmov word [tss64 + 102], 0x68`,
      qemu: 'takes a busy TSS in the VMCB for none; APM Vol. 2 12.2.5.',
      nrip: '+2',
    }),
    svm('ring 3 refused by the TSS', 'out 0x80, al', {
      mode: 'ring3',
      intercepts: ['IOIO_PROT', 'EXCP13'],
      before: `${port(0x80)}\nmov byte [tss64 + ${0x68 + (0x80 >>> 3)}], 1`,
      after: `mov byte [tss64 + ${0x68 + (0x80 >>> 3)}], 0\nmov word [tss64 + 102], 0`,
    }),
  ]),
  svmRom('svm-msr', 'RDMSR and WRMSR: EXITINFO1; exceptions common to all MSRs first, those of one MSR later (APM Vol. 2 15.11)', [
    svm('RDMSR', access(0x10, false), { intercepts: MSR, before: msr(0x10, false) }),
    svm('WRMSR', access(0x277, true), { intercepts: MSR, before: msr(0x277, true) }),
    svm('only writes', access(0x277, false), { intercepts: MSR, before: msr(0x277, true), hide: ['registers'] }),
    svm('only reads', `mov eax, 0x10\nmov edx, 0\n${access(0x174, true)}`, { intercepts: MSR, before: msr(0x174, false) }),
    svm('ring 3', access(0x10, false), { mode: 'ring3', intercepts: ['MSR_PROT', 'EXCP13'], before: msr(0x10, false) }),
    svm('an MSR that does not exist', access(0x1f00, false), { intercepts: ['MSR_PROT', 'EXCP13'], before: msr(0x1f00, false) }),
    svm('not intercepted, that one is #GP', access(0x1f00, false), { intercepts: ['MSR_PROT', 'EXCP13'], qemu: NO_MSR }),
    svm('a bad value', `mov eax, -1\nmov edx, -1\n${access(0xc0000080, true)}`, {
      intercepts: ['MSR_PROT', 'EXCP13'],
      before: msr(0xc0000080, true),
    }),
    svm('MSR_PROT clear', access(0xc0000081, false), { before: msr(0xc0000081, false) }),
    svm('real mode', 'mov ecx, 0x10\nrdmsr', { mode: 'real', intercepts: MSR, before: msr(0x10, false) }),
  ]),
  svmRom('svm-msrpm-edges', 'Ranges of the MSR permissions map; MSRs outside of them are always intercepted (APM Vol. 2 15.11)', [
    ...EDGES.map((index) =>
      svm(`read of ${index.toString(16)}, the map is empty`, access(index, false), {
        intercepts: ['MSR_PROT', 'EXCP13'],
        ...(COVERED.includes(index) && { qemu: NO_MSR }),
      }),
    ),
    ...COVERED.map((index) =>
      svm(`write of ${index.toString(16)} by its bit`, access(index, true), { intercepts: MSR, before: msr(index, true) }),
    ),
    svm('low bits of the address', access(0x277, false), {
      intercepts: MSR,
      before: msr(0x277, false),
      fields: { MSRPM_BASE_PA: msrPermissions + 0xfff },
      qemu: LOW_BITS,
    }),
  ]),
];

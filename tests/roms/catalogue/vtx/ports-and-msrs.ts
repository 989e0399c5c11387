import { type GuestOptions, vt } from '../../prelude/vtx-attempt.ts';
import { RESUME, SKIP, STATE } from '../../prelude/vtx-host.ts';
import { VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Fields } from '../../prelude/vtx-modes.ts';
import type { Rom } from '../../rom.ts';
import { RING_3 } from './instructions.ts';
import { vtxRom } from './vtx-rom.ts';

const { ioBitmapA, ioBitmapB, msrBitmap } = VtxMemory;
const IO: GuestOptions = { controls: { primary: ['unconditionalIoExiting'] } };
const IOPL_3: Fields = { ...RING_3, GUEST_RFLAGS: 0x3002 };
/** Above what the real ports' devices decode. */
const PORT = 0x5000;

/** I/O bitmaps in which the bits of these ports are set. */
const bitmaps = (ports: readonly number[], more: GuestOptions = {}): GuestOptions => {
  const byte = (port: number): string => `byte [${(port < 0x8000 ? ioBitmapA : ioBitmapB) + ((port & 0x7fff) >> 3)}]`;
  return {
    controls: { primary: ['useIoBitmaps'] },
    ...more,
    fields: { IO_BITMAP_A: ioBitmapA, IO_BITMAP_B: ioBitmapB, ...more.fields },
    before: ports.map((port) => `or ${byte(port)}, ${1 << (port & 7)}`).join('\n'),
    afterwards: `${more.afterwards ?? ''}\n${ports.map((port) => `mov ${byte(port)}, 0`).join('\n')}`,
  };
};
const out = (port: number, register = 'al'): string => `mov dx, ${port}\nout dx, ${register}`;
const input = (port: number, register = 'al'): string => `mov dx, ${port}\nin ${register}, dx`;

/** MSR bitmaps in which the bits of these MSRs are set, for reading or for writing. */
const msrs = (list: readonly number[], write = false, more: GuestOptions = {}): GuestOptions => {
  const byte = (msr: number): string =>
    `byte [${msrBitmap + (write ? 0x800 : 0) + (msr >= 0xc0000000 ? 0x400 : 0) + ((msr & 0x1fff) >> 3)}]`;
  return {
    controls: { primary: ['useMsrBitmaps'] },
    ...more,
    fields: { MSR_BITMAP: msrBitmap, ...more.fields },
    before: list.map((msr) => `or ${byte(msr)}, ${1 << (msr & 7)}`).join('\n'),
    afterwards: `${more.afterwards ?? ''}\n${list.map((msr) => `mov ${byte(msr)}, 0`).join('\n')}`,
  };
};
const rdmsr = (msr: number): string => `mov ecx, ${msr}\nrdmsr`;
const write = (msr: number): string => `mov ecx, ${msr}\nmov eax, 0x1234\nwrmsr`;
const SYSENTER_CS = 0x174;
const LSTAR = 0xc0000082;

export const vtxPortAndMsrRoms: readonly Rom[] = [
  vtxRom('vtx-io', 'Unconditional I/O exiting: size, direction, operand and port in the qualification (SDM Vol. 3C 26.1.3, Table 28-5)', [
    vt('OUT imm8, AL', 'mov al, 0x5a\nout 0x80, al', IO),
    vt('OUT imm8, AX', 'out 0x81, ax', IO),
    vt('OUT imm8, EAX', 'out 0xff, eax', IO),
    vt('IN AL, imm8', 'in al, 0x60', IO),
    vt('OUT DX, AL', out(PORT), IO),
    vt('OUT DX, AX', out(PORT, 'ax'), IO),
    vt('IN EAX, DX', input(0xffff, 'eax'), IO),
    vt('ring 3 with IOPL 3', out(PORT), { ...IO, fields: IOPL_3 }),
    vt('ring 3 without', out(PORT), { ...IO, fields: RING_3 }),
    vt('32-bit', 'mov edx, 0x5000\nin ax, dx', { ...IO, mode: 'paging32' }),
    vt('real mode', 'mov dx, 0x5000\nout dx, eax', { ...IO, mode: 'real' }),
    vt('v86 mode: the map of the TSS comes first, whatever IOPL', 'mov dx, 0x5000\nout dx, al', { ...IO, mode: 'v86' }),
    vt('the host makes up for it', 'in al, 0x60\nmov ebx, 1\nout 0x61, al', {
      ...IO,
      afterwards: `mov byte [vtx_rax], 0x77\n${SKIP}\n${RESUME}\n${SKIP}\n${RESUME}`,
    }),
    vt('without controls', 'out 0x80, al'),
  ]),
  vtxRom('vtx-io-string', 'INS and OUTS: linear address and instruction information (SDM Vol. 3C 28.2.1, Table 28-8)', [
    vt('OUTSB', 'mov esi, 0x100010\noutsb', IO),
    vt('INSD', 'mov edi, 0x100020\ninsd', IO),
    vt('OUTSW by FS', 'mov esi, 0x30\ndb 0x64\noutsw', { ...IO, fields: { GUEST_FS_BASE: 0x7000_1234_0000n } }),
    vt('REP OUTSB', 'mov esi, 0x100010\nmov ecx, 5\nrep outsb', IO),
    vt('REP INSW', 'mov edi, 0x100010\nmov ecx, 5\nrep insw', IO),
    vt('REP with a count of 0', 'rep outsb\nmov ebx, 1', IO),
    vt('down', 'std\nmov esi, 0x100010\nmov ecx, 5\nrep outsd', IO),
    vt('32-bit addresses', 'mov rsi, 0x1100000010\na32 outsb', IO),
    vt('64-bit RSI', 'mov rsi, 0x110000000010\noutsb', IO),
    vt('32-bit', 'mov esi, 0x100010\nmov edx, 0x5000\noutsb', { ...IO, mode: 'paging32' }),
    vt('ES base', 'mov di, 0x10\ninsb', { ...IO, mode: 'real', fields: { GUEST_ES_SELECTOR: 0x1234, GUEST_ES_BASE: 0x12340 } }),
    vt('CS override', 'mov si, 0x10\ndb 0x2e\noutsb', { ...IO, mode: 'real' }),
    vt('v86 mode', 'mov si, 0x10\noutsb', { ...IO, mode: 'v86', fields: { GUEST_DS_SELECTOR: 0x100, GUEST_DS_BASE: 0x1000 } }),
    vt('by the bitmaps, in the middle', `mov edx, ${PORT}\nmov esi, 0x100010\nmov ecx, 2\nrep outsb`, bitmaps([PORT])),
  ]),
  vtxRom('vtx-io-bitmaps', 'I/O bitmaps at their edges (SDM Vol. 3C 25.6.4, 26.1.3)', [
    vt('port 0', 'in al, 0', bitmaps([0])),
    vt('port 7FFF', input(0x7fff), bitmaps([0x7fff])),
    vt('port 8000', input(0x8000), bitmaps([0x8000])),
    vt('port FFFF', input(0xffff), bitmaps([0xffff])),
    vt('the neighbours', `${input(0x4fff)}\n${input(0x5001)}\nxor eax, eax`, bitmaps([0x5000])),
    vt('the last byte of four', input(0x5000, 'eax'), bitmaps([0x5003])),
    vt('the one after four', `${input(0x5000, 'eax')}\nxor eax, eax`, bitmaps([0x5004])),
    vt('the second byte of two', out(0x5007, 'ax'), bitmaps([0x5008])),
    vt('across A and B', input(0x7ffe, 'eax'), bitmaps([0x8001])),
    vt('wraps around', input(0xfffe, 'eax'), bitmaps([])),
    vt('two bytes at FFFF', out(0xffff, 'ax'), bitmaps([])),
    vt('no bit', `${out(0x5000)}\nxor edx, edx`, bitmaps([])),
    vt('unconditional exiting is ignored', `${out(0x5000)}\nxor edx, edx`, {
      ...bitmaps([]),
      controls: { primary: ['useIoBitmaps', 'unconditionalIoExiting'] },
    }),
    vt('ring 3 without IOPL', out(0x5000), bitmaps([0x5000], { fields: RING_3 })),
  ]),
  vtxRom('vtx-rdmsr-wrmsr', 'Without MSR bitmaps RDMSR and WRMSR exit always (SDM Vol. 3C 26.1.3)', [
    vt('RDMSR', rdmsr(SYSENTER_CS)),
    vt('RDMSR of nonsense', rdmsr(0x12345)),
    vt('WRMSR', write(LSTAR)),
    vt('RDMSR in ring 3', rdmsr(SYSENTER_CS), { fields: RING_3 }),
    vt('WRMSR in ring 3', write(SYSENTER_CS), { fields: RING_3 }),
    vt('WRMSR in real mode', write(SYSENTER_CS), { mode: 'real' }),
    vt('RDMSR in v86 mode', rdmsr(SYSENTER_CS), { mode: 'v86' }),
    vt('the host makes up for it', `${rdmsr(SYSENTER_CS)}\nmov ebx, 1`, { afterwards: `mov byte [vtx_rax], 0x77\n${SKIP}\n${RESUME}` }),
  ]),
  vtxRom('vtx-msr-bitmaps', 'MSR bitmaps at their edges (SDM Vol. 3C 25.6.9, 26.1.3)', [
    vt('no bit, reading', `${rdmsr(SYSENTER_CS)}\nxor ecx, ecx`, msrs([])),
    vt('no bit, writing', `${write(SYSENTER_CS)}\nrdmsr`, msrs([])),
    vt('reading, low', rdmsr(SYSENTER_CS), msrs([SYSENTER_CS])),
    vt('writing what exits when it is read', `${write(SYSENTER_CS)}\nxor eax, eax`, msrs([SYSENTER_CS])),
    vt('writing, low', write(SYSENTER_CS), msrs([SYSENTER_CS], true)),
    vt('reading what exits when it is written', `${rdmsr(SYSENTER_CS)}\nxor eax, eax`, msrs([SYSENTER_CS], true)),
    vt('reading, high', rdmsr(LSTAR), msrs([LSTAR])),
    vt('writing, high', write(LSTAR), msrs([LSTAR], true)),
    vt('the low one of the same number', `${rdmsr(LSTAR)}\nxor eax, eax\nxor edx, edx`, msrs([LSTAR & 0x1fff])),
    vt('0', rdmsr(0), msrs([0])),
    vt('1FFF', rdmsr(0x1fff), msrs([0x1fff])),
    vt('1FFF without a bit', rdmsr(0x1fff), msrs([])),
    vt('2000', rdmsr(0x2000), msrs([])),
    vt('BFFFFFFF', rdmsr(0xbfffffff), msrs([])),
    vt('C0000000', rdmsr(0xc0000000), msrs([0xc0000000])),
    vt('C0001FFF', write(0xc0001fff), msrs([0xc0001fff], true)),
    vt('C0001FFF without a bit', write(0xc0001fff), msrs([], true)),
    vt('C0002000', write(0xc0002000), msrs([], true)),
    vt('FFFFFFFF', rdmsr(0xffffffff), msrs([])),
    vt('EFER passes, and is saved', `${rdmsr(0xc0000080)}\nand al, 0xfe\nwrmsr\nrdmsr\nxor edx, edx`, msrs([])),
    vt('FS base passes', 'mov ecx, 0xc0000100\nmov eax, 0x1234\nmov edx, 0x7000\nwrmsr', msrs([], true, { afterwards: STATE })),
  ]),
];

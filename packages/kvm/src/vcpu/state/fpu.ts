import { State } from '@minusone/x86';
import { InvalidStateError } from '../../errors.ts';
import type { VcpuCore } from '../core.ts';
import { isValidXcr0 } from '../exit-handlers.ts';

/** `struct kvm_fpu` (api.rst, 4.22 KVM_GET_FPU). */
export interface KvmFpu {
  /** ST0 to ST7, 16 bytes each (10 are used). */
  fpr: Uint8Array[];
  fcw: number;
  fsw: number;
  /** Abridged: bit n is 1 where physical register n is not empty. */
  ftwx: number;
  lastOpcode: number;
  lastIp: bigint;
  lastDp: bigint;
  xmm: Uint8Array[];
  mxcsr: number;
}

/** `struct kvm_xcrs` (api.rst, 4.44 KVM_GET_XCRS). */
export interface KvmXcrs {
  xcrs: { xcr: number; value: bigint }[];
}

const MXCSR_MASK = 0xffff;
const XSAVE_HEADER = 512;
const AVX_OFFSET = 576;
/** `struct kvm_xsave`: 4096 bytes. */
export const XSAVE_BYTES = 4096;

function top(core: VcpuCore): number {
  return (core.cpu.registers.get32(State.fsw) >>> 11) & 7;
}
function bytesAt(core: VcpuCore, field: number, length: number): Uint8Array {
  const at = core.cpu.state + field;
  return core.cpu.memory.u8.subarray(at, at + length);
}

export function getFpu(core: VcpuCore): KvmFpu {
  const { registers } = core.cpu;
  const first = top(core);
  return {
    fpr: Array.from({ length: 8 }, (_, n) => {
      const bytes = bytesAt(core, State.fpr + ((first + n) & 7) * 16, 16).slice();
      bytes.fill(0, 10);
      return bytes;
    }),
    fcw: registers.get32(State.fcw),
    fsw: registers.get32(State.fsw),
    ftwx: registers.get32(State.ftw),
    lastOpcode: registers.get32(State.fop),
    lastIp: registers.get64(State.fip),
    lastDp: registers.get64(State.fdp),
    xmm: Array.from({ length: 16 }, (_, n) => bytesAt(core, State.ymm + n * 32, 16).slice()),
    mxcsr: registers.get32(State.mxcsr),
  };
}

export function setFpu(core: VcpuCore, fpu: KvmFpu): void {
  checkMxcsr(fpu.mxcsr);
  const { registers } = core.cpu;
  registers.set32(State.fcw, fpu.fcw & 0xffff);
  registers.set32(State.fsw, fpu.fsw & 0xffff);
  registers.set32(State.ftw, fpu.ftwx & 0xff);
  registers.set32(State.fop, fpu.lastOpcode & 0x7ff);
  registers.set64(State.fip, fpu.lastIp);
  registers.set64(State.fdp, fpu.lastDp);
  registers.set32(State.mxcsr, fpu.mxcsr);
  const first = top(core);
  fpu.fpr.slice(0, 8).forEach((bytes, n) => {
    bytesAt(core, State.fpr + ((first + n) & 7) * 16, 10).set(bytes.subarray(0, 10));
  });
  fpu.xmm.slice(0, 16).forEach((bytes, n) => {
    bytesAt(core, State.ymm + n * 32, 16).set(bytes.subarray(0, 16));
  });
}

function checkMxcsr(mxcsr: number): void {
  if ((mxcsr & ~MXCSR_MASK) !== 0) {
    throw new InvalidStateError(`MXCSR cannot be 0x${(mxcsr >>> 0).toString(16)}.`, 'Bits 31:16 are reserved.', { mxcsr });
  }
}

function hasAvx(core: VcpuCore): boolean {
  return core.vm.host.model.has('AVX');
}

/** The XSAVE area in the standard form, as XSAVE64 would write it (SDM Vol. 1, 13.4). */
export function getXsave(core: VcpuCore): Uint8Array {
  const area = new Uint8Array(XSAVE_BYTES);
  const view = new DataView(area.buffer);
  const fpu = getFpu(core);
  view.setUint16(0, fpu.fcw, true);
  view.setUint16(2, fpu.fsw, true);
  view.setUint8(4, fpu.ftwx);
  view.setUint16(6, fpu.lastOpcode, true);
  view.setBigUint64(8, fpu.lastIp, true);
  view.setBigUint64(16, fpu.lastDp, true);
  view.setUint32(24, fpu.mxcsr, true);
  view.setUint32(28, MXCSR_MASK, true);
  fpu.fpr.forEach((bytes, n) => {
    area.set(bytes, 32 + n * 16);
  });
  fpu.xmm.forEach((bytes, n) => {
    area.set(bytes, 160 + n * 16);
  });
  view.setUint32(XSAVE_HEADER, hasAvx(core) ? 7 : 3, true);
  if (hasAvx(core)) for (let n = 0; n < 16; n++) area.set(bytesAt(core, State.ymm + n * 32 + 16, 16), AVX_OFFSET + n * 16);
  return area;
}

/** @throws {InvalidStateError} components or MXCSR bits that this processor does not have, or an area that is too small */
export function setXsave(core: VcpuCore, area: Uint8Array): void {
  if (area.length < AVX_OFFSET) {
    throw new InvalidStateError(`An XSAVE area of ${area.length} bytes is too small.`, `It has ${XSAVE_BYTES} bytes.`, {
      bytes: area.length,
    });
  }
  const view = new DataView(area.buffer, area.byteOffset, area.byteLength);
  const components = view.getBigUint64(XSAVE_HEADER, true);
  const supported = hasAvx(core) ? 7n : 3n;
  if ((components & ~supported) !== 0n) {
    throw new InvalidStateError(
      `The XSAVE area has components 0x${components.toString(16)}.`,
      `This processor has 0x${supported.toString(16)}.`,
      {},
    );
  }
  const has = (component: bigint): boolean => (components & component) !== 0n;
  if (has(2n) || has(4n)) checkMxcsr(view.getUint32(24, true));
  const at = (offset: number): Uint8Array => area.subarray(offset, offset + 16);
  // A component whose bit is 0 is in its initial state.
  setFpu(core, {
    fcw: has(1n) ? view.getUint16(0, true) : 0x37f,
    fsw: has(1n) ? view.getUint16(2, true) : 0,
    ftwx: has(1n) ? view.getUint8(4) : 0,
    lastOpcode: has(1n) ? view.getUint16(6, true) : 0,
    lastIp: has(1n) ? view.getBigUint64(8, true) : 0n,
    lastDp: has(1n) ? view.getBigUint64(16, true) : 0n,
    fpr: Array.from({ length: 8 }, (_, n) => (has(1n) ? at(32 + n * 16) : new Uint8Array(16))),
    xmm: Array.from({ length: 16 }, (_, n) => (has(2n) ? at(160 + n * 16) : new Uint8Array(16))),
    mxcsr: has(2n) || has(4n) ? view.getUint32(24, true) : 0x1f80,
  });
  if (!hasAvx(core)) return;
  for (let n = 0; n < 16; n++) {
    bytesAt(core, State.ymm + n * 32 + 16, 16).set(has(4n) ? at(AVX_OFFSET + n * 16) : new Uint8Array(16));
  }
}

export function getXcrs(core: VcpuCore): KvmXcrs {
  return { xcrs: [{ xcr: 0, value: BigInt(core.xcr0) }] };
}

/** @throws {InvalidStateError} XCR0 with a component that the guest does not have, or without x87 */
export function setXcrs(core: VcpuCore, { xcrs }: KvmXcrs): void {
  for (const { xcr, value } of xcrs) {
    if (xcr !== 0 || value >> 32n !== 0n || !isValidXcr0(core, Number(BigInt.asIntN(32, value)))) {
      throw new InvalidStateError(`XCR${xcr} cannot be 0x${value.toString(16)}.`, 'See SDM Vol. 1, 13.3 for what XCR0 can be.', { xcr });
    }
  }
  for (const { value } of xcrs) core.cpu.registers.set64(State.xcr0, value);
}

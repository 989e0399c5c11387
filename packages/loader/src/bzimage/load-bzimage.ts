import type { GuestMemory } from '@minusone/core';
import { longModeState, protectedModeState } from '../boot-state.ts';
import { DoesNotFitError, InitrdDoesNotFitError } from '../errors.ts';
import { encodeCommandLine } from '../layout/command-line.ts';
import { BOOT_CS, putGdt } from '../layout/gdt.ts';
import { type MemoryMap, PcAddress, topOfRam } from '../layout/memory-map.ts';
import { putIdentityPageTables } from '../layout/page-tables.ts';
import { RamPlan } from '../layout/ram-plan.ts';
import type { KernelOptions, LoadedImage } from '../loaded-image.ts';
import { hex } from '../structure.ts';
import { type ParsedSetupHeader, parseSetupHeader } from './setup-header.ts';
import { buildZeroPage, ZERO_PAGE_BYTES } from './zero-page.ts';

export interface BzImageOptions extends KernelOptions {
  /** Which entry point to use; '64-bit' by default. */
  readonly entry?: '64-bit' | '32-bit';
}

/** boot.rst, "64-bit Boot Protocol": the entry is 0x200 behind the load address. */
const ENTRY_64_OFFSET = 0x200;
const INITRD_ALIGNMENT = 4096;

/**
 * Loads a Linux bzImage with its initrd, command line, zero page, GDT and identity page tables, and returns the state that
 * the boot protocol prescribes: RSI (ESI) = zero page, CS = 0x10, DS = ES = SS = 0x18, interrupts off.
 * Source: Linux, Documentation/arch/x86/boot.rst, "64-bit Boot Protocol" and "32-bit Boot Protocol".
 *
 * @throws {ImageError} of the class that names what is wrong with the image, the initrd or the command line
 * @example
 * const { state } = loadBzImage(memory, memoryMap(512 * 2 ** 20), vmlinuz, { initrd, commandLine: 'console=ttyS0' });
 */
export function loadBzImage(memory: GuestMemory, map: MemoryMap, image: Uint8Array, options: BzImageOptions = {}): LoadedImage {
  const { entry = '64-bit', initrd, commandLine = '', acpiRsdp } = options;
  const kernel = parseSetupHeader(image, entry);
  const plan = new RamPlan(memory, map);

  const commandLineBytes = encodeCommandLine(commandLine, kernel.header.cmdline_size);
  const loadAddress = placeKernel(plan, kernel);
  plan.write(loadAddress, kernel.payload);
  const initrdRange = initrd && initrd.length > 0 ? placeInitrd(plan, kernel, initrd, entry) : undefined;
  const commandLineAddress = plan.putLow('command line', commandLineBytes);
  const page = buildZeroPage({ kernel, map, loadAddress, commandLineAddress, initrd: initrdRange, acpiRsdp });
  const zeroPage = plan.putLow('zero page', page, ZERO_PAGE_BYTES);

  if (entry === '32-bit') {
    const gdt = putGdt(plan, 'code32');
    return {
      state: protectedModeState({ entry: loadAddress, registers: { rsi: zeroPage }, gdt, codeSelector: BOOT_CS }),
      placed: plan.placed,
    };
  }
  const gdt = putGdt(plan, 'code64');
  const cr3 = putIdentityPageTables(plan, topOfRam(map));
  const start = { entry: loadAddress + ENTRY_64_OFFSET, registers: { rsi: zeroPage }, gdt, codeSelector: BOOT_CS, cr3 };
  return { state: longModeState(start), placed: plan.placed };
}

/** At the preferred address if `init_size` bytes are RAM there; a relocatable kernel may go elsewhere below 4 GiB. */
function placeKernel(plan: RamPlan, kernel: ParsedSetupHeader): number {
  const { preferredAddress, initBytes, alignment } = kernel;
  if (plan.isFree(preferredAddress, initBytes) || !kernel.isRelocatable) {
    plan.claim('kernel', preferredAddress, initBytes);
    return preferredAddress;
  }
  const lowest = PcAddress.HIGH_MEMORY;
  const gpa = plan.takeLowest('kernel', initBytes, { alignment, lowest, highest: PcAddress.ABOVE_4_GIB - 1 });
  if (gpa !== undefined) return gpa;
  throw new DoesNotFitError('The kernel', initBytes, `above ${hex(lowest)}`, { preferredAddress, alignment });
}

/** As high as the kernel allows; above 4 GiB only where it says that it can and nothing else is left. */
function placeInitrd(plan: RamPlan, kernel: ParsedSetupHeader, initrd: Uint8Array, entry: string): { gpa: number; bytes: number } {
  const highest = kernel.header.initrd_addr_max;
  const lowest = PcAddress.HIGH_MEMORY;
  let gpa = plan.takeHighest('initrd', initrd.length, { alignment: INITRD_ALIGNMENT, lowest, highest });
  if (gpa === undefined && kernel.canBeLoadedAbove4G && entry === '64-bit') {
    gpa = plan.takeHighest('initrd', initrd.length, { alignment: INITRD_ALIGNMENT, lowest: PcAddress.ABOVE_4_GIB });
  }
  if (gpa === undefined) throw new InitrdDoesNotFitError(initrd.length, highest);
  plan.write(gpa, initrd);
  return { gpa, bytes: initrd.length };
}

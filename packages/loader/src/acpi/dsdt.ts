import { concat } from '../structure.ts';
import { type Aml, amlDevice, amlInteger, amlNamed, amlPackage, amlScope, eisaId, ioPorts, irq, resourceTemplate } from './aml.ts';
import type { AcpiHardware } from './hardware.ts';

/** Present, enabled, shown, working (ACPI 6.5, 6.3.7 "_STA"). */
const STA_WORKING = 0xf;

/** A legacy device: `Device (name) { _HID, _UID, _STA, _CRS }`. */
export function legacyDevice(name: string, pnpId: string, ...resources: readonly Aml[]): Aml {
  return amlDevice(
    name,
    amlNamed('_HID', amlInteger(eisaId(pnpId))),
    amlNamed('_UID', amlInteger(0)),
    amlNamed('_STA', amlInteger(STA_WORKING)),
    amlNamed('_CRS', resourceTemplate(...resources)),
  );
}

/** The definition block of the DSDT: \_S5 for power-off, and the legacy devices in \_SB. */
export function dsdtAml(hardware: AcpiHardware): Aml {
  const devices = [legacyDevice('RTC', 'PNP0B00', ioPorts(0x70, 2), irq(8))];
  if (hardware.hasCom1) devices.push(legacyDevice('COM1', 'PNP0501', ioPorts(0x3f8, 8), irq(4)));
  if (hardware.hasKeyboardController) devices.push(legacyDevice('KBD', 'PNP0303', ioPorts(0x60, 1), ioPorts(0x64, 1), irq(1)));
  const sleepType = amlInteger(hardware.s5SleepType);
  const zero = amlInteger(0);
  return concat(amlNamed('\\_S5', amlPackage(sleepType, sleepType, zero, zero)), amlScope('\\_SB', ...devices));
}

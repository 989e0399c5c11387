import type { VtxAttempt } from '../../prelude/vtx-attempt.ts';
import type { Fields, GuestModeName } from '../../prelude/vtx-modes.ts';
import type { Rom } from '../../rom.ts';
import { entry, HIGHEST, inMode, NOT_CANONICAL } from './entries.ts';
import { vtxRom } from './vtx-rom.ts';

const UNUSABLE = 0x1_0000;
const CODE64 = 0xa09b;
const CODE32 = 0xc09b;
const DATA = 0xc093;
const TSS = 0x8b;
const LDT: Fields = { GUEST_LDTR_SELECTOR: 0x68, GUEST_LDTR_LIMIT: 0x3f, GUEST_LDTR_AR_BYTES: 0x82 };
const TYPES = Array.from({ length: 16 }, (_, type) => type);

const cs = (rights: number, more: Fields = {}): Fields => ({ GUEST_CS_AR_BYTES: rights, ...more });
const ss = (rights: number, more: Fields = {}): Fields => ({ GUEST_SS_AR_BYTES: rights, ...more });
const withType = (rights: number, type: number): number => (rights & ~15) | type;
const withDpl = (rights: number, dpl: number): number => (rights & ~0x60) | (dpl << 5);

/** Present, reserved bits, granularity: the rules that all segments have in common. */
const common = (
  name: 'CS' | 'SS' | 'DS' | 'FS' | 'TR' | 'LDTR',
  rights: number,
  more: Fields = {},
  mode: GuestModeName = 'long',
): VtxAttempt[] => {
  const field = (value: number, fields: Fields = {}): Fields => ({ ...more, [`GUEST_${name}_AR_BYTES`]: value, ...fields });
  const limit = (value: number): Fields => ({ [`GUEST_${name}_LIMIT`]: value });
  return [
    entry(`${name} not present`, field(rights & ~0x80), inMode(mode)),
    ...[8, 11, 17, 31].map((bit) => entry(`${name} with bit ${bit}`, field((rights | (1 << bit)) >>> 0), inMode(mode))),
    entry(`${name} granular, limit 1FFFE`, field(rights | 0x8000, limit(0x1_fffe)), inMode(mode)),
    entry(`${name} granular, limit FFF`, field(rights | 0x8000, limit(0xfff)), inMode(mode)),
    entry(`${name} not granular, limit 100FFF`, field(rights & ~0x8000, limit(0x10_0fff)), inMode(mode)),
    entry(`${name} not granular, limit FFFFF`, field(rights & ~0x8000, limit(0xf_ffff)), inMode(mode)),
  ];
};
const RING_3_SELECTORS: Fields = { GUEST_CS_SELECTOR: 0x2b, GUEST_SS_SELECTOR: 0x33 };

const v86Segments = (['ES', 'CS', 'SS', 'DS', 'FS', 'GS'] as const).flatMap((name) => [
  entry(`${name} base`, { [`GUEST_${name}_BASE`]: 0x10 }, inMode('v86')),
  entry(`${name} limit`, { [`GUEST_${name}_LIMIT`]: 0xfffff }, inMode('v86')),
  entry(`${name} rights`, { [`GUEST_${name}_AR_BYTES`]: 0x93 }, inMode('v86')),
]);

export const vtxGuestSegmentCheckRoms: readonly Rom[] = [
  vtxRom('vtx-refused-cs', "The guest's CS: type, S, DPL, L and D/B (SDM Vol. 3C 27.3.1.2)", [
    ...TYPES.map((type) => entry(`type ${type}`, cs(withType(CODE64, type)))),
    entry('type 3, unrestricted', cs(withType(CODE32, 3)), inMode('protected')),
    entry('type 2, unrestricted', cs(withType(CODE32, 2)), inMode('protected')),
    entry('type 3 with DPL 3, unrestricted', cs(withDpl(withType(CODE32, 3), 3)), inMode('protected')),
    entry('system', cs(CODE64 & ~0x10)),
    entry('DPL 1', cs(withDpl(CODE64, 1))),
    entry('conforming with DPL 1', cs(withDpl(withType(CODE64, 15), 1))),
    entry('ring 3', { ...RING_3_SELECTORS, ...cs(withDpl(CODE64, 3)), ...ss(withDpl(DATA, 3)) }),
    entry('ring 3, DPL 0', { ...RING_3_SELECTORS, ...cs(CODE64), ...ss(withDpl(DATA, 3)) }),
    entry('ring 3, conforming with DPL 0', { ...RING_3_SELECTORS, ...cs(withType(CODE64, 15)), ...ss(withDpl(DATA, 3)) }),
    entry('L and D', cs(CODE64 | 0x4000)),
    entry('L and D, 32-bit guest', cs(CODE32 | 0x2000), inMode('paging32')),
    entry('unusable', cs(CODE64 | UNUSABLE)),
    entry('base with bit 32', { GUEST_CS_BASE: 0x1_0000_0000 }),
    ...common('CS', CODE64),
  ]),
  vtxRom('vtx-refused-ss', "The guest's SS: type, S, DPL, RPL (SDM Vol. 3C 27.3.1.2)", [
    ...TYPES.map((type) => entry(`type ${type}`, ss(withType(DATA, type)))),
    entry('system', ss(DATA & ~0x10)),
    entry('unusable', ss(UNUSABLE)),
    entry('unusable, of nonsense', ss(UNUSABLE + 0xf00)),
    entry('unusable, DPL 3', ss(UNUSABLE + 0x60)),
    entry('another RPL than CS', { GUEST_SS_SELECTOR: 0x13 }),
    entry('another RPL than CS, DPL 3', { GUEST_SS_SELECTOR: 0x13, ...ss(withDpl(DATA, 3)), ...cs(withDpl(withType(CODE64, 15), 0)) }),
    entry('another RPL than CS, unrestricted', { GUEST_SS_SELECTOR: 0x13 }, inMode('protected')),
    entry('DPL is not RPL', { ...ss(withDpl(DATA, 3)), ...cs(withType(CODE64, 15)) }),
    entry(
      'DPL is not RPL, unrestricted',
      { ...ss(withDpl(DATA, 3)), ...cs(withDpl(CODE32, 3)) },
      {
        mode: 'protected',
        bochs: 'compares the DPL of CS with its RPL, not with the DPL of SS; SDM Vol. 3C 27.3.1.2.',
        manual: 'VMCALL len=3 at 8:+0 sp=10:d000 fl=2',
      },
    ),
    entry('real mode with DPL 3', { ...ss(0xf3), ...cs(withDpl(0x9b, 3)) }, inMode('real')),
    entry('CS of type 3 with DPL 3', { ...ss(withDpl(DATA, 3)), ...cs(withType(CODE32, 3)) }, inMode('protected')),
    entry('base with bit 32', { GUEST_SS_BASE: 0x1_0000_0000 }),
    entry('base with bit 32, unusable', { GUEST_SS_BASE: 0x1_0000_0000, ...ss(UNUSABLE) }),
    ...common('SS', DATA),
  ]),
  vtxRom('vtx-refused-data', "The guest's DS, ES, FS and GS: type, S, DPL, bases (SDM Vol. 3C 27.3.1.2)", [
    ...TYPES.map((type) => entry(`DS of type ${type}`, { GUEST_DS_AR_BYTES: withType(DATA, type) })),
    ...(['DS', 'ES', 'FS', 'GS'] as const).flatMap((name) => [
      entry(`${name} not accessed`, { [`GUEST_${name}_AR_BYTES`]: withType(DATA, 2) }),
      entry(`${name} system`, { [`GUEST_${name}_AR_BYTES`]: DATA & ~0x10 }),
      entry(`${name} with RPL 3 and DPL 0`, { [`GUEST_${name}_SELECTOR`]: 0x13 }),
      entry(`${name} unusable`, { [`GUEST_${name}_AR_BYTES`]: UNUSABLE + 0xf02 }),
    ]),
    entry('DS conforming with RPL 3 and DPL 0', { GUEST_DS_SELECTOR: 0x13, GUEST_DS_AR_BYTES: withType(DATA, 15) }),
    entry('DS with RPL 3 and DPL 0, unrestricted', { GUEST_DS_SELECTOR: 0x13 }, inMode('protected')),
    entry('DS base with bit 32', { GUEST_DS_BASE: 0x1_0000_0000 }),
    entry('ES base with bit 32', { GUEST_ES_BASE: 0x1_0000_0000 }),
    entry('ES base with bit 32, unusable', { GUEST_ES_BASE: 0x1_0000_0000, GUEST_ES_AR_BYTES: UNUSABLE }),
    entry('FS base, the highest half', { GUEST_FS_BASE: HIGHEST }),
    entry('FS base not canonical', { GUEST_FS_BASE: NOT_CANONICAL }),
    entry('FS base not canonical, unusable', { GUEST_FS_BASE: NOT_CANONICAL, GUEST_FS_AR_BYTES: UNUSABLE }),
    entry('GS base not canonical', { GUEST_GS_BASE: NOT_CANONICAL }),
    entry('GS base with bit 32, 32-bit guest', { GUEST_GS_BASE: 0x1_0000_0000 }, inMode('paging32')),
    ...common('DS', DATA),
    ...common('FS', DATA),
  ]),
  vtxRom('vtx-refused-system-segments', "The guest's TR and LDTR (SDM Vol. 3C 27.3.1.2)", [
    ...TYPES.map((type) => entry(`TR of type ${type}`, { GUEST_TR_AR_BYTES: withType(TSS, type) })),
    entry('TR of type 3, 32-bit guest', { GUEST_TR_AR_BYTES: 0x83 }, inMode('paging32')),
    entry('TR of type 9, 32-bit guest', { GUEST_TR_AR_BYTES: 0x89 }, inMode('paging32')),
    entry('TR with S', { GUEST_TR_AR_BYTES: TSS | 0x10 }),
    entry('TR unusable', { GUEST_TR_AR_BYTES: TSS | UNUSABLE }),
    entry('TR with TI', { GUEST_TR_SELECTOR: 0x4c }),
    entry('TR with RPL 3', { GUEST_TR_SELECTOR: 0x4b }),
    entry('TR base not canonical', { GUEST_TR_BASE: NOT_CANONICAL }),
    ...common('TR', TSS),
    entry('LDTR', LDT),
    entry('LDTR of type 3', { ...LDT, GUEST_LDTR_AR_BYTES: 0x83 }),
    entry('LDTR with S', { ...LDT, GUEST_LDTR_AR_BYTES: 0x92 }),
    entry('LDTR with TI', { ...LDT, GUEST_LDTR_SELECTOR: 0x6c }),
    entry('LDTR base not canonical', { ...LDT, GUEST_LDTR_BASE: NOT_CANONICAL }),
    entry('LDTR of nonsense, unusable', { GUEST_LDTR_SELECTOR: 7, GUEST_LDTR_AR_BYTES: 0x1_0f1f, GUEST_LDTR_BASE: NOT_CANONICAL }),
    ...common('LDTR', 0x82, LDT),
  ]),
  vtxRom('vtx-refused-v86', "The guest's segments in virtual-8086 mode (SDM Vol. 3C 27.3.1.2)", [
    entry('as they should be', {}, inMode('v86')),
    ...v86Segments,
    entry('DS selector and base', { GUEST_DS_SELECTOR: 0x1234, GUEST_DS_BASE: 0x12340 }, inMode('v86')),
    entry('DS unusable', { GUEST_DS_AR_BYTES: UNUSABLE + 0xf3 }, inMode('v86')),
    entry('TR not present', { GUEST_TR_AR_BYTES: 0x0b }, inMode('v86')),
    entry('TR of type 3', { GUEST_TR_AR_BYTES: 0x83 }, inMode('v86')),
    entry('LDTR of type 3', { ...LDT, GUEST_LDTR_AR_BYTES: 0x83 }, inMode('v86')),
  ]),
];

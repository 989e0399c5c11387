/**
 * The keys of the 104-key keyboard in scan code set 2 (IBM PS/2 hardware interface technical reference, "Keyboards"),
 * named as the UI Events `KeyboardEvent.code` names them. 0xE0nn is an extended key: the byte 0xE0, then nn.
 */
// biome-ignore format: a table, a row of the keyboard each
export const SCAN_CODES_SET_2: Readonly<Record<string, number>> = {
  Escape: 0x76, F1: 0x05, F2: 0x06, F3: 0x04, F4: 0x0c, F5: 0x03, F6: 0x0b, F7: 0x83, F8: 0x0a, F9: 0x01, F10: 0x09, F11: 0x78, F12: 0x07,
  Backquote: 0x0e, Digit1: 0x16, Digit2: 0x1e, Digit3: 0x26, Digit4: 0x25, Digit5: 0x2e, Digit6: 0x36, Digit7: 0x3d, Digit8: 0x3e,
  Digit9: 0x46, Digit0: 0x45, Minus: 0x4e, Equal: 0x55, Backspace: 0x66,
  Tab: 0x0d, KeyQ: 0x15, KeyW: 0x1d, KeyE: 0x24, KeyR: 0x2d, KeyT: 0x2c, KeyY: 0x35, KeyU: 0x3c, KeyI: 0x43, KeyO: 0x44, KeyP: 0x4d,
  BracketLeft: 0x54, BracketRight: 0x5b, Backslash: 0x5d, Enter: 0x5a,
  CapsLock: 0x58, KeyA: 0x1c, KeyS: 0x1b, KeyD: 0x23, KeyF: 0x2b, KeyG: 0x34, KeyH: 0x33, KeyJ: 0x3b, KeyK: 0x42, KeyL: 0x4b,
  Semicolon: 0x4c, Quote: 0x52,
  ShiftLeft: 0x12, IntlBackslash: 0x61, KeyZ: 0x1a, KeyX: 0x22, KeyC: 0x21, KeyV: 0x2a, KeyB: 0x32, KeyN: 0x31, KeyM: 0x3a,
  Comma: 0x41, Period: 0x49, Slash: 0x4a, ShiftRight: 0x59,
  ControlLeft: 0x14, MetaLeft: 0xe01f, AltLeft: 0x11, Space: 0x29, AltRight: 0xe011, MetaRight: 0xe027, ContextMenu: 0xe02f, ControlRight: 0xe014,
  ScrollLock: 0x7e, Insert: 0xe070, Home: 0xe06c, PageUp: 0xe07d, Delete: 0xe071, End: 0xe069, PageDown: 0xe07a,
  ArrowUp: 0xe075, ArrowLeft: 0xe06b, ArrowDown: 0xe072, ArrowRight: 0xe074,
  NumLock: 0x77, NumpadDivide: 0xe04a, NumpadMultiply: 0x7c, NumpadSubtract: 0x7b, NumpadAdd: 0x79, NumpadEnter: 0xe05a, NumpadDecimal: 0x71,
  Numpad0: 0x70, Numpad1: 0x69, Numpad2: 0x72, Numpad3: 0x7a, Numpad4: 0x6b, Numpad5: 0x73, Numpad6: 0x74, Numpad7: 0x6c, Numpad8: 0x75, Numpad9: 0x7d,
};

/** Keys that send more than one code: what they send when pressed, and when released, in set 2. Pause sends all when pressed. */
export const SPECIAL_KEYS_SET_2: Readonly<Record<string, { readonly make: readonly number[]; readonly break: readonly number[] }>> = {
  PrintScreen: { make: [0xe0, 0x12, 0xe0, 0x7c], break: [0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12] },
  Pause: { make: [0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77], break: [] },
};

/**
 * What the controller makes of scan code set 2 while command byte bit 6 is 1, by row of sixteen: set 1. Codes that no
 * key sends are translated too. Bytes above 0x7F pass, but 0x83 (F7) and 0x84 (Alt + PrintScreen).
 */
const TRANSLATION_ROWS = [
  'ff 43 41 3f 3d 3b 3c 58 64 44 42 40 3e 0f 29 59',
  '65 38 2a 70 1d 10 02 5a 66 71 2c 1f 1e 11 03 5b',
  '67 2e 2d 20 12 05 04 5c 68 39 2f 21 14 13 06 5d',
  '69 31 30 23 22 15 07 5e 6a 72 32 24 16 08 09 5f',
  '6b 33 25 17 18 0b 0a 60 6c 34 35 26 27 19 0c 61',
  '6d 73 28 74 1a 0d 62 6e 3a 36 1c 1b 75 2b 63 76',
  '55 56 77 78 79 7a 0e 7b 7c 4f 7d 4b 47 7e 7f 6f',
  '52 53 50 4c 4d 48 01 45 57 4e 51 4a 37 49 46 54',
] as const;

const TRANSLATION = Uint8Array.from({ length: 256 }, (_, code) => code);
TRANSLATION_ROWS.forEach((row, high) => {
  row.split(' ').forEach((code, low) => {
    TRANSLATION[high * 16 + low] = Number.parseInt(code, 16);
  });
});
TRANSLATION[0x83] = 0x41;
TRANSLATION[0x84] = 0x54;

/** Translates one byte of set 2 to set 1. The prefix 0xF0 is the caller's: it sets bit 7 of the code that follows. */
export function translateToSet1(code: number): number {
  return TRANSLATION[code & 0xff]!;
}

/** What a key sends in scan code set 2 (or 1), or undefined: no such key. */
export function keyBytes(key: string, pressed: boolean, set: 1 | 2): number[] | undefined {
  const bytes = keyBytesSet2(key, pressed);
  return bytes && set === 1 ? toSet1(bytes) : bytes;
}

function keyBytesSet2(key: string, pressed: boolean): number[] | undefined {
  const special = Object.hasOwn(SPECIAL_KEYS_SET_2, key) ? SPECIAL_KEYS_SET_2[key] : undefined;
  if (special !== undefined) return [...(pressed ? special.make : special.break)];
  const code = Object.hasOwn(SCAN_CODES_SET_2, key) ? SCAN_CODES_SET_2[key] : undefined;
  if (code === undefined) return undefined;
  return [...(code > 0xff ? [0xe0] : []), ...(pressed ? [] : [0xf0]), code & 0xff];
}

function toSet1(bytes: readonly number[]): number[] {
  return bytes.flatMap((byte, at) => (byte === 0xf0 ? [] : [translateToSet1(byte) | (bytes[at - 1] === 0xf0 ? 0x80 : 0)]));
}

/** The ten time bytes of the MC146818, and the century byte that PCs keep in CMOS. */
export const RtcField = {
  SECONDS: 0x00,
  SECONDS_ALARM: 0x01,
  MINUTES: 0x02,
  MINUTES_ALARM: 0x03,
  HOURS: 0x04,
  HOURS_ALARM: 0x05,
  DAY_OF_WEEK: 0x06,
  DAY_OF_MONTH: 0x07,
  MONTH: 0x08,
  YEAR: 0x09,
  CENTURY: 0x32,
} as const;

/** How register B says that the time bytes are written. */
export interface RtcFormat {
  /** DM: binary, otherwise BCD. */
  readonly binary: boolean;
  /** 24/12: 24 hours, otherwise 12 with bit 7 for PM. */
  readonly hours24: boolean;
}

const DAY_SECONDS = 86_400;

export function encodeNumber(value: number, format: RtcFormat): number {
  return format.binary ? value : (Math.floor(value / 10) << 4) | (value % 10);
}

export function decodeNumber(byte: number, format: RtcFormat): number {
  return format.binary ? byte : (byte >>> 4) * 10 + (byte & 15);
}

function encodeHours(hours: number, format: RtcFormat): number {
  if (format.hours24) return encodeNumber(hours, format);
  return encodeNumber(hours % 12 === 0 ? 12 : hours % 12, format) | (hours >= 12 ? 0x80 : 0);
}

function decodeHours(byte: number, format: RtcFormat): number {
  if (format.hours24) return decodeNumber(byte, format);
  return (decodeNumber(byte & 0x7f, format) % 12) + ((byte & 0x80) !== 0 ? 12 : 0);
}

/** Seconds since midnight that the time bytes show. */
export function secondsOfDay(cmos: Uint8Array, format: RtcFormat): number {
  const hours = decodeHours(cmos[RtcField.HOURS]!, format);
  const minutes = decodeNumber(cmos[RtcField.MINUTES]!, format);
  return (hours * 3600 + minutes * 60 + decodeNumber(cmos[RtcField.SECONDS]!, format)) % DAY_SECONDS;
}

/** Writes a time (seconds since 1970-01-01 UTC) into the time bytes, day of week and century included. */
export function writeCalendar(cmos: Uint8Array, epochSeconds: number, format: RtcFormat): void {
  writeDate(cmos, epochSeconds, format);
  cmos[RtcField.DAY_OF_WEEK] = new Date(epochSeconds * 1000).getUTCDay() + 1; // Sunday is 1
}

function writeDate(cmos: Uint8Array, epochSeconds: number, format: RtcFormat): void {
  const date = new Date(epochSeconds * 1000);
  const year = date.getUTCFullYear();
  cmos[RtcField.SECONDS] = encodeNumber(date.getUTCSeconds(), format);
  cmos[RtcField.MINUTES] = encodeNumber(date.getUTCMinutes(), format);
  cmos[RtcField.HOURS] = encodeHours(date.getUTCHours(), format);
  cmos[RtcField.DAY_OF_MONTH] = encodeNumber(date.getUTCDate(), format);
  cmos[RtcField.MONTH] = encodeNumber(date.getUTCMonth() + 1, format);
  cmos[RtcField.YEAR] = encodeNumber(year % 100, format);
  cmos[RtcField.CENTURY] = encodeNumber(Math.floor(year / 100) % 100, format);
}

/**
 * Adds whole seconds to the time bytes. The day of the week is a count of its own: it goes on from whatever the guest
 * wrote there. Bytes that show no valid date are carried over as they would be on paper (minute 77 is 17 past the next hour).
 */
export function addSeconds(cmos: Uint8Array, seconds: number, format: RtcFormat): void {
  const year = decodeNumber(cmos[RtcField.CENTURY]!, format) * 100 + decodeNumber(cmos[RtcField.YEAR]!, format);
  const month = decodeNumber(cmos[RtcField.MONTH]!, format) - 1;
  const day = decodeNumber(cmos[RtcField.DAY_OF_MONTH]!, format);
  const hours = decodeHours(cmos[RtcField.HOURS]!, format);
  const minutes = decodeNumber(cmos[RtcField.MINUTES]!, format);
  const date = new Date(0);
  date.setUTCFullYear(year, month, day);
  date.setUTCHours(hours, minutes, decodeNumber(cmos[RtcField.SECONDS]!, format));
  const before = date.getTime() / 1000;
  const days = Math.floor((before + seconds) / DAY_SECONDS) - Math.floor(before / DAY_SECONDS);
  const weekday = cmos[RtcField.DAY_OF_WEEK]!;
  writeDate(cmos, before + seconds, format);
  if (days > 0) cmos[RtcField.DAY_OF_WEEK] = (((((weekday & 7) + 6) % 7) + days) % 7) + 1;
}

/**
 * Seconds from the time shown until the alarm bytes match it: 1 to 86400, or Infinity when they never do.
 * MC146818, "Time, calendar and alarm locations": an alarm byte of 0xC0 to 0xFF matches always.
 */
export function secondsToAlarm(cmos: Uint8Array, format: RtcFormat): number {
  const ignores = (byte: number) => byte >= 0xc0;
  const [secondByte, minuteByte, hourByte] = [cmos[RtcField.SECONDS_ALARM]!, cmos[RtcField.MINUTES_ALARM]!, cmos[RtcField.HOURS_ALARM]!];
  const second = decodeNumber(secondByte, format);
  const minute = decodeNumber(minuteByte, format);
  const hour = decodeHours(hourByte, format);
  const now = secondsOfDay(cmos, format);
  for (let then = now + 1; then <= now + DAY_SECONDS; ) {
    const ofDay = then % DAY_SECONDS;
    if (!ignores(hourByte) && Math.floor(ofDay / 3600) !== hour) then += 3600 - (ofDay % 3600);
    else if (!ignores(minuteByte) && Math.floor(ofDay / 60) % 60 !== minute) then += 60 - (ofDay % 60);
    else if (!ignores(secondByte) && ofDay % 60 !== second)
      then += second > ofDay % 60 && second < 60 ? second - (ofDay % 60) : 60 - (ofDay % 60);
    else return then - now;
  }
  return Number.POSITIVE_INFINITY;
}

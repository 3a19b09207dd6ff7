/** Sizes in bytes as users write and read them, in Docker's notation. */

const POWER: Readonly<Record<string, number>> = { k: 1, m: 2, g: 3, t: 4, p: 5 };

export type ParsedSize = { readonly ok: true; readonly bytes: number } | { readonly ok: false; readonly error: string };

/** "64m", "1.5g", "512KiB", "1024": multiples of 1024 whatever the spelling, as Docker's memory flags take them. */
export function parseSize(text: string): ParsedSize {
  const invalidSize = (): ParsedSize => ({ ok: false, error: `invalid size: '${text}'` });
  const end = Math.max(...'0123456789. '.split('').map((digit) => text.lastIndexOf(digit)));
  if (end < 0) return invalidSize();
  let number = text.slice(0, end + 1);
  const suffix = text.slice(end + 1);
  if (number.endsWith(' ')) number = number.slice(0, -1);
  if (!/^[+-]?(?:\d+(?:\.\d*)?|\.\d+)$/.test(number))
    return { ok: false, error: `strconv.ParseFloat: parsing ${JSON.stringify(number)}: invalid syntax` };
  const value = Number(number);
  if (value < 0) return invalidSize();
  if (suffix === '') return { ok: true, bytes: Math.trunc(value) };
  const match = /^(?:([kmgtp])(?:i?b)?|b)$/i.exec(suffix);
  if (match === null)
    return { ok: false, error: `invalid suffix: '${suffix.length > 3 ? suffix : suffix.toLowerCase()}'` };
  const letter = match[1]?.toLowerCase();
  const bytes = value * 1024 ** (letter === undefined ? 0 : (POWER[letter] ?? 0));
  if (!Number.isSafeInteger(Math.trunc(bytes))) return invalidSize();
  return { ok: true, bytes: Math.trunc(bytes) };
}

/** "7.763GiB": multiples of 1024, four significant digits. */
export function binarySize(bytes: number): string {
  return scaled(bytes, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB', 'ZiB', 'YiB'], 4);
}

/** "1.24GB": multiples of 1000; three significant digits is what Docker shows for images and disks. */
export function decimalSize(bytes: number, significant = 4): string {
  return scaled(bytes, 1000, ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB', 'ZB', 'YB'], significant);
}

function scaled(bytes: number, base: number, units: readonly string[], significant: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= base && unit < units.length - 1) {
    value /= base;
    unit++;
  }
  return significantDigits(value, significant) + units[unit];
}

/** The number with so many significant digits, no zeros at the end, exponent where C's %g has one. */
export function significantDigits(value: number, digits: number): string {
  if (value === 0) return '0';
  const exponent = Number(value.toExponential(digits - 1).split('e')[1]);
  if (exponent < -4 || exponent >= digits) {
    const [mantissa = '', power = ''] = value.toExponential(digits - 1).split('e');
    const size = Math.abs(Number(power));
    return `${trimZeros(mantissa)}e${Number(power) < 0 ? '-' : '+'}${size < 10 ? `0${size}` : size}`;
  }
  return trimZeros(value.toFixed(Math.max(0, digits - 1 - exponent)));
}

function trimZeros(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

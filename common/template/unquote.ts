const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
};

const ESCAPE = /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))/gs;

/** The value of a Go string or rune literal, quotes included; undefined when it is malformed. */
export function unquote(literal: string): string | undefined {
  const quote = literal[0];
  const body = literal.slice(1, -1);
  if (quote === '`') return body.replaceAll('\r', '');
  let malformed = false;
  const value = body.replace(ESCAPE, (_whole, hex, unicode, longUnicode, octal, letter) => {
    const digits = hex ?? unicode ?? longUnicode;
    if (digits !== undefined) return fromCode(Number.parseInt(digits, 16));
    if (octal !== undefined) return fromCode(Number.parseInt(octal, 8));
    const known = ESCAPES[letter];
    if (known === undefined || (letter === "'" && quote === '"') || (letter === '"' && quote === "'")) malformed = true;
    return known ?? '';
  });
  if (malformed) return undefined;
  if (quote === "'" && Array.from(value).length !== 1) return undefined;
  return value;
}

function fromCode(code: number): string {
  return code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
}

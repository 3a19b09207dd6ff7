/** Patterns over slash-separated names, in the notation of Go's path.Match, which Docker's filters take. */

const SYNTAX = /[\\^$.*+?()[\]{}|/]/;

/** The character as a regular expression that matches it and nothing else. */
export function literal(character: string): string {
  return SYNTAX.test(character) ? `\\${character}` : character;
}

/**
 * `*` and `?` stay within one part of the name, `[a-z]` and `[^a-z]` are classes, a backslash takes the meaning from
 * what follows. Undefined for what is no pattern.
 */
export function pathPattern(pattern: string): RegExp | undefined {
  let source = '';
  const characters = Array.from(pattern);
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i] as string;
    if (character === '\\') {
      const next = characters[++i];
      if (next === undefined) return undefined;
      source += literal(next);
    } else if (character === '[') {
      const end = classEnd(characters, i);
      if (end === undefined) return undefined;
      source += characterClass(characters.slice(i + 1, end));
      i = end;
      // Several stars in a row mean what one does; as one they cannot make the search slow.
    } else if (character === '*') source += source.endsWith('[^/]*') ? '' : '[^/]*';
    else source += character === '?' ? '[^/]' : literal(character);
  }
  try {
    return new RegExp(`^${source}$`, 'u');
  } catch {
    // A range that ends before it begins.
    return undefined;
  }
}

/** Where the class that begins at `start` has its closing bracket. An empty class is none. */
function classEnd(characters: readonly string[], start: number): number | undefined {
  let at = start + (characters[start + 1] === '^' ? 2 : 1);
  const first = at;
  while (at < characters.length && characters[at] !== ']') at += characters[at] === '\\' ? 2 : 1;
  return at < characters.length && at > first ? at : undefined;
}

function characterClass(inside: readonly string[]): string {
  let source = '';
  for (let i = 0; i < inside.length; i++) {
    const character = inside[i] as string;
    if (character === '^' && i === 0) source += '^';
    else if (character === '-') source += '-';
    else if (character === '\\') source += escapedInClass(inside[++i] ?? '\\');
    else source += escapedInClass(character);
  }
  return `[${source}]`;
}

function escapedInClass(character: string): string {
  return character === '-' ? '\\-' : literal(character);
}

import { FlagValueError } from '../cli-errors.ts';

/** Words of a command as a shell would divide it: quotes, backslashes and comments, but no expansion of anything. */
export function shellWords(text: string): readonly string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const character = text[at] as string;
    if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === '#' && word === undefined) {
      const end = text.indexOf('\n', at);
      if (end < 0) break;
      at = end;
    } else if (character === "'" || character === '"') {
      const quoted = quotedPart(text, at);
      word = (word ?? '') + quoted.value;
      at = quoted.end;
    } else if (character === '\\') {
      at++;
      if (at >= text.length) throw new FlagValueError('EOF found after escape character');
      word = (word ?? '') + text[at];
    } else word = (word ?? '') + character;
  }
  if (word !== undefined) words.push(word);
  return words;
}

function quotedPart(text: string, start: number): { readonly value: string; readonly end: number } {
  const quote = text[start];
  let value = '';
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === quote) return { value, end: at };
    if (text[at] === '\\' && quote === '"' && at + 1 < text.length) at++;
    value += text[at];
  }
  throw new FlagValueError('EOF found when expecting closing quote');
}

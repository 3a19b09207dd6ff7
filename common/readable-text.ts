/** Text that may hold what somebody sent, made fit to be shown: bounded, and without what plays tricks on a terminal. */

/** A screen of text. What is longer quotes something that nobody reads to its end. */
const LENGTH_MAX = 2000;
/** What is wrong with a value mostly stands behind it: both ends are kept. */
const HEAD_LENGTH = 1000;
const TAIL_LENGTH = 900;

/** Controls but for tab and line feed, marks that turn the direction of writing, and halves of characters. */
const TRICKS =
  /[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

export function readableText(text: string): string {
  const left = text.length - HEAD_LENGTH - TAIL_LENGTH;
  const bounded =
    text.length <= LENGTH_MAX
      ? text
      : `${text.slice(0, HEAD_LENGTH)} ... (${left} characters left out) ... ${text.slice(-TAIL_LENGTH)}`;
  return bounded.replace(TRICKS, escaped);
}

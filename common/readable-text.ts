/** Text that may hold what somebody sent, made fit to be shown: without what plays tricks on a terminal. */

/** A screen of text. What is longer quotes something that nobody reads to its end. */
const LENGTH_MAX = 2000;
/** What is wrong with a value mostly stands behind it: both ends are kept. */
const HEAD_LENGTH = 1000;
const TAIL_LENGTH = 900;

/** Controls but for tab and line feed, marks that turn the direction of writing or end lines, and halves of characters. */
const TRICKS =
  /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** The text with its lines and tabs; what plays tricks is shown as escapes. */
export function visibleText(text: string): string {
  return text.replace(TRICKS, escaped);
}

/** The same for what has to stay on its line, or in its cell of a table: lines and tabs are shown as escapes, too. */
export function visibleLine(text: string): string {
  return visibleText(text).replace(/[\t\n]/g, escaped);
}

/** Visible, and bounded. */
export function readableText(text: string): string {
  const left = text.length - HEAD_LENGTH - TAIL_LENGTH;
  const bounded =
    text.length <= LENGTH_MAX
      ? text
      : `${text.slice(0, HEAD_LENGTH)} ... (${left} characters left out) ... ${text.slice(-TAIL_LENGTH)}`;
  return visibleText(bounded);
}

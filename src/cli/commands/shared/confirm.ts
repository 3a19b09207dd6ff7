/** Questions that are answered with y or not at all. */
import { visibleText } from '#common/readable-text.ts';
import type { CliContext } from '../../context.ts';

/** Longer answers are no yes. */
const ANSWER_BYTES_MAX = 1024;

/** Asks as Docker does; only `y` is a yes. */
export async function confirm(context: CliContext, question: string): Promise<boolean> {
  context.stdout.write(`${visibleText(question)} [y/N] `);
  let answer = '';
  for await (const chunk of context.stdin.chunks()) {
    answer += new TextDecoder().decode(chunk);
    if (answer.includes('\n') || answer.length > ANSWER_BYTES_MAX) break;
  }
  return answer.split('\n')[0]?.trim().toLowerCase() === 'y';
}

/** Names for services that were given none. */
import type { Random } from '#common/random.ts';

const QUALITIES =
  'amber brisk calm clever coral crisp daring dusky eager early fleet frosty gentle golden happy hardy humble jolly keen kind light lively lucky mellow merry misty noble patient plucky polite proud quick quiet rapid ready rosy rustic serene silent silver smart snowy solid sunny swift tidy true vivid warm wise witty young zesty'.split(
    ' ',
  );

const BIRDS =
  'avocet bittern bunting chough coot crane curlew dipper dove duck dunlin eider falcon finch gannet goose grebe grouse gull harrier hawk heron hoopoe ibis jay kestrel kite knot lapwing lark linnet magpie martin merlin nightjar osprey ouzel owl petrel pipit plover puffin quail rail raven robin rook ruff siskin skua snipe sparrow starling stork swallow swan swift teal tern thrush tit wagtail warbler wheatear whimbrel wigeon wren'.split(
    ' ',
  );

/** A name such as `merry_wren`; `attempt` above 0 adds a number, for when the plain one was taken. */
export function randomServiceName(random: Random, attempt = 0): string {
  const pick = (words: readonly string[]): string => words[Math.floor(random.next() * words.length)] as string;
  return `${pick(QUALITIES)}_${pick(BIRDS)}${attempt === 0 ? '' : Math.floor(random.next() * 100)}`;
}

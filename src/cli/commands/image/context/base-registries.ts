/** Which registries a Dockerfile's images are from: only the logins at these are of use to the build. */
import { parseImageReference } from '#common/image-reference.ts';

interface Line {
  readonly instruction: string;
  readonly rest: string;
}

/**
 * Hosts of the images in FROM, `COPY --from` and `RUN --mount=from`, with build arguments filled in. A guess on the
 * safe side: what cannot be made out is left out, and its image is then asked for without a login.
 */
export function baseRegistries(
  dockerfile: string,
  buildArguments: Readonly<Record<string, string>>,
): readonly string[] {
  const values = new Map<string, string>();
  const stages = new Set<string>(['scratch']);
  const hosts = new Set<string>();
  const add = (text: string): void => {
    const image = substitute(text, values);
    if (stages.has(image.toLowerCase()) || /^\d+$/.test(image)) return;
    const parsed = parseImageReference(image);
    if (parsed.ok) hosts.add(parsed.value.domain);
  };
  for (const { instruction, rest } of instructionsOf(dockerfile)) {
    if (instruction === 'ARG') addArguments(rest, values, buildArguments);
    if (instruction === 'FROM') {
      const [image, as, stage] = rest.split(/\s+/).filter((word) => !word.startsWith('--'));
      if (image !== undefined) add(image);
      if (as?.toLowerCase() === 'as' && stage !== undefined) stages.add(stage.toLowerCase());
    }
    if (['COPY', 'ADD', 'RUN'].includes(instruction))
      for (const [, image = ''] of rest.matchAll(/(?:^|[\s,])(?:--)?(?:mount=)?from=([^\s,]+)/g)) add(image);
  }
  return [...hosts];
}

function addArguments(rest: string, values: Map<string, string>, given: Readonly<Record<string, string>>): void {
  for (const [, name = '', , quoted, plain] of rest.matchAll(/([A-Za-z_]\w*)(=(?:"([^"]*)"|(\S*)))?/g)) {
    const value = Object.hasOwn(given, name) ? given[name] : (quoted ?? plain);
    if (value !== undefined) values.set(name, substitute(value, values));
  }
}

/** `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:+other}`. */
function substitute(text: string, values: ReadonlyMap<string, string>): string {
  return text.replaceAll(
    /\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::([-+])([^}]*))?\})/g,
    (_all, bare: string | undefined, braced: string | undefined, operator: string | undefined, word: string = '') => {
      const value = values.get(bare ?? braced ?? '') ?? '';
      if (operator === '-') return value === '' ? word : value;
      if (operator === '+') return value === '' ? '' : word;
      return value;
    },
  );
}

/** Instructions with their continued lines joined, without comments. */
function instructionsOf(dockerfile: string): readonly Line[] {
  const escape = /^#\s*escape\s*=\s*`/im.test(dockerfile.slice(0, 512)) ? '`' : '\\';
  const lines: Line[] = [];
  let open = '';
  for (const raw of dockerfile.replace(/^\ufeff/, '').split('\n')) {
    const line = raw.trim();
    if (line.startsWith('#') || (line === '' && open === '')) continue;
    const joined = `${open} ${line}`.trim();
    if (joined.endsWith(escape)) {
      open = joined.slice(0, -1);
      continue;
    }
    open = '';
    const [, instruction = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(joined) ?? [];
    lines.push({ instruction: instruction.toUpperCase(), rest });
  }
  return lines;
}

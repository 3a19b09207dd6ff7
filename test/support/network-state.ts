/** What the kernel holds of networks in a namespace, as text that can be compared. */
import { execFileSync } from 'node:child_process';

export interface Place {
  readonly path: string;
  /** Whether what `ip` says of it is ours. */
  readonly owns: (line: string) => boolean;
}

/** What the command prints in the namespace; throws when it fails. */
export function run(path: string, command: readonly string[]): string {
  return execFileSync('nsenter', [`--net=${path}`, ...command], { stdio: ['ignore', 'pipe', 'ignore'] }).toString();
}

export function lines(path: string, command: string): readonly string[] {
  return run(path, command.split(' ')).split('\n').filter(Boolean);
}

/** Everything that counts, in an order of its own, without what is new in whatever is made anew. */
export function stateOf({ path, owns }: Place): string {
  const listed = ['-4 ', '-6 '].flatMap((family) => [
    ...lines(path, `ip ${family}route show table all`),
    ...lines(path, `ip ${family}rule`),
    ...lines(path, `ip ${family}neigh show nud permanent`),
    ...lines(path, `ip -o ${family}addr`).map((line) => line.replace(/^\d+: /, '')),
  ]);
  const links = lines(path, 'ip -o link').map(
    (line) => /^\d+: ([^:@]+).*?<([^>]*)> mtu (\d+)/.exec(line)?.slice(1).join() ?? '',
  );
  const rules = run(path, ['nft', '-s', 'list', 'ruleset']).replaceAll(
    /elements = \{([^}]*)\}/g,
    (_, elements: string) =>
      elements
        .split(/,\s*/)
        .map((one) => one.trim())
        .toSorted()
        .join(', '),
  );
  const tables = rules.split(/\n(?=table )/).map((table) => table.trim());
  return [...listed.filter(owns).toSorted(), ...links.toSorted(), ...tables.toSorted()].join('\n');
}

/** Lines that one has and the other has not. */
export function difference(before: string, after: string): string {
  const [old, now] = [before.split('\n'), after.split('\n')];
  const missing = old.filter((line) => !now.includes(line)).map((line) => `- ${line}`);
  return [...missing, ...now.filter((line) => !old.includes(line)).map((line) => `+ ${line}`)].join('\n');
}

import { SwarmError } from '#common/errors.ts';
import { visibleText } from '#common/readable-text.ts';
import { decimalSize } from '#common/size.ts';
import { encodeJson } from '#common/template/encode-json.ts';
import { BOOL, INT, list, pointer, STRING, struct, TIME, UINT } from '#common/template/go-types.ts';
import { printTime } from '#common/template/print-value.ts';
import type { SnapshotDescription } from '#gen/swarm/v1/snapshot.ts';
import { describeSnapshot, openSnapshot, parseSnapshotKey, type SavedSnapshot } from '#manager/backup/index.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { inspectFormat } from '../../format/inspect-format.ts';
import { INSPECT_FORMAT, OUTPUT, wantsDocument } from '../shared/format-flags.ts';
import { KEY, KEY_FILE, keyTextOf } from './key-flags.ts';
import { nameOf, snapshotBytes } from './snapshot-bytes.ts';

export const snapshotInspect: CommandImplementation = {
  flags: [INSPECT_FORMAT, KEY, KEY_FILE, OUTPUT],
  examples: [
    'swarm snapshot inspect swarm.snapshot',
    '# verify all of it and count what it holds; needs no daemon\nswarm snapshot inspect --key-file swarm.key swarm.snapshot',
  ],
  argumentKind: 'file',
  run: inspect,
};

const MANAGER = struct('snapshot.Manager', { ID: STRING, Hostname: STRING, Addr: STRING });
const COUNTS = struct('snapshot.Counts', { Nodes: INT, Services: INT, Revisions: INT, Tasks: INT });
const SAVED = struct('snapshot.Saved', {
  ClusterID: STRING,
  ClusterName: STRING,
  CreatedAt: TIME,
  Release: STRING,
  FeatureLevel: INT,
  Version: UINT,
  LogIndex: UINT,
  NodeID: STRING,
  Key: STRING,
  Verified: BOOL,
  'Size?': INT,
  'Managers?': list(MANAGER),
  'Counts?': pointer(COUNTS),
});

/** Data of `SAVED`. */
type Saved = {
  readonly ClusterID: string;
  readonly ClusterName: string;
  readonly CreatedAt: number;
  readonly Release: string;
  readonly FeatureLevel: number;
  readonly Version: number;
  readonly LogIndex: number;
  readonly NodeID: string;
  readonly Key: string;
  readonly Verified: boolean;
  readonly Size?: number;
  readonly Managers?: readonly { readonly ID: string; readonly Hostname: string; readonly Addr: string }[];
  readonly Counts?: {
    readonly Nodes: number;
    readonly Services: number;
    readonly Revisions: number;
    readonly Tasks: number;
  };
};

async function inspect({ context, flags, arguments: [path = ''] }: Invocation): Promise<void> {
  const keyText = await keyTextOf(flags, context, path);
  const source = snapshotBytes(path, context);
  const file = nameOf(path);
  const data = await (keyText === undefined ? described(source, file) : verified()).catch((thrown: unknown) => {
    // No daemon has said it.
    throw thrown instanceof SwarmError ? new CliError(thrown.message, { hint: thrown.hint }) : thrown;
  });
  const format = flags.value(INSPECT_FORMAT);
  if (wantsDocument(flags, INSPECT_FORMAT) || format === 'json') context.stdout.write(`${encodeJson(SAVED, data)}\n`);
  else if (format !== undefined && format !== '') {
    const output = inspectFormat(format);
    output.add({ type: SAVED, data });
    context.stdout.write(output.text());
  } else context.stdout.write(visibleText(page(data)));

  async function verified(): Promise<Saved> {
    const key = parseSnapshotKey(keyText ?? '');
    return contentOf(await openSnapshot(source, key, file, { clock: context.clock, sliceMs: SLICE_MS }));
  }
}

/** Ctrl-C is heard this often. */
const SLICE_MS = 50;

async function described(source: AsyncIterable<Uint8Array>, file: string): Promise<Saved> {
  const { description, keyName } = await describeSnapshot(source, file);
  return { ...descriptionOf(description), Key: keyName, Verified: false };
}

function descriptionOf(description: SnapshotDescription): Omit<Saved, 'Key' | 'Verified'> {
  return {
    ClusterID: description.clusterId,
    ClusterName: description.clusterName,
    CreatedAt: description.createdAtMs,
    Release: description.release,
    FeatureLevel: description.featureLevel,
    Version: description.version,
    LogIndex: description.logIndex,
    NodeID: description.nodeId,
  };
}

function contentOf({ description, keyName, members, state, bytes }: SavedSnapshot): Saved {
  const managers = members.map(({ nodeId, address }) => ({
    ID: nodeId,
    Hostname: state.get('node', nodeId)?.description?.hostname ?? '',
    Addr: address,
  }));
  return {
    ...descriptionOf(description),
    Key: keyName,
    Verified: true,
    Size: bytes,
    Managers: managers,
    Counts: {
      Nodes: state.count('node'),
      Services: state.count('service'),
      Revisions: state.count('revision'),
      Tasks: state.count('task'),
    },
  };
}

function page(saved: Saved): string {
  const lines = [
    `Swarm:\t\t\t${saved.ClusterName} (${saved.ClusterID})`,
    `Saved at:\t\t${printTime(saved.CreatedAt).toLowerCase()}`,
    `Saved by:\t\t${saved.NodeID}`,
    `Release:\t\t${saved.Release}`,
    `Feature Level:\t\t${saved.FeatureLevel}`,
    `Version:\t\t${saved.Version}`,
    `Key:\t\t\t${saved.Key}`,
  ];
  const { Counts: counts } = saved;
  if (counts === undefined) lines.push('Verified:\t\tno, that needs the key (--key or --key-file)');
  else {
    lines.push('Verified:\t\tyes', `Size:\t\t\t${decimalSize(saved.Size ?? 0)}`, 'Managers:');
    for (const { ID, Hostname, Addr } of saved.Managers ?? []) lines.push(` - ${Hostname || ID}\t${Addr}`);
    lines.push(`Nodes:\t\t\t${counts.Nodes}`, `Services:\t\t${counts.Services}`);
    lines.push(`Revisions:\t\t${counts.Revisions}`, `Tasks:\t\t\t${counts.Tasks}`);
  }
  return `${lines.join('\n')}\n`;
}

import { SwarmError } from '#common/errors.ts';
import { encodeJson } from '#common/template/encode-json.ts';
import { INT, pointer, STRING, struct } from '#common/template/go-types.ts';
import { VERSION } from '../../../swarmd/version.ts';
import { CliError, EXIT_FAILURE, SilentExit } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printWarning } from '../../context.ts';
import { inspectFormat } from '../../format/inspect-format.ts';
import { reportError } from '../../report-error.ts';
import { INSPECT_FORMAT, OUTPUT, wantsDocument } from '../shared/format-flags.ts';

const SIDE = struct('version.Side', {
  Version: STRING,
  'NodeVersion=NodeVersion?': STRING,
  Os: STRING,
  Arch: STRING,
  'FeatureLevel?': INT,
  'KernelVersion?': STRING,
});

const VERSIONS = struct('version.Info', { Client: SIDE, Server: pointer(SIDE) });

export const version: CommandImplementation = {
  flags: [INSPECT_FORMAT, OUTPUT],
  examples: ['swarm version', "swarm version --format '{{.Server.Version}}'"],
  run: showVersion,
};

interface Side {
  readonly Version: string;
  readonly NodeVersion: string;
  readonly Os: string;
  readonly Arch: string;
  readonly FeatureLevel?: number | undefined;
  readonly KernelVersion?: string | undefined;
}

/** Shows the client's version also when the daemon cannot be reached, and then fails. */
async function showVersion(invocation: Invocation): Promise<void> {
  const { context, flags } = invocation;
  const client: Side = {
    Version: VERSION,
    NodeVersion: process.version,
    Os: process.platform,
    Arch: process.arch === 'x64' ? 'amd64' : process.arch,
  };
  let failure: SwarmError | CliError | undefined;
  let server: Side | undefined;
  try {
    server = await serverSide(invocation);
  } catch (thrown) {
    // Also of a context that cannot be used.
    if (!(thrown instanceof SwarmError || thrown instanceof CliError)) throw thrown;
    failure = thrown;
  }
  const value = { type: VERSIONS, data: { Client: client, Server: server } };
  const format = flags.value(INSPECT_FORMAT);
  if (wantsDocument(flags, INSPECT_FORMAT) || format === 'json')
    context.stdout.write(`${encodeJson(value.type, value.data)}\n`);
  else if (format !== undefined && format !== '') {
    const output = inspectFormat(format);
    output.add(value);
    context.stdout.write(output.text());
  } else context.stdout.write(versionText(client, server));
  if (failure === undefined) return;
  printWarning(context, reportError(failure, false).text.trimEnd());
  throw new SilentExit(EXIT_FAILURE);
}

async function serverSide({ context }: Invocation): Promise<Side> {
  const api = await context.api();
  const { version: serverVersion, nodeVersion, description, featureLevel } = await api.node.getInfo({});
  return {
    Version: serverVersion,
    NodeVersion: nodeVersion,
    Os: description?.platform?.os ?? '',
    Arch: description?.platform?.architecture ?? '',
    FeatureLevel: featureLevel,
    KernelVersion: description?.engine?.kernelVersion,
  };
}

function versionText(client: Side, server: Side | undefined): string {
  const lines = [
    'Client: Starling',
    ` Version:           ${client.Version}`,
    ` Node.js version:   ${client.NodeVersion}`,
    ` OS/Arch:           ${client.Os}/${client.Arch}`,
  ];
  if (server !== undefined)
    lines.push(
      '',
      'Server: Starling',
      ' Engine:',
      `  Version:          ${server.Version}`,
      `  Feature level:    ${server.FeatureLevel}`,
      // A manager elsewhere does not tell.
      ...(server.NodeVersion === '' ? [] : [`  Node.js version:  ${server.NodeVersion}`]),
      `  OS/Arch:          ${server.Os}/${server.Arch}`,
      `  Kernel version:   ${server.KernelVersion ?? ''}`,
    );
  return `${lines.join('\n')}\n`;
}

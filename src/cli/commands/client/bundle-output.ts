/** Keys of clients are made here and go nowhere else: managers see a request for a certificate. */
import { resolve } from 'node:path';
import { createCertificateRequest } from '#certs/certificate-request.ts';
import { generateKeyPair } from '#certs/key.ts';
import { privateKeyPem } from '#certs/key-file.ts';
import type { ClientBundle as IssuedBundle } from '#gen/swarm/v1/clients.ts';
import type { Client } from '#gen/swarm/v1/objects.ts';
import { CLIENT_ROLES } from '../../../docker-shape/from-clients.ts';
import { CliError } from '../../cli-errors.ts';
import { type CliContext, printLine, printWarning } from '../../context.ts';
import { BUNDLE_FORMAT, type ClientBundle, checkBundle, writeBundle } from '../../contexts/client-bundle.ts';
import { bundleMayBeWritten, writeBundleDirectory } from '../../contexts/context-store.ts';

/** The name that managers' certificates carry, wherever they are. */
const SERVER_NAME = 'swarm-manager';

export interface KeyAndRequest {
  readonly keyPem: string;
  readonly csrPem: Uint8Array;
}

export function newKey(): KeyAndRequest {
  const keys = generateKeyPair();
  return { keyPem: privateKeyPem(keys.privateKey), csrPem: Buffer.from(createCertificateRequest(keys)) };
}

/** Before anything is asked of the swarm: a client whose key has no place to be is of no use. */
export async function checkOutput(context: CliContext, output: string): Promise<void> {
  if (output === '-') {
    if (context.stdout.isTerminal)
      throw new CliError('cowardly refusing to print a private key to a terminal', {
        hint: 'name a directory with --output, or redirect the output',
      });
    return;
  }
  if (output === '')
    throw new CliError('the name of the directory is empty', { hint: 'name one, or leave --output out' });
  await bundleMayBeWritten(resolve(output));
}

export function bundleOf(client: Client, issued: IssuedBundle | undefined, keyPem: string): ClientBundle {
  return checkBundle(
    {
      facts: {
        format: BUNDLE_FORMAT,
        clusterId: issued?.clusterId ?? '',
        clientId: client.id,
        clientName: client.name,
        role: CLIENT_ROLES[client.role],
        addresses: [...(issued?.addresses ?? [])],
        serverName: SERVER_NAME,
        expiresAt: new Date(client.notAfterMs).toISOString(),
        fixed: client.fixed,
      },
      rootsPem: Buffer.from(issued?.trustedRootsPem ?? []).toString(),
      certificatePem: Buffer.from(issued?.certificatePem ?? []).toString(),
      keyPem,
    },
    'the answer of the manager',
  );
}

/** Writes the bundle to where it was asked for, and says what to do with it. */
export async function giveBundle(
  context: CliContext,
  bundle: ClientBundle,
  output: string,
  done: string,
): Promise<void> {
  const { role, clientName, expiresAt } = bundle.facts;
  const what = `${done} client ${clientName} (role ${role}, until ${expiresAt})`;
  if (output === '-') {
    context.stdout.write(writeBundle(bundle));
    printWarning(context, `${what}. Take the bundle in with: swarm context import NAME -`);
    return;
  }
  const directory = resolve(output);
  await writeBundleDirectory(directory, bundle);
  printLine(context, `${what}.`);
  printLine(context, `Its bundle, with its key, is in ${directory}: keep it secret.`);
  printLine(context, `\nTo use it, copy it to another machine and run there:\n`);
  printLine(context, `    swarm context import ${clientName} ${output}`);
  printLine(context, `    swarm --context ${clientName} node ls`);
}

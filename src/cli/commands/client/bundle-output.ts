/** Keys of clients are made here and go nowhere else: managers see a request for a certificate. */
import { resolve } from 'node:path';
import { createCertificateRequest } from '#certs/certificate-request.ts';
import { generateKeyPair } from '#certs/key.ts';
import { privateKeyPem } from '#certs/key-file.ts';
import type { ClientBundle as IssuedBundle } from '#gen/swarm/v1/clients.ts';
import type { Client } from '#gen/swarm/v1/objects.ts';
import { clientRoleName } from '#proto/client-roles.ts';
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

export interface GivenClient {
  /** As the user calls it. */
  readonly name: string;
  readonly keyPem: string;
  readonly verb: 'created' | 'renewed';
  readonly answer: { readonly client?: Client | undefined; readonly bundle?: IssuedBundle | undefined };
}

/**
 * Writes the bundle to where it was asked for, and says what to do with it. The client is there by now, whatever happens to
 * the bundle: who is left without it is told so.
 */
export async function giveBundle(context: CliContext, given: GivenClient, output: string): Promise<void> {
  const bundle = await written(context, given, output).catch((thrown: unknown) => {
    throw keyLost(given, thrown);
  });
  const { role, clientName, expiresAt } = bundle.facts;
  const done = given.verb === 'created' ? 'Created' : 'Renewed, with a new key,';
  const what = `${done} client ${clientName} (role ${role}, until ${expiresAt})`;
  if (output === '-') {
    printWarning(context, `${what}. Take the bundle in with: swarm context import NAME -`);
    return;
  }
  printLine(context, `${what}.`);
  printLine(context, `Its bundle, with its key, is in ${resolve(output)}: keep it secret.`);
  printLine(context, `\nTo use it, copy it to another machine and run there:\n`);
  printLine(context, `    swarm context import ${clientName} ${output}`);
  printLine(context, `    swarm --context ${clientName} node ls`);
}

async function written(context: CliContext, given: GivenClient, output: string): Promise<ClientBundle> {
  const bundle = bundleOf(given);
  if (output === '-') context.stdout.write(writeBundle(bundle));
  else await writeBundleDirectory(resolve(output), bundle);
  return bundle;
}

function bundleOf({ answer: { client, bundle: issued }, keyPem }: GivenClient): ClientBundle {
  if (client === undefined) throw new CliError('the manager did not say which client it is');
  return checkBundle(
    {
      facts: {
        format: BUNDLE_FORMAT,
        clusterId: issued?.clusterId ?? '',
        clientId: client.id,
        clientName: client.name,
        role: clientRoleName(client.role) ?? '',
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

function keyLost({ name, verb }: GivenClient, thrown: unknown): CliError {
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  const also = verb === 'renewed' ? '; the bundle that it had is refused from now on' : '';
  return new CliError(`client ${name} was ${verb}, and its key is lost: ${why}${also}`, {
    hint: `let it have another key: swarm client renew ${name} --output DIRECTORY`,
  });
}

/** Flags about the root of the swarm and who signs for it, which `init`, `update` and `ca` share. */
import { type ClusterSpec, ExternalCa, ExternalCaProtocol } from '#gen/swarm/v1/specs.ts';
import { readBounded } from '../../bounded-file.ts';
import { CliError } from '../../cli-errors.ts';
import { type FlagValues, listFlag, stringFlag } from '../../flags.ts';
import { externalCa } from '../../values/external-ca.ts';
import { systemWords } from '../image/open-error.ts';

export const CA_CERT = stringFlag({
  name: 'ca-cert',
  type: 'pem-file',
  usage: 'Path to the PEM-formatted root CA certificate to use for the new cluster',
  completions: 'file',
});
export const CA_KEY = stringFlag({
  name: 'ca-key',
  type: 'pem-file',
  usage: 'Path to the PEM-formatted root CA key to use for the new cluster',
  completions: 'file',
});
export const EXTERNAL_CA = listFlag({
  name: 'external-ca',
  type: 'external-ca',
  usage: 'Specifications of one or more certificate signing endpoints',
  parse: externalCa,
});

/** A root and its key take a few kilobytes; what is larger is another file. */
const PEM_BYTES_MAX = 64 * 1024;

/** What the file of the flag holds; empty when the flag was not given. @throws CliError that names flag and file */
export async function pemOf(flags: FlagValues, flag: typeof CA_CERT): Promise<Uint8Array> {
  const path = flags.value(flag);
  return path === undefined || path === '' ? new Uint8Array() : readPem(`--${flag.name}`, path);
}

/** The authorities that the flags name; undefined when they name none, empty when they name an empty one. */
export async function externalCasOf(flags: FlagValues): Promise<readonly ExternalCa[] | undefined> {
  if (!flags.anyGiven(EXTERNAL_CA)) return undefined;
  const named = flags.list(EXTERNAL_CA).filter((value) => value !== undefined);
  return Promise.all(
    named.map(async ({ url, caCertPath, options }) =>
      ExternalCa.create({
        protocol: ExternalCaProtocol.CFSSL,
        url,
        caCertPem: caCertPath === undefined ? new Uint8Array() : await readPem('--external-ca cacert', caCertPath),
        options: { ...options },
      }),
    ),
  );
}

/** The spec with the authorities of the flags, in place of those that it had. */
export async function withExternalCas(flags: FlagValues, spec: ClusterSpec): Promise<ClusterSpec> {
  const externalCas = await externalCasOf(flags);
  if (externalCas === undefined) return spec;
  return { ...spec, ca: { nodeCertExpiryMs: undefined, ...spec.ca, externalCas: [...externalCas] } };
}

async function readPem(what: string, path: string): Promise<Uint8Array> {
  const failed = (why: string): CliError =>
    new CliError(`${what}: open ${path}: ${why}`, { hint: 'give the path of a PEM file that you may read' });
  let bytes: Buffer | undefined;
  try {
    bytes = await readBounded(path, PEM_BYTES_MAX);
  } catch (thrown) {
    throw failed(systemWords(thrown));
  }
  if (bytes === undefined) throw failed(`it is larger than ${PEM_BYTES_MAX} bytes`);
  // To managers, nothing at all is a flag that was not given.
  if (bytes.length === 0) throw failed('it is empty');
  return new Uint8Array(bytes);
}

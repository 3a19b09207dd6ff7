/** Secrets and configs of the pretended engine. */
import { SwarmError } from '#common/errors.ts';
import { encodeJson } from '#common/template/encode-json.ts';
import { list } from '#common/template/go-types.ts';
import { GetConfigRequest, ListConfigsRequest, ListSecretsRequest } from '#gen/swarm/v1/secrets.ts';
import type { ControlApi } from '#manager/control/index.ts';
import { CONFIG, payloadShape, SECRET } from '#src/docker-shape/payloads.ts';

const CALLER = { author: 'docker' };

export interface PayloadCall {
  readonly kind: 'secrets' | 'configs';
  readonly method: string;
  readonly reference: string | undefined;
  readonly body: string;
  /** Values of a filter. */
  readonly filter: (name: string) => readonly string[];
}

export async function answerPayloads({ payloads }: ControlApi, call: PayloadCall): Promise<string> {
  const { kind, method, reference, body, filter } = call;
  if (reference === 'create') {
    const { Name } = JSON.parse(body) as { readonly Name: string };
    const word = kind === 'secrets' ? 'secret' : 'config';
    if (Name === 'db2' || Name === 'nginx')
      throw new SwarmError({ code: 'exists', reason: 'duplicate-name', message: `${word} ${Name} already exists` });
    return JSON.stringify({ ID: 'fresh' });
  }
  if (reference === undefined || reference === '') {
    // What services refer to is looked for by exact names.
    const names = [...filter('name'), ...filter('names')];
    const filters = { names, idPrefixes: filter('id'), labels: filter('label') };
    const shapes: object[] = [];
    if (kind === 'secrets')
      for await (const { secrets } of payloads.listSecrets(CALLER, ListSecretsRequest.create(filters)))
        shapes.push(...secrets.map((one) => payloadShape(one, undefined)));
    else
      for await (const { configs } of payloads.listConfigs(CALLER, ListConfigsRequest.create(filters)))
        shapes.push(...configs.map((one) => payloadShape(one, Buffer.from('hello\nworld\n'))));
    return encodeJson(list(kind === 'secrets' ? SECRET : CONFIG), shapes);
  }
  if (kind === 'secrets') {
    const { secret } = await payloads.getSecret(CALLER, { reference });
    if (method === 'DELETE') await payloads.removeSecret(CALLER, { reference });
    return secret === undefined ? '{}' : encodeJson(SECRET, payloadShape(secret, undefined));
  }
  const { config, data } = await payloads.getConfig(CALLER, GetConfigRequest.create({ reference }));
  if (method === 'DELETE') await payloads.removeConfig(CALLER, { reference });
  return config === undefined ? '{}' : encodeJson(CONFIG, payloadShape(config, data));
}

/**
 * Goal: a network created by our flags is the one that Docker's flags would have made. Method: the request of every
 * recorded command line, in Docker's shape, against what the docker CLI sent.
 */
import assert from 'node:assert/strict';
import { encodeJson } from '#common/template/encode-json.ts';
import { type CreateNetworkRequest, CreateNetworkResponse } from '#gen/swarm/v1/control.ts';
import { Network } from '#gen/swarm/v1/objects.ts';
import type { NetworkSpec } from '#gen/swarm/v1/specs.ts';
import { networkCreateShape } from '#src/docker-shape/from-networks.ts';
import { NETWORK_CREATE } from '#src/docker-shape/network-types.ts';
import { recordedNetworkRequests } from './docker-reference/golden.ts';
import { controlClient, NOW_MS, runCli } from './support/run-cli.ts';
import { swarmFixture } from './swarm-fixture.ts';

interface CreateBody {
  readonly EnableIPv6?: boolean;
  readonly Scope?: string;
  readonly IPAM: { readonly Config: readonly { readonly Subnet: string }[] };
}

/** Docker sends the subnets in any order, and names the only scope there is or does not. */
function comparable(body: CreateBody): object {
  const Config = body.IPAM.Config.toSorted((a, b) => (a.Subnet < b.Subnet ? -1 : 1));
  return { ...body, Scope: '', EnableIPv6: body.EnableIPv6 === true, IPAM: { ...body.IPAM, Config } };
}

async function requestedSpec(words: readonly string[]): Promise<NetworkSpec> {
  const asked: NetworkSpec[] = [];
  const control = {
    ...controlClient(swarmFixture(NOW_MS)),
    createNetwork: async ({ spec }: Partial<CreateNetworkRequest>) => {
      if (spec !== undefined) asked.push(spec);
      return CreateNetworkResponse.create({ network: Network.create({ id: 'x' }) });
    },
  };
  const { exitCode, stderr } = await runCli(words, { api: { control } });
  assert.equal(exitCode, 0, stderr);
  const [spec] = asked;
  assert.ok(spec !== undefined);
  return spec;
}

describe('cli: networks that flags make', () => {
  for (const { words, body } of recordedNetworkRequests())
    it(`docker ${words.join(' ')}`, async () => {
      const ours = JSON.parse(encodeJson(NETWORK_CREATE, networkCreateShape(await requestedSpec(words)))) as CreateBody;
      assert.deepEqual(comparable(ours), comparable(body as CreateBody));
    });

  it('a network without a driver is left to the daemon, for which that is an overlay', async () => {
    assert.equal((await requestedSpec(['network', 'create', 'x'])).driver, '');
  });
});

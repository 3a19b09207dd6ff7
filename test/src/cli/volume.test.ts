/**
 * Goal: `swarm volume` takes what `docker volume` takes, says where volumes are, and waits for their nodes. Method: whole
 * command lines; the daemon is played.
 */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { Volume, VolumeSpec, VolumeState } from '#gen/swarm/v1/objects.ts';
import {
  type CreateVolumeRequest,
  CreateVolumeResponse,
  GetVolumeResponse,
  type ListVolumesRequest,
  ListVolumesResponse,
  type PruneVolumesRequest,
  PruneVolumesResponse,
  type RemoveVolumeRequest,
  RemoveVolumeResponse,
  VolumeService,
  VolumeView,
} from '#gen/swarm/v1/volumes.ts';
import { runCli, scriptedClient } from './support/run-cli.ts';

const T = Date.UTC(2026, 0, 2, 3, 4, 5);

function volume(name: string, fields: Partial<Volume> = {}): Volume {
  return Volume.create({
    id: `id-${name}`,
    createdAtMs: T,
    nodeId: 'n1',
    spec: VolumeSpec.create({ name, driver: 'local', labels: { tier: 'db' }, driverOptions: { type: 'tmpfs' } }),
    state: VolumeState.READY,
    mountpoint: `/v/${name}`,
    scope: 'local',
    ...fields,
  });
}

class Daemon {
  readonly created: Partial<CreateVolumeRequest>[] = [];
  readonly removed: Partial<RemoveVolumeRequest>[] = [];
  readonly pruned: Partial<PruneVolumesRequest>[] = [];
  readonly listed: Partial<ListVolumesRequest>[] = [];
  volumes: Volume[] = [volume('a'), volume('b', { nodeId: 'n2' })];
  /** What becomes of a volume that was asked for. */
  made: Partial<Volume> = {};

  get client() {
    const view = (one: Volume): VolumeView =>
      VolumeView.create({ volume: one, nodeHostname: `host-${one.nodeId}`, services: ['shop'], taskIds: ['t1'] });
    return scriptedClient(VolumeService, {
      createVolume: async (request) => {
        this.created.push(request);
        const one = volume(request.spec?.name ?? '', this.made);
        this.volumes.push(one);
        return CreateVolumeResponse.create({ volume: one });
      },
      getVolume: async ({ reference = '' }) => {
        const found = this.volumes.filter((one) => one.id === reference || one.spec?.name === reference);
        if (found.length > 0) return GetVolumeResponse.create({ volumes: found.map(view) });
        throw new SwarmError({
          code: 'not-found',
          reason: 'unknown-object',
          message: `get ${reference}: no such volume`,
        });
      },
      listVolumes: (request) => {
        this.listed.push(request);
        const { volumes } = this;
        return (async function* () {
          yield ListVolumesResponse.create({ volumes: volumes.map(view) });
        })();
      },
      removeVolume: async (request) => {
        this.removed.push(request);
        const gone = this.volumes.find(({ id, spec }) => id === request.reference || spec?.name === request.reference);
        this.volumes = this.volumes.filter((one) => one !== gone);
        return RemoveVolumeResponse.create({ volume: gone });
      },
      pruneVolumes: async (request) => {
        this.pruned.push(request);
        const { volumes } = this;
        this.volumes = [];
        return PruneVolumesResponse.create({ volumes });
      },
    });
  }
}

describe('cli: volumes', () => {
  let daemon: Daemon;
  const run = (...words: readonly string[]) => runCli(words, { api: { volumes: daemon.client } });

  beforeEach(() => {
    daemon = new Daemon();
  });

  it('lists them with their nodes, in Docker’s formats', async () => {
    const { stdout } = await run('volume', 'ls');
    assert.equal(
      stdout,
      'DRIVER    VOLUME NAME   NODE\nlocal     a             host-n1\nlocal     b             host-n2\n',
    );
    assert.equal((await run('volume', 'ls', '-q')).stdout, 'a\nb\n');
    const format =
      '{{.Name}} {{.Driver}} {{.Scope}} {{.Mountpoint}} {{.Labels}} {{.Label "tier"}} {{.Size}} {{.State}}';
    assert.match(
      (await run('volume', 'ls', '--format', format)).stdout,
      /^a local local \/v\/a tier=db db N\/A ready\n/,
    );
    await run('volume', 'ls', '-f', 'dangling=1', '-f', 'label=x', '-f', 'driver=d', '-f', 'name=n', '-f', 'node=w1');
    assert.deepEqual(daemon.listed.at(-1), {
      names: ['n'],
      labels: ['x'],
      drivers: ['d'],
      nodes: ['w1'],
      dangling: true,
    });
    assert.match((await run('volume', 'ls', '-f', 'dangling=maybe')).stderr, /invalid filter 'dangling=maybe'/);
  });

  it('shows one as Docker does, with what a swarm knows beside it', async () => {
    const { stdout } = await run('volume', 'inspect', 'a');
    const [shown] = JSON.parse(stdout) as [Record<string, unknown>];
    assert.deepEqual(shown, {
      CreatedAt: '2026-01-02T03:04:05Z',
      Driver: 'local',
      Labels: { tier: 'db' },
      Mountpoint: '/v/a',
      Name: 'a',
      Options: { type: 'tmpfs' },
      Scope: 'local',
      Status: { ID: 'id-a', NodeID: 'n1', Node: 'host-n1', State: 'ready', Tasks: ['t1'], Services: ['shop'] },
    });
    const missing = await run('volume', 'inspect', 'a', 'nothing');
    assert.equal(missing.exitCode, 1);
    assert.match(missing.stderr, /get nothing: no such volume/);
    assert.equal((JSON.parse(missing.stdout) as unknown[]).length, 1);
    assert.match((await run('volume', 'inspect', '--pretty', 'a')).stdout, /Node:\t\thost-n1\nState:\t\tready/);
  });

  it('makes one, with or without a name, and says why it was not made', async () => {
    const flags = ['-d', 'keeper', '--label', 'x=y', '-o', 'size=1g', '--node', 'w1', '--node', 'w2'];
    assert.equal((await run('volume', 'create', ...flags, 'data')).stdout, 'data\n');
    assert.deepEqual(
      daemon.created.map(({ node }) => node),
      ['w1', 'w2'],
    );
    const { spec } = daemon.created[0] ?? {};
    assert.deepEqual(spec, { name: 'data', labels: { x: 'y' }, driver: 'keeper', driverOptions: { size: '1g' } });
    const nameless = (await run('volume', 'create')).stdout.trim();
    assert.match(nameless, /^[0-9a-f]{64}$/);
    assert.deepEqual(daemon.created.at(-1)?.spec?.labels, { 'com.docker.volume.anonymous': '' });
    daemon.made = { state: VolumeState.FAILED, message: 'disk on fire' };
    const failed = await run('volume', 'create', 'bad');
    assert.deepEqual([failed.exitCode, failed.stdout], [1, '']);
    assert.match(failed.stderr, /Error response from node host-n1: disk on fire/);
    assert.deepEqual(daemon.removed.at(-1), { reference: 'id-bad' });
    assert.match((await run('volume', 'create', '--group', 'x', 'c')).stderr, /cluster volumes \(CSI\)/);
  });

  it('says why there is nothing of cluster volumes', async () => {
    for (const words of [
      ['volume', 'ls', '--cluster'],
      ['volume', 'update', '--availability', 'drain', 'a'],
      ['volume', 'create', '--type', 'block', 'a'],
    ])
      assert.match(
        (await runCli(words)).stderr,
        /cluster volumes \(CSI\).*not part of this release\n[^]*Hint: /,
        words.join(' '),
      );
  });

  it('removes and prunes, and waits until they are gone', async () => {
    assert.equal((await run('volume', 'rm', 'a', 'b')).stdout, 'a\nb\n');
    assert.deepEqual(daemon.removed[0], { reference: 'a', node: '', force: false });
    daemon = new Daemon();
    const pruned = await run(
      'volume',
      'prune',
      '-a',
      '-f',
      '--filter',
      'label=x',
      '--filter',
      'label!=y',
      '--node',
      'w1',
    );
    assert.equal(pruned.stdout, 'Deleted Volumes:\na\nb\n\n');
    assert.deepEqual(daemon.pruned[0], { all: true, labels: ['x'], withoutLabels: ['y'], nodes: ['w1'] });
    assert.match((await run('volume', 'prune')).stdout, /anonymous local volumes .* \[y\/N\]/s);
  });
});

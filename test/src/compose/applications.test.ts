/**
 * Goal: files that people have are deployed as they are. Method: ten files after well-known applications, and Docker's
 * own example, deployed at the real API on a plain store; deployed again they change nothing.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Cluster, Network, StackSpec } from '#gen/swarm/v1/objects.ts';
import { ClusterSpec, NetworkSpec } from '#gen/swarm/v1/specs.ts';
import { DeployStackRequest, StackAction } from '#gen/swarm/v1/stacks.ts';
import type { ControlApi } from '#manager/control/index.ts';
import { SERVICES_LEVEL } from '#manager/scheduler/index.ts';
import { loadProject, toStack, writeYaml } from '#src/compose/index.ts';
import { memoryApi } from '#test/fixtures/memory-api.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const DIRECTORY = fileURLToPath(new URL('applications', import.meta.url));
const VARIABLES = { LOCAL_DOMAIN: 'example.com', CI_ADMIN: 'not a real password' };

/** Services that the file has, with what each waits for. */
const WANTED: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  'ci.yml': { controller: [], agent: ['controller'] },
  'gitea.yml': { server: ['db'], db: [] },
  'monitoring.yml': { prometheus: ['node-exporter'], 'node-exporter': [], grafana: ['prometheus'] },
  'nextcloud.yml': { app: ['db', 'redis'], cron: ['app'], redis: [], db: [] },
  'proxy.yml': { proxy: [], whoami: [] },
  'search.yml': { search1: [], search2: [], search3: [], dashboards: ['search1', 'search2', 'search3'] },
  'social.yml': {
    db: [],
    redis: [],
    migrate: ['db'],
    web: ['migrate', 'redis'],
    streaming: ['migrate', 'redis'],
    sidekiq: ['migrate', 'redis'],
  },
  'streaming.yml': { broker: [], topics: ['broker'], 'schema-registry': ['topics'] },
  'voting.yml': { redis: [], db: [], vote: ['redis'], result: ['db'], worker: ['db', 'redis'], visualizer: [] },
  'wordpress.yml': { wordpress: ['db'], db: [] },
};

function controlApi(): { readonly api: ControlApi; readonly view: MemoryView } {
  const view = new MemoryView();
  const cluster = Cluster.create({ id: 'c', spec: ClusterSpec.create(), featureLevel: SERVICES_LEVEL });
  view.commit([{ kind: 'create', table: 'cluster', object: cluster }]);
  const ingress = Network.create({ id: 'ingress', spec: NetworkSpec.create({ name: 'ingress', ingress: true }) });
  view.commit([{ kind: 'create', table: 'network', object: ingress }]);
  const api = memoryApi(view);
  return { api, view };
}

async function read(name: string) {
  return loadProject({
    sources: [{ name }],
    directory: DIRECTORY,
    variables: VARIABLES,
    envFiles: [],
    profiles: [],
    read: (path) => readFile(path).catch(() => undefined),
  });
}

describe('compose: applications', () => {
  it('every file is tried', () => {
    assert.deepEqual(readdirSync(DIRECTORY).sort(), Object.keys(WANTED).sort());
  });

  for (const [name, services] of Object.entries(WANTED))
    it(`${name} is deployed whole, and again without a change`, async () => {
      const { api, view } = controlApi();
      const project = await read(name);
      const converted = await toStack(project, 'app');
      const { services: specs, networks, secrets, configs, volumes } = converted;
      const spec = StackSpec.create({ name: 'app', compose: writeYaml(project.root) });
      const request = DeployStackRequest.create({ spec, services: specs, networks, secrets, configs, volumes });
      const { changes } = await api.stacks.deployStack({ author: 'test' }, request);
      assert.ok(changes.every(({ action }) => action === StackAction.CREATE));
      const found = [...view.all('service')].map((service) => {
        const waits = service.spec?.dependsOn.map(
          ({ service: id }) => view.get('service', id)?.spec?.name.slice(4) ?? id,
        );
        return [service.spec?.name.slice(4), waits?.toSorted()];
      });
      assert.deepEqual(Object.fromEntries(found), services);
      const again = await api.stacks.deployStack({ author: 'test' }, request);
      assert.deepEqual(
        again.changes.filter(({ action }) => action !== StackAction.KEEP),
        [],
      );
    });

  it('the merged file of each reads as the same stack', async () => {
    for (const name of Object.keys(WANTED)) {
      const project = await read(name);
      const once = await toStack(project, 'app');
      const again = await loadProject({
        sources: [{ name: '-', content: writeYaml(project.root) }],
        directory: DIRECTORY,
        variables: VARIABLES,
        envFiles: [],
        profiles: [],
        read: (path) => readFile(path).catch(() => undefined),
      });
      const { services } = await toStack(again, 'app');
      assert.deepEqual(services, once.services, name);
    }
  });
});

/**
 * Goal: a compose file becomes running services in the right order, a changed file changes what it has to and nothing
 * else, and a removed stack is gone, so that the next deployment meets nothing of it. Method: a swarm of four hosts, the
 * real command line, a stack of a database with a health check, a job that waits for it, and a page that waits for both.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IMAGE, useCluster } from './support/cluster.ts';

const COMPOSE = `
x-common: &common
  image: \${IMAGE:?the image has to be named}
  stop_grace_period: 1s
  deploy: &deploy {update_config: &update {monitor: 200ms}}
services:
  db:
    <<: *common
    command: ["sh", "-c", "sleep 1; touch /data/ready; trap 'exit 0' TERM; while :; do sleep 100 & wait $$!; done"]
    healthcheck: {test: ["CMD", "test", "-e", "/data/ready"], interval: 500ms, timeout: 5s, retries: 60}
    volumes: [data:/data]
    deploy: {<<: *deploy, placement: {constraints: [node.role == manager]}}
  migrate:
    <<: *common
    command: sh -c "cat /run/secrets/token"
    secrets: [token]
    depends_on: {db: {condition: service_healthy}}
  page:
    <<: *common
    command: ["sh", "-c", "cat /etc/page /run/secrets/token; trap 'exit 0' TERM; while :; do sleep 100 & wait $$!; done"]
    configs: [{source: page, target: /etc/page}]
    secrets: [token]
    networks: {front: {aliases: [www]}, default: }
    deploy: {replicas: 2, update_config: {<<: *update, parallelism: 0}}
    depends_on: {db: {condition: service_healthy}, migrate: {condition: service_completed_successfully}}
networks: {front: {driver_opts: {}}}
volumes: {data: }
secrets: {token: {file: ./token}}
configs: {page: {content: "hello \${WHO-world}\\n"}}
`;

describe('e2e: stacks', function () {
  const cluster = useCluster(this);
  let directory = '';
  const deploy = (...flags: readonly string[]) =>
    cluster().must(['stack', 'deploy', '-c', join(directory, 'compose.yml'), ...flags, 'shop']);

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-stack-'));
    await writeFile(join(directory, 'compose.yml'), COMPOSE);
    await writeFile(join(directory, 'token'), 'first\n');
    await writeFile(join(directory, '.env'), `IMAGE=${IMAGE}\n`);
  });

  after(async () => {
    await cluster().on('m1', ['stack', 'rm', '--volumes', 'shop']);
    await rm(directory, { recursive: true, force: true });
  });

  it('services come behind what they depend on, and the command waits for all of them', async () => {
    const output = await deploy();
    for (const line of ['Creating network shop_front', 'Creating secret shop_token', 'Creating config shop_page'])
      assert.match(output, new RegExp(line));
    assert.match(output, /Service shop_page converged/);
    const [db] = await cluster().running('shop_db');
    const pages = await cluster().running('shop_page');
    const [job] = await cluster().tasks('shop_migrate');
    assert.equal(pages.length, 2);
    const readySinceMs = db?.status?.health?.readySinceMs ?? Number.POSITIVE_INFINITY;
    // Both by clocks of this machine: the task was made when the database was found healthy.
    assert.ok((job?.createdAtMs ?? 0) >= readySinceMs - 1, 'the job was begun before the database was healthy');
    for (const page of pages)
      assert.ok(page.createdAtMs >= (job?.status?.timestampMs ?? 0), 'a page came before the job had ended');
    assert.match(await cluster().must(['service', 'logs', '--raw', 'shop_page']), /hello world\nfirst/);
    assert.match(await cluster().must(['stack', 'ls']), /^shop\s+3\s+deployed/m);
    assert.match(await cluster().must(['stack', 'services', 'shop']), /shop_page\s+replicated\s+2\/2/);
    assert.match(await cluster().must(['stack', 'ps', 'shop']), /shop_db\.1 .*Running/);
  });

  it('the same file changes nothing; another secret rolls what refers to it', async () => {
    assert.match(await deploy('--dry-run'), /is as the file says: nothing would change/);
    const [db] = await cluster().running('shop_db');
    await writeFile(join(directory, 'token'), 'second\n');
    const plan = await deploy('--dry-run');
    assert.match(plan, /~ secret shop_token\n {4}version: 1 -> 2/);
    assert.match(plan, /~ service shop_page \(replaces its tasks\)/);
    assert.doesNotMatch(plan, /service shop_db/);
    await deploy();
    assert.match(await cluster().must(['service', 'logs', '--raw', 'shop_page']), /second/);
    assert.deepEqual(
      (await cluster().running('shop_db')).map(({ id }) => id),
      [db?.id],
    );
  });

  it('a removed stack leaves nothing, and the deployment that comes at once waits for that', async () => {
    await cluster().must(['stack', 'rm', '--detach', 'shop']);
    await deploy('--prune');
    assert.equal((await cluster().running('shop_page')).length, 2);
    await cluster().must(['stack', 'rm', '--volumes', 'shop']);
    for (const kind of ['service', 'network', 'secret', 'config', 'volume', 'stack'])
      assert.doesNotMatch(await cluster().must([kind, 'ls']), /shop/, kind);
  });
});

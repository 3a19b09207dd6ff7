/**
 * Goal: files after well-known applications run. Method: three of them deployed on a swarm of four hosts, with a second
 * file that gives every service an image which is there without a registry, and a program that does nothing but answer
 * its health check; what services wait for, how many tasks they have and where they may be is the applications' own.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ServiceListEntry } from '#gen/swarm/v1/control.ts';
import { IMAGE, SLEEP, useCluster } from '#test/e2e/support/cluster.ts';

const FILES = fileURLToPath(new URL('../../src/compose/applications', import.meta.url));
const PATIENCE_MS = 180_000;

interface Application {
  readonly name: string;
  /** Every service with its tasks; a job with those that completed. */
  readonly services: Readonly<Record<string, string>>;
  readonly jobs?: readonly string[];
  /** Further lines of a service in the second file. */
  readonly more?: Readonly<Record<string, string>>;
  readonly environment?: string;
}

const APPLICATIONS: readonly Application[] = [
  { name: 'wordpress', services: { db: '1/1', wordpress: '2/2' } },
  {
    name: 'voting',
    services: { db: '1/1', redis: '1/1', vote: '2/2', result: '1/1', worker: '1/1', visualizer: '1/1' },
    // The directory is not on every host of a lab.
    more: { visualizer: 'volumes: !reset []' },
  },
  {
    name: 'social',
    services: { db: '1/1', redis: '1/1', web: '2/2', streaming: '1/1', sidekiq: '2/2' },
    jobs: ['migrate'],
    environment: 'LOCAL_DOMAIN=example.com',
  },
];

describe('long: applications as stacks', function () {
  this.timeout(10 * 60_000);
  const cluster = useCluster(this);
  let directory = '';

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-applications-'));
  });

  after(() => rm(directory, { recursive: true, force: true }));

  for (const application of APPLICATIONS)
    it(application.name, async () => {
      const { name, services, jobs = [], environment = '' } = application;
      const over = join(directory, `${name}.yml`);
      const variables = join(directory, `${name}.env`);
      await writeFile(over, secondFile(application));
      await writeFile(variables, environment);
      const files = ['-c', join(FILES, `${name}.yml`), '-c', over, '--env-file', variables];
      const deploy = ['stack', 'deploy', ...files, '--resolve-image', 'never'];
      await cluster().must([...deploy, name], { timeoutMs: PATIENCE_MS });
      const entries: ServiceListEntry[] = [];
      for await (const page of cluster()
        .client()
        .control.listServices({ names: [`${name}_`] }))
        entries.push(...page.services);
      const shown = entries.map(({ service, counts }) => [
        (service?.spec?.name ?? '').slice(name.length + 1),
        `${counts?.running}/${counts?.desired}`,
      ]);
      const running = Object.fromEntries(shown.filter(([service]) => !jobs.includes(service ?? '')));
      assert.deepEqual(running, services);
      assert.match(await cluster().must([...deploy, '--dry-run', name]), /nothing would change/);
      await cluster().must(['stack', 'rm', '--volumes', name], { timeoutMs: PATIENCE_MS });
      for (const kind of ['service', 'network', 'secret', 'volume'])
        assert.doesNotMatch(await cluster().must([kind, 'ls']), new RegExp(`${name}_`), kind);
    });
});

function secondFile({ services, jobs = [], more = {} }: Application): string {
  const lines = ['services:'];
  for (const service of [...Object.keys(services), ...jobs])
    lines.push(
      `  ${service}:`,
      `    image: ${IMAGE}`,
      // A dollar of the program is no variable of the file.
      `    command: ${JSON.stringify(jobs.includes(service) ? ['true'] : SLEEP).replaceAll('$', '$$$$')}`,
      '    stop_grace_period: 1s',
      ...(jobs.includes(service) ? [] : ['    deploy: {update_config: {monitor: 200ms}}']),
      ...(jobs.includes(service)
        ? []
        : ['    healthcheck: {test: ["CMD", "true"], interval: 500ms, start_period: 0s}']),
      ...(service in more ? [`    ${more[service]}`] : []),
    );
  return `${lines.join('\n')}\n`;
}

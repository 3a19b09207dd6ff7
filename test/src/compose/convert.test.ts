/**
 * Goal: every key of the Compose Spec is honoured, left out with a warning, or refused with its place, and none is passed
 * over in silence. Method: an example for each key with what it has to come to; the tables of keys say what has to have
 * one.
 */
import assert from 'node:assert/strict';
import { JobOverlap, type ServiceSpec } from '#gen/swarm/v1/specs.ts';
import { DEPLOY_KEYS, type KeyTable, NETWORK_KEYS, SERVICE_KEYS, TOP_KEYS } from '#src/compose/keys.ts';
import { DEPLOY_EXAMPLES, SERVICE_EXAMPLES } from './key-examples.ts';
import { refusal, stack } from './support.ts';

const FILES = { 'v.env': 'FROM=file\nBOTH=file\n', labels: 'l=1\n', 'p.json': '{"x":1}', token: 'data' };

/** The service `a` with these keys, and what else the file has. */
async function a(body: string, rest = ''): Promise<ServiceSpec> {
  const { services } = await stack(`services:\n  a:\n    image: i\n${body.replace(/^/gm, '    ')}\n${rest}`, {
    files: FILES,
    variables: { CALLER: 'own' },
  });
  const found = services.find(({ name }) => name === 'app_a');
  assert.ok(found !== undefined);
  return found;
}

const namesOf = (table: KeyTable, kind: 'honoured' | 'leftOut' | 'refused'): readonly string[] =>
  Object.entries(table)
    .filter(([, rule]) => (rule === 'honoured' ? kind === 'honoured' : kind in rule))
    .map(([name]) => name);

describe('compose: keys', () => {
  it('every key that is honoured has an example', () => {
    assert.deepEqual(Object.keys(SERVICE_EXAMPLES).sort(), namesOf(SERVICE_KEYS, 'honoured').toSorted());
    assert.deepEqual(Object.keys(DEPLOY_EXAMPLES).sort(), namesOf(DEPLOY_KEYS, 'honoured').toSorted());
  });

  for (const [key, [body, read, wanted, rest]] of Object.entries(SERVICE_EXAMPLES))
    it(`services.${key}`, async () => assert.deepEqual(read(await a(body, rest)), wanted));

  for (const [key, [body, read, wanted]] of Object.entries(DEPLOY_EXAMPLES))
    it(`services.deploy.${key}`, async () => {
      assert.deepEqual(read(await a(`deploy:\n${body.replace(/^/gm, '  ')}`)), wanted);
    });

  it('what has no meaning is left out with a warning that has its place', async () => {
    for (const key of namesOf(SERVICE_KEYS, 'leftOut')) {
      const { warnings } = await stack(`services:\n  a:\n    image: i\n    ${key}: x\n`);
      assert.match(warnings.join(), new RegExp(`^c\\.yml:4:5: services\\.a\\.${key}: left out: .+; .+`), key);
    }
    const { warnings } = await stack('version: "3.8"\nservices: {a: {image: i}}\nnetworks: {n: }');
    assert.match(warnings.join('\n'), /c\.yml:1:1: version: left out.*\n.*networks\.n: left out: no service uses it/s);
  });

  it('what cannot be is refused with its place and a way out', async () => {
    for (const [table, at, body] of [
      [SERVICE_KEYS, 'services.a', (key: string) => `services:\n  a:\n    image: i\n    ${key}: x\n`],
      [TOP_KEYS, '', (key: string) => `services: {a: {image: i}}\n${key}: x\n`],
    ] as const)
      for (const key of namesOf(table, 'refused')) {
        const [first = ''] = (await refusal(body(key))).split('\n');
        assert.match(first, new RegExp(`^c\\.yml:\\d+:\\d+: ${at}\\.?${key}: .+; .+`), key);
      }
  });

  it('all that is wrong is named at once, unknown keys with what may have been meant', async () => {
    const message = await refusal(
      'services:\n  a:\n    imagee: i\n    enviroment: {A: 1}\n    deploy: {replicas: many, placment: }\n  b: {image: b, ports: ["x"]}\nvolums: {}\nnetworks: {n: {drvier: x}}\nconfgis: {}\n',
    );
    for (const words of [
      /c\.yml:3:5: services\.a\.imagee: there is no such key; did you mean image\?/,
      /services\.a\.enviroment: there is no such key; did you mean environment\?/,
      /c\.yml:5:24: services\.a\.deploy\.replicas: "many" is not a whole number/,
      /services\.a\.deploy\.placment: .*placement/,
      /services\.b\.ports\[0\]: port "x"/,
      /volums: there is no such key; did you mean volumes\?/,
      /networks\.n\.drvier: .*did you mean driver\?/,
      /confgis: .*did you mean configs\?/,
      /services\.a\.image: the service has no image/,
    ])
      assert.match(message, words);
  });

  it('references to what is not in the file are named', async () => {
    assert.match(
      await refusal('services: {a: {image: i, volumes: ["v:/v"]}}'),
      /there is no volume v in the file.*volumes: \{v: \}/,
    );
    assert.match(await refusal('services: {a: {image: i, networks: [n]}}'), /there is no network n in the file/);
    assert.match(await refusal('services: {a: {image: i, secrets: [s]}}'), /there is no secret s in the file/);
    assert.match(await refusal('services: {a: {image: i, configs: [s]}}'), /there is no config s in the file/);
    assert.match(await refusal('services: {a: {image: i, depends_on: [z]}}'), /there is no service z in the file/);
    assert.match(
      await refusal('services: {a: {image: i, depends_on: [b]}, b: {image: i, depends_on: [a]}}'),
      /services wait for each other: a -> b -> a/,
    );
    assert.match(
      await refusal('services: {a: {image: i, secrets: [s]}}\nsecrets: {s: {file: gone}}'),
      /secrets\.s\.file: the file \/project\/gone cannot be read/,
    );
    assert.match(
      await refusal('services: {a: {image: i, env_file: gone}}'),
      /env_file\[0\]: the file \/project\/gone cannot be read/,
    );
    assert.match(await refusal('services: {a: {build: .}}'), /image: the service is to be built/);
  });

  it('names are those of docker stack', async () => {
    const { services, networks, secrets, configs, volumes } = await stack(
      'services: {a: {image: i, volumes: ["v:/v", "w:/w"], secrets: [s], configs: [c], networks: [n, m, default]}}\nvolumes: {v: , w: {name: fixed}}\nsecrets: {s: {environment: X}}\nconfigs: {c: {content: x, name: exact}}\nnetworks: {n: , m: {external: true, name: edge}, default: {driver: overlay, attachable: true}}',
      { variables: { X: 'secret' } },
    );
    assert.deepEqual(
      services.map(({ name }) => name),
      ['app_a'],
    );
    assert.deepEqual(
      services[0]?.task?.networks.map(({ network }) => network),
      ['app_n', 'edge', 'app_default'],
    );
    assert.deepEqual(
      networks.map(({ name, attachable }) => [name, attachable]),
      [
        ['app_n', false],
        ['app_default', true],
      ],
    );
    assert.deepEqual(
      secrets.map(({ spec, data }) => [spec?.name, Buffer.from(data).toString()]),
      [['app_s', 'secret']],
    );
    assert.deepEqual(
      configs.map(({ spec }) => spec?.name),
      ['exact'],
    );
    assert.deepEqual(
      volumes.map(({ name }) => name),
      ['app_v', 'fixed'],
    );
    for (const { labels } of [...services, ...networks, ...volumes])
      assert.equal(labels['com.docker.stack.namespace'], 'app');
    assert.ok(NETWORK_KEYS.driver);
  });

  it('profiles leave services out until they are asked for', async () => {
    const file = 'services: {a: {image: i}, b: {image: i, profiles: [more]}}';
    const names = async (profiles: readonly string[]) =>
      (await stack(file, { profiles })).services.map(({ name }) => name);
    assert.deepEqual(await names([]), ['app_a']);
    assert.deepEqual(await names(['more']), ['app_a', 'app_b']);
    assert.deepEqual(await names(['*']), ['app_a', 'app_b']);
    assert.match(
      await refusal('services: {a: {image: i, depends_on: [b]}, b: {image: i, profiles: [more]}}'),
      /b is left out: it is of profile more; add --profile more/,
    );
  });

  it('a service whose end is waited for is a job, and x-swarm has what the spec has no keys for', async () => {
    const job = await a('user: u', '  b: {image: b, depends_on: {a: {condition: service_completed_successfully}}}\n');
    assert.equal(job.mode?.kind, 'replicatedJob');
    const clock = await a(
      'x-swarm: {job: {schedule: "@daily", time_zone: Europe/Berlin, overlap: replace, deadline: 1h, history: 3}, drain: 5s, priority: 7}',
    );
    assert.deepEqual(
      [
        clock.mode?.kind,
        clock.job?.schedule?.cron,
        clock.job?.schedule?.overlap,
        clock.job?.deadlineMs,
        clock.job?.historyLimit,
        clock.endpoint?.drainMs,
        clock.task?.placement?.priority,
      ],
      ['replicatedJob', '@daily', JobOverlap.REPLACE, 3_600_000, 3, 5000, 7],
    );
    const probed = await a(
      'x-swarm: {probes: {readiness: {http: {port: 80, path: /ready}, interval: 1s}}, update: {canaries: 1, progress_deadline: 1m}}',
    );
    assert.deepEqual(
      [
        probed.task?.container?.probes?.readiness?.intervalMs,
        probed.update?.canaries,
        probed.update?.progressDeadlineMs,
      ],
      [1000, 1, 60_000],
    );
    assert.match(
      await refusal('services: {a: {image: i, x-swarm: {jobs: 1}}}'),
      /x-swarm\.jobs: there is no such key; did you mean job\?/,
    );
  });
});

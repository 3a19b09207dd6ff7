/**
 * Goal: the network commands do what they say against the real control API: create, look, change, remove, prune; every
 * refusal has a way out. Method: whole command lines against the fixture's swarm, one after the other on the same state.
 */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import {
  GetNetworkResponse,
  GetNodeResponse,
  NetworkUsage,
  SubnetUsage,
  UpdateServiceResponse,
} from '#gen/swarm/v1/control.ts';
import { Network, Node, NodeDataPath, NodeDescription, Service } from '#gen/swarm/v1/objects.ts';
import { IpamSpec, IpamSubnet, NetworkSpec, type ServiceSpec } from '#gen/swarm/v1/specs.ts';
import type { SwarmApi } from '#src/cli/api.ts';
import { type CliResult, fakeApi, NOW_MS, runCli } from './support/run-cli.ts';
import { NETWORK_IDS, SERVICE_IDS, swarmFixture } from './swarm-fixture.ts';

/** Command lines on one swarm that lasts. */
function session(answer = ''): { readonly api: SwarmApi; run(...words: readonly string[]): Promise<CliResult> } {
  const api = fakeApi(swarmFixture(NOW_MS));
  return { api, run: async (...words) => runCli(words, { api, stdin: [new TextEncoder().encode(answer)] }) };
}

function names(listing: string): readonly string[] {
  return listing
    .trim()
    .split('\n')
    .filter((line) => line !== '');
}

async function listed(run: (...words: readonly string[]) => Promise<CliResult>): Promise<readonly string[]> {
  return names((await run('network', 'ls', '--filter', 'type=custom', '--format', '{{.Name}}')).stdout);
}

describe('cli: networks', () => {
  it('are created with all that was declared, and removed', async () => {
    const { run, api } = session();
    const { stdout, exitCode } = await run(
      ...'network create --subnet 10.20.0.0/24 --ip-range 10.20.0.128/25 --gateway 10.20.0.1'.split(' '),
      ...'--aux-address router=10.20.0.2 --attachable --internal --label a=b -o encrypted new'.split(' '),
    );
    assert.equal(exitCode, 0);
    assert.match(stdout, /^[0-9a-z]{25}\n$/);
    const { network } = await api.control.getNetwork({ reference: 'new' });
    assert.deepEqual(
      network?.spec,
      NetworkSpec.create({
        name: 'new',
        labels: { a: 'b' },
        driver: 'overlay',
        driverOptions: { encrypted: '' },
        internal: true,
        attachable: true,
        ipam: IpamSpec.create({
          driver: 'default',
          subnets: [
            IpamSubnet.create({
              subnet: '10.20.0.0/24',
              ipRange: '10.20.0.128/25',
              gateway: '10.20.0.1',
              auxAddresses: { router: '10.20.0.2' },
            }),
          ],
        }),
      }),
    );
    assert.deepEqual(await listed(run), ['back', 'ingress', 'new', 'spare']);
    assert.equal((await run('network', 'rm', stdout.trim(), 'spare')).stdout, `${stdout}spare\n`);
    assert.deepEqual(await listed(run), ['back', 'ingress']);
  });

  it('refuses what it has not, with a way out, before it asks the daemon', async () => {
    for (const [words, code] of [
      [['--config-only'], 125],
      [['--config-from=x'], 125],
      [['--scope', 'local'], 1],
      [['--ipv4=false'], 1],
      [['--subnet', '10.1.0.0', '--gateway', '10.1.0.1'], 1],
    ] as const) {
      const { exitCode, stderr } = await runCli(['network', 'create', ...words, 'x']);
      assert.equal(exitCode, code, stderr);
      assert.match(stderr, /^Hint: /m, words.join(' '));
    }
    for (const verb of ['connect', 'disconnect'])
      assert.match((await runCli(['network', verb, 'back', 'x'])).stderr, /Hint: .*--network-add/);
  });

  it('shows the daemon’s refusals with their hints', async () => {
    const { run } = session();
    for (const words of [
      ['create', 'back'],
      ['create', '-d', 'host', 'x'],
      ['create', '--ingress', 'x'],
      ['create', '--subnet', '10.0.1.128/25', 'x'],
      ['create', '--subnet', '10.1.0.0', 'x'],
      ['create', '-o', 'nonsense', 'x'],
      ['rm', 'back'],
      ['rm', 'none'],
      ['update', '--subnet-add', '10.0.2.0/23', 'back'],
      ['update', '--label-add', 'a=b', 'host'],
      ['update', 'back'],
      ['inspect', 'nope'],
    ]) {
      const { exitCode, stderr } = await run('network', ...words);
      assert.equal(exitCode, 1, words.join(' '));
      assert.match(stderr, /^Hint: /m, words.join(' '));
    }
  });

  it('different refusals of one command come with their own ways out, in the order of the names', async () => {
    const { exitCode, stderr } = await session().run('network', 'rm', 'back', 'nope', 'host');
    assert.equal(exitCode, 1);
    assert.match(
      stderr,
      /^.*network back is in use by service web\nHint: .*--network-rm back SERVICE\n.*network nope not found\nHint: .*\n.*host is a pre-defined network.*\nHint: .*\n$/,
    );
    const alike = await session().run('network', 'rm', 'nope', 'nada');
    assert.match(alike.stderr, /^.*network nope not found\n.*network nada not found\nHint: .*\n$/);
  });

  it('asks before the ingress network goes, and takes only y for a yes', async () => {
    for (const answer of ['', 'no\n', 'yes\n']) {
      const { run } = session(answer);
      const { stdout, exitCode } = await run('network', 'rm', 'ingress');
      assert.match(
        stdout,
        /^WARNING! Without its ingress network[^\n]*\nAre you sure you want to continue\? \[y\/N\] $/,
      );
      assert.equal(exitCode, 0);
      assert.equal((await listed(run)).length, 3);
    }
    const { run } = session('y\n');
    const { stderr } = await run('network', 'rm', 'ingress');
    assert.match(stderr, /network ingress is in use by service web/);
  });

  it('prunes what nothing uses, after a yes, and leaves what its filters leave', async () => {
    const no = session('n\n');
    assert.match((await no.run('network', 'prune')).stdout, /\[y\/N\] $/);
    assert.equal((await listed(no.run)).length, 3);
    const { run } = session('y\n');
    assert.equal((await run('network', 'prune', '--force', '--filter', 'until=2025-01-01')).stdout, '');
    assert.equal((await run('network', 'create', '--label', 'keep', 'kept')).exitCode, 0);
    assert.match(
      (await run('network', 'prune', '--filter', 'label!=keep')).stdout,
      /continue\? \[y\/N\] Deleted Networks:\nspare\n\n$/,
    );
    assert.equal((await run('network', 'prune', '-f', '--filter', 'label=keep')).stdout, 'Deleted Networks:\nkept\n\n');
    assert.deepEqual(await listed(run), ['back', 'ingress']);
  });

  it('pruning passes over a network that was joined meanwhile, and reports what went wrong', async () => {
    const { api } = session();
    const fails = (reason: 'in-use' | 'internal') => ({
      ...api.control,
      removeNetwork: async () => {
        throw new SwarmError({ code: 'precondition', reason, message: 'no' });
      },
    });
    const prune = ['network', 'prune', '-f'];
    assert.deepEqual(await runCli(prune, { api: { control: fails('in-use') } }), {
      stdout: '',
      stderr: '',
      exitCode: 0,
    });
    const { exitCode, stderr } = await runCli(prune, { api: { control: fails('internal') } });
    assert.deepEqual([exitCode, stderr], [1, 'Error response from daemon: no\n']);
  });

  it('change their labels, and get more addresses', async () => {
    const { run, api } = session();
    const subnets = async (): Promise<readonly string[]> =>
      (await api.control.getNetwork({ reference: 'new' })).network?.spec?.ipam?.subnets.map(({ subnet }) => subnet) ??
      [];
    await run('network', 'create', '--subnet', '10.20.0.0/24', '--gateway', '10.20.0.9', 'new');
    assert.deepEqual(await run('network', 'update', '--label-add', 'a=b', '--label-add', 'c', 'new'), {
      stdout: 'new\n',
      stderr: '',
      exitCode: 0,
    });
    assert.equal((await run('network', 'update', '--label-rm', 'c', 'new')).exitCode, 0);
    assert.match((await run('network', 'update', '--label-rm', 'c', 'new')).stderr, /key c doesn't exist/);
    await run('network', 'update', '--subnet-add', '10.21.0.0/24,10.22.0.0/24', 'new');
    assert.deepEqual(await subnets(), ['10.20.0.0/24', '10.21.0.0/24', '10.22.0.0/24']);
    const grown = await run('network', 'update', '--subnet-add', '10.20.0.0/23', 'new');
    assert.equal(grown.exitCode, 0, grown.stderr);
    assert.deepEqual(await subnets(), ['10.20.0.0/23', '10.21.0.0/24', '10.22.0.0/24']);
    const { network } = await api.control.getNetwork({ reference: 'new' });
    assert.deepEqual(network?.spec?.labels, { a: 'b' });
    assert.equal(network?.spec?.ipam?.subnets[0]?.gateway, '10.20.0.9');
  });

  it('has a page for people, with what is left of every subnet and why it is not well', async () => {
    const { stdout } = await runCli(['network', 'inspect', '--pretty', 'back']);
    assert.equal(
      stdout,
      [
        `ID:\t\t${NETWORK_IDS.back}`,
        'Name:\t\tback',
        'Labels:',
        ' b',
        ' team=a',
        'Driver:\t\toverlay',
        'Scope:\t\tswarm',
        'Created:\t5 months ago',
        'VXLAN ID:\t4097',
        'Options:',
        ' encrypted',
        'Subnets:',
        ' 10.0.1.0/24',
        '  Gateway:\t10.0.1.1',
        '  Addresses:\t3 in use, 250 free',
        'Services:',
        ' web\t10.0.1.2',
        'Tasks:',
        ' web.1.t1aaaaaaaaaaaaaaaaaaaaaaa\t10.0.1.7 on alpha',
        ' web.2.t4ddddddddddddddddddddddd\t10.0.1.8 on beta',
        '',
        '',
      ].join('\n'),
    );
    const network = Network.create({
      id: 'x',
      spec: NetworkSpec.create({ name: 'full' }),
      problem: 'no address left: 253 of 253 in use',
      subnets: [IpamSubnet.create({ subnet: '10.9.0.0/24' })],
    });
    const usage = NetworkUsage.create({
      subnets: [SubnetUsage.create({ subnet: '10.9.0.0/24', total: 253, used: 253 })],
    });
    const { api } = session();
    const control = { ...api.control, getNetwork: async () => GetNetworkResponse.create({ network, usage }) };
    const full = await runCli(['network', 'inspect', '--pretty', 'full'], { api: { control } });
    assert.match(full.stdout, /^Problem:\tno address left: 253 of 253 in use\n[^]*253 in use, 0 free/m);
    const vast = SubnetUsage.create({ subnet: '10.9.0.0/24', total: Number.MAX_SAFE_INTEGER, used: 2 });
    const roomy = {
      ...api.control,
      getNetwork: async () => GetNetworkResponse.create({ network, usage: NetworkUsage.create({ subnets: [vast] }) }),
    };
    assert.match(
      (await runCli(['network', 'inspect', '--pretty', 'full'], { api: { control: roomy } })).stdout,
      /2 in use, more free than are ever needed$/m,
    );
    const json = await runCli(['network', 'inspect', '--format', '{{json .Status}}', 'full'], { api: { control } });
    assert.deepEqual(JSON.parse(json.stdout), {
      IPAM: { Subnets: { '10.9.0.0/24': { IPsInUse: 253, DynamicIPsAvailable: 0 } } },
      Problem: 'no address left: 253 of 253 in use',
    });
    assert.match(
      (await runCli(['network', 'inspect', '--pretty', 'bridge'])).stdout,
      /^Driver:\t\tbridge\nScope:\t\tlocal\n/m,
    );
  });
});

describe('cli: a node that cannot encrypt', () => {
  it('says so on its page and in its document; others say nothing of it', async () => {
    const { api } = session();
    const answer = await api.control.getNode({ reference: 'alpha' });
    const dataPath = NodeDataPath.create({ address: '192.168.0.1', mtu: 1500, encryptionProblem: 'no WireGuard' });
    const node = Node.create({ ...answer.node, description: { ...NodeDescription.create(), dataPath } });
    const control = { ...api.control, getNode: async () => GetNodeResponse.create({ node }) };
    const pretty = await runCli(['node', 'inspect', '--pretty', 'alpha'], { api: { control } });
    assert.match(
      pretty.stdout,
      /^Data Path Address: 192\.168\.0\.1 \(MTU 1500\)\nData Path Encryption: not possible: no WireGuard$/m,
    );
    const format = ['node', 'inspect', '--format', '{{.Description.DataPath.EncryptionProblem}}', 'alpha'];
    assert.equal((await runCli(format, { api: { control } })).stdout, 'no WireGuard\n');
    assert.doesNotMatch((await runCli(['node', 'inspect', '--pretty', 'alpha'])).stdout, /Data Path/);
    assert.doesNotMatch((await runCli(['node', 'inspect', 'alpha'])).stdout, /DataPath/);
  });
});

/** The spec that `service update` asks for. */
async function updated(...words: readonly string[]): Promise<ServiceSpec> {
  const { api } = session();
  const asked: ServiceSpec[] = [];
  const control: SwarmApi['control'] = {
    ...api.control,
    updateService: async ({ spec }) => {
      if (spec !== undefined) asked.push(spec);
      return UpdateServiceResponse.create({ service: Service.create({ id: SERVICE_IDS.web }) });
    },
  };
  const { exitCode, stderr } = await runCli(['service', 'update', '-d', ...words], { api: { control } });
  assert.equal(exitCode, 0, stderr);
  const [spec] = asked;
  assert.ok(spec !== undefined);
  return spec;
}

describe('cli: services on networks', () => {
  it('names of networks become ids, addresses and predefined networks go as they are', async () => {
    const { run, api } = session();
    const words = 'service create -d --no-resolve-image --name x --network name=SPARE,alias=db,ip=10.0.2.9 busybox';
    const { exitCode, stderr } = await run(...words.split(' '));
    assert.equal(exitCode, 0, stderr);
    const { service } = await api.control.getService({ reference: 'x' });
    assert.deepEqual(service?.spec?.task?.networks, [
      { network: NETWORK_IDS.spare, aliases: ['db'], addresses: ['10.0.2.9'], driverOptions: {} },
    ]);
    await run('service', 'create', '-d', '--no-resolve-image', '--name', 'y', '--network', 'host', 'busybox');
    const { service: hosted } = await api.control.getService({ reference: 'y' });
    assert.equal(hosted?.spec?.task?.networks[0]?.network, 'host');
  });

  it('what cannot be joined is refused with a way out', async () => {
    const { run } = session();
    for (const networks of [['nope'], ['ingress'], ['host', 'back'], ['back', 'back'], ['name=back,ip=10.0.1.2']]) {
      const flags = networks.flatMap((network) => ['--network', network]);
      const { exitCode, stderr } = await run('service', 'create', '-d', '--no-resolve-image', ...flags, 'busybox');
      assert.equal(exitCode, 1, networks.join(' '));
      assert.match(stderr, /^Hint: /m, networks.join(' '));
    }
    const again = await run('service', 'update', '-d', '--network-add', 'name=back,alias=z', 'web');
    assert.match(again.stderr, /already attached to network name=back|already attached to network back/);
    assert.match(again.stderr, /Hint: .*--network-rm back --network-add name=back,\.\.\./);
  });

  it('a network is joined anew to change how', async () => {
    const { task } = await updated('--network-rm', 'back', '--network-add', 'name=back,alias=z', 'web');
    assert.deepEqual(
      task?.networks.map(({ network, aliases }) => [network, aliases]),
      [[NETWORK_IDS.back, ['z']]],
    );
  });

  it('ports go by their target, and by their mode where it is named', async () => {
    const targets = async (...words: readonly string[]): Promise<unknown> =>
      (await updated(...words, 'web')).endpoint?.ports.map(({ targetPort }) => targetPort).toSorted((a, b) => a - b);
    assert.deepEqual(await targets('--publish-rm', '9000'), [53, 80, 81]);
    assert.deepEqual(await targets('--publish-rm', 'mode=host,target=9000'), [53, 80, 81]);
    assert.deepEqual(await targets('--publish-rm', 'mode=ingress,target=9000'), [53, 80, 81, 9000]);
    assert.deepEqual(await targets('--publish-rm', '53'), [53, 80, 81, 9000]);
    assert.deepEqual(await targets('--publish-add', '70', '--publish-add', '71'), [53, 70, 71, 80, 81, 9000]);
  });

  it('the endpoint keeps what no flag names', async () => {
    const { endpoint } = await updated('--drain', '30s', 'web');
    assert.equal(endpoint?.drainMs, 30_000);
    assert.equal(endpoint?.ports.length, 4);
    assert.equal((await updated('--env-add', 'A=1', 'web')).endpoint?.drainMs, undefined);
  });

  it('inspect shows the addresses of the service with their prefix, and a task those of its own', async () => {
    const words = ['service', 'inspect', '--format', '{{json .Endpoint.VirtualIPs}}', 'web'];
    assert.deepEqual(JSON.parse((await runCli(words)).stdout), [
      { NetworkID: NETWORK_IDS.ingress, Addr: '10.0.0.5/24' },
      { NetworkID: NETWORK_IDS.back, Addr: '10.0.1.2/24' },
    ]);
    const task = await runCli(['task', 'inspect', '--format', '{{json .NetworksAttachments}}', 't1a']);
    assert.equal(
      task.stdout,
      `[{"Network":{"ID":"${NETWORK_IDS.back}","Version":{"Index":1},"CreatedAt":"2026-01-02T03:04:05.678Z","UpdatedAt":"2026-01-02T04:04:05.678Z",` +
        '"Spec":{"Name":"back","Labels":{"b":"","team":"a"},"DriverConfiguration":{"Name":"overlay","Options":{"encrypted":""}},"IPAMOptions":{"Driver":{"Name":"default"}},"Scope":"swarm"},' +
        '"DriverState":{"Name":"overlay","Options":{"com.docker.network.driver.overlay.vxlanid_list":"4097","encrypted":""}},' +
        '"IPAMOptions":{"Driver":{"Name":"default"},"Configs":[{"Subnet":"10.0.1.0/24","Gateway":"10.0.1.1"}]}},"Addresses":["10.0.1.7/24"]}]\n',
    );
    const named = '{{range .NetworksAttachments}}{{.Network.Spec.Name}} {{.Addresses}}{{end}}';
    assert.equal((await runCli(['task', 'inspect', '--format', named, 't1a'])).stdout, 'back [10.0.1.7/24]\n');
    const { stdout } = await runCli(['service', 'inspect', '--pretty', 'web']);
    assert.match(
      stdout,
      /^Networks: back \nEndpoint Mode:\tvip\n[^]*^Virtual IPs:\n ingress:\t10\.0\.0\.5\n back:\t10\.0\.1\.2\n/m,
    );
  });

  it('lists show the ports that the swarm chose, ranges, and the addresses they are on', async () => {
    const { run, api } = session();
    const words = [
      '-p',
      '8000-8002:90',
      '-p',
      '10.0.0.9:8003:90',
      '-p',
      '[fd00::1]:7000-7001:70-71',
      '-p',
      '10.0.0.9:54:54/udp',
      '-p',
      '91',
    ];
    const { stderr, exitCode } = await run(
      'service',
      'create',
      '-d',
      '--no-resolve-image',
      '--name',
      'x',
      ...words,
      'b',
    );
    assert.equal(exitCode, 0, stderr);
    const list = async (control = api.control): Promise<string> =>
      (await runCli(['service', 'ls', '--filter', 'name=x', '--format', '{{.Ports}}'], { api: { control } })).stdout;
    const ports = '*:8000-8002->90/tcp, 10.0.0.9:8003->90/tcp, [fd00::1]:7000-7001->70-71/tcp, 10.0.0.9:54->54/udp';
    assert.equal(await list(), `${ports}\n`);
    const withPort = async function* () {
      for await (const { services } of api.control.listServices({ names: ['x'] }))
        yield {
          services: services.map((entry) => ({
            ...entry,
            service: Service.create({
              ...entry.service,
              endpoint: {
                mode: 1,
                addresses: [],
                problem: '',
                ports: (entry.service?.spec?.endpoint?.ports ?? []).map((port) => ({
                  ...port,
                  publishedPort: port.publishedPort || 30_000,
                })),
              },
            }),
          })),
        };
    };
    assert.equal(
      await list({ ...api.control, listServices: withPort }),
      `${ports.replace(', 10', ', *:30000->91/tcp, 10')}\n`,
    );
  });
});

describe('cli: the swarm’s own network settings', () => {
  it('are asked for when they are given, and only then', async () => {
    const { run, api } = session();
    assert.equal((await run('update', '--task-history-limit', '3')).exitCode, 0);
    assert.equal((await api.control.getCluster({})).cluster?.spec?.network, undefined);
    const { exitCode, stderr } = await run('update', '--encrypt-data-path', '--withdraw-deadline', '5s');
    assert.equal(exitCode, 0, stderr);
    assert.deepEqual((await api.control.getCluster({})).cluster?.spec?.network, {
      encryptDataPath: true,
      withdrawDeadlineMs: 5000,
    });
    await run('update', '--encrypt-data-path=false');
    assert.deepEqual((await api.control.getCluster({})).cluster?.spec?.network, {
      encryptDataPath: false,
      withdrawDeadlineMs: 5000,
    });
  });
});

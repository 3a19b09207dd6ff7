/**
 * Goal: commands ask the daemon for what was meant, show what it answers, and never a stack. Method: the command line in
 * this process, with a daemon that answers by hand where the fixture's swarm does not.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import { decodeRegistryAuth } from '#common/system/registry-auth.ts';
import {
  type CreateServiceRequest,
  CreateServiceResponse,
  UpdateClusterRequest,
  UpdateClusterResponse,
} from '#gen/swarm/v1/control.ts';
import { LogMessage, LogStream, type SubscribeLogsRequest } from '#gen/swarm/v1/logs.ts';
import {
  DoctorFinding,
  DoctorOutcome,
  GetInfoResponse,
  InitSwarmRequest,
  InitSwarmResponse,
  JoinSwarmRequest,
  JoinSwarmResponse,
  LocalNodeState,
} from '#gen/swarm/v1/node.ts';
import { NodeDataPath, NodeDescription, Service } from '#gen/swarm/v1/objects.ts';
import { ExternalCa, NodeAvailability, NodeRole } from '#gen/swarm/v1/specs.ts';
import type { CallOptions } from '#proto/grpc/methods.ts';
import type { SwarmApi } from '#src/cli/api.ts';
import { fakeApi, NOW_MS, runCli } from './support/run-cli.ts';
import { NODE_IDS, SERVICE_IDS, swarmFixture } from './swarm-fixture.ts';

const PLAIN = fakeApi(swarmFixture(NOW_MS));

function withNode(node: Partial<SwarmApi['node']>): { readonly api: Partial<SwarmApi> } {
  return { api: { node: { ...PLAIN.node, ...node } } };
}

/** A daemon that fails every call with the error. */
function failing(error: Error): { readonly api: Partial<SwarmApi> } {
  const fail = (): never => {
    throw error;
  };
  return {
    api: { control: new Proxy(PLAIN.control, { get: () => fail }), node: new Proxy(PLAIN.node, { get: () => fail }) },
  };
}

describe('cli: swarm', () => {
  it('alias docker=swarm works: swarm swarm COMMAND is swarm COMMAND', async () => {
    for (const words of [['join-token', 'worker'], ['init'], ['leave'], ['join-token', '--help']])
      assert.deepEqual(await runCli(['swarm', ...words]), await runCli(words));
    const group = await runCli(['swarm', '--help']);
    assert.match(group.stdout, /^Usage: {2}swarm COMMAND\n\nManage Swarm\n\nCommands:\n {2}ca/);
  });

  it('init passes on every flag', async () => {
    let asked: InitSwarmRequest | undefined;
    const options = withNode({
      initSwarm: async (request) => {
        asked = InitSwarmRequest.create(request);
        return InitSwarmResponse.create({ nodeId: 'n', warnings: ['clock: a little late'] });
      },
    });
    const words =
      'init --listen-addr 10.0.0.1:2400 --advertise-addr eth1 --data-path-addr eth2 --data-path-port 4800 --default-addr-pool 10.1.0.0/16,10.2.0.0/16 --default-addr-pool 10.3.0.0/16 --default-addr-pool-mask-length 26 --availability drain --task-history-limit 3 --cert-expiry 48h --dispatcher-heartbeat 2s --snapshot-interval 50 --skip-preflight';
    const { exitCode, stderr } = await runCli(words.split(' '), options);
    assert.equal(exitCode, 0, stderr);
    assert.equal(stderr, 'warning: clock: a little late\n');
    assert.deepEqual(
      { ...asked, spec: undefined },
      {
        caCertPem: new Uint8Array(),
        caKeyPem: new Uint8Array(),
        listenAddress: '10.0.0.1:2400',
        advertiseAddress: 'eth1',
        dataPathAddress: 'eth2',
        dataPathPort: 4800,
        defaultAddressPools: ['10.1.0.0/16', '10.2.0.0/16', '10.3.0.0/16'],
        subnetSize: 26,
        availability: NodeAvailability.DRAIN,
        skipPreflight: true,
        forceNewCluster: false,
        spec: undefined,
      },
    );
    assert.equal(asked?.spec?.orchestration?.taskHistoryLimit, 3);
    assert.equal(asked?.spec?.ca?.nodeCertExpiryMs, 48 * 3600 * 1000);
    assert.equal(asked?.spec?.dispatcher?.heartbeatPeriodMs, 2000);
    assert.equal(asked?.spec?.log?.snapshotInterval, 50);
    const bad = await runCli(['init', '--default-addr-pool', '10.1.0.0'], options);
    assert.match(bad.stderr, /invalid string being converted to CIDR: 10\.1\.0\.0/);
  });

  it('init --force-new-cluster leaves the settings of the swarm alone', async () => {
    let asked: InitSwarmRequest | undefined;
    const options = withNode({
      initSwarm: async (request) => {
        asked = InitSwarmRequest.create(request);
        return InitSwarmResponse.create({ nodeId: 'n' });
      },
    });
    const { stdout } = await runCli(['init', '--force-new-cluster', '--advertise-addr', '10.0.0.9'], options);
    assert.match(stdout, /^Swarm initialized: current node \(n\) is now a manager\.\n/);
    assert.deepEqual([asked?.forceNewCluster, asked?.spec, asked?.advertiseAddress], [true, undefined, '10.0.0.9']);
    const { stderr, exitCode } = await runCli(['init', '--force-new-cluster', '--cert-expiry', '48h'], options);
    assert.equal(exitCode, 1);
    assert.match(stderr, /--cert-expiry and --force-new-cluster cannot be used together\nHint: /);
  });

  it('update passes on how often and how many snapshots are kept', async () => {
    const requests: UpdateClusterRequest[] = [];
    const control = {
      ...PLAIN.control,
      updateCluster: async (request: Partial<UpdateClusterRequest>) => {
        requests.push(UpdateClusterRequest.create(request));
        return Promise.resolve(UpdateClusterResponse.create({}));
      },
    };
    const words = 'update --snapshot-save-interval 6h --snapshot-save-keep 7 --max-snapshots 2 --snapshot-interval 500';
    assert.equal((await runCli(words.split(' '), { api: { control } })).stdout, 'Swarm updated.\n');
    await runCli(['update', '--snapshot-save-interval', '0s'], { api: { control } });
    const log = { snapshotInterval: 500, snapshotsKept: 2, saveIntervalMs: 6 * 3_600_000, savesKept: 7 };
    assert.deepEqual(requests[0]?.spec?.log, log);
    assert.equal(requests[1]?.spec?.log?.saveIntervalMs, 0);
  });

  it('join needs a token and says as what it joined', async () => {
    let asked: JoinSwarmRequest | undefined;
    const options = withNode({
      joinSwarm: async (request) => {
        asked = JoinSwarmRequest.create(request);
        return JoinSwarmResponse.create({ role: NodeRole.WORKER });
      },
    });
    const { stdout } = await runCli(['join', '--token', 'T', '--availability', 'pause', '10.0.0.1:2377'], options);
    assert.equal(stdout, 'This node joined a swarm as a worker.\n');
    assert.deepEqual(
      [asked?.remoteAddresses, asked?.token, asked?.availability],
      [['10.0.0.1:2377'], 'T', NodeAvailability.PAUSE],
    );
    const { stderr, exitCode } = await runCli(['join', '10.0.0.1:2377'], options);
    assert.equal(exitCode, 1);
    assert.match(stderr, /a join token is needed\nHint: run `swarm join-token worker`/);
  });

  it('update without a flag shows its help', async () => {
    const { stdout, exitCode } = await runCli(['update']);
    assert.equal(exitCode, 0);
    assert.match(stdout, /^Usage: {2}swarm update \[OPTIONS\]/);
  });
});

describe('cli: about this node', () => {
  it('info of a manager', async () => {
    const { stdout } = await runCli(['info']);
    assert.match(
      stdout,
      /^ Swarm: active\n {2}NodeID: n1alpha[^]*\n {2}Is Manager: true\n {2}ClusterID: c1[^]*\n {2}Managers: 1\n {2}Nodes: 3\n/m,
    );
    assert.match(
      stdout,
      /^ {2}Raft:\n {3}Snapshot Interval: 10000\n {3}Number of Old Snapshots to Retain: 0\n {3}Heartbeat Tick: 1\n {3}Election Tick: 10\n {2}Dispatcher:$/m,
    );
    assert.match(stdout, /^ {3}Heartbeat Period: 1 second$/m);
    assert.match(stdout, /^ {3}Expiry Duration: 3 months$/m);
    assert.match(stdout, /^ {2}Node Address: 10\.0\.0\.1\n {2}Manager Addresses:\n {3}10\.0\.0\.1:2377$/m);
    assert.equal(
      (await runCli(['info', '--format', '{{.Swarm.LocalNodeState}} {{.Swarm.Nodes}}'])).stdout,
      'active 3\n',
    );
    const json = JSON.parse((await runCli(['system', 'info', '-o', 'json'])).stdout) as { Swarm: { NodeID: string } };
    assert.equal(json.Swarm.NodeID, NODE_IDS.alpha);
  });

  it('info names the authorities outside of the swarm that sign for it', async () => {
    const { cluster } = await PLAIN.control.getCluster({});
    assert.ok(cluster?.spec !== undefined);
    const ca = { nodeCertExpiryMs: undefined, externalCas: [ExternalCa.create({ url: 'https://ca.example/sign' })] };
    const active = GetInfoResponse.create({
      state: LocalNodeState.ACTIVE,
      role: NodeRole.MANAGER,
      cluster: { ...cluster, spec: { ...cluster.spec, ca } },
    });
    const { stdout } = await runCli(['info'], withNode({ getInfo: async () => active }));
    assert.match(stdout, /^ {3}External CAs:\n {5}cfssl: https:\/\/ca\.example\/sign\n {2}Autolock Managers/m);
    assert.doesNotMatch((await runCli(['info'])).stdout, /External CAs/);
  });

  it('info has the drivers of networks, and where packets to other nodes leave the node', async () => {
    const dataPath = NodeDataPath.create({ address: '192.168.0.1', mtu: 1500, encryptionProblem: 'no WireGuard' });
    const active = GetInfoResponse.create({
      state: LocalNodeState.ACTIVE,
      description: NodeDescription.create({ dataPath }),
    });
    const { stdout } = await runCli(['info'], withNode({ getInfo: async () => active }));
    assert.match(stdout, /^ Plugins:\n {2}Volume: local\n {2}Network: bridge host ipvlan macvlan null overlay\n/m);
    assert.match(
      stdout,
      /^ {2}Data Path Address: 192\.168\.0\.1 \(MTU 1500\)\n {2}Data Path Encryption: not possible: no WireGuard$/m,
    );
    assert.doesNotMatch(stdout, /Node Address/, 'the fixture advertises none');
    assert.doesNotMatch((await runCli(['info'])).stdout, /Data Path Address/);
    const json = await runCli(['info', '--format', '{{join .Plugins.Network ","}}']);
    assert.equal(json.stdout, 'bridge,host,ipvlan,macvlan,null,overlay\n');
  });

  it('info of a node in no swarm, with warnings', async () => {
    const inactive = GetInfoResponse.create({ state: LocalNodeState.INACTIVE, warnings: ['no swap accounting'] });
    const { stdout, stderr } = await runCli(['info'], withNode({ getInfo: async () => inactive }));
    assert.match(stdout, /^ Swarm: inactive\n Runtimes:/m);
    assert.equal(stderr, 'WARNING: no swap accounting\n');
  });

  it('version shows the client also without a daemon, and fails', async () => {
    const unreachable = new SwarmError({
      code: 'unavailable',
      reason: 'daemon-unreachable',
      message: 'cannot reach swarmd at /x',
      hint: 'start it',
    });
    const { stdout, stderr, exitCode } = await runCli(['version'], failing(unreachable));
    assert.equal(exitCode, 1);
    assert.match(stdout, /^Client: Starling\n Version: {11}\d/);
    assert.doesNotMatch(stdout, /Server/);
    assert.equal(stderr, 'cannot reach swarmd at /x\nHint: start it\n');
    assert.match((await runCli(['version', '--format', '{{.Server.Version}}'])).stdout, /^\d+\.\d+\.\d+\n$/);
    assert.match((await runCli(['--version'])).stdout, /^Starling version \d+\.\d+\.\d+\n$/);
  });

  it('doctor fails when a check fails', async () => {
    const findings = [
      DoctorFinding.create({ check: 'clock', outcome: DoctorOutcome.FAIL, message: 'an hour late', hint: 'run ntp' }),
    ];
    const options = withNode({ runDoctor: async () => ({ findings }) });
    const { stdout, exitCode } = await runCli(['doctor'], options);
    assert.equal(exitCode, 1);
    assert.match(stdout, /clock +FAIL +an hour late/);
    const json = await runCli(['doctor', '--format', 'json'], options);
    assert.deepEqual(JSON.parse(json.stdout), [
      { check: 'clock', outcome: 'fail', message: 'an hour late', hint: 'run ntp' },
    ]);
    assert.equal((await runCli(['doctor'])).exitCode, 0);
  });
});

describe('cli: services', () => {
  it('one JSON document with -o json', async () => {
    const { stdout } = await runCli(['service', 'ls', '-o', 'json']);
    assert.deepEqual(
      (JSON.parse(stdout) as { Name: string }[]).map((service) => service.Name),
      ['api2', 'api10', 'capable', 'web'],
    );
    assert.deepEqual(JSON.parse((await runCli(['service', 'ls', '--filter', 'name=none', '-o', 'json'])).stdout), []);
  });

  it('one form of output at a time', async () => {
    for (const words of [
      ['service', 'ls', '-q'],
      ['node', 'ls', '--format', 'json'],
      ['service', 'inspect', '--pretty', 'web'],
    ]) {
      const { stderr, exitCode } = await runCli([...words, '-o', 'json']);
      assert.equal(exitCode, 1, words.join(' '));
      assert.match(stderr, /^--output and --\w+ cannot be used together\n/, words.join(' '));
    }
  });

  it('without a name get one', async () => {
    const { stdout, exitCode } = await runCli(['service', 'create', '-d', '--no-resolve-image', 'busybox']);
    assert.equal(exitCode, 0);
    assert.match(stdout, /^[0-9a-z]{25}\n$/);
  });

  it('refuse flags of things that are not here, one by one', async () => {
    for (const flag of ['--credential-spec=file://x', '--isolation=process']) {
      const { exitCode, stderr } = await runCli(['service', 'create', flag, 'busybox']);
      assert.equal(exitCode, 125, flag);
      assert.match(stderr, new RegExp(`^${flag.split('=')[0]} is not supported: `), flag);
      assert.match(stderr, /^Hint: /m, flag);
    }
  });

  it('show warnings of the daemon, and go on', async () => {
    const control = {
      ...PLAIN.control,
      createService: async () => {
        const { service } = await PLAIN.control.getService({ reference: 'web' });
        return CreateServiceResponse.create({ service, warnings: ['image x was not pinned'] });
      },
    };
    const { stdout, stderr } = await runCli(['service', 'create', '-d', '--name', 'x', 'x'], { api: { control } });
    assert.equal(stderr, 'image x was not pinned\n');
    assert.equal(stdout, `${SERVICE_IDS.web}\n`);
  });
});

describe('cli: registry logins', () => {
  it('go with the service where that is asked for, and only then', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'docker-config-'));
    const auth = Buffer.from('user:secret').toString('base64');
    await writeFile(join(directory, 'config.json'), JSON.stringify({ auths: { 'registry.example.com': { auth } } }));
    const asked: (string | undefined)[] = [];
    const createService = async ({ spec }: Partial<CreateServiceRequest>) => {
      asked.push(spec?.task?.container?.registryAuth);
      return CreateServiceResponse.create({ service: Service.create({ id: 'x' }) });
    };
    const control = { ...PLAIN.control, createService } as SwarmApi['control'];
    const words = ['--config', directory, 'service', 'create', '-d'];
    await runCli([...words, '--with-registry-auth', 'registry.example.com/app'], { api: { control } });
    await runCli([...words, '--with-registry-auth', 'other.example.com/app'], { api: { control } });
    await runCli([...words, 'registry.example.com/app'], { api: { control } });
    await writeFile(join(directory, 'config.json'), '{');
    const broken = await runCli([...words, '--with-registry-auth', 'x'], { api: { control } });
    await rm(directory, { recursive: true });
    assert.deepEqual(
      asked.map((text) => decodeRegistryAuth(text ?? '')?.password),
      ['secret', undefined, undefined],
    );
    assert.match(broken.stderr, /^[^\n]*config\.json is not JSON\nHint: /);
  });
});

describe('cli: logs', () => {
  const message = (line: string, more: Partial<LogMessage> = {}) =>
    LogMessage.create({
      taskId: 't1a'.padEnd(25, 'a'),
      serviceId: SERVICE_IDS.web,
      nodeId: NODE_IDS.alpha,
      timestampUs: NOW_MS * 1000,
      stream: LogStream.STDOUT,
      data: Buffer.from(line),
      ...more,
    });

  function withLogs(
    messages: readonly LogMessage[],
    asked: Partial<SubscribeLogsRequest>[] = [],
  ): { readonly api: Partial<SwarmApi> } {
    const subscribeLogs = async function* (request: Partial<SubscribeLogsRequest>) {
      asked.push(request);
      yield { messages, warnings: ['node gamma does not answer'] };
    };
    return { api: { logs: { subscribeLogs } } };
  }

  it('name task and node before every line, each on its stream', async () => {
    const error = message('oops', { stream: LogStream.STDERR });
    const { stdout, stderr } = await runCli(['service', 'logs', 'web'], withLogs([message('hello'), error]));
    assert.equal(stdout, 'web.1.t1aaaaaaaaaa@alpha    | hello\n');
    assert.equal(stderr, 'warning: node gamma does not answer\nweb.1.t1aaaaaaaaaa@alpha    | oops\n');
  });

  it('take Docker’s flags', async () => {
    const asked: Partial<SubscribeLogsRequest>[] = [];
    const options = withLogs([message('x')], asked);
    const out = async (...flags: readonly string[]) =>
      (await runCli(['service', 'logs', ...flags, 'web'], options)).stdout;
    assert.equal(await out('--raw'), 'x\n');
    assert.equal(await out('--no-task-ids'), 'web.1@alpha    | x\n');
    assert.equal(
      await out('--no-resolve', '--no-trunc'),
      `${SERVICE_IDS.web}.1.${'t1a'.padEnd(25, 'a')}@${NODE_IDS.alpha}    | x\n`,
    );
    assert.equal(await out('-t', '--raw'), '2026-06-06T07:08:09.000000000Z x\n');
    await out('--tail', '5', '--since', '1h', '--follow');
    const { options: last, selector } = asked.at(-1) as SubscribeLogsRequest;
    assert.deepEqual([last?.tail, last?.follow, last?.sinceUs], [5, true, (NOW_MS - 3_600_000) * 1000]);
    assert.deepEqual(selector?.serviceIds, [SERVICE_IDS.web]);
    assert.equal((asked[0] as SubscribeLogsRequest).options?.tail, -1);
  });

  it('of a task that is gone show its ids', async () => {
    const gone = message('x', { taskId: 'gone'.padEnd(25, 'x') });
    const { stdout } = await runCli(['service', 'logs', 'web'], withLogs([gone]));
    assert.equal(stdout, `${SERVICE_IDS.web}.0.gonexxxxxxxx@${NODE_IDS.alpha}    | x\n`);
  });

  it('end with the code of an interruption when they are followed until Ctrl-C', async () => {
    let interrupt = (): void => {};
    const subscribeLogs = async function* (_request: unknown, options?: CallOptions) {
      yield { messages: [message('first')], warnings: [] };
      interrupt();
      await Promise.resolve();
      options?.signal?.throwIfAborted();
    };
    const { stdout, stderr, exitCode } = await runCli(['service', 'logs', '--follow', '--raw', 'web'], {
      api: { logs: { subscribeLogs } },
      onInterrupt: (callback) => {
        interrupt = callback;
        return () => {};
      },
    });
    assert.deepEqual([stdout, stderr, exitCode], ['first\n', '', 130]);
  });

  it('of a task by its id', async () => {
    const asked: Partial<SubscribeLogsRequest>[] = [];
    await runCli(['service', 'logs', 't4d'], withLogs([], asked));
    assert.deepEqual(asked[0]?.selector?.taskIds, ['t4d'.padEnd(25, 'd')]);
  });
});

describe('cli: errors', () => {
  it('of the daemon have its words, the way out, and no stack', async () => {
    const error = new SwarmError({
      code: 'exhausted',
      reason: 'disk-full',
      message: 'the disk is full',
      hint: 'make room',
      cause: new Error('ENOSPC'),
    });
    const { stderr, stdout, exitCode } = await runCli(['service', 'ls'], failing(error));
    assert.deepEqual(
      [stdout, stderr, exitCode],
      ['', 'Error response from daemon: the disk is full\nHint: make room\n', 1],
    );
  });

  it('that are defects have no stack either, unless asked for', async () => {
    const { stderr, exitCode } = await runCli(['service', 'ls'], failing(new TypeError('x is not a function')));
    assert.equal(exitCode, 1);
    assert.match(stderr, /^Error: x is not a function\nHint: .*--debug/);
    assert.doesNotMatch(stderr, /\n {4}at /);
    const debug = await runCli(['--debug', 'service', 'ls'], failing(new TypeError('x is not a function')));
    assert.match(debug.stderr, /^Debug: TypeError: x is not a function\n {4}at /m);
  });

  it('name what Docker has and this release has not', async () => {
    for (const words of [
      ['compose', 'up'],
      ['exec', '-it', 'x'],
      ['push', 'x'],
    ]) {
      const { stderr, exitCode } = await runCli(words);
      assert.equal(exitCode, 1);
      assert.match(stderr, /^swarm: 'swarm [^']+' is not part of this release: .+\nHint: .+\n$/, words.join(' '));
    }
  });

  it('of other hosts than this one are refused', async () => {
    for (const host of ['tcp://10.0.0.1:2375', 'ssh://host', 'relative/path'])
      assert.equal((await runCli(['-H', host, 'service', 'ls'])).exitCode, 125, host);
    const { stderr } = await runCli(['service', 'ls'], { variables: { STARLING_SOCKET: 'tcp://x' } });
    assert.match(stderr, /STARLING_SOCKET=tcp:\/\/x: only the socket of this machine/);
  });

  it('suggest the command that was meant', async () => {
    assert.match((await runCli(['servce', 'ls'])).stderr, /Did you mean this\?\n\tservice\n/);
    assert.match(
      (await runCli(['service', 'create', '--replica', '3', 'x'])).stderr,
      /Hint: did you mean --replicas\?/,
    );
  });
});

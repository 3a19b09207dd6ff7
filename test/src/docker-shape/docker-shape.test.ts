/**
 * Goal: our objects in Docker's JSON as Docker's clients expect it: key order, what is left out when empty, defaults
 * filled in, times and byte strings in Go's notation. Method: examples; every enum of the contract has a Docker name.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { TaskView } from '#gen/swarm/v1/control.ts';
import { GetInfoResponse, LocalNodeState } from '#gen/swarm/v1/node.ts';
import {
  Cluster,
  ContainerStatus,
  Node,
  RootCa,
  Service,
  Task,
  TaskState,
  TaskStatus,
  UpdateState,
  UpdateStatus,
} from '#gen/swarm/v1/objects.ts';
import {
  BindOptions,
  ContainerSpec,
  Mount,
  MountPropagation,
  MountType,
  NodeRole,
  ServiceSpec,
  TaskSpec,
  TmpfsOptions,
  VolumeOptions,
} from '#gen/swarm/v1/specs.ts';
import { byBytes, encodeJson, timestamp } from '#src/docker-shape/encode-json.ts';
import { swarmInfoShape, systemInfoShape, withoutPort } from '#src/docker-shape/from-info.ts';
import { clusterShape, nodeShape, serviceShape, TASK_STATES, taskShape } from '#src/docker-shape/from-objects.ts';
import { BOOL, BYTES, INT, list, pointer, STRING, STRING_MAP, struct, TIME } from '#src/docker-shape/go-types.ts';
import { CLUSTER_INFO, NODE, SERVICE, SWARM_INFO, SYSTEM_INFO, TASK } from '#src/docker-shape/swarm-types.ts';

describe('docker-shape: JSON', () => {
  it('times have as many decimals as they need', () => {
    assert.equal(timestamp(Date.UTC(2026, 0, 2, 3, 4, 5)), '2026-01-02T03:04:05Z');
    assert.equal(timestamp(Date.UTC(2026, 0, 2, 3, 4, 50, 60)), '2026-01-02T03:04:50.06Z');
    assert.equal(timestamp(undefined), '0001-01-01T00:00:00Z');
  });

  it('empty fields are left out where Go leaves them out', () => {
    const inner = struct('t.Inner', { 'A?': INT, B: INT });
    const type = struct('t.Outer', {
      '...Inner': inner,
      'Text?': STRING,
      'Other=other': STRING,
      'Flag?': BOOL,
      'List?': list(STRING),
      All: list(STRING),
      'Map?': STRING_MAP,
      'Pointer?': pointer(inner),
      'Zero?': pointer(INT),
      'At?': TIME,
      'Bytes?': BYTES,
    });
    assert.equal(encodeJson(type, {}), '{"B":0,"other":"","All":null,"At":"0001-01-01T00:00:00Z"}');
    const data = {
      A: 1,
      Text: 'x',
      Flag: true,
      List: [],
      All: [],
      Map: { b: '1', a: '2' },
      Pointer: {},
      Zero: 0,
      Bytes: new Uint8Array([1, 2]),
    };
    assert.equal(
      encodeJson(type, data),
      '{"A":1,"B":0,"Text":"x","other":"","Flag":true,"All":[],"Map":{"a":"2","b":"1"},"Pointer":{"B":0},"Zero":0,"At":"0001-01-01T00:00:00Z","Bytes":"AQI="}',
    );
  });

  it('texts are escaped as Go escapes them', () => {
    assert.equal(encodeJson(STRING, '<a&b>\u2028"\\\n\u0001'), '"\\u003ca\\u0026b\\u003e\\u2028\\"\\\\\\n\\u0001"');
    assert.equal(encodeJson(STRING, '<\u2029>', { escapeHtml: false }), '"<\\u2029>"');
    assert.equal(encodeJson(STRING, 'a\ud800b'), '"a\ufffdb"');
  });

  it('is always JSON, and keys like numbers or __proto__ are only keys', () => {
    const anything = fc.dictionary(fc.string(), fc.jsonValue());
    fc.assert(
      fc.property(anything, (value) => {
        assert.deepEqual(JSON.parse(encodeJson({ kind: 'any' }, value)), JSON.parse(JSON.stringify(value)));
      }),
    );
    assert.equal(encodeJson(STRING_MAP, { 10: 'a', 9: 'b', ['__proto__']: 'c' }), '{"10":"a","9":"b","__proto__":"c"}');
  });

  it('keys are sorted by their bytes', () => {
    assert.deepEqual(['b', 'a', '\uffff', '😀', 'B', ''].toSorted(byBytes), ['', 'B', 'a', 'b', '\uffff', '😀']);
  });
});

/** Fields of Docker's JSON that are looked at alone. */
interface Shape {
  readonly Spec: { readonly TaskTemplate: { readonly ContainerSpec: { readonly Mounts: unknown } } };
  readonly UpdateStatus: unknown;
  readonly ServiceStatus: unknown;
  readonly Status: unknown;
  readonly DesiredState: unknown;
}

function shape(text: string): Shape {
  return JSON.parse(text) as Shape;
}

describe('docker-shape: objects', () => {
  it('a service shows the defaults that its spec leaves out', () => {
    const spec = ServiceSpec.create({
      name: 'web',
      mode: { kind: 'replicated', value: { replicas: 2 } },
      task: TaskSpec.create({ container: ContainerSpec.create({ image: 'x' }) }),
    });
    const service = Service.create({ id: 's', version: 7, createdAtMs: 1000, updatedAtMs: 2000, spec });
    assert.equal(
      encodeJson(SERVICE, serviceShape(service, undefined)),
      '{"ID":"s","Version":{"Index":7},"CreatedAt":"1970-01-01T00:00:01Z","UpdatedAt":"1970-01-01T00:00:02Z","Spec":{"Name":"web","Labels":{},' +
        '"TaskTemplate":{"ContainerSpec":{"Image":"x","StopGracePeriod":10000000000,"DNSConfig":{},"Isolation":"default"},"Resources":{"Limits":{},"Reservations":{}},' +
        '"RestartPolicy":{"Condition":"any","Delay":5000000000,"MaxAttempts":0},"Placement":{},"ForceUpdate":0,"Runtime":"container"},"Mode":{"Replicated":{"Replicas":2}},' +
        '"UpdateConfig":{"Parallelism":1,"FailureAction":"pause","Monitor":5000000000,"MaxFailureRatio":0,"Order":"stop-first"},' +
        '"RollbackConfig":{"Parallelism":1,"FailureAction":"pause","Monitor":5000000000,"MaxFailureRatio":0,"Order":"stop-first"},"EndpointSpec":{"Mode":"vip"}},"Endpoint":{"Spec":{}}}',
    );
  });

  it('mounts of every type', () => {
    const mounts = [
      Mount.create({
        type: MountType.BIND,
        source: '/a',
        target: '/b',
        bind: BindOptions.create({ propagation: MountPropagation.RSLAVE, nonRecursive: true, createSource: true }),
      }),
      Mount.create({
        type: MountType.VOLUME,
        source: 'v',
        target: '/v',
        volume: VolumeOptions.create({ noCopy: true, labels: { a: 'b' }, driver: 'local', driverOptions: { o: 'p' } }),
      }),
      Mount.create({ type: MountType.TMPFS, target: '/t', tmpfs: TmpfsOptions.create({ sizeBytes: 5, mode: 0o700 }) }),
    ];
    const spec = ServiceSpec.create({ task: TaskSpec.create({ container: ContainerSpec.create({ mounts }) }) });
    const { Spec } = shape(encodeJson(SERVICE, serviceShape(Service.create({ spec }), undefined)));
    assert.deepEqual(Spec.TaskTemplate.ContainerSpec.Mounts, [
      {
        Type: 'bind',
        Source: '/a',
        Target: '/b',
        BindOptions: { Propagation: 'rslave', NonRecursive: true, CreateMountpoint: true },
      },
      {
        Type: 'volume',
        Source: 'v',
        Target: '/v',
        VolumeOptions: { NoCopy: true, Labels: { a: 'b' }, DriverConfig: { Name: 'local', Options: { o: 'p' } } },
      },
      { Type: 'tmpfs', Target: '/t', TmpfsOptions: { SizeBytes: 5, Mode: 448 } },
    ]);
  });

  it('an update that runs, and counts', () => {
    const updateStatus = UpdateStatus.create({
      state: UpdateState.UPDATING,
      startedAtMs: 1000,
      message: 'update in progress',
    });
    const service = Service.create({ id: 's', updateStatus });
    const json = shape(encodeJson(SERVICE, serviceShape(service, { running: 1, desired: 2 })));
    assert.deepEqual(json.UpdateStatus, {
      State: 'updating',
      StartedAt: '1970-01-01T00:00:01Z',
      Message: 'update in progress',
    });
    assert.deepEqual(json.ServiceStatus, { RunningTasks: 1, DesiredTasks: 2, CompletedTasks: 0 });
  });

  it('a task with its container', () => {
    const status = TaskStatus.create({
      state: TaskState.FAILED,
      timestampMs: 5,
      message: 'started',
      error: 'oom',
      container: ContainerStatus.create({ containerId: 'c', pid: 1, exitCode: 137, oomKilled: true }),
    });
    const task = Task.create({ id: 't', slot: 2, nodeId: 'n', desiredState: TaskState.SHUTDOWN, status });
    const json = shape(encodeJson(TASK, taskShape(TaskView.create({ task }))));
    assert.deepEqual(json.Status, {
      Timestamp: '1970-01-01T00:00:00.005Z',
      State: 'failed',
      Message: 'started',
      Err: 'oom',
      ContainerStatus: { ContainerID: 'c', PID: 1, ExitCode: 137 },
      PortStatus: {},
    });
    assert.equal(json.DesiredState, 'shutdown');
  });

  it('every state of a task has the name that Docker gives it', () => {
    for (const [name, state] of Object.entries(TaskState))
      if (name !== 'UNSPECIFIED') assert.equal(TASK_STATES[state], name.toLowerCase());
  });

  it('objects without anything are shown too', () => {
    for (const text of [
      encodeJson(NODE, nodeShape(Node.create({ id: 'n' }))),
      encodeJson(SERVICE, serviceShape(Service.create({ id: 's' }), undefined)),
      encodeJson(TASK, taskShape(TaskView.create({ task: Task.create({ id: 't' }) }))),
      encodeJson(CLUSTER_INFO, clusterShape(Cluster.create({ id: 'c' }))),
      encodeJson(SWARM_INFO, swarmInfoShape(GetInfoResponse.create())),
      encodeJson(SYSTEM_INFO, systemInfoShape(GetInfoResponse.create())),
    ])
      assert.equal(typeof JSON.parse(text), 'object');
  });

  it('keys and tokens are never in it', () => {
    const cluster = Cluster.create({
      id: 'c',
      rootCa: RootCa.create({
        keyPem: Buffer.from('SECRETKEY'),
        certificatePem: Buffer.from('CERT'),
        joinTokens: { worker: 'SECRETTOKEN', manager: 'SECRETTOKEN' },
      }),
    });
    const info = GetInfoResponse.create({ state: LocalNodeState.ACTIVE, role: NodeRole.MANAGER, cluster });
    const container = ContainerSpec.create({ image: 'x', registryAuth: 'SECRETAUTH' });
    const service = Service.create({ spec: ServiceSpec.create({ task: TaskSpec.create({ container }) }) });
    const all = [
      encodeJson(CLUSTER_INFO, clusterShape(cluster)),
      encodeJson(SYSTEM_INFO, systemInfoShape(info)),
      encodeJson(SERVICE, serviceShape(service, undefined)),
    ];
    assert.doesNotMatch(all.join(), /SECRET/);
    assert.match(all.join(), /CERT/);
  });

  it('addresses lose their port', () => {
    assert.equal(withoutPort('10.0.0.1:2377'), '10.0.0.1');
    assert.equal(withoutPort('[fd00::1]:2377'), 'fd00::1');
    assert.equal(withoutPort('fd00::1'), 'fd00::1');
    assert.equal(withoutPort('10.0.0.1'), '10.0.0.1');
  });
});

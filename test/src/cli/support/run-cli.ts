/** The command line in this process: captured output, a clock by hand, the fixture's swarm behind it. */

import { ManualClock } from '#common/clock.ts';
import { AuditService } from '#gen/swarm/v1/audit.ts';
import {
  ClientService,
  CreateClientRequest,
  GetClientRequest,
  ListClientsRequest,
  RenewClientRequest,
  RevokeClientRequest,
} from '#gen/swarm/v1/clients.ts';
import {
  ContainerService,
  GetContainerRequest,
  RemoveContainerRequest,
  RunContainerRequest,
  StopContainerRequest,
} from '#gen/swarm/v1/containers.ts';
import { ControlService } from '#gen/swarm/v1/control.ts';
import { CheckNetworksResponse, DoctorService, NetworkCheckSummary } from '#gen/swarm/v1/doctor.ts';
import { EventService } from '#gen/swarm/v1/events.ts';
import { ImageService } from '#gen/swarm/v1/images.ts';
import { JobService, RunJobRequest, StopJobRequest } from '#gen/swarm/v1/jobs.ts';
import { LogsService } from '#gen/swarm/v1/logs.ts';
import {
  GetInfoResponse,
  InitSwarmResponse,
  JoinSwarmResponse,
  LocalNodeState,
  type NodeService,
  UnlockSwarmResponse,
} from '#gen/swarm/v1/node.ts';
import { RebalanceRequest, RebalanceService } from '#gen/swarm/v1/rebalance.ts';
import {
  AbortRolloutRequest,
  PauseRolloutRequest,
  PromoteRolloutRequest,
  ResumeRolloutRequest,
  RollbackServiceRequest,
  RolloutService,
} from '#gen/swarm/v1/rollouts.ts';
import { LeaveNodesBehindRequest, RootCaService, RotateRootCaRequest } from '#gen/swarm/v1/rootca.ts';
import { SecretService } from '#gen/swarm/v1/secrets.ts';
import { SnapshotService } from '#gen/swarm/v1/snapshot.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import {
  DeployStackRequest,
  GetStackRequest,
  ListStacksRequest,
  RemoveStackRequest,
  StackService,
} from '#gen/swarm/v1/stacks.ts';
import { UnlockKeyService } from '#gen/swarm/v1/unlock.ts';
import { VolumeService } from '#gen/swarm/v1/volumes.ts';
import type { ControlApi } from '#manager/control/index.ts';
import type { ServiceDefinition } from '#proto/codec.ts';
import type { Client } from '#proto/grpc/methods.ts';
import type { SwarmApi } from '#src/cli/api.ts';
import type { CliEnvironment } from '#src/cli/environment.ts';
import { runCommandLine } from '#src/cli/run.ts';
import { leaveRefusal } from '../docker-reference/fake-engine.ts';
import { CLUSTER, NODE_IDS, PEERS, swarmFixture } from '../swarm-fixture.ts';

export interface CliResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

export interface CliOptions {
  readonly api?: Partial<SwarmApi>;
  readonly clock?: ManualClock;
  readonly variables?: Readonly<Record<string, string | undefined>>;
  /** Columns of a terminal on standard output; none when left out. */
  readonly columns?: number;
  readonly onInterrupt?: CliEnvironment['onInterrupt'];
  /** Nothing when left out. */
  readonly stdin?: Iterable<Uint8Array>;
}

export const NOW_MS = Date.UTC(2026, 5, 6, 7, 8, 9);

/** Runs the words after the program's name. */
export async function runCli(words: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const clock = options.clock ?? new ManualClock(NOW_MS);
  const output = { stdout: '', stderr: '' };
  const stream = (name: 'stdout' | 'stderr') => ({
    write: (text: string | Uint8Array) => {
      output[name] += typeof text === 'string' ? text : new TextDecoder().decode(text);
    },
    isTerminal: options.columns !== undefined,
    columns: options.columns,
  });
  const environment: CliEnvironment = {
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    stdin: {
      isTerminal: false,
      chunks: async function* () {
        yield* options.stdin ?? [];
      },
    },
    variables: options.variables ?? { HOME: '/nonexistent' },
    clock,
    onInterrupt: options.onInterrupt ?? (() => () => {}),
  };
  const exitCode = await runCommandLine(words, {
    environment,
    connect: async () => ({ ...fakeApi(swarmFixture(clock.now())), ...options.api }),
  });
  return { ...output, exitCode };
}

/** A client with these methods. To call another is a mistake, of the test or of what it tests. */
export function scriptedClient<S extends ServiceDefinition>(service: S, methods: Partial<Client<S>>): Client<S> {
  const unexpected = Object.keys(service).map((name) => [
    name,
    () => {
      throw new Error(`the test has no ${name}`);
    },
  ]);
  // All names of the service are there, which the compiler does not see.
  return { ...Object.fromEntries(unexpected), ...methods } as Client<S>;
}

/** The methods of the control service on the API itself, without a connection. */
export function controlClient(control: ControlApi): SwarmApi['control'] {
  const caller = { author: 'test' };
  // By their names in the contract, which are those of the API.
  const methods = control as unknown as Record<string, (caller: object, request: object) => unknown>;
  const called = Object.entries(ControlService).map(([name, { request }]) => [
    name,
    (init: object) => methods[name]?.call(control, caller, request.create(init)),
  ]);
  return scriptedClient(ControlService, Object.fromEntries(called));
}

/** The same for stacks. */
function stacksClient({ stacks }: ControlApi): SwarmApi['stacks'] {
  const caller = { author: 'test' };
  return scriptedClient(StackService, {
    deployStack: async (request) => stacks.deployStack(caller, DeployStackRequest.create(request)),
    getStack: async (request) => stacks.getStack(caller, GetStackRequest.create(request)),
    listStacks: (request) => stacks.listStacks(caller, ListStacksRequest.create(request)),
    removeStack: async (request) => stacks.removeStack(caller, RemoveStackRequest.create(request)),
  });
}

/** The same for secrets and configs. */
function secretsClient({ payloads }: ControlApi): SwarmApi['secrets'] {
  const caller = { author: 'test' };
  // By their names in the contract, which are those of the API: a class has no index, so the compiler takes no other way.
  const methods = payloads as unknown as Record<string, (caller: object, request: object) => unknown>;
  const called = Object.entries(SecretService).map(([name, { request }]) => [
    name,
    (init: object) => methods[name]?.call(payloads, caller, request.create(init)),
  ]);
  return scriptedClient(SecretService, Object.fromEntries(called));
}

/** The same for moving tasks. */
function rebalanceClient({ rebalancing }: ControlApi): SwarmApi['rebalance'] {
  const caller = { author: 'test' };
  return scriptedClient(RebalanceService, {
    rebalance: async (request) => rebalancing.rebalance(caller, RebalanceRequest.create(request)),
  });
}

/** The same for the steering of updates. */
function rolloutsClient({ rollouts }: ControlApi): SwarmApi['rollouts'] {
  const caller = { author: 'test' };
  return scriptedClient(RolloutService, {
    pauseRollout: async (request) => rollouts.pause(caller, PauseRolloutRequest.create(request)),
    resumeRollout: async (request) => rollouts.resume(caller, ResumeRolloutRequest.create(request)),
    abortRollout: async (request) => rollouts.abort(caller, AbortRolloutRequest.create(request)),
    promoteRollout: async (request) => rollouts.promote(caller, PromoteRolloutRequest.create(request)),
    rollbackService: async (request) => rollouts.rollback(caller, RollbackServiceRequest.create(request)),
  });
}

/** The same for containers of `swarm run`, whose output and end nobody tells. */
function containersClient(control: ControlApi): SwarmApi['containers'] {
  const caller = { author: 'local', nodeId: NODE_IDS.alpha, seesAll: true };
  return scriptedClient(ContainerService, {
    runContainer: async (request) => control.runContainer(caller, RunContainerRequest.create(request)),
    getContainer: async (request) => control.getContainer(caller, GetContainerRequest.create(request)),
    listContainers: () => control.listContainers(caller),
    stopContainer: async (request) => control.stopContainer(caller, StopContainerRequest.create(request)),
    removeContainer: async (request) => control.removeContainer(caller, RemoveContainerRequest.create(request)),
  });
}

function jobsClient({ jobs }: ControlApi): SwarmApi['jobs'] {
  const caller = { author: 'local' };
  return scriptedClient(JobService, {
    runJob: async (request) => jobs.run(caller, RunJobRequest.create(request)),
    stopJob: async (request) => jobs.stop(caller, StopJobRequest.create(request)),
  });
}

/** The same for clients. */
function clientsClient({ clients }: ControlApi): SwarmApi['clients'] {
  const caller = { author: 'test' };
  return scriptedClient(ClientService, {
    createClient: async (request) => clients.create(caller, CreateClientRequest.create(request)),
    getClient: async (request) => clients.get(caller, GetClientRequest.create(request)),
    listClients: (request) => clients.list(caller, ListClientsRequest.create(request)),
    renewClient: async (request) => clients.renew(caller, RenewClientRequest.create(request)),
    revokeClient: async (request) => clients.revoke(caller, RevokeClientRequest.create(request)),
  });
}

/** The same for the key that unlocks managers. */
function unlockKeyClient({ unlockKeys }: ControlApi): SwarmApi['unlockKey'] {
  const caller = { author: 'test' };
  return scriptedClient(UnlockKeyService, {
    getUnlockKey: async () => unlockKeys.get(caller),
    rotateUnlockKey: async () => unlockKeys.rotate(caller),
  });
}

/** The same for the root. */
function rootCaClient({ rootCa }: ControlApi): SwarmApi['rootCa'] {
  const caller = { author: 'test' };
  return scriptedClient(RootCaService, {
    getRootCa: async () => rootCa.get(caller),
    rotateRootCa: async (request) => rootCa.rotate(caller, RotateRootCaRequest.create(request)),
    leaveNodesBehind: async (request) => rootCa.leaveBehind(caller, LeaveNodesBehindRequest.create(request)),
  });
}

export function fakeApi(control: ControlApi): SwarmApi {
  return {
    target: { kind: 'socket', name: '/run/test.sock' },
    control: controlClient(control),
    audit: scriptedClient(AuditService, {}),
    events: scriptedClient(EventService, {}),
    clients: clientsClient(control),
    rebalance: rebalanceClient(control),
    rollouts: rolloutsClient(control),
    rootCa: rootCaClient(control),
    unlockKey: unlockKeyClient(control),
    jobs: jobsClient(control),
    volumes: scriptedClient(VolumeService, {}),
    stacks: stacksClient(control),
    containers: containersClient(control),
    secrets: secretsClient(control),
    node: NODE,
    doctor: scriptedClient(DoctorService, {
      checkNetworks: async function* () {
        yield CheckNetworksResponse.create({ summary: NetworkCheckSummary.create({}) });
      },
    }),
    logs: scriptedClient(LogsService, {}),
    images: scriptedClient(ImageService, {}),
    snapshots: scriptedClient(SnapshotService, {}),
    close() {},
  };
}

const NODE: Client<typeof NodeService> = {
  getInfo: async () =>
    GetInfoResponse.create({
      version: '0.1.0',
      nodeVersion: 'v24.21.0',
      nodeId: NODE_IDS.alpha,
      clusterId: CLUSTER.id,
      state: LocalNodeState.ACTIVE,
      role: NodeRole.MANAGER,
      advertiseAddress: '10.0.0.1',
      managers: PEERS,
      nodeCount: 3,
      managerCount: 1,
      cluster: CLUSTER,
    }),
  unlockSwarm: async () => UnlockSwarmResponse.create(),
  initSwarm: async () =>
    InitSwarmResponse.create({
      nodeId: NODE_IDS.alpha,
      workerToken: 'SWMTKN-1-worker',
      managerAddress: '10.0.0.1:2377',
    }),
  joinSwarm: async () => JoinSwarmResponse.create({ nodeId: NODE_IDS.alpha, role: NodeRole.MANAGER }),
  leaveSwarm: async ({ force = false }) => {
    if (!force) throw leaveRefusal();
    return { warnings: [] };
  },
  runDoctor: async () => ({ findings: [] }),
  stopTasks: async () => {
    throw new Error('the command line never stops tasks');
  },
};

import { SwarmError } from '#common/errors.ts';
import type { MethodPath } from '#gen/services.ts';
import { type Caller, type CallerClass, callerClass, describeCaller } from './grpc/caller.ts';

/** The root user of this machine, through the local socket. */
const LOCAL: readonly CallerClass[] = ['local'];
/** Those who may see what is declared. */
const READERS: readonly CallerClass[] = ['local', 'manager', 'admin', 'operator', 'viewer'];
/** Those who may declare services and what belongs to them. */
const OPERATORS: readonly CallerClass[] = ['local', 'manager', 'admin', 'operator'];
/** Those to whom the swarm itself is entrusted: its settings, members, keys. */
const ADMINS: readonly CallerClass[] = ['local', 'manager', 'admin'];
/** Every node of the cluster; the agent of a manager is one too. */
const NODES: readonly CallerClass[] = ['manager', 'worker'];
/** Managers among themselves. */
const MANAGERS: readonly CallerClass[] = ['manager'];
/** Who runs containers: the user of a node, and the node in that user's place. */
const RUNNERS: readonly CallerClass[] = ['local', 'manager', 'worker'];
const EVERYONE: readonly CallerClass[] = ['local', 'manager', 'worker', 'anonymous'];

/**
 * Who may call what: one row for every method of the contract. A method without a row does not compile, and what is
 * not named in a row is refused before its request is read.
 */
export const AUTHORIZATION: Readonly<Record<MethodPath, readonly CallerClass[]>> = {
  '/swarm.v1.CertificateAuthorityService/GetRootCertificate': EVERYONE,
  '/swarm.v1.CertificateAuthorityService/IssueNodeCertificate': ['manager', 'worker', 'anonymous'],
  '/swarm.v1.CertificateAuthorityService/GetNodeCertificateStatus': ['manager', 'worker', 'anonymous'],

  '/swarm.v1.ControlService/GetCluster': READERS,
  '/swarm.v1.ControlService/UpdateCluster': ADMINS,
  '/swarm.v1.ControlService/GetNode': READERS,
  '/swarm.v1.ControlService/ListNodes': READERS,
  '/swarm.v1.ControlService/UpdateNode': OPERATORS,
  '/swarm.v1.ControlService/RemoveNode': ADMINS,
  '/swarm.v1.ControlService/CreateService': OPERATORS,
  '/swarm.v1.ControlService/GetService': READERS,
  '/swarm.v1.ControlService/ListServices': READERS,
  '/swarm.v1.ControlService/UpdateService': OPERATORS,
  '/swarm.v1.ControlService/RemoveService': OPERATORS,
  '/swarm.v1.ControlService/ListRevisions': READERS,
  '/swarm.v1.ControlService/GetTask': READERS,
  '/swarm.v1.ControlService/ListTasks': READERS,
  '/swarm.v1.ControlService/CreateNetwork': OPERATORS,
  '/swarm.v1.ControlService/GetNetwork': READERS,
  '/swarm.v1.ControlService/ListNetworks': READERS,
  '/swarm.v1.ControlService/UpdateNetwork': OPERATORS,
  '/swarm.v1.ControlService/RemoveNetwork': OPERATORS,

  '/swarm.v1.RolloutService/PauseRollout': OPERATORS,
  '/swarm.v1.RolloutService/ResumeRollout': OPERATORS,
  '/swarm.v1.RolloutService/AbortRollout': OPERATORS,
  '/swarm.v1.RolloutService/PromoteRollout': OPERATORS,
  '/swarm.v1.RolloutService/RollbackService': OPERATORS,

  '/swarm.v1.JobService/RunJob': OPERATORS,
  '/swarm.v1.JobService/StopJob': OPERATORS,

  '/swarm.v1.RebalanceService/Rebalance': OPERATORS,

  '/swarm.v1.SecretService/CreateSecret': OPERATORS,
  '/swarm.v1.SecretService/GetSecret': READERS,
  '/swarm.v1.SecretService/ListSecrets': READERS,
  '/swarm.v1.SecretService/UpdateSecret': OPERATORS,
  '/swarm.v1.SecretService/RemoveSecret': OPERATORS,
  '/swarm.v1.SecretService/PruneSecrets': OPERATORS,
  '/swarm.v1.SecretService/CreateConfig': OPERATORS,
  '/swarm.v1.SecretService/GetConfig': READERS,
  '/swarm.v1.SecretService/ListConfigs': READERS,
  '/swarm.v1.SecretService/UpdateConfig': OPERATORS,
  '/swarm.v1.SecretService/RemoveConfig': OPERATORS,
  '/swarm.v1.SecretService/PruneConfigs': OPERATORS,

  '/swarm.v1.VolumeService/CreateVolume': OPERATORS,
  '/swarm.v1.VolumeService/GetVolume': READERS,
  '/swarm.v1.VolumeService/ListVolumes': READERS,
  '/swarm.v1.VolumeService/RemoveVolume': OPERATORS,
  '/swarm.v1.VolumeService/PruneVolumes': OPERATORS,

  '/swarm.v1.StackService/DeployStack': OPERATORS,
  '/swarm.v1.StackService/GetStack': READERS,
  '/swarm.v1.StackService/ListStacks': READERS,
  '/swarm.v1.StackService/RemoveStack': OPERATORS,

  // What a worker gets of it is of its own node alone.
  '/swarm.v1.ContainerService/RunContainer': RUNNERS,
  '/swarm.v1.ContainerService/GetContainer': RUNNERS,
  '/swarm.v1.ContainerService/ListContainers': RUNNERS,
  '/swarm.v1.ContainerService/StopContainer': RUNNERS,
  '/swarm.v1.ContainerService/RemoveContainer': RUNNERS,
  '/swarm.v1.ContainerService/FollowContainer': LOCAL,

  '/swarm.v1.WatchService/Watch': READERS,
  '/swarm.v1.LogsService/SubscribeLogs': READERS,
  '/swarm.v1.DoctorService/CheckNetworks': OPERATORS,

  '/swarm.v1.DispatcherService/Session': NODES,
  '/swarm.v1.LogBrokerService/ListenSubscriptions': NODES,
  '/swarm.v1.LogBrokerService/PublishLogs': NODES,

  '/swarm.v1.RaftService/Exchange': MANAGERS,
  '/swarm.v1.RaftService/SendSnapshot': MANAGERS,
  '/swarm.v1.MembershipService/JoinLog': MANAGERS,
  '/swarm.v1.MembershipService/LeaveLog': MANAGERS,
  '/swarm.v1.MembershipService/LeaveCluster': NODES,

  '/swarm.v1.RootCaService/GetRootCa': READERS,
  '/swarm.v1.RootCaService/RotateRootCa': ADMINS,
  '/swarm.v1.RootCaService/LeaveNodesBehind': ADMINS,

  '/swarm.v1.UnlockKeyService/GetUnlockKey': ADMINS,
  '/swarm.v1.UnlockKeyService/RotateUnlockKey': ADMINS,

  '/swarm.v1.ClientService/CreateClient': ADMINS,
  '/swarm.v1.ClientService/GetClient': READERS,
  '/swarm.v1.ClientService/ListClients': READERS,
  '/swarm.v1.ClientService/RevokeClient': ADMINS,
  // Clients their own, administrators any.
  '/swarm.v1.ClientService/RenewClient': READERS,

  '/swarm.v1.EventService/ListEvents': READERS,

  // It is a file of the machine.
  '/swarm.v1.AuditService/ReadAudit': LOCAL,
  '/swarm.v1.AuditService/VerifyAudit': LOCAL,

  '/swarm.v1.HealthService/Check': ['local', 'manager', 'worker', 'admin', 'operator', 'viewer'],

  '/swarm.v1.NodeService/InitSwarm': LOCAL,
  '/swarm.v1.NodeService/JoinSwarm': LOCAL,
  '/swarm.v1.NodeService/LeaveSwarm': LOCAL,
  '/swarm.v1.NodeService/GetInfo': LOCAL,
  '/swarm.v1.NodeService/RunDoctor': LOCAL,
  '/swarm.v1.NodeService/StopTasks': LOCAL,
  '/swarm.v1.NodeService/UnlockSwarm': LOCAL,

  // Who has the file and the key has the root of the cluster: only who has root on a manager already.
  '/swarm.v1.SnapshotService/SaveSnapshot': LOCAL,
  '/swarm.v1.SnapshotService/GetSnapshotKey': LOCAL,
  '/swarm.v1.SnapshotService/RestoreSwarm': LOCAL,

  '/swarm.v1.ImageService/LoadImage': LOCAL,
  '/swarm.v1.ImageService/PullImage': LOCAL,
  '/swarm.v1.ImageService/BuildImage': LOCAL,
  '/swarm.v1.ImageService/ListImages': LOCAL,
  '/swarm.v1.ImageService/InspectImage': LOCAL,
  '/swarm.v1.ImageService/TagImage': LOCAL,
  '/swarm.v1.ImageService/RemoveImage': LOCAL,
  '/swarm.v1.ImageService/PruneImages': LOCAL,
  '/swarm.v1.ImageService/ResolveImage': LOCAL,
  '/swarm.v1.ImageService/GetDiskUsage': LOCAL,
};

/**
 * Methods that a manager passes on to the leader with the caller's identity. What is not here is never believed from a
 * manager that speaks for another, so that forwarding opens nothing that the cluster port does not serve.
 */
const FORWARDED: ReadonlySet<string> = new Set<MethodPath>([
  '/swarm.v1.CertificateAuthorityService/IssueNodeCertificate',

  '/swarm.v1.ControlService/UpdateCluster',
  '/swarm.v1.ControlService/UpdateNode',
  '/swarm.v1.ControlService/RemoveNode',
  '/swarm.v1.ControlService/CreateService',
  '/swarm.v1.ControlService/UpdateService',
  '/swarm.v1.ControlService/RemoveService',
  '/swarm.v1.ControlService/CreateNetwork',
  '/swarm.v1.ControlService/UpdateNetwork',
  '/swarm.v1.ControlService/RemoveNetwork',

  '/swarm.v1.RolloutService/PauseRollout',
  '/swarm.v1.RolloutService/ResumeRollout',
  '/swarm.v1.RolloutService/AbortRollout',
  '/swarm.v1.RolloutService/PromoteRollout',
  '/swarm.v1.RolloutService/RollbackService',

  '/swarm.v1.JobService/RunJob',
  '/swarm.v1.JobService/StopJob',

  '/swarm.v1.RebalanceService/Rebalance',

  '/swarm.v1.SecretService/CreateSecret',
  '/swarm.v1.SecretService/UpdateSecret',
  '/swarm.v1.SecretService/RemoveSecret',
  '/swarm.v1.SecretService/PruneSecrets',
  '/swarm.v1.SecretService/CreateConfig',
  '/swarm.v1.SecretService/UpdateConfig',
  '/swarm.v1.SecretService/RemoveConfig',
  '/swarm.v1.SecretService/PruneConfigs',

  '/swarm.v1.VolumeService/CreateVolume',
  '/swarm.v1.VolumeService/RemoveVolume',
  '/swarm.v1.VolumeService/PruneVolumes',

  '/swarm.v1.StackService/DeployStack',
  '/swarm.v1.StackService/RemoveStack',

  '/swarm.v1.ContainerService/RunContainer',
  '/swarm.v1.ContainerService/StopContainer',
  '/swarm.v1.ContainerService/RemoveContainer',

  '/swarm.v1.LogsService/SubscribeLogs',
  '/swarm.v1.DoctorService/CheckNetworks',

  '/swarm.v1.MembershipService/JoinLog',
  '/swarm.v1.MembershipService/LeaveLog',
  '/swarm.v1.MembershipService/LeaveCluster',

  '/swarm.v1.RootCaService/RotateRootCa',
  '/swarm.v1.RootCaService/LeaveNodesBehind',

  '/swarm.v1.UnlockKeyService/RotateUnlockKey',

  '/swarm.v1.ClientService/CreateClient',
  '/swarm.v1.ClientService/RevokeClient',
  '/swarm.v1.ClientService/RenewClient',
]);

/** How a refusal names those who may. */
const CLASS_NAMES: Readonly<Record<CallerClass, string>> = {
  local: 'the local socket of the machine',
  manager: 'managers',
  worker: 'workers',
  anonymous: 'nodes that join',
  admin: 'clients of role admin',
  operator: 'clients of role operator',
  viewer: 'clients of role viewer',
};

/** The refusal for a caller who may not call the method; undefined when it may. */
export function refuseCall(path: string, caller: Caller): SwarmError | undefined {
  const allowed = Object.hasOwn(AUTHORIZATION, path) ? AUTHORIZATION[path as MethodPath] : [];
  if (allowed.includes(callerClass(caller))) return undefined;
  const method = path.slice(path.lastIndexOf('/') + 1);
  // Clients are told of clients, nodes of nodes: neither can become the other.
  const isClient = (name: CallerClass): boolean => name === 'admin' || name === 'operator' || name === 'viewer';
  const kin = allowed.filter((name) => isClient(name) === (caller.kind === 'client'));
  const named = kin.length === 0 ? allowed : kin;
  const who = named.map((name) => CLASS_NAMES[name]).join(' and ');
  const message = `${method} is not for ${describeCaller(caller)}${who === '' ? '' : `, only for ${who}`}`;
  if (caller.kind === 'anonymous')
    return new SwarmError({
      code: 'unauthenticated',
      reason: 'no-certificate',
      message,
      hint: 'join the swarm first: `swarm join`',
    });
  return new SwarmError({
    code: 'denied',
    reason: 'wrong-role',
    message,
    hint: hintFor(caller, allowed),
  });
}

function hintFor(caller: Caller, allowed: readonly CallerClass[]): string {
  const forClients = allowed.some((name) => name === 'admin' || name === 'operator' || name === 'viewer');
  if (!allowed.includes('manager') || (caller.kind === 'client' && !forClients))
    return 'run the command on the machine that it is about';
  if (caller.kind !== 'client') return 'run the command on a manager';
  return 'ask an administrator for a client of another role: `swarm client create --role ...`';
}

/**
 * The refusal for a caller who passes on a call of somebody else; undefined for a manager and a method that is passed on.
 * Whether the one it speaks for may call the method is another question: `refuseCall`.
 */
export function refuseForwarding(path: string, forwarder: Caller): SwarmError | undefined {
  const method = path.slice(path.lastIndexOf('/') + 1);
  if (callerClass(forwarder) !== 'manager')
    return new SwarmError({
      code: forwarder.kind === 'anonymous' ? 'unauthenticated' : 'denied',
      reason: forwarder.kind === 'anonymous' ? 'no-certificate' : 'wrong-role',
      message: `${describeCaller(forwarder)} cannot call ${method} for another: only managers pass calls on`,
      hint: 'call it in your own name',
    });
  if (FORWARDED.has(path)) return undefined;
  return new SwarmError({
    code: 'denied',
    reason: 'wrong-role',
    message: `${method} is not passed on from one manager to another`,
    hint: 'call it on the manager itself',
  });
}

/** What reads leave out: keys, credentials, and tokens for those who may not hand them out. */
import type { Cluster, Node, Revision, SecretVersion, Service } from '#gen/swarm/v1/objects.ts';
import type { ServiceSpec } from '#gen/swarm/v1/specs.ts';

export function redactSpec(spec: ServiceSpec | undefined): ServiceSpec | undefined {
  const container = spec?.task?.container;
  if (spec?.task === undefined || container === undefined || container.registryAuth === '') return spec;
  return { ...spec, task: { ...spec.task, container: { ...container, registryAuth: '' } } };
}

export function redactService(service: Service): Service {
  return { ...service, spec: redactSpec(service.spec) };
}

export function redactRevision(revision: Revision): Revision {
  return { ...revision, spec: redactSpec(revision.spec) };
}

export function redactCluster(cluster: Cluster, showTokens: boolean): Cluster {
  const { rootCa } = cluster;
  const withoutKeys = { ...cluster, snapshotKey: new Uint8Array(), unlockKey: undefined };
  if (rootCa === undefined) return withoutKeys;
  const joinTokens = showTokens ? rootCa.joinTokens : undefined;
  const { rotation } = rootCa;
  const shown = rotation === undefined ? undefined : { ...rotation, keyPem: new Uint8Array() };
  return { ...withoutKeys, rootCa: { ...rootCa, keyPem: new Uint8Array(), joinTokens, rotation: shown } };
}

export function redactNode(node: Node): Node {
  const certificate = node.certificate;
  return certificate === undefined ? node : { ...node, certificate: { ...certificate, csrPem: new Uint8Array() } };
}

export function redactSecretVersion(version: SecretVersion): SecretVersion {
  return { ...version, data: new Uint8Array() };
}

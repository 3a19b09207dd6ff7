/** Managers elsewhere, as a context names them: what commands ask of the daemon, over TLS. Loaded only where one is used. */
import type { CertifiedClient } from '#certs/client-identity.ts';
import { SwarmError } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { AuditService } from '#gen/swarm/v1/audit.ts';
import { ContainerService } from '#gen/swarm/v1/containers.ts';
import { ImageService } from '#gen/swarm/v1/images.ts';
import { NodeService } from '#gen/swarm/v1/node.ts';
import { SnapshotService } from '#gen/swarm/v1/snapshot.ts';
import { ManagersTransport } from '../../client/managers-transport.ts';
import { createSwarmClient, type SwarmClient } from '../../client/swarm-client.ts';
import type { SwarmApi } from '../api.ts';
import { CliError } from '../cli-errors.ts';
import { printWarning } from '../context.ts';
import type { CliEnvironment } from '../environment.ts';
import { bundleIdentity, type ClientBundle } from './client-bundle.ts';
import { contextPaths } from './context-paths.ts';
import { readContext } from './context-store.ts';
import { keepUsable } from './keep-usable.ts';
import { localOnly } from './local-only.ts';
import { managerInfo } from './manager-info.ts';
import { renewContext } from './renew-context.ts';

/** What comes after the command must not be felt. */
const SETTLE_TIMEOUT_MS = 2_000;
/** From then on a user is told, for the certificate could not be renewed. */
const WARNED_BEFORE_MS = 7 * 24 * 60 * 60 * 1000;

/** @throws CliError for a context that is not there, damaged, open to others or expired */
export async function connectContext(name: string, environment: CliEnvironment): Promise<SwarmApi> {
  const paths = contextPaths(environment.variables);
  const bundle = await readContext(paths, name);
  const identity = bundleIdentity(bundle, `context ${name}`);
  checkTime(name, bundle, identity, environment);
  let shown = bundle;
  const transport = new ManagersTransport({
    name: `context ${name}`,
    addresses: bundle.facts.addresses,
    trust: {
      kind: 'member',
      identity: () => ({
        rootsPem: shown.rootsPem,
        certificatePem: shown.certificatePem,
        privateKeyPem: shown.keyPem,
      }),
      expect: { role: 'manager', clusterId: bundle.facts.clusterId },
    },
  });
  const client = createSwarmClient(transport);
  const settle = async (): Promise<void> => {
    // The command made no call: it needs no second thought.
    if (transport.connectedAddress === undefined) return;
    const work = keepUsable(client, { paths, name, bundle, identity, nowMs: environment.clock.now() });
    // Never in the way of what the user wanted, which is done: whatever goes wrong here, the next command tries again.
    await withDeadline(work, SETTLE_TIMEOUT_MS, 'the managers').catch(() => {});
  };
  const followRoot = async (): Promise<void> => {
    try {
      if (bundle.facts.fixed) throw new CliError('its certificate is not to be renewed');
      shown = await renewContext(client, paths, name);
      transport.reconnect();
    } catch (thrown) {
      // The rotation goes on all the same.
      const why = thrown instanceof CliError ? thrown.message : SwarmError.from(thrown).message;
      const after = `on a manager: swarm client renew ${bundle.facts.clientName} --output - ; here: swarm context import --force ${name} -`;
      printWarning(
        environment,
        `WARNING: context ${name} will be refused once the root is replaced (${why}); then, ${after}`,
      );
    }
  };
  return apiOf(client, name, { settle, followRoot });
}

function apiOf(client: SwarmClient, name: string, upkeep: Pick<SwarmApi, 'settle' | 'followRoot'>): SwarmApi {
  const node = {
    ...localOnly(NodeService, name, 'it is about the daemon of one machine'),
    getInfo: () => managerInfo(client),
  };
  const own = {
    node,
    ...upkeep,
    audit: localOnly(AuditService, name, 'every manager has an audit log of its own, on its disk'),
    images: localOnly(ImageService, name, 'every machine has images of its own, and pulls those of services by itself'),
    containers: localOnly(ContainerService, name, 'containers of `swarm run` belong to one machine'),
    snapshots: localOnly(SnapshotService, name, 'snapshots are for root of a manager'),
  };
  // The client's own are getters, which may be defined anew but not set.
  for (const [key, value] of Object.entries(own)) Object.defineProperty(client, key, { value, enumerable: true });
  return client;
}

function checkTime(
  name: string,
  { facts }: ClientBundle,
  identity: CertifiedClient,
  environment: CliEnvironment,
): void {
  const { notBeforeMs, notAfterMs } = identity;
  const nowMs = environment.clock.now();
  const byAdministrator = `on a manager: swarm client renew ${facts.clientName} --output - ; here: swarm context import --force ${name} -`;
  if (nowMs > notAfterMs)
    throw new CliError(`the certificate of context ${name} expired at ${new Date(notAfterMs).toISOString()}`, {
      hint: `check the clock; if it is right, let an administrator renew it: ${byAdministrator}`,
    });
  if (nowMs < notBeforeMs)
    throw new CliError(
      `the certificate of context ${name} holds only from ${new Date(notBeforeMs).toISOString()} on, and it is ${new Date(nowMs).toISOString()} here`,
      { hint: 'set the clock of this machine' },
    );
  const leftMs = notAfterMs - nowMs;
  if (leftMs > Math.min(WARNED_BEFORE_MS, (notAfterMs - notBeforeMs) / 4)) return;
  const way = facts.fixed ? byAdministrator : `swarm context renew ${name}`;
  printWarning(environment, `WARNING: context ${name} expires at ${new Date(notAfterMs).toISOString()}: ${way}`);
}

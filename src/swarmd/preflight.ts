/** Looks at the host before it becomes part of a swarm, and whenever somebody asks. */

import { networksLeft } from '#agent/network/index.ts';
import type { SwarmError } from '#common/errors.ts';
import { parseHostPort } from '#common/host-port.ts';
import type { DoctorFinding, InitSwarmRequest, JoinSwarmRequest } from '#gen/swarm/v1/node.ts';
import { CLUSTER_DEFAULTS } from '#manager/ca/index.ts';
import {
  CHECKS,
  type DoctorContext,
  hostContext,
  preflightRefusal,
  preflightWarnings,
  runChecks,
} from '#src/doctor/index.ts';
import { CLUSTER_PORT, listenAddress } from './addresses.ts';
import type { MembershipState } from './membership-state.ts';
import type { DaemonOptions } from './options.ts';
import type { Paths } from './paths.ts';

export class Preflight {
  readonly #options: DaemonOptions;
  readonly #paths: Paths;

  constructor(options: DaemonOptions, paths: Paths) {
    this.#options = options;
    this.#paths = paths;
  }

  /** Warnings to show. @throws SwarmError `preflight` that names every failed check and its way out. */
  async beforeInit(request: InitSwarmRequest): Promise<readonly string[]> {
    const pools = request.defaultAddressPools;
    return this.#check(request.skipPreflight, {
      purpose: 'init',
      listen: listenAddress(request.listenAddress),
      dataPathPort: request.dataPathPort || CLUSTER_DEFAULTS.dataPathPort,
      manager: true,
      addressPools: pools.length > 0 ? pools : CLUSTER_DEFAULTS.defaultAddressPools,
    });
  }

  async beforeJoin(request: JoinSwarmRequest): Promise<readonly string[]> {
    return this.#check(request.skipPreflight, {
      purpose: 'join',
      listen: listenAddress(request.listenAddress),
      managers: request.remoteAddresses.flatMap((address) => parseHostPort(address, CLUSTER_PORT) ?? []),
    });
  }

  async doctor(state: MembershipState): Promise<readonly DoctorFinding[]> {
    const active = state.kind === 'active' ? state : undefined;
    const cluster = active?.manager?.store.view().cluster();
    const context = this.#context({
      purpose: 'doctor',
      identity: active?.identity,
      listen: listenAddress(active?.identity.addresses.listen ?? ''),
      serving: active?.serving === true,
      manager: active === undefined ? undefined : active.managerPart !== undefined,
      managers: (active?.agent.managers ?? []).flatMap(({ address }) => parseHostPort(address, CLUSTER_PORT) ?? []),
      addressPools: cluster?.defaultAddressPools,
      dataPathPort: cluster?.dataPathPort || CLUSTER_DEFAULTS.dataPathPort,
    });
    return runChecks(this.#checks(), context);
  }

  async #check(skip: boolean, context: Partial<DoctorContext>): Promise<readonly string[]> {
    const findings = await runChecks(this.#checks(), this.#context(context));
    const refusal: SwarmError | undefined = preflightRefusal(findings);
    if (refusal !== undefined && !skip) throw refusal;
    return preflightWarnings(findings);
  }

  #checks(): typeof CHECKS {
    return this.#options.executor === 'oci' ? CHECKS : CHECKS.filter((check) => check.containersOnly !== true);
  }

  #context(known: Partial<DoctorContext>): DoctorContext {
    const { stateDir, runtime } = this.#options;
    const ownNetworksLeft = (): Promise<boolean> => networksLeft(this.#paths.networkRun);
    return hostContext({ stateDirectory: stateDir, listen: listenAddress(''), runtime, ownNetworksLeft, ...known });
  }
}

/** The address plan as a file in the run directory: it lives and dies with the kernel's state. */
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from '#common/errors.ts';
import { hasErrno } from '../kernel/libc.ts';
import type { NetlinkSocket } from '../kernel/netlink.ts';
import { type AddressPlan, chooseLinkPair, choosePool, decodePlan, encodePlan } from './address-plan.ts';
import type { NetworkConfig } from './config.ts';
import type { InstanceNames } from './instance.ts';
import { surveyHost } from './survey-host.ts';

export interface GatewayPlanOptions {
  readonly names: InstanceNames;
  /** Holds `gateway.json`. Exists. */
  readonly directory: string;
  readonly config: NetworkConfig;
}

export class GatewayPlan {
  readonly #options: GatewayPlanOptions;
  readonly #path: string;
  #plan: AddressPlan | undefined;

  constructor(options: GatewayPlanOptions) {
    this.#options = options;
    this.#path = join(options.directory, 'gateway.json');
  }

  get current(): AddressPlan {
    assert(this.#plan !== undefined, 'the gateway is used after ensure');
    return this.#plan;
  }

  /** The plan of an earlier run of this instance, if the run directory still has it. */
  async saved(): Promise<AddressPlan | undefined> {
    try {
      return decodePlan(await readFile(this.#path, 'utf8'));
    } catch (error) {
      if (hasErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  /** Takes over the plan of an earlier run, or makes one that fits the host. Says whether it is new. */
  async decide(hostSocket: NetlinkSocket): Promise<boolean> {
    this.#plan ??= await this.saved();
    if (this.#plan !== undefined) return false;
    const { names, config } = this.#options;
    const { occupied, mtu } = await surveyHost(hostSocket, names.hostLink);
    await this.save({
      pool: choosePool(config.gatewayPools, occupied),
      ...chooseLinkPair(names, occupied),
      mtu: config.mtu ?? mtu,
      forwardingIsOurs: false,
      forwarding6IsOurs: false,
      advertisedDevices: [],
      ingress: undefined,
    });
    return true;
  }

  async save(plan: AddressPlan): Promise<void> {
    await writeFile(`${this.#path}.new`, encodePlan(plan), { mode: 0o600 });
    await rename(`${this.#path}.new`, this.#path);
    this.#plan = plan;
  }

  async forget(): Promise<void> {
    await rm(this.#path, { force: true });
    this.#plan = undefined;
  }
}

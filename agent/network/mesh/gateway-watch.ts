/** Notices when something of the mesh, or of the cable, goes in the gateway namespace without us. */
import type { CancelTimer, Clock } from '#common/clock.ts';
import { type NetworkEvent, type NetworkWatch, watchNetwork } from '../../kernel/netlink-events.ts';
import type { NetworkNamespace } from '../../kernel/netns.ts';
import type { Gateway } from '../gateway.ts';
import { GATEWAY_UPLINK } from '../gateway-table.ts';
import { MESH_DEVICE } from './mesh-table.ts';

export interface GatewayWatchOptions {
  readonly gateway: Gateway;
  /** Whether a route to the address, or a neighbour with it, is ours. */
  readonly isOurs: (address: string) => boolean;
  /** From the first event to `onDamage`: one for a whole burst. */
  readonly delayMs: number;
  readonly onDamage: () => void;
  readonly clock: Clock;
}

export class GatewayWatch {
  readonly #options: GatewayWatchOptions;
  #watched: { readonly namespace: NetworkNamespace; readonly watch: NetworkWatch } | undefined;
  #timer: CancelTimer | undefined;

  constructor(options: GatewayWatchOptions) {
    this.#options = options;
  }

  /** Watches the namespace that the gateway has now. */
  ensure(): void {
    const { gateway } = this.#options;
    const { namespace } = gateway;
    if (this.#watched?.namespace === namespace) return;
    this.#watched?.watch.close();
    // What our own socket did is no news.
    const watch = watchNetwork(namespace, gateway.socket.portId, (events) => this.#onEvents(events));
    this.#watched = { namespace, watch };
  }

  close(): void {
    this.#timer?.();
    this.#timer = undefined;
    this.#watched?.watch.close();
    this.#watched = undefined;
  }

  #onEvents(events: readonly NetworkEvent[]): void {
    const { clock, delayMs, onDamage } = this.#options;
    if (this.#timer !== undefined || !events.some((event) => this.#matters(event))) return;
    this.#timer = clock.setTimer(delayMs, () => {
      this.#timer = undefined;
      onDamage();
    });
  }

  /** Whether something that should be there is gone. */
  #matters({ kind, gone, name, up }: NetworkEvent): boolean {
    switch (kind) {
      case 'lost':
        return true;
      case 'link':
        return (gone || !up) && (name === MESH_DEVICE.name || name === GATEWAY_UPLINK);
      case 'address':
        return gone;
      case 'route': // those to everywhere have no address
        return gone && (name === '' || this.#options.isOurs(name));
      case 'neighbour':
        return gone && this.#options.isOurs(name);
    }
  }
}

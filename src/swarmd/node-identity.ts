import type { LoadedIdentity, NodeAddresses } from '#agent/identity/index.ts';
import type { NodeRoleName } from '#certs/identity.ts';
import { NodeServerCredentials, type TlsIdentity } from '#certs/tls.ts';

/**
 * Who this node is while it runs. Its certificate and the roots that it trusts may be replaced (a renewal, another role,
 * another root) under open connections: new ones use the new ones. Node id and cluster never change.
 */
export class NodeIdentity {
  #current: LoadedIdentity;
  #serverCredentials: NodeServerCredentials;

  constructor(loaded: LoadedIdentity) {
    this.#current = loaded;
    this.#serverCredentials = new NodeServerCredentials(loaded.tls);
  }

  get current(): LoadedIdentity {
    return this.#current;
  }

  get nodeId(): string {
    return this.#current.identity.nodeId;
  }

  get clusterId(): string {
    return this.#current.identity.clusterId;
  }

  /** That of the certificate; the node object may say another one already. */
  get role(): NodeRoleName {
    return this.#current.identity.role;
  }

  get addresses(): NodeAddresses {
    return this.#current.addresses;
  }

  /** For credentials that ask at every new connection. */
  readonly tls = (): TlsIdentity => this.#current.tls;

  /** Of the cluster server. A server that was closed needs new ones: grpc-js keeps listeners on them. */
  freshServerCredentials(): NodeServerCredentials {
    this.#serverCredentials = new NodeServerCredentials(this.#current.tls);
    return this.#serverCredentials;
  }

  replace(loaded: LoadedIdentity): void {
    this.#current = loaded;
    this.#serverCredentials.replace(loaded.tls);
  }

  setAddresses(addresses: NodeAddresses): void {
    this.#current = { ...this.#current, addresses };
  }
}

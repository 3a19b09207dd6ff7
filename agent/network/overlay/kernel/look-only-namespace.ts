/** A namespace that can be looked at and not changed: what repairs would do to it is told, and not done. */
import type { ElementKey, ElementSet } from '../../../kernel/nftables-elements.ts';
import type { Sysctl } from '../../sysctls.ts';
import type { KernelNamespace, LinkState } from './network-kernel.ts';
import type { Item } from './operations.ts';

export class LookOnlyNamespace implements KernelNamespace {
  readonly #namespace: KernelNamespace;

  /** The namespace stays the caller's. */
  constructor(namespace: KernelNamespace) {
    this.#namespace = namespace;
  }

  async change(): Promise<void> {}

  links(): Promise<readonly LinkState[]> {
    return this.#namespace.links();
  }

  items(): Promise<readonly Item[]> {
    return this.#namespace.items();
  }

  ensureSettings(settings: readonly Sysctl[]): Promise<readonly string[]> {
    return this.#namespace.ensureSettings(settings, 'look only');
  }

  async load(): Promise<void> {}

  ruleset(): Promise<string> {
    return this.#namespace.ruleset();
  }

  elements(set: ElementSet): Promise<ReadonlyMap<ElementKey, string>> {
    return this.#namespace.elements(set);
  }

  async changeElements(): Promise<void> {}

  async forgetFlows(): Promise<void> {}

  watch(): undefined {
    return undefined;
  }

  async close(): Promise<void> {}
}

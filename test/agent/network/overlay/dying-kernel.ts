/** A kernel seam that lives for so many steps: what comes after is as if the daemon had been killed. */
import type { KernelNamespace, NetworkKernel } from '#agent/network/overlay/kernel/network-kernel.ts';
import type { Operation } from '#agent/network/overlay/kernel/operations.ts';

export class Killed extends Error {
  override readonly name = 'Killed';
}

export class DyingKernel implements NetworkKernel {
  readonly #kernel: NetworkKernel;
  readonly #stepsMax: number;
  steps = 0;
  /** The last step that was done, for the failure's words. */
  last = '';
  readonly #opened: KernelNamespace[] = [];

  constructor(kernel: NetworkKernel, stepsMax: number) {
    this.#kernel = kernel;
    this.#stepsMax = stepsMax;
  }

  get isDead(): boolean {
    return this.steps >= this.#stepsMax;
  }

  /** Counts a step that changes something; throws once life is over. */
  step(what: string): void {
    if (this.isDead) throw new Killed(`killed before: ${what}`);
    this.steps++;
    this.last = what;
  }

  async host(): Promise<KernelNamespace> {
    return this.#wrap(await this.#kernel.host());
  }

  async create(path: string): Promise<KernelNamespace> {
    this.step(`create ${path}`);
    return this.#wrap(await this.#kernel.create(path));
  }

  async open(path: string): Promise<KernelNamespace> {
    if (this.isDead) throw new Killed(`killed before: open ${path}`);
    return this.#wrap(await this.#kernel.open(path));
  }

  exists(path: string): Promise<boolean> {
    return this.#kernel.exists(path);
  }

  async remove(path: string): Promise<void> {
    this.step(`remove ${path}`);
    await this.#kernel.remove(path);
  }

  /** What the kernel closes when a process is killed. */
  async bury(): Promise<void> {
    for (const namespace of this.#opened) await namespace.close();
  }

  #wrap(namespace: KernelNamespace): KernelNamespace {
    this.#opened.push(namespace);
    let closed = false;
    const close = namespace.close.bind(namespace);
    namespace.close = async () => {
      if (closed) return;
      closed = true;
      await close();
    };
    const changing =
      <Arguments extends unknown[]>(what: string, work: (...args: Arguments) => Promise<void>) =>
      async (...args: Arguments): Promise<void> => {
        this.step(what);
        await work(...args);
      };
    return {
      // A batch is one call, but a process that is killed while it waits may have had only part of it done.
      change: async (operations: readonly Operation[]) => {
        for (const operation of operations) {
          this.step(JSON.stringify(operation));
          await namespace.change([operation]);
        }
      },
      links: () => namespace.links(),
      items: () => namespace.items(),
      ensureSettings: async (settings) => {
        this.step('settings');
        return namespace.ensureSettings(settings);
      },
      load: changing('load', namespace.load.bind(namespace)),
      ruleset: () => namespace.ruleset(),
      elements: (set) => namespace.elements(set),
      changeElements: changing('elements', namespace.changeElements.bind(namespace)),
      forgetFlows: changing('flows', namespace.forgetFlows.bind(namespace)),
      watch: () => undefined,
      // Letting go is the last thing that work does: dying there is dying after all of it.
      close: async () => {
        this.step('close');
        await namespace.close();
      },
    };
  }
}

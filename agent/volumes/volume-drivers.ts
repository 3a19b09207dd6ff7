/** The drivers of this node, by name. */
import { isLocalDriver } from '#common/local-volume-options.ts';
import type { VolumesConfig } from './config.ts';
import { LocalDriver } from './local-driver.ts';
import { PluginDriver } from './plugin/plugin-driver.ts';
import type { VolumeDriver } from './volume-driver.ts';
import type { VolumeStore } from './volume-store.ts';

/** Plugins whose state is kept; more names than that come from somebody who guesses. */
const PLUGINS_MAX = 64;

export class VolumeDrivers {
  readonly #local: LocalDriver;
  readonly #plugins = new Map<string, PluginDriver>();
  readonly #store: VolumeStore;
  readonly #config: VolumesConfig;

  constructor(store: VolumeStore, mountsDirectory: string, config: VolumesConfig) {
    this.#store = store;
    this.#config = config;
    this.#local = new LocalDriver({ store, mountsDirectory, config });
  }

  /** Whether there is such a plugin shows when it is called. */
  of(name: string): VolumeDriver {
    if (isLocalDriver(name)) return this.#local;
    const known = this.#plugins.get(name);
    if (known !== undefined) return known;
    const driver = new PluginDriver({ name, store: this.#store, config: this.#config });
    const [oldest] = this.#plugins.keys();
    if (oldest !== undefined && this.#plugins.size >= PLUGINS_MAX) this.#plugins.delete(oldest);
    this.#plugins.set(name, driver);
    return driver;
  }
}

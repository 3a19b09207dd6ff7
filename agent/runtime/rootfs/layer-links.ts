/**
 * Short symbolic links to layer directories: mount(2) takes 4095 bytes of options, which 60 layers with full paths
 * exceed already; with these links it is about 140.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readlink, stat, symlink, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrno } from '#agent/kernel/libc.ts';

const NAME_LENGTH = 10;

export class LayerLinks {
  readonly #directory: string;

  /** `directory` should itself have a short path; it is made when first needed. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** A short path to the layer. The same layer gets the same link. */
  async linkTo(layer: string): Promise<string> {
    const digest = createHash('sha256').update(layer).digest('base64url').replaceAll(/[-_]/g, '');
    // A shorter name that another layer has taken makes way to a longer one of the same digest.
    for (let length = NAME_LENGTH; length <= digest.length; length++) {
      const link = join(this.#directory, digest.slice(0, length));
      if (await this.#make(link, layer)) return link;
    }
    return layer;
  }

  async #make(link: string, layer: string): Promise<boolean> {
    try {
      await symlink(layer, link);
      return true;
    } catch (error) {
      if (hasErrno(error, 'ENOENT')) {
        await mkdir(this.#directory, { recursive: true, mode: 0o700 });
        return this.#make(link, layer);
      }
      if (!hasErrno(error, 'EEXIST')) throw error;
      return (await readlink(link)) === layer;
    }
  }

  /** Removes links to layers that are gone. */
  async sweep(): Promise<void> {
    const names = await readdir(this.#directory).catch((error: unknown) => {
      if (hasErrno(error, 'ENOENT')) return [];
      throw error;
    });
    for (const name of names) {
      const link = join(this.#directory, name);
      const leadsNowhere = await stat(link).then(
        () => false,
        (error: unknown) => hasErrno(error, 'ENOENT', 'ENOTDIR'),
      );
      if (leadsNowhere) await unlink(link);
    }
  }
}

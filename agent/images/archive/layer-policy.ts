/**
 * What a layer may contain. Layers are unpacked by containers/storage inside a chroot; this refuses beforehand what
 * has broken out of such places in other engines (CVE-2014-9356 and its kin), and what no honest layer has.
 */
import { displayTarName, type TarEntry } from '#common/system/tar-header.ts';
import { invalidImage } from './archive-error.ts';

const WHITEOUT = '.wh.';
/** What AUFS left in the layers of old images; the first marks a directory as opaque. */
const WHITEOUT_METADATA = new Set(['.wh..wh..opq', '.wh..wh.plnk', '.wh..wh.aufs', '.wh..wh.orph']);
/** null, zero, full, random, urandom; tty, console, ptmx: of no use to an attacker. */
const HARMLESS_DEVICES = new Set(['1:3', '1:5', '1:7', '1:8', '1:9', '5:0', '5:1', '5:2']);
/** Of the links that have to be remembered while one layer is read. */
const LINK_NAME_BYTES_MAX = 32 * 1024 * 1024;

/** The path below the root, without `./` and doubled slashes; empty for the root itself. Undefined when it leaves it. */
export function pathInRoot(name: string): string | undefined {
  if (name.startsWith('/')) return undefined;
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  return parts.includes('..') ? undefined : parts.join('/');
}

/** Whether a symbolic link at `path` leads out of the root when it is followed by someone who is not confined to it. */
function escapes(path: string, target: string): boolean {
  if (target.startsWith('/')) return true;
  let depth = path.split('/').length - 1;
  for (const part of target.split('/')) {
    if (part === '' || part === '.') continue;
    depth += part === '..' ? -1 : 1;
    if (depth < 0) return true;
  }
  return false;
}

/** Looks at the members of one layer in their order. */
export class LayerPolicy {
  readonly #allowDevices: boolean;
  /**
   * Symbolic links of this layer that lead out of it. They are common and harmless (`/etc/mtab`), unless something is
   * written through them.
   */
  readonly #escapingLinks = new Set<string>();
  #linkNameBytes = 0;

  constructor(allowDevices: boolean) {
    this.#allowDevices = allowDevices;
  }

  /** @throws SwarmError `image-invalid` */
  check(entry: TarEntry): void {
    const path = this.#inside(entry.name, 'a member with the path');
    if (path === '') {
      if (entry.type !== 'directory') throw invalidImage(`a layer replaces its root by a ${entry.type}`);
      return;
    }
    checkWhiteout(path);
    this.#checkDevice(entry);
    const trusted = entry.attributeNames.find((name) => name.startsWith('trusted.'));
    if (trusted !== undefined)
      throw invalidImage(`layer member ${displayTarName(entry.name)} sets the attribute ${displayTarName(trusted)}`);
    this.#checkParents(path, entry.name);
    if (entry.type === 'hardlink') {
      const target = this.#inside(entry.linkName, 'a hard link to');
      if (target === '') throw invalidImage('a layer has a hard link to its root');
      this.#checkParents(target, entry.linkName);
    }
    this.#remember(path, entry);
  }

  #inside(name: string, what: string): string {
    const path = pathInRoot(name);
    if (path === undefined) throw invalidImage(`a layer has ${what} ${displayTarName(name)}, which leads out of it`);
    return path;
  }

  #checkDevice(entry: TarEntry): void {
    if (entry.type !== 'character-device' && entry.type !== 'block-device') return;
    const number = `${entry.deviceMajor}:${entry.deviceMinor}`;
    const harmless = entry.type === 'character-device' && HARMLESS_DEVICES.has(number);
    if (!harmless && !this.#allowDevices)
      throw invalidImage(
        `layer member ${displayTarName(entry.name)} is the ${entry.type} ${number}`,
        'remove it from the image: containers get their devices from the node',
      );
  }

  #checkParents(path: string, name: string): void {
    if (this.#escapingLinks.size === 0) return;
    for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1))
      if (this.#escapingLinks.has(path.slice(0, slash)))
        throw invalidImage(
          `layer member ${displayTarName(name)} goes through the link ${displayTarName(path.slice(0, slash))}, which leads out of the layer`,
        );
  }

  #remember(path: string, entry: TarEntry): void {
    if (entry.type !== 'symlink' || !escapes(path, entry.linkName)) {
      this.#escapingLinks.delete(path);
      return;
    }
    if (this.#escapingLinks.has(path)) return;
    this.#linkNameBytes += path.length;
    if (this.#linkNameBytes > LINK_NAME_BYTES_MAX) throw invalidImage('a layer has too many symbolic links');
    this.#escapingLinks.add(path);
  }
}

function checkWhiteout(path: string): void {
  for (const part of path.split('/')) {
    if (!part.startsWith(WHITEOUT)) continue;
    const hidden = part.slice(WHITEOUT.length);
    const metadata = part.startsWith(`${WHITEOUT}${WHITEOUT}`);
    if (hidden === '' || hidden === '.' || hidden === '..' || (metadata && !WHITEOUT_METADATA.has(part)))
      throw invalidImage(`a layer has the malformed whiteout ${displayTarName(path)}`);
  }
}

/** `extends`: a service on top of another one, of the same file or of another, which may extend a third. */
import { mergeServices } from './merge.ts';
import type { Place, Problems } from './place.ts';
import { type ComposeNode, child, isNull, kindText, type MapNode, withChild } from './tree.ts';

export interface ExtendsOptions {
  readonly problems: Problems;
  /** A file in its long form, with its absolute path. */
  readonly load: (name: string, at: Place) => Promise<LoadedFile>;
}

interface LoadedFile {
  readonly tree: MapNode;
  readonly path: string;
}

interface Target {
  readonly service: string;
  readonly file: string | undefined;
  readonly at: Place;
}

export class ExtendsResolver {
  readonly #options: ExtendsOptions;
  readonly #files = new Map<string, LoadedFile>();

  constructor(options: ExtendsOptions) {
    this.#options = options;
  }

  /** `before` is what files before this one have come to: their services may be extended, too. */
  async resolveAll(file: MapNode, path: string, before: MapNode | undefined): Promise<MapNode> {
    const services = child(file, 'services');
    if (services?.kind !== 'map') return file;
    let out = services;
    for (const [name, { value }] of services.entries) {
      if (value.kind !== 'map' || !value.entries.has('extends')) continue;
      out = withChild(out, name, await this.#resolved(name, value, { tree: file, path }, before, []));
    }
    return withChild(file, 'services', out);
  }

  async #resolved(
    name: string,
    service: MapNode,
    file: LoadedFile,
    before: MapNode | undefined,
    chain: readonly string[],
  ): Promise<MapNode> {
    const { problems } = this.#options;
    const path = `services.${name}`;
    const target = this.#target(child(service, 'extends'), `${path}.extends`);
    const bare = withChild(service, 'extends', undefined);
    if (target === undefined) return bare;
    const from = target.file === undefined ? file : await this.#file(target.file, target.at);
    const key = `${from.path}#${target.service}`;
    if (chain.includes(key) || (from.path === file.path && target.service === name)) {
      problems.error(target.at, `${path}.extends`, `the service ${target.service} extends itself`);
      return bare;
    }
    const found =
      serviceOf(from.tree, target.service) ??
      (target.file === undefined ? serviceOf(before, target.service) : undefined);
    if (found === undefined) {
      const where = target.file === undefined ? 'the file' : target.file;
      problems.error(target.at, `${path}.extends`, `there is no service ${target.service} in ${where}`);
      return bare;
    }
    const base = found.entries.has('extends')
      ? await this.#resolved(target.service, found, from, undefined, [...chain, key])
      : found;
    return mergeServices(base, bare, path, problems);
  }

  #target(node: ComposeNode | undefined, path: string): Target | undefined {
    if (node === undefined || isNull(node)) return undefined;
    const { problems } = this.#options;
    if (node.kind === 'scalar') return { service: node.text, file: undefined, at: node.at };
    if (node.kind === 'list') {
      problems.error(
        node.at,
        path,
        `${kindText(node)}, and a map is wanted`,
        'write extends: {file: other.yml, service: NAME}',
      );
      return undefined;
    }
    for (const [key, { keyAt }] of node.entries)
      if (key !== 'service' && key !== 'file' && !key.startsWith('x-'))
        problems.error(keyAt, `${path}.${key}`, 'there is no such key', 'known are file, service');
    const service = child(node, 'service');
    const file = child(node, 'file');
    if (service?.kind !== 'scalar' || (file !== undefined && file.kind !== 'scalar')) {
      problems.error(node.at, path, 'it names no service', 'write extends: {file: other.yml, service: NAME}');
      return undefined;
    }
    return { service: service.text, file: isNull(file) ? undefined : file?.text, at: node.at };
  }

  async #file(name: string, at: Place): Promise<LoadedFile> {
    const known = this.#files.get(name);
    if (known !== undefined) return known;
    const loaded = await this.#options.load(name, at);
    this.#files.set(name, loaded);
    return loaded;
  }
}

function serviceOf(tree: MapNode | undefined, name: string): MapNode | undefined {
  const service = child(child(tree, 'services'), name);
  return service?.kind === 'map' ? service : undefined;
}

/**
 * Compose files as one tree: read, with variables filled in, in long form, extended, merged, with what they include and
 * without what their profiles leave out.
 */
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { COMPOSE_LIMITS } from './config.ts';
import { parseEnvFile, parseRawEnvFile } from './env-file.ts';
import { ExtendsResolver } from './extends.ts';
import { Interpolator, type Variables } from './interpolate.ts';
import { mergeFiles, withoutTags } from './merge.ts';
import { absolutePath, normaliseFile } from './normalise.ts';
import { parseYaml } from './parse-yaml.ts';
import { type Place, Problems, placeText, refuseAt } from './place.ts';
import {
  type ComposeNode,
  child,
  isNull,
  kindText,
  type MapEntry,
  type MapNode,
  mapNode,
  sameNodes,
  textNode,
  withChild,
} from './tree.ts';

export interface ComposeSource {
  /** As the user named it; `-` is standard input. */
  readonly name: string;
  /** Undefined: it is read from the file. */
  readonly content?: string | undefined;
}

/** Reads a file, and answers undefined where there is none. */
export type FileReader = (path: string) => Promise<Uint8Array | undefined>;

export interface LoadOptions {
  readonly sources: readonly ComposeSource[];
  /** What names of files are relative to. */
  readonly directory: string;
  /** Of the caller's environment; they win over files of variables. */
  readonly variables: Variables;
  /** Instead of `.env` beside the first file. */
  readonly envFiles: readonly string[];
  /** Whose services are wanted besides those without a profile; `*` is all. */
  readonly profiles: readonly string[];
  /** False leaves `${NAME}` as it is. */
  readonly interpolates?: boolean;
  readonly read: FileReader;
}

export interface ComposeProject {
  readonly root: MapNode;
  /** With the problems that were found. */
  readonly problems: Problems;
  /** Of the caller and of the project's files of variables. */
  readonly variables: Variables;
  readonly read: FileReader;
}

const DEFAULT_ENV_FILE = '.env';

/** @throws SwarmError for what ends the reading at once; the rest is among the problems */
export async function loadProject(options: LoadOptions): Promise<ComposeProject> {
  const { sources, directory, read } = options;
  const problems = new Problems();
  const first = sources[0]?.name ?? '-';
  const base = first === '-' ? directory : dirname(resolve(directory, first));
  const loader = new Loader(read, problems, options.interpolates ?? true);
  const variables = await loader.variables(options.envFiles, base, directory, options.variables);
  const model = await loader.model({ sources, names: directory, directory: base, variables, path: [] });
  const active = options.profiles.flatMap((profile) => profile.split(','));
  const root = withProfiles(asMap(withoutTags(model)), new Set(active), problems);
  return { root: await loader.withFilesOfServices(root, variables), problems, variables, read };
}

interface Model {
  readonly sources: readonly ComposeSource[];
  /** What the names of the sources are relative to. */
  readonly names: string;
  /** What paths in the files are relative to. */
  readonly directory: string;
  readonly variables: Variables;
  /** The files that led here. */
  readonly path: readonly string[];
}

class Loader {
  readonly #read: FileReader;
  readonly #problems: Problems;
  readonly #interpolated: (tree: ComposeNode, variables: Variables) => ComposeNode;
  #files = 0;

  constructor(read: FileReader, problems: Problems, interpolates: boolean) {
    this.#read = read;
    this.#problems = problems;
    const interpolator = new Interpolator(problems);
    this.#interpolated = interpolates ? (tree, variables) => interpolator.tree(tree, variables) : (tree) => tree;
  }

  /** Those of the files, under those of the caller. */
  async variables(files: readonly string[], base: string, names: string, own: Variables): Promise<Variables> {
    let found: Record<string, string | undefined> = {};
    const named = files.length > 0;
    for (const name of named ? files : [join(base, DEFAULT_ENV_FILE)]) {
      const bytes = await this.#read(resolve(names, name));
      if (bytes === undefined && named)
        refuseAt({ file: name, line: 1, column: 1 }, '', 'the file of variables cannot be read');
      if (bytes === undefined) continue;
      const shown = named ? name : DEFAULT_ENV_FILE;
      for (const { name: variable, value } of parseEnvFile(shown, decoded(bytes, shown), { ...found, ...own }))
        if (value !== undefined) found = { ...found, [variable]: value };
    }
    return { ...found, ...own };
  }

  async model(model: Model): Promise<MapNode> {
    let merged: MapNode | undefined;
    const included: MapNode[] = [];
    for (const source of model.sources) {
      const path = source.name === '-' ? '-' : resolve(model.names, source.name);
      if (model.path.includes(path))
        refuseAt({ file: source.name, line: 1, column: 1 }, 'include', 'the file includes itself');
      const content = source.content ?? (await this.#content(source.name, path));
      for (const tree of parseYaml(source.name, content)) {
        const file = asMap(this.#interpolated(tree, model.variables));
        for (const entry of listOf(child(file, 'include')))
          included.push(await this.#included(entry, { ...model, path: [...model.path, path] }));
        const long = normaliseFile(withChild(file, 'include', undefined), {
          directory: model.directory,
          problems: this.#problems,
        });
        const extended = await this.#extended(long, path, model, merged);
        merged = merged === undefined ? extended : mergeFiles(merged, extended, this.#problems);
      }
    }
    const at: Place = { file: model.sources[0]?.name ?? '-', line: 1, column: 1 };
    return this.#withIncluded(merged ?? mapNode([], at), included);
  }

  async #content(name: string, path: string): Promise<string> {
    const at = { file: name, line: 1, column: 1 };
    if (++this.#files > COMPOSE_LIMITS.FILES) refuseAt(at, '', `more than ${COMPOSE_LIMITS.FILES} files`);
    const bytes = await this.#read(path);
    return bytes === undefined ? refuseAt(at, '', 'the file cannot be read') : decoded(bytes, name);
  }

  async #extended(file: MapNode, path: string, model: Model, before: MapNode | undefined): Promise<MapNode> {
    const resolver = new ExtendsResolver({
      problems: this.#problems,
      load: async (name, at) => {
        const absolute = absolutePath(name, model.directory);
        const content = await this.#content(name, absolute).catch((thrown: unknown) => {
          this.#problems.error(at, 'extends', `the file ${name} cannot be read`);
          throw thrown;
        });
        const directory = dirname(absolute);
        const trees = parseYaml(name, content).map((tree) => asMap(this.#interpolated(tree, model.variables)));
        const [tree = mapNode([], at)] = trees.map((one) =>
          normaliseFile(one, { directory, problems: this.#problems }),
        );
        return { tree, path: absolute };
      },
    });
    return resolver.resolveAll(file, path, before);
  }

  async #included(entry: ComposeNode, model: Model): Promise<MapNode> {
    const at = entry.at;
    if (entry.kind === 'list') return refuseAt(at, 'include', 'a list, and a path or a map is wanted');
    const names = entry.kind === 'scalar' ? [entry.text] : listOf(child(entry, 'path')).map(textOf);
    if (names.length === 0 || names.some((name) => name === ''))
      return refuseAt(at, 'include', 'it names no file', 'write include: [other.yml]');
    if (entry.kind === 'map')
      for (const [key, { keyAt }] of entry.entries)
        if (!['path', 'project_directory', 'env_file'].includes(key) && !key.startsWith('x-'))
          this.#problems.error(
            keyAt,
            `include.${key}`,
            'there is no such key',
            'known are path, project_directory, env_file',
          );
    const paths = names.map((name) => absolutePath(name, model.directory));
    const own = child(entry, 'project_directory');
    const directory =
      own === undefined ? dirname(paths[0] ?? model.directory) : absolutePath(textOf(own), model.directory);
    const files = listOf(child(entry, 'env_file')).map((node) => absolutePath(textOf(node), model.directory));
    const variables = await this.variables(files, directory, directory, model.variables);
    const sources = paths.map((name, i) => ({ name: isAbsolute(names[i] ?? '') ? name : (names[i] ?? name) }));
    return this.model({ ...model, sources, names: model.directory, directory, variables });
  }

  /** What is included stands beside what is there: the same name for two things is refused. */
  #withIncluded(root: MapNode, included: readonly MapNode[]): MapNode {
    let out = root;
    for (const model of included)
      for (const [section, { value }] of model.entries) {
        if (value.kind !== 'map' || section.startsWith('x-')) continue;
        let target = asSection(child(out, section), value.at);
        for (const [name, entry] of value.entries) {
          const own = target.entries.get(name);
          if (own === undefined) target = withChild(target, name, entry.value);
          else if (!sameNodes(own.value, entry.value))
            this.#problems.error(
              own.keyAt,
              `${section}.${name}`,
              `${placeText(entry.keyAt)}, which is included, has another ${name}`,
              'rename one of them, or include both files together: include: [{path: [a.yml, b.yml]}]',
            );
        }
        out = withChild(out, section, target);
      }
    return out;
  }

  /** Environment files come before `environment`, label files before `labels`. */
  async withFilesOfServices(root: MapNode, variables: Variables): Promise<MapNode> {
    const services = child(root, 'services');
    if (services?.kind !== 'map') return root;
    let out = services;
    for (const [name, { value }] of services.entries) {
      if (value.kind !== 'map') continue;
      let service = value;
      const environment = await this.#environment(service, variables, `services.${name}`);
      if (environment !== undefined)
        service = withChild(withChild(service, 'env_file', undefined), 'environment', environment);
      const labels = await this.#labels(service, `services.${name}`);
      if (labels !== undefined) service = withChild(withChild(service, 'label_file', undefined), 'labels', labels);
      if (service !== value) out = withChild(out, name, service);
    }
    return withChild(root, 'services', out);
  }

  async #environment(service: MapNode, variables: Variables, path: string): Promise<MapNode | undefined> {
    const files = child(service, 'env_file');
    const own = child(service, 'environment');
    if (own !== undefined && !isNull(own) && own.kind !== 'map') return undefined;
    if (isNull(files) && isNull(own)) return undefined;
    const entries = new Map<string, MapEntry>();
    const known: Record<string, string | undefined> = {};
    for (const [i, file] of listOf(files).entries()) {
      const name = textOf(child(file, 'path'));
      const required = child(file, 'required');
      const bytes = await this.#read(name);
      if (bytes === undefined) {
        if (required === undefined || textOf(required) !== 'false')
          this.#problems.error(
            file.at,
            `${path}.env_file[${i}]`,
            `the file ${name} cannot be read`,
            'or mark it required: false',
          );
        continue;
      }
      const raw = textOf(child(file, 'format')) === 'raw';
      const content = decoded(bytes, name);
      const found = raw ? parseRawEnvFile(name, content) : parseEnvFile(name, content, { ...known, ...variables });
      for (const { name: variable, value = variables[variable] } of found) {
        if (value === undefined) continue;
        known[variable] = value;
        entries.set(variable, { keyAt: file.at, value: textNode(value, file.at) });
      }
    }
    for (const [name, entry] of own?.kind === 'map' ? own.entries : []) {
      const value = isNull(entry.value) ? variables[name] : undefined;
      // A name alone takes the caller's value; without one the container has no such variable.
      if (!isNull(entry.value)) entries.set(name, entry);
      else if (value !== undefined) entries.set(name, { ...entry, value: textNode(value, entry.value.at) });
      else entries.delete(name);
    }
    return mapNode(entries, own?.at ?? files?.at ?? service.at);
  }

  async #labels(service: MapNode, path: string): Promise<MapNode | undefined> {
    const files = listOf(child(service, 'label_file'));
    if (files.length === 0) return undefined;
    const entries = new Map<string, MapEntry>();
    for (const [i, file] of files.entries()) {
      const name = textOf(file);
      const bytes = await this.#read(name);
      if (bytes === undefined) {
        this.#problems.error(file.at, `${path}.label_file[${i}]`, `the file ${name} cannot be read`);
        continue;
      }
      for (const { name: label, value = '' } of parseRawEnvFile(name, decoded(bytes, name)))
        entries.set(label, { keyAt: file.at, value: textNode(value, file.at) });
    }
    const own = child(service, 'labels');
    if (own?.kind === 'map') for (const [name, entry] of own.entries) entries.set(name, entry);
    return mapNode(entries, own?.at ?? service.at);
  }
}

function asMap(node: ComposeNode): MapNode {
  if (node.kind === 'map') return node;
  return refuseAt(node.at, '', `${kindText(node)}, and a map is wanted at the top of the file`, 'begin with services:');
}

function asSection(node: ComposeNode | undefined, at: Place): MapNode {
  return node?.kind === 'map' ? node : mapNode([], at);
}

function listOf(node: ComposeNode | undefined): readonly ComposeNode[] {
  if (node === undefined || isNull(node)) return [];
  return node.kind === 'list' ? node.items : [node];
}

function textOf(node: ComposeNode | undefined): string {
  return node?.kind === 'scalar' ? node.text : '';
}

function decoded(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return refuseAt({ file: name, line: 1, column: 1 }, '', 'the file is not text in UTF-8');
  }
}

/** Services whose profiles are not wanted are left out, with what others need of them named. */
function withProfiles(root: MapNode, active: ReadonlySet<string>, problems: Problems): MapNode {
  const services = child(root, 'services');
  if (services?.kind !== 'map') return root;
  const kept = new Map(services.entries);
  const dropped = new Map<string, string>();
  for (const [name, { value }] of services.entries) {
    const profiles = listOf(child(value, 'profiles')).map(textOf);
    if (profiles.length === 0 || active.has('*') || profiles.some((profile) => active.has(profile))) continue;
    kept.delete(name);
    dropped.set(name, profiles.join(', '));
  }
  if (dropped.size === 0) return root;
  for (const [name, entry] of kept) {
    const needs = child(entry.value, 'depends_on');
    if (needs?.kind !== 'map' || entry.value.kind !== 'map') continue;
    let left = needs;
    for (const [other, need] of needs.entries) {
      const profiles = dropped.get(other);
      if (profiles === undefined) continue;
      if (textOf(child(need.value, 'required')) !== 'false')
        problems.error(
          need.keyAt,
          `services.${name}.depends_on.${other}`,
          `${other} is left out: it is of profile ${profiles}`,
          `add --profile ${profiles.split(',')[0] ?? ''}, or mark it required: false`,
        );
      left = withChild(left, other, undefined);
    }
    if (left !== needs) kept.set(name, { ...entry, value: withChild(entry.value, 'depends_on', left) });
  }
  return withChild(root, 'services', mapNode(kept, services.at));
}

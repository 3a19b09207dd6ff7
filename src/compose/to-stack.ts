/** A project as what a swarm is asked to deploy. */
import { checkName } from '#common/names.ts';
import { VolumeSpec } from '#gen/swarm/v1/objects.ts';
import { type NetworkSpec, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import type { StackConfig, StackSecret } from '#gen/swarm/v1/stacks.ts';
import { containerSpec, logDriverOf } from './container-spec.ts';
import { Dependencies, type Services } from './dependencies.ts';
import { endpointOf, modeOf, placementOf, restartPolicyOf, updateConfigOf } from './deploy-spec.ts';
import { extendedPlacement, extensionOf, jobFields, jobSpecOf, probesOf } from './extension-spec.ts';
import { Fields } from './fields.ts';
import { CONFIG_KEYS, DEPLOY_KEYS, NETWORK_KEYS, SECRET_KEYS, SERVICE_KEYS, TOP_KEYS, VOLUME_KEYS } from './keys.ts';
import type { ComposeProject } from './load.ts';
import { type Members, readMembers } from './member-names.ts';
import { mountsOf } from './mount-spec.ts';
import { IMAGE_LABEL, StackNames } from './names.ts';
import { attachmentsOf, DEFAULT_NETWORK, networkSpec } from './network-spec.ts';
import { configReferences, secretReferences, stackConfig, stackSecret } from './payload-spec.ts';
import { type Place, problemText } from './place.ts';
import { resourcesOf } from './resource-spec.ts';
import { seccompPaths } from './security-spec.ts';
import { mapNode } from './tree.ts';

/** Everything of a stack, with the names it has in the swarm. */
export interface ConvertedStack {
  readonly services: readonly ServiceSpec[];
  readonly networks: readonly NetworkSpec[];
  readonly secrets: readonly StackSecret[];
  readonly configs: readonly StackConfig[];
  readonly volumes: readonly VolumeSpec[];
  /** Where each is declared, by what refusals of managers call it: `services[shop_web]`. */
  readonly places: ReadonlyMap<string, Place>;
  /** What does no harm, but is not what the file says. */
  readonly warnings: readonly string[];
}

/** The file's own name for the stack, if it has one. */
export function declaredName(project: ComposeProject): string | undefined {
  return new Fields(project.root, '', project.problems).text('name');
}

/** @throws SwarmError that names everything that is wrong, each with its place */
export async function toStack(project: ComposeProject, stack: string): Promise<ConvertedStack> {
  const badName = checkName('NAME', stack);
  if (badName !== undefined) throw badName;
  const converter = new Converter(project, new StackNames(stack));
  const converted = await converter.convert();
  project.problems.refuse();
  return { ...converted, warnings: project.problems.warnings.map(problemText) };
}

class Converter {
  readonly #project: ComposeProject;
  readonly #names: StackNames;
  readonly #root: Fields;
  readonly #services: Services;
  readonly #networks: Members;
  readonly #volumes: Members;
  readonly #secrets: Members;
  readonly #configs: Members;
  readonly #dependencies: Dependencies;
  readonly #usedNetworks = new Set<string>();
  readonly #usedVolumes = new Set<string>();

  constructor(project: ComposeProject, names: StackNames) {
    this.#project = project;
    this.#names = names;
    this.#root = new Fields(project.root, '', project.problems, TOP_KEYS);
    const members = (key: string, table: typeof SERVICE_KEYS): Members =>
      readMembers(this.#root.members(key, table), names);
    this.#services = new Map(this.#root.members('services', SERVICE_KEYS));
    this.#networks = withDefault(members('networks', NETWORK_KEYS), this.#root, names);
    this.#volumes = members('volumes', VOLUME_KEYS);
    this.#secrets = members('secrets', SECRET_KEYS);
    this.#configs = members('configs', CONFIG_KEYS);
    this.#dependencies = new Dependencies(this.#services);
  }

  async convert(): Promise<Omit<ConvertedStack, 'warnings'>> {
    if (this.#services.size === 0)
      this.#root.error('services', 'the file has no services', 'declare one: services: {web: {image: nginx}}');
    const services: ServiceSpec[] = [];
    for (const name of this.#dependencies.inOrder()) {
      const fields = this.#services.get(name);
      if (fields !== undefined) services.push(await this.#service(name, fields));
    }
    const sources = { variables: this.#project.variables, read: this.#project.read };
    const own = (members: Members) => [...members.values()].filter(({ external }) => !external);
    const networks = own(this.#networks).filter(({ key }) => this.#isUsed('networks', key, this.#usedNetworks));
    const volumes = own(this.#volumes).filter(({ key, name }) => this.#isUsed('volumes', key, this.#usedVolumes, name));
    return {
      services,
      networks: networks.map((network) => networkSpec(network, this.#names)),
      secrets: await Promise.all(own(this.#secrets).map((secret) => stackSecret(secret, this.#names, sources))),
      configs: await Promise.all(own(this.#configs).map((config) => stackConfig(config, this.#names, sources))),
      volumes: volumes.map(({ name, fields }) =>
        VolumeSpec.create({
          name,
          labels: this.#names.labels(fields.record('labels')),
          driver: fields.text('driver') ?? '',
          driverOptions: fields.record('driver_opts'),
        }),
      ),
      places: this.#places(),
    };
  }

  #places(): ReadonlyMap<string, Place> {
    const places = new Map<string, Place>();
    const add = (section: string, key: string, name: string): void => {
      const place = this.#root.fields(section)?.placeOf(key);
      if (place !== undefined) places.set(`${section}[${name}]`, place);
    };
    for (const key of this.#services.keys()) add('services', key, this.#names.scoped(key));
    const others = { networks: this.#networks, secrets: this.#secrets, configs: this.#configs };
    for (const [section, members] of Object.entries(others))
      for (const { key, name } of members.values()) add(section, key, name);
    return places;
  }

  /** What no service joins or mounts is not made, as in Docker. */
  #isUsed(section: string, key: string, used: ReadonlySet<string>, name = key): boolean {
    if (used.has(name)) return true;
    if (key !== DEFAULT_NETWORK || section !== 'networks')
      this.#root.problems.warn(
        this.#root.fields(section)?.placeOf(key) ?? this.#root.map.at,
        `${section}.${key}`,
        'left out: no service uses it',
        'remove it, or let a service use it',
      );
    return false;
  }

  async #service(name: string, service: Fields): Promise<ServiceSpec> {
    const names = this.#names;
    const deploy = service.fields('deploy', DEPLOY_KEYS);
    const extension = extensionOf(service);
    const job = jobFields(extension);
    const attachments = attachmentsOf(service, name, this.#networks, this.#dependencies.aliases.get(name) ?? []);
    for (const key of attachments.used) this.#usedNetworks.add(key);
    const { mounts, volumes } = mountsOf(service, this.#volumes, names);
    for (const volume of volumes) this.#usedVolumes.add(volume);
    const parts = {
      names,
      mounts,
      secrets: secretReferences(service, this.#secrets),
      configs: configReferences(service, this.#configs),
      profiles: await this.#profiles(service),
    };
    const container = { ...containerSpec(service, parts), probes: probesOf(extension) };
    const placement = placementOf(service, deploy);
    const mode = modeOf(service, deploy, job, this.#dependencies.awaitedToEnd.has(name));
    const isJob = mode.kind === 'replicatedJob' || mode.kind === 'globalJob';
    const task = TaskSpec.create({
      container,
      resources: resourcesOf(service, deploy),
      restart: restartPolicyOf(service, deploy),
      placement: extendedPlacement(placement, extension, names, (other) => this.#services.has(other)),
      logDriver: logDriverOf(service),
      networks: attachments.specs,
      stopAfterDisconnectMs: extension?.durationMs('stop_after_disconnect'),
    });
    return ServiceSpec.create({
      name: names.scoped(name),
      labels: { ...names.labels(deploy?.record('labels') ?? {}), [IMAGE_LABEL]: container.image },
      task,
      mode,
      // Jobs are not updated: they run again.
      update: isJob ? undefined : updateConfigOf(deploy, 'update_config', extension),
      rollback: isJob ? undefined : updateConfigOf(deploy, 'rollback_config', extension),
      endpoint: endpointOf(service, deploy, extension),
      job: isJob ? jobSpecOf(job) : undefined,
      dependsOn: this.#dependencies.of(name, this.#services, names),
    });
  }

  async #profiles(service: Fields): Promise<ReadonlyMap<string, string>> {
    const profiles = new Map<string, string>();
    for (const path of seccompPaths(service)) {
      const bytes = await this.#project.read(path);
      if (bytes === undefined) service.error('security_opt', `the seccomp profile ${path} cannot be read`);
      else profiles.set(path, Buffer.from(bytes).toString());
    }
    return profiles;
  }
}

/** Services that name no network join one of the stack's own. */
function withDefault(members: Members, root: Fields, names: StackNames): Members {
  if (members.has(DEFAULT_NETWORK)) return members;
  const fields = new Fields(mapNode([], root.map.at), `networks.${DEFAULT_NETWORK}`, root.problems);
  const member = { key: DEFAULT_NETWORK, name: names.scoped(DEFAULT_NETWORK), external: false, fields };
  return new Map([...members, [DEFAULT_NETWORK, member]]);
}

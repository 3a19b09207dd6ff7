/** What this node is: told to managers, which schedule by it. Looked at again while the daemon runs. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { arch, cpus, hostname, release, totalmem } from 'node:os';
import { EngineDescription, type NodeCondition, type NodeDataPath, NodeDescription } from '#gen/swarm/v1/objects.ts';
import { type GenericResource, Platform, Resources } from '#gen/swarm/v1/specs.ts';

export interface DescribeOptions {
  readonly version: string;
  readonly featureLevel: number;
  readonly labels: Readonly<Record<string, string>>;
  /** What the node has beside CPU and memory, as its operator says. */
  readonly generic: readonly GenericResource[];
  /** Overrides the host's name: several nodes on one machine. */
  readonly hostname: string | undefined;
  readonly cgroupVersion: string;
  readonly capabilities: readonly string[];
  /** Absolute paths of the OCI runtimes by name. */
  readonly runtimes: Readonly<Record<string, string>>;
  /** Conditions as they are now. */
  readonly conditions: () => readonly NodeCondition[];
  /** Where other nodes send packets of networks, as it is now; undefined where none can. */
  readonly dataPath?: () => Promise<NodeDataPath | undefined>;
}

/** Names of architectures as in image manifests. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' };

export type Describe = () => Promise<NodeDescription>;

/** Reads what does not change once, and returns the function that describes the node as it is now. */
export async function nodeDescriber(options: DescribeOptions): Promise<Describe> {
  const engine = EngineDescription.create({
    version: options.version,
    labels: options.labels,
    runtimes: await versionsOf(options.runtimes),
    kernelVersion: release(),
    operatingSystem: await operatingSystem(),
    cgroupVersion: options.cgroupVersion,
    capabilities: options.capabilities,
  });
  const platform = Platform.create({ os: 'linux', architecture: ARCHITECTURES[arch()] ?? arch() });
  return async () =>
    NodeDescription.create({
      hostname: options.hostname ?? hostname(),
      platform,
      resources: Resources.create({
        cpuNanos: cpus().length * 1e9,
        memoryBytes: totalmem(),
        generic: options.generic,
      }),
      engine,
      conditions: options.conditions(),
      featureLevel: options.featureLevel,
      dataPath: await options.dataPath?.(),
    });
}

async function versionsOf(runtimes: Readonly<Record<string, string>>): Promise<Record<string, string>> {
  const versions: Record<string, string> = {};
  for (const [name, path] of Object.entries(runtimes)) versions[name] = await versionOf(path);
  return versions;
}

function versionOf(path: string): Promise<string> {
  return new Promise((resolve) => {
    execFile(path, ['--version'], { timeout: 5000 }, (error, stdout) => {
      resolve(error === null ? (/\d+\.\d+[^\s,]*/.exec(stdout)?.[0] ?? 'unknown') : 'unknown');
    });
  });
}

async function operatingSystem(): Promise<string> {
  try {
    const text = await readFile('/etc/os-release', 'utf8');
    return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(text)?.[1] ?? 'Linux';
  } catch {
    return 'Linux';
  }
}

/**
 * The devices behind GPUs that the scheduler gave a task. An operator names them: `GPU=/dev/dri/renderD128` by path,
 * `NVIDIA-GPU=0` by number, `NVIDIA-GPU=GPU-...` by the id that their driver shows. Other names stand for nothing here.
 */
import { readdir, readFile } from 'node:fs/promises';
import type { ContainerSpec, DeviceSpec } from '#agent/runtime/index.ts';
import type { GenericResource } from '#gen/swarm/v1/specs.ts';

export interface AssignedGpus {
  readonly devices: readonly DeviceSpec[];
  /** Entries of the environment, for runtimes and libraries that ask for it. */
  readonly env: readonly string[];
}

/** Where the driver of NVIDIA lists its cards. */
export const NVIDIA_CARDS = '/proc/driver/nvidia/gpus';

const IS_GPU = /^(?:nvidia[-_])?gpus?$/i;
/** What every program needs that uses one of the cards; which of them are there is up to the driver. */
const NVIDIA_CONTROL = ['/dev/nvidiactl', '/dev/nvidia-uvm', '/dev/nvidia-uvm-tools', '/dev/nvidia-modeset'];

function device(path: string, optional: boolean): DeviceSpec {
  return { source: path, target: path, access: 'rwm', optional };
}

/** Numbers of the cards by the ids that their driver gives them. */
async function nvidiaNumbers(directory: string): Promise<ReadonlyMap<string, string>> {
  const numbers = new Map<string, string>();
  for (const name of await readdir(directory).catch(() => [])) {
    const text = await readFile(`${directory}/${name}/information`, 'utf8').catch(() => '');
    const id = /^GPU UUID:\s*(\S+)/m.exec(text)?.[1];
    const number = /^Device Minor:\s*(\d+)/m.exec(text)?.[1];
    if (id !== undefined && number !== undefined) numbers.set(id, number);
  }
  return numbers;
}

function isPath(name: string): boolean {
  return name.startsWith('/dev/') && !name.split('/').includes('..');
}

/** Nothing is looked up for a task without GPUs. A card by its path that is not there is an error when it is made. */
export async function gpusOf(
  assigned: readonly GenericResource[],
  cards: string = NVIDIA_CARDS,
): Promise<AssignedGpus> {
  const names = assigned.flatMap(({ kind, value }) =>
    IS_GPU.test(kind) && value?.kind === 'name' ? [value.value] : [],
  );
  if (names.length === 0) return { devices: [], env: [] };
  const paths = names.filter(isPath);
  const numbers = names.some((name) => name.startsWith('GPU-'))
    ? await nvidiaNumbers(cards)
    : new Map<string, string>();
  const nvidia = names.filter((name) => /^\d{1,3}$/.test(name) || numbers.has(name));
  return {
    devices: [
      ...paths.map((path) => device(path, false)),
      ...nvidia.map((name) => device(`/dev/nvidia${numbers.get(name) ?? name}`, false)),
      ...(nvidia.length === 0 ? [] : NVIDIA_CONTROL.map((path) => device(path, true))),
    ],
    env: nvidia.length === 0 ? [] : [`NVIDIA_VISIBLE_DEVICES=${nvidia.join(',')}`],
  };
}

/** The spec with the GPUs that its task was given; what the service itself sets in the environment stays. */
export async function withGpus(spec: ContainerSpec, assigned: readonly GenericResource[]): Promise<ContainerSpec> {
  const { devices, env } = await gpusOf(assigned);
  return devices.length === 0 ? spec : { ...spec, devices: [...spec.devices, ...devices], env: [...env, ...spec.env] };
}

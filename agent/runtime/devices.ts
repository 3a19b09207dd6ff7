/** Devices of the machine that a container gets: looked up when it is made, since they come and go. */
import type { Stats } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import { invalidField } from '#common/errors.ts';
import type { ContainerSpec, DeviceSpec } from './spec/container-spec.ts';
import type { OciDevice, OciDeviceRule } from './spec/oci-spec.ts';
import type { DeviceFacts, DeviceNumbers } from './spec/resources.ts';

/** What the runtime makes itself, for every container. */
const MADE_BY_RUNTIME: ReadonlySet<string> = new Set(
  ['null', 'zero', 'full', 'random', 'urandom', 'tty', 'console', 'ptmx'].map((name) => `/dev/${name}`),
);
/** Directories of /dev that hold no devices of the machine, but mounts and links of processes. */
const NOT_DEVICES: ReadonlySet<string> = new Set(['pts', 'shm', 'fd', 'mqueue', 'hugepages', '.udev', '.lxc']);
/** A machine with thousands of disks has fewer; a directory with more is none of devices. */
const DEVICES_MAX = 16_384;
const DEPTH_MAX = 8;

/** As the kernel packs them into one number (makedev(3)). */
export function deviceNumbers(packed: number): DeviceNumbers {
  const high = Math.floor(packed / 2 ** 32);
  const low = packed % 2 ** 32;
  return {
    major: ((low >>> 8) & 0xfff) + ((high & 0xfffff000) >>> 0),
    minor: (low & 0xff) + ((low >>> 12) & 0xfffff00),
  };
}

function nodeOf(path: string, found: Stats): OciDevice | undefined {
  if (!found.isCharacterDevice() && !found.isBlockDevice()) return undefined;
  return {
    path,
    type: found.isBlockDevice() ? 'b' : 'c',
    ...deviceNumbers(found.rdev),
    fileMode: found.mode & 0o7777,
    uid: found.uid,
    gid: found.gid,
  };
}

function noDevice(field: string, path: string, why: string): Error {
  return invalidField(field, `${field}: ${path} ${why}`, 'name a device of the node that runs the task');
}

/** All devices below a directory, as they are found below `target` in the container. */
async function devicesBelow(directory: string, target: string, depth = 0): Promise<readonly OciDevice[]> {
  if (depth > DEPTH_MAX) return [];
  const found: OciDevice[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (found.length > DEVICES_MAX) break;
    const [path, inside] = [`${directory}/${entry.name}`, `${target}/${entry.name}`];
    if (entry.isDirectory()) {
      if (directory !== '/dev' || !NOT_DEVICES.has(entry.name))
        found.push(...(await devicesBelow(path, inside, depth + 1)));
    } else if (entry.isCharacterDevice() || entry.isBlockDevice()) {
      const node = nodeOf(inside, await stat(path));
      if (node !== undefined) found.push(node);
    }
  }
  return found;
}

async function nodesOf(device: DeviceSpec): Promise<readonly OciDevice[]> {
  try {
    const path = await realpath(device.source);
    const found = await stat(path);
    const nodes = found.isDirectory() ? await devicesBelow(path, device.target) : [nodeOf(device.target, found)];
    const devices = nodes.filter((node) => node !== undefined);
    if (devices.length === 0) throw noDevice('device', device.source, 'is no device of this node');
    return devices;
  } catch (error) {
    if (!hasErrno(error, 'ENOENT', 'ENOTDIR', 'ENXIO')) throw error;
    if (device.optional) return [];
    throw noDevice('device', device.source, 'does not exist on this node');
  }
}

function ruleFor({ type, major, minor }: OciDevice, access: string): OciDeviceRule {
  return { allow: true, type, major, minor, access };
}

async function diskNumbers(path: string): Promise<DeviceNumbers> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isBlockDevice() !== true) throw noDevice('block-io', path, 'is no disk of this node');
  return deviceNumbers(found.rdev);
}

/** The disks whose use is limited, by path. */
async function numbersOf({ blockIo }: ContainerSpec['resources']): Promise<ReadonlyMap<string, DeviceNumbers>> {
  if (blockIo === undefined) return new Map();
  const { deviceWeights, readBytes, writeBytes, readOperations, writeOperations } = blockIo;
  const named = [deviceWeights, readBytes, writeBytes, readOperations, writeOperations].flat();
  const paths = [...new Set(named.map(({ path }) => path))];
  return new Map(await Promise.all(paths.map(async (path) => [path, await diskNumbers(path)] as const)));
}

/** Throws `bad-field` for what is no device of this machine. */
export async function findDevices(spec: ContainerSpec): Promise<DeviceFacts> {
  const nodes = new Map<string, OciDevice>();
  const rules: OciDeviceRule[] = [];
  if (spec.privileged) {
    for (const node of await devicesBelow('/dev', '/dev')) nodes.set(node.path, node);
    rules.push({ allow: true, access: 'rwm' });
  }
  for (const device of spec.devices)
    for (const node of await nodesOf(device)) {
      nodes.set(node.path, node);
      if (!spec.privileged) rules.push(ruleFor(node, device.access));
    }
  for (const { type, major, minor, access } of spec.deviceRules)
    rules.push({
      allow: true,
      type,
      ...(major === undefined ? {} : { major }),
      ...(minor === undefined ? {} : { minor }),
      access,
    });
  return {
    nodes: [...nodes.values()].filter(({ path }) => !MADE_BY_RUNTIME.has(path)),
    rules,
    numbers: await numbersOf(spec.resources),
  };
}

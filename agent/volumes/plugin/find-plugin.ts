/** Where a volume plugin listens, by Docker's rules of discovery. */
import { readFile, stat } from 'node:fs/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import { SwarmError } from '#common/errors.ts';
import { isDriverName } from '#common/volume-names.ts';
import type { VolumesConfig } from '../config.ts';

export type PluginAddress =
  | { readonly kind: 'socket'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** Looked for anew each time: plugins come and go. Throws `plugin-failed` where there is none of that name. */
export async function findPlugin(name: string, config: VolumesConfig): Promise<PluginAddress> {
  if (!isDriverName(name)) throw unknownPlugin(name, config);
  const { pluginSocketDirectory, pluginSpecDirectories } = config;
  for (const path of [`${pluginSocketDirectory}/${name}.sock`, `${pluginSocketDirectory}/${name}/${name}.sock`])
    if (await isSocket(path)) return { kind: 'socket', path };
  for (const directory of pluginSpecDirectories)
    for (const ending of ['.spec', '.json']) {
      const text = await readOptional(`${directory}/${name}${ending}`);
      if (text !== undefined) return addressIn(ending === '.spec' ? text : addressOfJson(text), `${name}${ending}`);
    }
  throw unknownPlugin(name, config);
}

async function isSocket(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isSocket();
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

async function readOptional(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

function addressOfJson(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return '';
    const { Addr, TLSConfig } = value as { readonly Addr?: unknown; readonly TLSConfig?: unknown };
    if (TLSConfig !== undefined && TLSConfig !== null) return 'tls';
    return typeof Addr === 'string' ? Addr : '';
  } catch {
    return '';
  }
}

function addressIn(text: string, file: string): PluginAddress {
  const address = text.trim();
  const path = /^unix:\/\/(\/.+)$/.exec(address)?.[1];
  if (path !== undefined) return { kind: 'socket', path };
  const [, host, port] = /^(?:tcp|http):\/\/(\[[0-9a-f:.]+\]|[a-z0-9.-]+):(\d{1,5})\/?$/i.exec(address) ?? [];
  if (host !== undefined && port !== undefined)
    return { kind: 'tcp', host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
  throw new SwarmError({
    code: 'unavailable',
    reason: 'plugin-failed',
    message: `${file} names no address of a volume plugin that this node can use`,
    hint: 'write unix:///run/plugin.sock or tcp://127.0.0.1:8080 into it; plugins behind TLS are not supported',
  });
}

function unknownPlugin(name: string, { pluginSocketDirectory }: VolumesConfig): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'plugin-failed',
    field: 'driver',
    message: `there is no volume plugin ${JSON.stringify(name)} on this node`,
    hint: `start it: it is looked for in ${pluginSocketDirectory}/${name}.sock; or constrain the service to nodes that have it`,
  });
}

/** A small volume plugin, as Docker's protocol wants it: it listens on a socket and really mounts. */
import { mkdir, rm } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import { MOUNT_FLAGS, mount, unmount } from '#agent/kernel/mount.ts';

type Body = Readonly<Record<string, unknown>>;

interface PluginVolume {
  readonly options: Readonly<Record<string, string>>;
  /** Ids of mounts. */
  readonly mounts: Set<string>;
}

export class VolumePlugin {
  readonly #directory: string;
  readonly #socket: string;
  #server: Server | undefined;
  readonly volumes = new Map<string, PluginVolume>();
  /** Methods in the order in which they were called. */
  readonly calls: string[] = [];
  /** What it does with a method instead of answering well. */
  readonly faults = new Map<string, 'hang' | 'die' | { readonly status: number; readonly text: string }>();
  scope = 'local';
  readonly #gives: 'mounts' | 'directories';

  /** Data is kept below the directory. */
  constructor(directory: string, socket: string, gives: 'mounts' | 'directories' = 'mounts') {
    this.#directory = directory;
    this.#socket = socket;
    this.#gives = gives;
  }

  async start(): Promise<void> {
    await mkdir(dirname(this.#socket), { recursive: true });
    await rm(this.#socket, { force: true });
    const server = createServer((request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => {
        text += chunk.toString('utf8');
      });
      request.on(
        'end',
        () => void this.#serve((request.url ?? '').slice(1), JSON.parse(text || '{}') as Body, response),
      );
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#socket, resolve));
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  /** Stops it and takes away its mounts. */
  async destroy(): Promise<void> {
    await this.stop();
    for (const name of this.volumes.keys()) await unmount(this.mountpoint(name));
  }

  mountpoint(name: string): string {
    if (this.#gives === 'directories') return `${this.#directory}/data/${name}`;
    return `${this.#directory}/mnt/${name}`;
  }

  async #serve(method: string, body: Body, response: ServerResponse): Promise<void> {
    this.calls.push(method);
    const fault = this.faults.get(method);
    if (fault === 'hang') return;
    if (fault === 'die') {
      response.destroy();
      return;
    }
    const name = String(body['Name'] ?? '');
    const answer =
      fault ??
      (await this.#answer(method, name, String(body['ID'] ?? ''), body).then(
        (value) => ({ status: 200, text: JSON.stringify(value) }),
        (error: unknown) => ({ status: 500, text: JSON.stringify({ Err: String(error) }) }),
      ));
    response.writeHead(answer.status, { 'content-type': 'application/vnd.docker.plugins.v1.2+json' }).end(answer.text);
  }

  async #answer(method: string, name: string, id: string, body: Body): Promise<object> {
    const known = this.volumes.get(name);
    switch (method) {
      case 'Plugin.Activate':
        return { Implements: ['VolumeDriver'] };
      case 'VolumeDriver.Capabilities':
        return { Capabilities: { Scope: this.scope } };
      case 'VolumeDriver.Create':
        await mkdir(`${this.#directory}/data/${name}`, { recursive: true });
        this.volumes.set(name, { options: (body['Opts'] ?? {}) as Record<string, string>, mounts: new Set() });
        return { Err: '' };
      case 'VolumeDriver.Get':
        if (known === undefined) throw new Error(`no volume ${name}`);
        return { Volume: { Name: name, Mountpoint: known.mounts.size > 0 ? this.mountpoint(name) : '' }, Err: '' };
      case 'VolumeDriver.Mount':
        if (known === undefined) throw new Error(`no volume ${name}`);
        await this.#mount(name, known);
        known.mounts.add(id);
        return { Mountpoint: this.mountpoint(name), Err: '' };
      case 'VolumeDriver.Unmount':
        known?.mounts.delete(id);
        if (known?.mounts.size === 0) await unmount(this.mountpoint(name));
        return { Err: '' };
      case 'VolumeDriver.Remove':
        if (known === undefined) throw new Error(`no volume ${name}`);
        if (known.mounts.size > 0) throw new Error(`volume ${name} is mounted`);
        this.volumes.delete(name);
        return { Err: '' };
      default:
        throw new Error(`no method ${method}`);
    }
  }

  async #mount(name: string, known: PluginVolume): Promise<void> {
    if (known.mounts.size > 0 || this.#gives === 'directories') return;
    const target = this.mountpoint(name);
    await mkdir(target, { recursive: true });
    await mount({ source: `${this.#directory}/data/${name}`, target, type: 'none', flags: MOUNT_FLAGS.bind });
  }
}

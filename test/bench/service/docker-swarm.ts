import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { busyboxArchive } from '#test/fixtures/busybox-image.ts';
import { IMAGE, until } from './bench-daemon.ts';

const run = promisify(execFile);

/** dockerd in a network namespace of its own: its rules and bridges are not the host's. */
export class DockerSwarm {
  readonly #folder: string;
  readonly #daemon: ChildProcess;

  constructor(folder: string) {
    this.#folder = folder;
    const script = `
      ip link set lo up; ip link add v0 type veth peer name v1
      ip addr add 10.99.0.1/24 dev v0; ip link set v0 up; ip link set v1 up
      exec dockerd --data-root ${folder}/data --exec-root ${folder}/exec --pidfile ${folder}/pid -H unix://${folder}/sock`;
    this.#daemon = spawn('unshare', ['--net', 'bash', '-c', script], { stdio: 'ignore' });
  }

  async docker(...args: string[]): Promise<string> {
    return (await run('docker', ['-H', `unix://${this.#folder}/sock`, ...args])).stdout.trim();
  }

  async ready(): Promise<void> {
    const answers = (): Promise<boolean> =>
      this.docker('version').then(
        () => true,
        () => false,
      );
    await until('dockerd', answers, 200);
    await this.docker('swarm', 'init', '--advertise-addr', '10.99.0.1');
    await this.docker('load', '-i', await busyboxArchive({ name: IMAGE }));
  }

  async destroy(): Promise<void> {
    await this.docker('swarm', 'leave', '--force').catch(() => '');
    const ended = once(this.#daemon, 'exit');
    this.#daemon.kill('SIGTERM');
    await ended;
  }
}

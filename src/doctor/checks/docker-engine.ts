import { type Check, EVERYWHERE, ok, warn } from '../check.ts';

/** dockerd may run beside us; a swarm of its own is what gets in the way. */
export const dockerEngine: Check = {
  name: 'docker-engine',
  purposes: EVERYWHERE,
  containersOnly: true,
  run: async ({ host, dockerSocket, listen, dataPathPort }) => {
    const engine = await host.docker(dockerSocket);
    if (engine === undefined) return ok('no Docker engine runs on this host');
    if (engine.swarmState === 'inactive')
      return ok(`Docker ${engine.version} runs beside the daemon, without a swarm of its own`);
    return warn(
      `Docker ${engine.version} on this host is part of a swarm itself: it holds 2377/tcp, 7946 and 4789/udp`,
      `let it leave (docker swarm leave), or use other ports than ${listen.port} and ${dataPathPort} here: --listen-addr, --data-path-port`,
    );
  },
};

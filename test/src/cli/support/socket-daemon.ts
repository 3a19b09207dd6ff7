/** The fixture's swarm behind a real socket, for the real program. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '#common/log.ts';
import { ControlService } from '#gen/swarm/v1/control.ts';
import { NodeService } from '#gen/swarm/v1/node.ts';
import type { ControlApi } from '#manager/control/index.ts';
import { RpcServer } from '#proto/grpc/server.ts';
import { fakeApi } from './run-cli.ts';

export interface SocketDaemon {
  readonly socket: string;
  close(): Promise<void>;
}

export async function startSocketDaemon(control: ControlApi): Promise<SocketDaemon> {
  const directory = await mkdtemp(join(tmpdir(), 'swarm-cli-'));
  const server = new RpcServer({ trust: { kind: 'local' }, logger: silentLogger });
  const socket = join(directory, 'swarm.sock');
  const api = fakeApi(control);
  server.addService(ControlService, api.control);
  server.addService(NodeService, api.node);
  await server.listenSocket(socket);
  return {
    socket,
    close: async () => {
      await server.close();
      await rm(directory, { recursive: true });
    },
  };
}

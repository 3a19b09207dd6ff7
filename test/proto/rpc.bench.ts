/**
 * Rates of calls over mutual TLS and over the local socket, server and client in two processes:
 * `node test/proto/rpc.bench.ts`.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { peerIdentity } from '#certs/peer.ts';
import { NodeChannelCredentials, NodeServerCredentials, type TlsIdentity } from '#certs/tls.ts';
import { silentLogger } from '#common/log.ts';
import { DispatcherService, SessionResponse } from '#gen/swarm/v1/dispatcher.ts';
import { CheckResponse, HealthService } from '#gen/swarm/v1/health.ts';
import { ImageService } from '#gen/swarm/v1/images.ts';
import { createClient } from '#proto/grpc/client.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { RpcServer } from '#proto/grpc/server.ts';
import { SocketTransport } from '#proto/grpc/socket-transport.ts';
import type { Transport } from '#proto/grpc/transport.ts';
import { CLUSTER_ID, testAuthority, testNode } from '#test/certs/fixtures.ts';

const SOCKET = join(tmpdir(), `rpc-bench-${process.ppid}.sock`);

async function serve(manager: TlsIdentity): Promise<void> {
  const health: Handlers<typeof HealthService> = {
    check: (request) => Promise.resolve(CheckResponse.create({ message: request.service })),
  };
  const tls = new RpcServer({
    trust: { kind: 'certificate', identify: (call) => peerIdentity(call, Date.now()), clusterId: () => CLUSTER_ID },
    logger: silentLogger,
  });
  tls.addService(HealthService, health);
  tls.addService(DispatcherService, {
    session: async function* (requests) {
      for await (const request of requests)
        yield SessionResponse.create({
          message: { kind: 'statusAck', value: { batch: request.message === undefined ? 0 : 1 } },
        });
    },
  });
  const port = await tls.listen('127.0.0.1:0', new NodeServerCredentials(manager));
  const local = new RpcServer({ trust: { kind: 'local' }, logger: silentLogger });
  local.addService(HealthService, health);
  const { loadImage } = ImageService;
  local.addService(
    { loadImage },
    {
      loadImage: async (requests) => {
        for await (const _request of requests);
        return { images: [] };
      },
    },
  );
  await local.listenSocket(`${SOCKET}.child`);
  process.send?.(port);
  process.once('disconnect', () => void Promise.all([tls.close(0), local.close(0)]).then(() => process.exit()));
}

async function rate(what: string, count: number, run: (count: number) => Promise<unknown>): Promise<void> {
  await run(count / 4);
  let best = 0;
  for (let round = 0; round < 3; round++) {
    const start = performance.now();
    await run(count);
    best = Math.max(best, (count / (performance.now() - start)) * 1000);
  }
  console.log(`${what}: ${Math.round(best)} /s`);
}

async function measureUnary(name: string, transport: Transport): Promise<void> {
  const health = createClient(HealthService, transport);
  for (const inFlight of [1, 16, 64])
    await rate(`${name}, unary, ${inFlight} in flight`, 4000, async (count) => {
      let left = count;
      const worker = async (): Promise<void> => {
        while (left-- > 0) await health.check({ service: 'agent' });
      };
      await Promise.all(Array.from({ length: inFlight }, worker));
    });
}

async function measure(): Promise<void> {
  const authority = testAuthority();
  const manager = testNode(authority, 'manager');
  const worker = testNode(authority, 'worker');
  const child = fork(import.meta.filename, ['serve']);
  child.send(manager);
  const [port] = (await once(child, 'message')) as [number];
  const credentials = new NodeChannelCredentials({
    kind: 'member',
    identity: () => worker,
    expect: { role: 'manager' },
  });
  const tls = new GrpcTransport({ target: { kind: 'address', name: `127.0.0.1:${port}` }, credentials });
  const socket = new SocketTransport(`${SOCKET.replace(String(process.ppid), String(process.pid))}.child`);
  await measureUnary('TLS', tls);
  await measureUnary('local socket', socket);
  const request = { message: { kind: 'statuses', value: { batch: 1, updates: [] } } } as const;
  await rate('TLS, bidi, pipelined', 20_000, async (count) => {
    const requests = Array.from({ length: count }, () => request);
    let answers = 0;
    for await (const _answer of createClient(DispatcherService, tls).session(requests)) answers++;
    if (answers !== count) throw new Error(`${answers} answers to ${count} requests`);
  });
  await rate('local socket, upload in MiB', 512, async (count) => {
    const chunks = Array.from({ length: count }, () => ({ chunk: new Uint8Array(1024 * 1024) }));
    await createClient(ImageService, socket).loadImage(chunks);
  });
  tls.close();
  socket.close();
  child.disconnect();
}

if (process.argv[2] === 'serve') process.once('message', (manager) => void serve(manager as TlsIdentity));
else await measure();

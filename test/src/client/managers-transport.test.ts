/**
 * Goal: calls go to whichever manager answers, and are made twice only where that does no harm. Method: real servers with
 * mutual TLS on loopback that die, refuse, or say nothing.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { peerIdentity } from '#certs/peer.ts';
import { NodeServerCredentials } from '#certs/tls.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { ControlService, ListNodesResponse } from '#gen/swarm/v1/control.ts';
import { CheckResponse, HealthService } from '#gen/swarm/v1/health.ts';
import { createClient } from '#proto/grpc/client.ts';
import { RpcServer } from '#proto/grpc/server.ts';
import { ManagersTransport } from '#src/client/managers-transport.ts';
import { CLUSTER_ID, testAuthority, testClient, testNode } from '#test/certs/fixtures.ts';
import { everyMethod } from '#test/proto/support/every-method.ts';
import { failure } from '#test/support/failure.ts';

const authority = testAuthority();
const client = testClient(authority, 'admin');
const NOT_A_MANAGER = new SwarmError({ code: 'unavailable', reason: 'not-a-manager', message: 'no manager' });

/** Answers with its name, or fails. */
class Manager {
  readonly server: RpcServer;
  address = '';
  calls: string[] = [];
  refusal: SwarmError | undefined;
  /** Called in the middle of a call. */
  onCall = async (): Promise<void> => {};

  constructor(name: string, clusterId = CLUSTER_ID, root = authority) {
    const node = testNode(root, 'manager', { clusterId });
    this.server = new RpcServer({
      trust: {
        kind: 'certificate',
        identify: (call) => peerIdentity(call, Date.now()),
        clusterId: () => CLUSTER_ID,
        admitClient: () => undefined,
      },
      logger: silentLogger,
    });
    const entered = async (path: string): Promise<void> => {
      this.calls.push(path);
      await this.onCall();
      if (this.refusal !== undefined) throw this.refusal;
    };
    this.server.addService(HealthService, {
      check: async () => {
        await entered('check');
        return CheckResponse.create({ message: name });
      },
    });
    const listNodes = async function* () {
      await entered('list');
      yield ListNodesResponse.create({});
    };
    const removeNode = async () => {
      await entered('remove');
      return {};
    };
    const others = everyMethod(ControlService, async () => {
      throw new Error('not called here');
    });
    this.server.addService(ControlService, { ...others, listNodes, removeNode });
    this.node = node;
  }

  readonly node: ReturnType<typeof testNode>;

  async listen(): Promise<this> {
    this.address = `127.0.0.1:${await this.server.listen('127.0.0.1:0', new NodeServerCredentials(this.node))}`;
    return this;
  }
}

describe('managers elsewhere', () => {
  const managers: Manager[] = [];
  const transports: ManagersTransport[] = [];
  let silent: Server | undefined;

  afterEach(async () => {
    for (const transport of transports.splice(0)) transport.close();
    for (const { server } of managers.splice(0)) await server.close(0);
    silent?.close();
    silent = undefined;
  });

  async function manager(name: string, clusterId?: string, root?: typeof authority): Promise<Manager> {
    const made = await new Manager(name, clusterId, root).listen();
    managers.push(made);
    return made;
  }

  function to(...addresses: string[]): ManagersTransport {
    const transport = new ManagersTransport({
      name: 'context test',
      addresses,
      trust: { kind: 'member', identity: () => client, expect: { role: 'manager', clusterId: CLUSTER_ID } },
      config: { connectTimeoutMs: 2_000, headStartMs: 50 },
    });
    transports.push(transport);
    return transport;
  }

  const check = async (transport: ManagersTransport) =>
    (await createClient(HealthService, transport).check({})).message;

  it('are asked in their order, and the next where one is not there', async () => {
    const [a, b] = [await manager('a'), await manager('b')];
    assert.equal(await check(to(a.address, b.address)), 'a');
    assert.equal(await check(to('127.0.0.1:1', b.address, a.address)), 'b');
  });

  it('do not wait for one that takes connections and says nothing', async () => {
    const b = await manager('b');
    silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    const startMs = performance.now();
    assert.equal(await check(to(`127.0.0.1:${port}`, b.address)), 'b');
    assert.ok(performance.now() - startMs < 1_900, 'the next one was asked before the time of the first was over');
  });

  it('that die are left for another, by calls that change nothing', async () => {
    const [a, b] = [await manager('a'), await manager('b')];
    const transport = to(a.address, b.address);
    assert.equal(await check(transport), 'a');
    await a.server.close(0);
    assert.equal(await check(transport), 'b');
    for await (const page of createClient(ControlService, transport).listNodes({})) assert.deepEqual(page.nodes, []);
    assert.deepEqual(b.calls, ['check', 'list']);
  });

  it('that die in the middle of a write are told of, and nobody makes it again', async () => {
    const [a, b] = [await manager('a'), await manager('b')];
    a.onCall = () => a.server.close(0);
    const error = await failure(createClient(ControlService, to(a.address, b.address)).removeNode({ reference: 'x' }));
    assert.equal(error.code, 'unavailable');
    assert.deepEqual([a.calls, b.calls], [['remove'], []]);
  });

  it('that refuse without having done anything are left for another, writes included', async () => {
    const [a, b] = [await manager('a'), await manager('b')];
    a.refusal = NOT_A_MANAGER;
    await createClient(ControlService, to(a.address, b.address)).removeNode({ reference: 'x' });
    assert.deepEqual([a.calls, b.calls], [['remove'], ['remove']]);
  });

  it('are each asked once, and the first one is believed', async () => {
    const [a, b] = [await manager('a'), await manager('b')];
    a.refusal = NOT_A_MANAGER;
    b.refusal = new SwarmError({ code: 'unavailable', reason: 'no-quorum', message: 'alone' });
    const transport = to(a.address, b.address);
    assert.equal((await failure(check(transport))).reason, 'not-a-manager');
    const listed = createClient(ControlService, transport).listNodes({});
    assert.ok((await failure(listed.next())).code === 'unavailable');
    assert.deepEqual(
      [a.calls, b.calls].map((calls) => calls.toSorted()),
      [
        ['check', 'list'],
        ['check', 'list'],
      ],
    );
  });

  it('a refusal that is an answer is not taken elsewhere', async () => {
    const [a, b] = [await manager('a'), await manager('b')];
    a.refusal = new SwarmError({ code: 'denied', reason: 'wrong-role', message: 'no' });
    assert.equal((await failure(check(to(a.address, b.address)))).reason, 'wrong-role');
    assert.deepEqual(b.calls, []);
  });

  it('of another cluster or another root are named as what they are, and told nothing', async () => {
    const other = await manager('other', '0'.repeat(25));
    const wrong = await failure(check(to(other.address)));
    assert.deepEqual([wrong.code, wrong.reason], ['unauthenticated', 'bad-certificate']);
    assert.match(wrong.message, /belongs to cluster 0{25}/);
    const stranger = await manager('stranger', CLUSTER_ID, testAuthority());
    const unknown = await failure(check(to('127.0.0.1:1', stranger.address)));
    assert.deepEqual([unknown.code, unknown.reason], ['unauthenticated', 'bad-certificate']);
    assert.match(unknown.message, /certificate of another root/);
    assert.deepEqual([other.calls, stranger.calls], [[], []]);
  });

  it('none of which answers are all named', async () => {
    const error = await failure(check(to('127.0.0.1:1', '127.0.0.2:1')));
    assert.deepEqual([error.code, error.reason], ['unavailable', 'daemon-unreachable']);
    assert.match(error.message, /127\.0\.0\.1:1 refused.*127\.0\.0\.2:1 refused/);
  });

  it('a stream that its reader leaves ends at the manager', async () => {
    const a = await manager('a');
    const stream = createClient(ControlService, to(a.address)).listNodes({});
    await stream.next();
    await stream.return?.();
    await check(to(a.address));
    assert.equal(a.server.callsInFlight, 0);
  });
});

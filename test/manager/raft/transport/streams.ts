/** Managers that a test connects, directly or through a proxy that misbehaves; they end with the test. */
import { createRootAuthority } from '#certs/authority.ts';
import { TestManager } from './managers.ts';
import { TcpProxy } from './tcp-proxy.ts';

const AUTHORITY = createRootAuthority(Date.now());

/** To be called where the tests are described. */
export function testStreams() {
  /** Ended after every test. */
  const running: { stop(): Promise<void> }[] = [];

  async function manager(raftId: number, config = {}): Promise<TestManager> {
    const one = await new TestManager(AUTHORITY, raftId, config).listen();
    running.push(one);
    return one;
  }

  async function proxyTo(target: TestManager): Promise<TcpProxy> {
    const proxy = await TcpProxy.start(Number(target.member.address.split(':')[1]));
    running.push({ stop: () => proxy.close() });
    return proxy;
  }

  async function pair(config = {}): Promise<[TestManager, TestManager]> {
    const [one, two] = await Promise.all([manager(1, config), manager(2, config)]);
    one.knows(two);
    two.knows(one);
    await Promise.all([one.connectedTo(2), two.connectedTo(1)]);
    return [one, two];
  }

  /** The first knows the second by the address of the proxy; nothing flows the other way. */
  async function throughProxy(config = {}): Promise<[TestManager, TestManager, TcpProxy]> {
    const [one, two] = await Promise.all([manager(1, config), manager(2, config)]);
    const proxy = await proxyTo(two);
    one.knows({ ...two.member, address: proxy.address });
    await one.connectedTo(2);
    return [one, two, proxy];
  }

  /** Sends heartbeats until one arrives: messages of a moment without a stream are lost. */
  async function arrives(from: TestManager, to: TestManager): Promise<void> {
    await from.connectedTo(to.raftId);
    const before = to.received.length;
    from.transport.send(from.messageTo(to.raftId, { type: 'MsgHeartbeat' }));
    await to.happenings.until('a heartbeat', () => to.received.length > before);
  }

  afterEach(async () => {
    await Promise.all(running.splice(0).map((one) => one.stop()));
  });

  return { authority: AUTHORITY, running, manager, pair, throughProxy, arrives };
}

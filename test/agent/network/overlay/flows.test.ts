/**
 * Goal: what is under way when backends come and go ends or goes on as it should. Method: lasting TCP connections and UDP
 * sockets through a service address, from two hosts; backends are withdrawn, ended, and lost with their host.
 */
import assert from 'node:assert/strict';
import { type Endpoint, Hosts } from './hosts.ts';

const NET = 'red';

for (const [family, vip, prefix] of [
  ['IPv4', '10.0.1.2', '10.0.1.'],
  ['IPv6', 'fd00:1::2', 'fd00:1::'],
] as const)
  describe(`overlay: flows, ${family}`, function () {
    this.timeout(60_000);
    let hosts: Hosts;
    let near: Endpoint;
    let far: Endpoint;
    const backends = new Map<string, Endpoint>();

    const task = (id: string, host: number, number: number, service = '') =>
      hosts.add({ id, host, networks: { [NET]: [`${prefix}${number}`] }, service });

    /** Which backend the answer is from. */
    const who = (answer: string): string => answer.split(' ')[0] ?? '';

    before(async () => {
      hosts = await Hosts.make({ count: 2, config: { lingerMs: 0 } });
      await hosts.restoreAll();
      hosts.network({ id: NET, vni: 4097, subnets: [family === 'IPv4' ? '10.0.1.0/24' : 'fd00:1::/64'] });
      hosts.service('web', NET, [vip]);
      await task('near', 1, 10);
      await task('far', 2, 20);
      near = hosts.inTask('near');
      far = hosts.inTask('far');
    });

    /** Backends as each test wants them, on the two hosts in turn. */
    async function backend(id: string, host: number, number: number): Promise<Endpoint> {
      await task(id, host, number, 'web');
      const program = hosts.inTask(id);
      await program.call('serve', id, 80);
      await program.call('serveDatagrams', id, family === 'IPv4' ? '0.0.0.0' : '::', 53);
      backends.set(id, program);
      return program;
    }

    afterEach(async () => {
      for (const [id, program] of backends) {
        await program.kill();
        if (hosts.tasks.has(id)) await hosts.remove(id);
      }
      backends.clear();
      for (const client of [near, far]) for (const name of ['a', 'b', 'c', 'd']) await client.call('hangUp', name);
    });

    after(() => hosts?.destroy());

    it('a withdrawn backend keeps its connections and gets no new ones; datagrams move at once', async () => {
      await backend('one', 1, 11);
      const conversations = ['a', 'b'];
      for (const client of [near, far])
        for (const name of conversations) assert.equal(who(await client.call('converse', name, vip, 80)), 'one');
      for (const client of [near, far]) assert.equal(who(await client.call('askDatagramAgain', 'w', vip, 53)), 'one');
      await backend('two', 2, 12);
      hosts.setServing('one', false);
      await hosts.sync();
      for (const client of [near, far]) {
        for (const name of conversations)
          assert.equal(await client.call('say', name, `still ${name}`), `still ${name}`);
        for (let count = 0; count < 10; count++) assert.equal(who(await client.call('ask', vip, 80)), 'two');
        assert.equal(who(await client.call('askDatagramAgain', 'w', vip, 53)), 'two', 'from the same port as before');
      }
      // The task ends: who still talks to it learns so at once.
      await hosts.remove('one');
      for (const [client, name] of [
        [near, 'b'],
        [far, 'a'],
      ] as const)
        assert.match(await client.call('say', name, 'hello?'), /^(ECONNRESET|closed)$/);
    });

    it('a host that dies takes its backends’ connections along, also when it was only cut off', async () => {
      await backend('one', 2, 11);
      await backend('two', 1, 12);
      hosts.setServing('two', false);
      await hosts.sync();
      assert.equal(who(await near.call('converse', 'c', vip, 80)), 'one');
      assert.equal(who(await near.call('converse', 'd', `${prefix}11`, 80)), 'one');
      hosts.setServing('two', true);
      const lost = hosts.tasks.get('one');
      hosts.tasks.delete('one');
      // The host itself is told of nothing, and its tasks are as they were.
      assert.deepEqual(await hosts.node(1).apply(hosts.views(1)), []);
      for (const name of ['c', 'd']) {
        const begin = performance.now();
        assert.match(await near.call('say', name, 'hello?'), /^(ECONNRESET|closed)$/, name);
        assert.ok(performance.now() - begin < 1000);
      }
      assert.match(await near.call('ask', `${prefix}11`, 80), /EHOSTUNREACH|ENETUNREACH|ECONNREFUSED/);
      assert.equal(who(await near.call('ask', vip, 80)), 'two');
      if (lost !== undefined) hosts.tasks.set('one', lost);
      await hosts.sync();
      assert.equal(who(await near.call('ask', `${prefix}11`, 80)), 'one', 'it is back');
    });

    it('a client that was refused is led to the first backend, from the same port', async () => {
      assert.equal(await near.call('askDatagramAgain', 'v', vip, 53), 'ECONNREFUSED');
      assert.equal(await near.call('ask', vip, 80), 'ECONNREFUSED');
      await backend('one', 2, 11);
      let answer = '';
      // The refusal of a datagram comes with the next call, so the first of these may still be of before.
      for (let count = 0; count < 2; count++) answer = await near.call('askDatagramAgain', 'v', vip, 53);
      assert.equal(who(answer), 'one');
      assert.equal(who(await near.call('ask', vip, 80)), 'one');
    });

    it('a restart of the daemon moves nobody and forgets nobody', async () => {
      // Sockets that still wait for a last word keep the namespaces of ended tasks: their cables are cut after a while.
      await hosts.node(1).reconcile();
      await backend('one', 1, 11);
      await backend('two', 2, 12);
      for (const name of ['a', 'b', 'c', 'd']) await near.call('converse', name, vip, 80);
      const { adopted, repaired, removed, problems } = await hosts.restart(1);
      assert.deepEqual([repaired, removed, problems], [[], [], []]);
      assert.deepEqual([...adopted].toSorted(), ['near', 'one']);
      for (const name of ['a', 'b', 'c', 'd']) assert.equal(await near.call('say', name, name), name);
      assert.deepEqual(await hosts.node(1).reconcile(), { repaired: [], problems: [] });
    });
  });

/**
 * Goal: many datagrams at a time are received whole, with their senders, and each answer finds the one that it is for.
 * Method: sockets of Node.js on the loopback ask a socket that is read and answered in batches.
 */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { DatagramBatch, sendDatagram } from '#agent/kernel/datagram-batch.ts';
import { openSharedDatagramSocket } from '#agent/kernel/datagram-socket.ts';
import { closeDescriptor } from '#agent/kernel/libc.ts';
import { eventually } from '#test/support/eventually.ts';

const COUNT = 8;
const RECEIVE_BYTES = 100;
const SEND_BYTES = 200;

for (const [family, address] of [
  ['udp4', '127.0.0.1'],
  ['udp6', '::1'],
] as const)
  describe(`kernel: batches of datagrams, ${family}`, () => {
    const batch = new DatagramBatch({ count: COUNT, receiveBytes: RECEIVE_BYTES, sendBytes: SEND_BYTES });
    let descriptor = -1;
    let port = 0;
    let askers: Socket[] = [];
    let answers: Map<Socket, string[]>;

    beforeEach(async () => {
      port = 20_000 + (process.pid % 20_000) + (family === 'udp4' ? 0 : 1);
      descriptor = openSharedDatagramSocket({ address, port }, 1024 * 1024);
      answers = new Map();
      askers = Array.from({ length: 3 }, () => createSocket(family));
      for (const asker of askers) {
        answers.set(asker, []);
        asker.on('message', (message) => answers.get(asker)?.push(message.toString()));
        asker.bind(0, address);
        await once(asker, 'listening');
      }
    });
    afterEach(() => {
      for (const asker of askers) asker.close();
      closeDescriptor(descriptor);
    });

    const send = (asker: Socket | undefined, text: string): Promise<void> =>
      new Promise((resolve) => asker?.send(text, port, address, () => resolve()));
    const textAt = (index: number): string => batch.datagram(index).toString('latin1', 0, batch.lengthOf(index));

    it('nothing is received where nothing has come', () => {
      assert.equal(batch.receive(descriptor), 0);
    });

    it('every answer goes to who asked, in batch after batch', async () => {
      for (let round = 0; round < 7; round++)
        for (const [number, asker] of askers.entries()) await send(asker, `${round} of ${number}`);
      const counts: number[] = [];
      for (let count = batch.receive(descriptor); count > 0; count = batch.receive(descriptor)) {
        counts.push(count);
        for (let index = 0; index < count; index++) {
          assert.match(batch.sender(index), family === 'udp4' ? /^127\.0\.0\.1$/ : /^(0:){7}1$/);
          // Not everybody is answered at once, and answers differ in length.
          const text = textAt(index);
          if (!text.startsWith('3')) batch.reply(index, Buffer.from(`${text}${'!'.repeat(index)}`));
          else sendDatagram(descriptor, Buffer.from(`late ${text}`), batch.returnAddress(index));
        }
        batch.flush(descriptor);
      }
      assert.deepEqual(counts, [8, 8, 5]);
      await eventually('all answers', () => [...answers.values()].every((texts) => texts.length === 7));
      for (const [number, asker] of askers.entries())
        assert.deepEqual(
          answers
            .get(asker)
            ?.map((text) => text.replace(/!+$/, ''))
            .toSorted(),
          Array.from({ length: 7 }, (_, round) => `${round === 3 ? 'late ' : ''}${round} of ${number}`).toSorted(),
        );
    });

    it('a datagram that is too long is cut, and the next one is whole', async () => {
      await send(askers[0], 'x'.repeat(RECEIVE_BYTES + 50));
      await send(askers[0], 'short');
      assert.equal(batch.receive(descriptor), 2);
      assert.deepEqual([batch.lengthOf(0), textAt(1)], [RECEIVE_BYTES, 'short']);
    });

    it('an answer that cannot be sent keeps no other one waiting', async () => {
      for (const asker of askers) await send(asker, 'question');
      assert.equal(batch.receive(descriptor), 3);
      for (let index = 0; index < 3; index++) batch.reply(index, Buffer.from(`answer ${index}`));
      // Nobody can be reached through a descriptor that is none.
      batch.flush(-1);
      for (let index = 0; index < 3; index++) batch.reply(index, Buffer.from(`again ${index}`));
      batch.flush(descriptor);
      await eventually('the answers', () => [...answers.values()].every((texts) => texts.length === 1));
      assert.deepEqual([...answers.values()].flat().toSorted(), ['again 0', 'again 1', 'again 2']);
    });
  });

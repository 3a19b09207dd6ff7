/** A name server outside the cluster: at the address of its one argument, answers every question for an address with 192.0.2.7. */
import { createSocket } from 'node:dgram';

const HEADER_BYTES = 12;
/** The name of the question; type A, class IN, 60 s; four bytes of an address. */
const ANSWER = Buffer.from([0xc0, HEADER_BYTES, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);

const socket = createSocket('udp4');
socket.on('message', (question, from) => {
  // Behind the name: its end, type and class.
  const end = question.indexOf(0, HEADER_BYTES) + 5;
  const header = Buffer.from([...question.subarray(0, 2), 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
  socket.send(Buffer.concat([header, question.subarray(HEADER_BYTES, end), ANSWER]), from.port, from.address);
});
socket.bind(53, process.argv[2], () => process.stdout.write('listening\n'));

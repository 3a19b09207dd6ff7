/**
 * Opens connections to the servers of streams.ts, as its one argument says (JSON of StreamOrder), and tells on standard
 * output, in lines of JSON (StreamEvent), when each has begun and how it ended.
 */
import { Resolver } from 'node:dns/promises';
import { connect, isIP } from 'node:net';
import type { StreamEvent, StreamOrder } from './streams.ts';

async function addressOf(host: string, nameserver: string | undefined): Promise<string> {
  if (isIP(host) !== 0 || nameserver === undefined) return host;
  const resolver = new Resolver();
  resolver.setServers([nameserver]);
  const [address = ''] = await resolver.resolve4(host);
  return address;
}

function tell(event: StreamEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

function open(host: string, port: number, ticks: number): void {
  const lines: string[] = [];
  let partial = '';
  const socket = connect({ host, port });
  socket.setEncoding('latin1');
  const end = (how: string): void => {
    socket.destroy();
    tell({ what: 'ended', server: lines[0] ?? '', ticks, isWhole: lines.length === ticks + 2, how });
  };
  socket.on('connect', () => socket.write(`${ticks}\n`));
  socket.on('data', (text: string) => {
    const parts = (partial + text).split('\n');
    partial = parts.pop() ?? '';
    if (lines.length === 0 && parts[0] !== undefined) tell({ what: 'begun', server: parts[0], ticks });
    lines.push(...parts);
  });
  socket.once('end', () => end('ended'));
  socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
}

const order = JSON.parse(process.argv[2] ?? '') as StreamOrder; // our own words, from streams.ts
const opened = order.ticks.map(async (ticks, index) => {
  const host = order.hosts[index % order.hosts.length] ?? '';
  open(await addressOf(host, order.nameserver), order.port, ticks);
});
await Promise.all(opened);

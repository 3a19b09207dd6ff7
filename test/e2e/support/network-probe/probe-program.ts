/**
 * Asks what its one argument says (JSON of Questions) and writes the answers to standard output. A process of its own,
 * so that it can ask from the network of any container.
 */
import { Resolver } from 'node:dns/promises';
import { connect } from 'node:net';
import type { Answers, Door, Questions } from './questions.ts';

const NAMESERVER = '127.0.0.11';
const REQUEST = 'GET / HTTP/1.0\r\n\r\n';
const HTTP_PORT = 80;

async function lookUp(resolver: Resolver, name: string, family: 4 | 6): Promise<readonly string[] | string> {
  try {
    return (await (family === 4 ? resolver.resolve4(name) : resolver.resolve6(name))).toSorted();
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error); // what the resolver throws
  }
}

/** "open", what the server of port 80 says, or the code of an error. */
function knock({ address, port }: Door, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    let said = '';
    const socket = connect({ host: address, port });
    const finish = (answer: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => finish('ETIMEDOUT'), timeoutMs);
    socket.setEncoding('utf8');
    socket.once('connect', () => {
      if (port === HTTP_PORT) socket.write(REQUEST);
      else finish('open');
    });
    socket.on('data', (text: string) => {
      said += text;
    });
    socket.once('end', () => finish(said.split('\r\n\r\n')[1]?.trim() ?? said));
    socket.once('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
  });
}

const questions = JSON.parse(process.argv[2] ?? '') as Questions; // our own words, from ask-from.ts
const resolver = new Resolver({ timeout: questions.timeoutMs, tries: 1 });
resolver.setServers([NAMESERVER]);
const names = questions.names.map(
  async ({ name, family }) => [`${name}/${family}`, await lookUp(resolver, name, family)] as const,
);
const doors = questions.doors.map(
  async (door) => [`${door.address} ${door.port}`, await knock(door, questions.timeoutMs)] as const,
);
const answers: Answers = {
  names: Object.fromEntries(await Promise.all(names)),
  doors: Object.fromEntries(await Promise.all(doors)),
};
process.stdout.write(JSON.stringify(answers));

/** Asks for a service of a network as a task of it does: in the task's namespace, of the server that tasks have. */
import { createSocket } from 'node:dgram';
import type { NetworkView } from '#agent/discovery/index.ts';
import { CONTAINER_NAMESERVER } from '#agent/dns/index.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { type Random, randomInt } from '#common/random.ts';
import { NameResult } from '#gen/swarm/v1/doctor.ts';
import { openSharedDatagramSocket } from '../../kernel/datagram-socket.ts';
import { canonicalAddress } from '../../kernel/ip-address.ts';
import { NetworkNamespace } from '../../kernel/netns.ts';
import { dnsQuestion, type NameAnswer, readAnswer, TYPE_A, TYPE_AAAA } from './dns-question.ts';

const DNS_PORT = 53;
const RECEIVE_BUFFER_BYTES = 64 * 1024;

/** A name, and the addresses that belong to it. */
export interface NameQuestion {
  readonly name: string;
  readonly type: number;
  readonly expected: readonly string[];
  /** All of them are answered; else a part of them. */
  readonly wantsAll: boolean;
}

/** Undefined when the network has no service that could be asked for. */
export function questionFor({ table, services, endpoints }: NetworkView): NameQuestion | undefined {
  for (const service of services.values()) {
    const isVirtual = service.addresses.length > 0;
    const addresses = isVirtual
      ? service.addresses
      : [...endpoints.values()]
          .filter((one) => one.serviceId === service.serviceId && one.serving)
          .flatMap((one) => one.addresses);
    const type = addresses.some((address) => !address.includes(':')) ? TYPE_A : TYPE_AAAA;
    const expected = addresses.filter((address) => address.includes(':') === (type === TYPE_AAAA));
    if (expected.length === 0) continue;
    const name = `${service.name}.${table.name}`;
    return { name, type, expected: expected.map(canonicalAddress), wantsAll: isVirtual };
  }
  return undefined;
}

/** Undefined: the answer is right. */
export function wrongAnswer(question: NameQuestion, answer: NameAnswer | undefined): string | undefined {
  if (answer === undefined) return 'no answer';
  if (answer.refusal !== undefined) return answer.refusal;
  const given = answer.addresses.map(canonicalAddress);
  const { expected, wantsAll } = question;
  const isRight = wantsAll
    ? expected.every((address) => given.includes(address))
    : given.length > 0 && given.every((address) => expected.includes(address));
  if (isRight) return undefined;
  return `${given.length === 0 ? 'no address' : given.join(', ')} instead of ${expected.slice(0, 3).join(', ')}`;
}

export interface AskNameOptions {
  /** Of a task on the network. */
  readonly netnsPath: string;
  readonly timeoutMs: number;
  readonly attempts: number;
  readonly clock: Clock;
  readonly random: Random;
}

export async function askName(question: NameQuestion, options: AskNameOptions): Promise<NameResult> {
  let problem: string | undefined;
  try {
    problem = wrongAnswer(question, await ask(question, options));
  } catch (error) {
    problem = SwarmError.from(error).message;
  }
  return NameResult.create({ name: question.name, right: problem === undefined, problem: problem ?? '' });
}

async function ask(
  { name, type }: NameQuestion,
  { netnsPath, timeoutMs, attempts, clock, random }: AskNameOptions,
): Promise<NameAnswer | undefined> {
  const namespace = NetworkNamespace.open(netnsPath);
  let descriptor: number;
  try {
    descriptor = namespace.run(() => openSharedDatagramSocket({ address: '0.0.0.0', port: 0 }, RECEIVE_BUFFER_BYTES));
  } finally {
    namespace.close();
  }
  const socket = createSocket('udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ fd: descriptor }, resolve);
    });
    const id = randomInt(random, 0x10000);
    const bytes = dnsQuestion(id, name, type);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const answer = await new Promise<NameAnswer | undefined>((resolve) => {
        const cancel = clock.setTimer(timeoutMs, () => resolve(undefined));
        socket.removeAllListeners('message');
        socket.on('message', (message) => {
          const read = readAnswer(message, id);
          if (read === undefined) return;
          cancel();
          resolve(read);
        });
        // What cannot be sent (refused by the last one, say) is no answer.
        socket.send(bytes, DNS_PORT, CONTAINER_NAMESERVER, () => {});
      });
      if (answer !== undefined) return answer;
    }
    return undefined;
  } finally {
    socket.close();
  }
}

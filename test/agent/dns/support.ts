/** Tables, askers and questions in few words, for the tests of this folder. */
import assert from 'node:assert/strict';
import dns2, { type Packet } from 'dns2';
import { NameBook } from '#agent/dns/book/name-book.ts';
import { DEFAULT_RESOLVER_CONFIG, type DnsServerConfig, type ForwarderConfig } from '#agent/dns/config.ts';
import { Forwarder } from '#agent/dns/forward/forwarder.ts';
import { QueryHandler } from '#agent/dns/serve/query-handler.ts';
import type { Clock } from '#common/clock.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { systemRandom } from '#common/system/random.ts';
import type { NetworkChanges } from '#gen/swarm/v1/networks.ts';
import {
  NetworkChanges as Changes,
  NetworkChange,
  NetworkChangesType,
  NetworkEndpoint,
  NetworkService,
  NetworkTable,
} from '#gen/swarm/v1/networks.ts';
import { ResolverAsker } from '#gen/swarm/v1/resolver.ts';
import { DnsConfig, IpamSubnet, PortConfig, PortProtocol } from '#gen/swarm/v1/specs.ts';

export const { Packet: Dns } = dns2;

export interface ServiceInput {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly addresses?: readonly string[];
  /** "80/tcp" */
  readonly ports?: readonly string[];
}

export interface EndpointInput {
  readonly id: string;
  /** Name of its service. */
  readonly service?: string;
  readonly slot?: number;
  readonly addresses: readonly string[];
  readonly aliases?: readonly string[];
  readonly serving?: boolean;
  readonly hostname?: string;
  readonly containerName?: string;
}

export interface NetworkInput {
  readonly name: string;
  readonly subnets?: readonly string[];
  readonly internal?: boolean;
  readonly ingress?: boolean;
  readonly services?: readonly ServiceInput[];
  readonly endpoints?: readonly EndpointInput[];
}

function portConfig(text: string): PortConfig {
  const [port = '', protocol = ''] = text.split('/');
  const kind = protocol === 'udp' ? PortProtocol.UDP : PortProtocol.TCP;
  return PortConfig.create({ targetPort: Number(port), publishedPort: 30_000, protocol: kind });
}

export function tableOf(input: NetworkInput): NetworkTable {
  return NetworkTable.create({
    networkId: `net-${input.name}`,
    name: input.name,
    driver: 'overlay',
    internal: input.internal ?? false,
    ingress: input.ingress ?? false,
    subnets: (input.subnets ?? ['10.0.1.0/24', 'fd00:1::/64']).map((subnet) => IpamSubnet.create({ subnet })),
  });
}

export function serviceOf(input: ServiceInput): NetworkService {
  return NetworkService.create({
    serviceId: `svc-${input.name}`,
    name: input.name,
    aliases: input.aliases ?? [],
    addresses: input.addresses ?? [],
    ports: (input.ports ?? []).map(portConfig),
  });
}

export function endpointOf(input: EndpointInput): NetworkEndpoint {
  const slot = input.slot ?? 0;
  return NetworkEndpoint.create({
    taskId: input.id,
    serviceId: input.service === undefined ? '' : `svc-${input.service}`,
    nodeId: 'node1',
    slot,
    addresses: input.addresses,
    aliases: input.aliases ?? [],
    serving: input.serving ?? true,
    hostname: input.hostname ?? '',
    containerName: input.containerName ?? `${input.service ?? 'run'}.${slot}.${input.id}`,
  });
}

export function changesOf(...networks: readonly NetworkInput[]): NetworkChanges {
  const changes = networks.flatMap((network) => {
    const table = tableOf(network);
    const { networkId } = table;
    return [
      NetworkChange.create({ networkId, item: { kind: 'table', value: table } }),
      // Endpoints first: the order within a network must not matter.
      ...(network.endpoints ?? []).map((one) =>
        NetworkChange.create({ networkId, item: { kind: 'endpoint', value: endpointOf(one) } }),
      ),
      ...(network.services ?? []).map((one) =>
        NetworkChange.create({ networkId, item: { kind: 'service', value: serviceOf(one) } }),
      ),
    ];
  });
  return Changes.create({ type: NetworkChangesType.COMPLETE, version: 7, changes });
}

export function askerOf(address: string, networks: readonly string[], dns: Partial<DnsConfig> = {}): ResolverAsker {
  return ResolverAsker.create({
    taskId: `asker-${address}`,
    addresses: [address],
    networkIds: networks.map((name) => `net-${name}`),
    dns: DnsConfig.create(dns),
  });
}

export function bookOf(networks: readonly NetworkInput[], askers: readonly ResolverAsker[]): NameBook {
  const book = new NameBook();
  book.applyNetworks(changesOf(...networks));
  for (const asker of askers) book.setAsker(asker);
  return book;
}

export interface QuestionOptions {
  readonly type?: number;
  readonly class?: number;
  /** With EDNS and this payload size. */
  readonly edns?: number;
  readonly dnssecOk?: boolean;
}

export function question(name: string, options: QuestionOptions = {}): Buffer {
  const query = new Dns();
  query.header = new Dns.Header({ id: 4711, rd: 1 });
  query.questions.push(new Dns.Question(name, options.type ?? Dns.TYPE.A, options.class ?? 1));
  if (options.edns !== undefined) {
    const settings = { udpPayloadSize: options.edns, doFlag: options.dnssecOk ?? false };
    query.additionals.push(Dns.Resource.EDNS([], settings));
  }
  return query.toBuffer();
}

export interface HandlerInput {
  readonly book: NameBook;
  readonly nameservers?: readonly string[];
  readonly upstreamPort?: number;
  readonly server?: Partial<DnsServerConfig>;
  readonly forwarder?: Partial<ForwarderConfig>;
  readonly clock?: Clock;
}

export interface Handling {
  readonly handler: QueryHandler;
  readonly forwarder: Forwarder;
  /** The parsed answer to a question from the address. */
  ask(from: string, message: Buffer, transport?: 'udp' | 'tcp'): Promise<Packet>;
}

export function handling(input: HandlerInput): Handling {
  const forwarder = new Forwarder({
    config: { ...DEFAULT_RESOLVER_CONFIG.forwarder, ...input.forwarder },
    clock: input.clock ?? systemClock,
    random: systemRandom,
    serverPort: input.upstreamPort ?? 1,
  });
  const handler = new QueryHandler({
    config: { ...DEFAULT_RESOLVER_CONFIG.server, ...input.server },
    book: () => input.book,
    forward: (asked, asker) =>
      forwarder.ask(
        asked,
        asker.nameservers.length > 0 ? asker.nameservers : (input.nameservers ?? []),
        asker.message.taskId,
      ),
    ttlSecondsMax: DEFAULT_RESOLVER_CONFIG.forwarder.ttlSecondsMax,
    random: new SeededRandom(1),
    logger: silentLogger,
  });
  return {
    handler,
    forwarder,
    async ask(from, message, transport = 'udp') {
      const answer = await handler.handle(message, from, transport);
      assert.ok(answer, 'there is an answer');
      const parsed = Dns.parse(answer);
      assert.deepEqual(parsed.errors, []);
      return parsed;
    },
  };
}

/** Addresses among the answers, sorted. */
export function addressesOf(packet: Packet): readonly string[] {
  return packet.answers.flatMap((answer) => answer.address ?? []).toSorted();
}

export function optOf(packet: Packet): Packet['additionals'][number] | undefined {
  return packet.additionals.find((record) => record.type === Dns.TYPE.EDNS);
}

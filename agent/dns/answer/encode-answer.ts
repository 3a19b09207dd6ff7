/** Answers about our own names that are not plain addresses, written with dns2. */
import dns2, { type Packet, type Resource } from 'dns2';
import { assert } from '#common/errors.ts';
import { type Random, randomInt } from '#common/random.ts';
import type { NameAnswer, ServiceRecord } from '../book/answer-name.ts';
import type { HostAddress } from '../book/host-address.ts';
import { familyOf, sample } from './fast-answer.ts';
import { CLASS_IN, TYPE } from './wire.ts';

const { Packet: Dns } = dns2;

export interface Lifetimes {
  readonly stableTtlSeconds: number;
  readonly movingTtlSeconds: number;
  readonly negativeTtlSeconds: number;
}

export interface OwnAnswer {
  readonly request: Packet;
  readonly answer: Exclude<NameAnswer, { readonly kind: 'foreign' }>;
  /** Of the tables: for the SOA record. */
  readonly version: number;
  readonly lifetimes: Lifetimes;
  /** More than the answer has room for anyway: what dns2 encodes bit by bit is bounded. */
  readonly recordsMax: number;
  readonly random: Random;
}

type Draft = Partial<Resource> & { readonly name: string; readonly type: number };

function record(draft: Draft, ttl: number): Resource {
  return new Dns.Resource({ ...draft, class: CLASS_IN, ttl });
}

function textOf(address: HostAddress): string {
  if (address.family === 4) return address.key;
  return address.key.match(/.{4}/g)?.join(':') ?? '';
}

function addressRecord(name: string, address: HostAddress, ttl: number): Resource {
  const type = address.family === 4 ? Dns.TYPE.A : Dns.TYPE.AAAA;
  return record({ name, type, address: textOf(address) }, ttl);
}

/** Its minimum is how long a "no" may be kept. */
function authority(zone: string, version: number, lifetimes: Lifetimes): Resource {
  const seconds = lifetimes.negativeTtlSeconds;
  return record(
    {
      name: zone,
      type: TYPE.SOA,
      primary: 'resolver.starling',
      admin: 'hostmaster.starling',
      serial: version % 2 ** 32,
      refresh: seconds,
      retry: seconds,
      expiration: seconds,
      minimum: seconds,
    },
    seconds,
  );
}

/** By random weight, so that clients that take the first spread as well. */
function serviceRecords(records: readonly ServiceRecord[], random: Random): readonly ServiceRecord[] {
  return records
    .map((one) => ({ one, order: randomInt(random, 2 ** 30) }))
    .toSorted((left, right) => left.order - right.order)
    .map(({ one }) => one);
}

/**
 * Fills the response: NXDOMAIN when the name is not there, an empty NOERROR when it is and has nothing of that type, both
 * with the SOA record that says how long that holds.
 */
export function ownResponse({ request, answer, version, lifetimes, recordsMax, random }: OwnAnswer): Packet {
  const response = Dns.createResponseFromRequest(request);
  const [question] = request.questions;
  assert(question !== undefined, 'a question was read before it is answered');
  const { name, type } = question;
  switch (answer.kind) {
    case 'addresses': {
      const wanted = familyOf(type);
      const ttl = answer.lifetime === 'stable' ? lifetimes.stableTtlSeconds : lifetimes.movingTtlSeconds;
      if (wanted !== undefined || type === TYPE.ANY)
        for (const address of sample(answer.addresses, recordsMax, random))
          if (wanted === undefined || address.family === wanted)
            response.answers.push(addressRecord(name, address, ttl));
      break;
    }
    case 'services': {
      if (type !== Dns.TYPE.SRV && type !== TYPE.ANY) break;
      const ttl = answer.lifetime === 'stable' ? lifetimes.stableTtlSeconds : lifetimes.movingTtlSeconds;
      for (const { target, port, addresses } of serviceRecords(answer.records, random).slice(0, recordsMax)) {
        response.answers.push(record({ name, type: Dns.TYPE.SRV, priority: 0, weight: 1, port, target }, ttl));
        for (const address of addresses) response.additionals.push(addressRecord(target, address, ttl));
      }
      break;
    }
    case 'pointers':
      if (type === Dns.TYPE.PTR || type === TYPE.ANY)
        for (const domain of answer.names)
          response.answers.push(record({ name, type: Dns.TYPE.PTR, domain }, lifetimes.movingTtlSeconds));
      break;
    case 'absent':
      response.header.rcode = Dns.RCODE.NXDOMAIN;
      response.authorities.push(authority(answer.zone, version, lifetimes));
      return response;
  }
  if (response.answers.length === 0) response.authorities.push(authority(name, version, lifetimes));
  return response;
}

/** The bytes. Names in SRV records may not be compressed (RFC 2782), and Go's resolver minds. */
export function encodeResponse(response: Packet): Buffer {
  const writer = new Dns.Writer();
  // dns2 compresses where it finds a Map.
  if (response.answers.some((one) => one.type === Dns.TYPE.SRV)) Object.assign(writer, { names: {} });
  // The declared toBuffer takes no writer, the real one does.
  const encode: (this: Packet, into: InstanceType<typeof Dns.Writer>) => Buffer = response.toBuffer;
  return encode.call(response, writer);
}

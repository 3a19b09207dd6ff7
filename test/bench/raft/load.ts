/** The clients of both clusters: one closed loop each, over unary calls of grpc-js. */
import { performance } from 'node:perf_hooks';
import { type ChannelCredentials, Client } from '@grpc/grpc-js';

/** Where and how a value is written. */
export interface PutTarget {
  readonly address: string;
  readonly credentials: ChannelCredentials;
  readonly path: string;
  readonly request: (key: Uint8Array, value: Uint8Array) => Uint8Array;
}

export interface Rate {
  readonly perSecond: number;
  readonly latenciesMs: readonly number[];
}

const CALL_TIMEOUT_MS = 10_000;
const VALUE_BYTES = 256;
const KEY_BYTES = 8;
const KEYS = 10_000;
/** Clients that share a connection. */
const CLIENTS_PER_CONNECTION = 16;

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const sameBytes = (bytes: Buffer): Buffer => bytes;

/** One connection. */
export class Caller {
  readonly #client: Client;
  readonly #target: PutTarget;

  constructor(target: PutTarget) {
    this.#target = target;
    this.#client = new Client(target.address, target.credentials, {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
      'grpc.service_config_disable_resolution': 1,
      // An address is no name to ask TLS for.
      'grpc.ssl_target_name_override': 'localhost',
    });
  }

  call(key: Uint8Array, value: Uint8Array): Promise<Uint8Array> {
    const { path, request } = this.#target;
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        asBuffer,
        sameBytes,
        request(key, value),
        { deadline: Date.now() + CALL_TIMEOUT_MS },
        (error, answer) => {
          if (error === null) resolve(answer ?? new Uint8Array());
          else reject(error);
        },
      );
    });
  }

  close(): void {
    this.#client.close();
  }
}

/** So many clients that each write one value after the other, for the given time. */
export async function closedLoop(target: PutTarget, clients: number, durationMs: number): Promise<Rate> {
  const connections = Math.ceil(clients / CLIENTS_PER_CONNECTION);
  const callers = Array.from({ length: connections }, () => new Caller(target));
  const value = new Uint8Array(VALUE_BYTES).fill(7);
  const latenciesMs: number[] = [];
  let sequence = 0;
  try {
    await Promise.all(callers.map((caller) => caller.call(keyOf(0), value)));
    const startMs = performance.now();
    const lane = async (caller: Caller): Promise<void> => {
      for (let beganMs = performance.now(); beganMs - startMs < durationMs; beganMs = performance.now()) {
        await caller.call(keyOf(sequence++ % KEYS), value);
        latenciesMs.push(performance.now() - beganMs);
      }
    };
    await Promise.all(Array.from({ length: clients }, (_, index) => lane(callers[index % connections] as Caller)));
    return { perSecond: (latenciesMs.length / (performance.now() - startMs)) * 1000, latenciesMs };
  } finally {
    for (const caller of callers) caller.close();
  }
}

function keyOf(index: number): Uint8Array {
  return Buffer.from(String(index).padStart(KEY_BYTES, '0'));
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

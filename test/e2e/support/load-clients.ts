/** What single clients of a load do: write, read and watch the label of services, and write down what they see. */
import { setTimeout as wait } from 'node:timers/promises';
import { SwarmError } from '#common/errors.ts';
import type { Service } from '#gen/swarm/v1/objects.ts';
import { ContainerSpec, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import { ObjectKind, type WatchEvents } from '#gen/swarm/v1/watch.ts';
import type { SwarmClient } from '#src/client/swarm-client.ts';
import type { HistoryRecorder, Outcome, WatchedChange } from '#test/linearizability/index.ts';

const LABEL = 'load';
/** A call that is not answered by then is given up; what became of it nobody knows. */
const CALL_MS = 4_000;
/** A client that was refused waits this long before it tries again, as a script that loops would. */
const RETRY_MS = 10;

const MAKE_ATTEMPTS = 10;
const MAKE_RETRY_MS = 500;

/** What the writers know of a key: what the next write has to name. */
export interface KnownService {
  readonly id: string;
  readonly version: number;
  readonly spec: ServiceSpec;
}

/** What the clients of one load have in common. */
export interface LoadContext {
  readonly recorder: HistoryRecorder;
  /** By the manager's name. */
  readonly clients: ReadonlyMap<string, SwarmClient>;
  /** Names of the services that are written. */
  readonly keys: ReadonlySet<string>;
  readonly known: Map<string, KnownService>;
  /** Reason -> how many operations failed for it. */
  readonly failures: Map<string, number>;
  /** Manager -> the last version that its watcher was told. */
  readonly watched: Map<string, number>;
}

/** Sets the key to the value, if nobody else changed it meanwhile. Never rejects. */
export async function writeKey(
  context: LoadContext,
  writer: string,
  manager: string,
  key: string,
  value: string,
): Promise<Outcome> {
  const known = context.known.get(key) ?? (await refresh(context, manager, key));
  if (known === undefined) return { outcome: 'failed' };
  const { id, version, spec } = known;
  const operation = { process: writer, key, kind: 'compare-and-set', value, expected: { version } } as const;
  return context.recorder.run(
    operation,
    () =>
      clientOf(context, manager).control.updateService(
        { id, version, spec: { ...spec, labels: { ...spec.labels, [LABEL]: value } } },
        { timeoutMs: CALL_MS },
      ),
    ({ service }) => {
      learn(context, key, service);
      return { outcome: 'ok', version: service?.version };
    },
    (thrown) => {
      // Whoever lost a race, or does not know how it ended, reads again before the next write.
      if (context.known.get(key) === known) context.known.delete(key);
      return failed(context, thrown);
    },
  );
}

/**
 * Makes the key, whatever it takes: a swarm that was mended a moment ago may still drop a connection. Rejects with what
 * went wrong last.
 */
export async function makeKey(context: LoadContext, manager: string, key: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const value = `made-${attempt}`;
    const spec = ServiceSpec.create({
      name: key,
      labels: { [LABEL]: value },
      task: TaskSpec.create({ container: ContainerSpec.create({ image: 'localhost/none' }) }),
      mode: { kind: 'replicated', value: { replicas: 0 } },
    });
    const finish = context.recorder.invoke({ process: 'maker', key, kind: 'create', value });
    try {
      const { service } = await clientOf(context, manager).control.createService({ spec }, { timeoutMs: CALL_MS });
      finish({ outcome: 'ok', version: service?.version });
      learn(context, key, service);
      return;
    } catch (thrown) {
      // An earlier attempt made it, although it was not answered.
      const made = attempt > 1 && SwarmError.from(thrown).reason === 'duplicate-name';
      finish({ outcome: made ? 'refused' : 'unknown' });
      if (made && (await refresh(context, manager, key)) !== undefined) return;
      if (attempt === MAKE_ATTEMPTS) throw thrown;
      await wait(MAKE_RETRY_MS);
    }
  }
}

/** Reads the key, linearizably. Never rejects. */
export function readKey(context: LoadContext, reader: string, manager: string, key: string): Promise<Outcome> {
  return context.recorder.run(
    { process: reader, key, kind: 'read' },
    () => clientOf(context, manager).control.getService({ reference: key }, { timeoutMs: CALL_MS }),
    ({ service }) => {
      learn(context, key, service);
      return { outcome: 'ok', value: valueOf(service), version: service?.version };
    },
    (thrown) => {
      failed(context, thrown);
      return { outcome: 'failed' };
    },
  );
}

/** Watches through one manager until the signal says so; begins again where it was when the manager fails. */
export async function watchKeys(context: LoadContext, manager: string, signal: AbortSignal): Promise<void> {
  const watcher = `watcher-${manager}`;
  const selectors = [{ kind: ObjectKind.SERVICE, ids: [], serviceIds: [], nodeIds: [] }];
  while (!signal.aborted) {
    const last = context.watched.get(manager);
    try {
      const answers = clientOf(context, manager).watch.watch({ selectors, resumeAfter: last ?? 0 }, { signal });
      let watch: ReturnType<HistoryRecorder['watch']> | undefined;
      for await (const { message } of answers) {
        if (message?.kind === 'started') {
          const after = last ?? message.value.version;
          watch = context.recorder.watch(watcher, after, { everything: false });
          context.watched.set(manager, after);
        } else if (message?.kind === 'events' && watch !== undefined) {
          watch.commit(message.value.version, changesOf(context, message.value));
          context.watched.set(manager, message.value.version);
        }
      }
    } catch (thrown) {
      const { reason } = SwarmError.from(thrown);
      if (signal.aborted) return;
      count(context.failures, `watch: ${reason}`);
      // A gap that it is told of: begin anew.
      if (reason === 'version-gone' || reason === 'slow-watcher') context.watched.delete(manager);
    }
    await wait(RETRY_MS, undefined, { signal }).catch(() => {});
  }
}

/** Waits as a client does that was refused. */
export async function calmDown(outcome: Outcome, signal: AbortSignal): Promise<void> {
  if (outcome.outcome !== 'ok') await wait(RETRY_MS, undefined, { signal }).catch(() => {});
}

async function refresh(context: LoadContext, manager: string, key: string): Promise<KnownService | undefined> {
  try {
    const { service } = await clientOf(context, manager).control.getService({ reference: key }, { timeoutMs: CALL_MS });
    learn(context, key, service);
  } catch (thrown) {
    failed(context, thrown);
  }
  return context.known.get(key);
}

function learn(context: LoadContext, key: string, service: Service | undefined): void {
  if (service?.spec === undefined) return;
  const { id, version, spec } = service;
  if (version > (context.known.get(key)?.version ?? 0)) context.known.set(key, { id, version, spec });
}

/**
 * What certainly did nothing is `failed`. A conflict is that too, rather than `refused`: the manager judges by writes that
 * are still on their way, so it does not tell that another one took place.
 */
function failed(context: LoadContext, thrown: unknown): Outcome {
  const error = SwarmError.from(thrown);
  count(context.failures, error.code === 'conflict' ? 'conflict' : error.reason);
  const certain = error.code === 'conflict' || error.reason === 'not-leader' || wasNotSent(error);
  return { outcome: certain ? 'failed' : 'unknown' };
}

function wasNotSent({ reason, cause }: SwarmError): boolean {
  const code = (cause as { readonly code?: unknown } | undefined)?.code;
  return reason === 'daemon-unreachable' && (code === 'ECONNREFUSED' || code === 'ENOENT');
}

function changesOf({ keys }: LoadContext, { events }: WatchEvents): readonly WatchedChange[] {
  return events.flatMap(({ object }) => {
    if (object?.object?.kind !== 'service') return [];
    const service = object.object.value;
    const key = service.spec?.name ?? '';
    const value = valueOf(service);
    return value === undefined || !keys.has(key) ? [] : [{ key, value }];
  });
}

function valueOf(service: Service | undefined): string | undefined {
  return service?.spec?.labels[LABEL];
}

function clientOf(context: LoadContext, manager: string): SwarmClient {
  const client = context.clients.get(manager);
  if (client === undefined) throw new Error(`no client of ${manager}`);
  return client;
}

function count(counts: Map<string, number>, reason: string): void {
  counts.set(reason, (counts.get(reason) ?? 0) + 1);
}

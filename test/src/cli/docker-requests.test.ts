/**
 * Goal: a service created or updated by our flags is the one that Docker's flags would have made. Method: the request
 * of every recorded command line, in Docker's shape, against what the docker CLI sent, with the defaults that Docker's
 * daemon fills in and ours carries.
 */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { encodeJson } from '#common/template/encode-json.ts';
import { type CreateServiceRequest, CreateServiceResponse, UpdateServiceResponse } from '#gen/swarm/v1/control.ts';
import { Service } from '#gen/swarm/v1/objects.ts';
import type { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import { serviceSpecShape } from '#src/docker-shape/from-specs.ts';
import { SERVICE_SPEC } from '#src/docker-shape/swarm-types.ts';
import { recordedRequests } from './docker-reference/golden.ts';
import { controlClient, NOW_MS, runCli } from './support/run-cli.ts';
import { swarmFixture } from './swarm-fixture.ts';

const ROLLOUT = { Parallelism: 1, FailureAction: 'pause', Monitor: 5e9, MaxFailureRatio: 0, Order: 'stop-first' };

/** What Docker's daemon makes of the fields that its CLI leaves out. */
const DAEMON_DEFAULTS = {
  Labels: {},
  TaskTemplate: {
    ContainerSpec: { StopGracePeriod: 10e9, DNSConfig: {}, Isolation: 'default' },
    Resources: { Limits: {}, Reservations: {} },
    RestartPolicy: { Condition: 'any', Delay: 5e9, MaxAttempts: 0 },
    Placement: {},
    Runtime: 'container',
  },
  UpdateConfig: ROLLOUT,
  RollbackConfig: ROLLOUT,
  EndpointSpec: { Mode: 'vip' },
};

type Json = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function withDefaults(value: Json, defaults: Json): Json {
  const merged: Record<string, unknown> = { ...defaults, ...value };
  for (const [key, byDefault] of Object.entries(defaults))
    if (isObject(byDefault) && isObject(value[key])) merged[key] = withDefaults(value[key], byDefault);
  return merged;
}

/** A replicated service without a number has one replica. */
function withReplicas(spec: Json): Json {
  const { Mode } = spec;
  if (!isObject(Mode) || !isObject(Mode.Replicated) || 'Replicas' in Mode.Replicated) return spec;
  return { ...spec, Mode: { Replicated: { Replicas: 1 } } };
}

/** Runs the command and resolves with the spec that it asked for. */
async function requestedSpec(words: readonly string[]): Promise<ServiceSpec> {
  const real = controlClient(swarmFixture(NOW_MS));
  const asked: ServiceSpec[] = [];
  const take = (request: Partial<CreateServiceRequest>): Service => {
    if (request.spec !== undefined) asked.push(request.spec);
    return Service.create({ id: 'x' });
  };
  const control = {
    ...real,
    createService: async (request: Partial<CreateServiceRequest>) =>
      CreateServiceResponse.create({ service: take(request) }),
    updateService: async (request: Partial<CreateServiceRequest>) =>
      UpdateServiceResponse.create({ service: take(request) }),
  };
  const { exitCode, stderr } = await runCli(words, {
    api: { control },
    clock: new ManualClock(NOW_MS),
    variables: { STARLING_REFERENCE: 'set' },
  });
  assert.equal(exitCode, 0, stderr);
  const [spec] = asked;
  assert.ok(spec !== undefined);
  return spec;
}

describe('cli: specs that flags make', () => {
  for (const { words, body } of recordedRequests())
    it(`docker ${words.filter((word) => word !== '-d' && word !== '--no-resolve-image').join(' ')}`, async () => {
      const ours = JSON.parse(encodeJson(SERVICE_SPEC, serviceSpecShape(await requestedSpec(words)))) as Json;
      assert.deepEqual(ours, withReplicas(withDefaults(body as Json, DAEMON_DEFAULTS)));
    });
});

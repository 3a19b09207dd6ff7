/**
 * Goal: tasks start with all that they refer to, wait where it may still come, and fail where it cannot. Method: the store
 * is told steps as a manager sends them, while tasks ask.
 */
import assert from 'node:assert/strict';
import { PayloadStore, payloadReferences } from '#agent/secrets/payload-store.ts';
import type { TaskAssignment } from '#agent/tasks/index.ts';
import { SwarmError } from '#common/errors.ts';
import { AssignmentChange } from '#gen/swarm/v1/dispatcher.ts';
import { ConfigVersion, SecretVersion, Task } from '#gen/swarm/v1/objects.ts';
import { ConfigReference, ContainerSpec, SecretReference, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';

const NEVER = new AbortController().signal;

const ASSIGNMENT: TaskAssignment = {
  task: Task.create({ id: 'task' }),
  spec: ServiceSpec.create({
    task: TaskSpec.create({
      container: ContainerSpec.create({
        secrets: [SecretReference.create({ secretId: 's', secretName: 'db', number: 2 })],
        configs: [ConfigReference.create({ configId: 'c', configName: 'app', number: 1 })],
      }),
    }),
  }),
  node: { id: 'node', hostname: 'host' },
};

function secret(number: number, remove = false): AssignmentChange {
  const value = SecretVersion.create({ secretId: 's', number, data: Buffer.from(`secret ${number}`) });
  return AssignmentChange.create({ remove, item: { kind: 'secretVersion', value } });
}

function config(number: number): AssignmentChange {
  const value = ConfigVersion.create({ configId: 'c', number, data: Buffer.from(`config ${number}`) });
  return AssignmentChange.create({ item: { kind: 'configVersion', value } });
}

/** What is said while waiting, and how it ended. */
function ask(store: PayloadStore, signal = NEVER): { readonly said: string[]; readonly outcome: Promise<string> } {
  const said: string[] = [];
  const outcome = store
    .available(ASSIGNMENT, (message) => said.push(message), signal)
    .then(
      () => 'there',
      (error: unknown) => (error instanceof SwarmError ? error.message : String(error)),
    );
  return { said, outcome };
}

describe('agent: secrets and configs in memory', () => {
  it('are there at once when they came with the task', async () => {
    const store = new PayloadStore();
    store.apply({ complete: true, changes: [secret(2), config(1)] });
    const { said, outcome } = ask(store);
    assert.equal(await outcome, 'there');
    assert.deepEqual(said, []);
    const held = payloadReferences(ASSIGNMENT.spec).map((one) => Buffer.from(store.get(one)?.data ?? []).toString());
    assert.deepEqual(held, ['secret 2', 'config 1']);
  });

  it('are waited for while no manager has said what there is', async () => {
    const store = new PayloadStore();
    const { said, outcome } = ask(store);
    assert.match(said[0] ?? '', /waiting for secret db \(version 2\): no manager/);
    store.apply({ complete: false, changes: [secret(2)] });
    store.apply({ complete: true, changes: [secret(2), config(1)] });
    assert.equal(await outcome, 'there');
  });

  it('that do not exist any more fail the task', async () => {
    const store = new PayloadStore();
    const { outcome } = ask(store);
    store.apply({ complete: true, changes: [config(1)] });
    assert.match(await outcome, /secret db \(version 2\) does not exist any more/);
    assert.match(await ask(store).outcome, /does not exist any more/);
  });

  it('are given up by a task that is to stop', async () => {
    const controller = new AbortController();
    const { outcome } = ask(new PayloadStore(), controller.signal);
    controller.abort();
    assert.match(await outcome, /cancelled/);
  });

  it('are forgotten when they are taken back, and with a whole set that has them not', () => {
    const store = new PayloadStore();
    const [reference] = payloadReferences(ASSIGNMENT.spec);
    assert.ok(reference !== undefined);
    store.apply({ complete: true, changes: [secret(2)] });
    store.apply({ complete: false, changes: [secret(2, true)] });
    assert.equal(store.get(reference), undefined);
    store.apply({ complete: false, changes: [secret(2)] });
    store.apply({ complete: true, changes: [] });
    assert.equal(store.get(reference), undefined);
  });
});

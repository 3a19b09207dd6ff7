/**
 * Goal: every flag of `service create` and `service update` does something, and `service inspect` shows what. Method:
 * an example of each flag of the command tree, on the real control API: what is declared with it is not what is
 * declared without, in the spec and in the JSON of inspect. A flag without an example fails.
 */
import assert from 'node:assert/strict';
import { GetServiceRequest } from '#gen/swarm/v1/control.ts';
import { ConfigSpec, SecretSpec } from '#gen/swarm/v1/objects.ts';
import { CreateConfigRequest, CreateSecretRequest } from '#gen/swarm/v1/secrets.ts';
import { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import type { ControlApi } from '#manager/control/index.ts';
import { serviceCreate } from '#src/cli/commands/service/service-create.ts';
import { serviceUpdate } from '#src/cli/commands/service/service-update.ts';
import type { AnyFlag } from '#src/cli/flags.ts';
import { ABOUT_THE_CALL, CREATE_EXAMPLES, type FlagExample, UPDATE_EXAMPLES } from './flag-examples.ts';
import { fakeApi, NOW_MS, runCli } from './support/run-cli.ts';
import { swarmFixture } from './swarm-fixture.ts';

const CALLER = { author: 'test' };
const PERMIT = ['privileged', 'devices', 'host-namespaces', 'unconfined'].map((what) => `--allow-${what}=true`);
const IMAGE = `busybox:1@sha256:${'a'.repeat(64)}`;
const PLAIN: readonly string[] = [];

class Swarm {
  readonly #control: ControlApi = swarmFixture(NOW_MS);

  async run(...words: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await runCli(words, { api: fakeApi(this.#control) });
    assert.equal(exitCode, 0, `${words.join(' ')}: ${stderr}`);
    return stdout;
  }

  async prepare(): Promise<void> {
    const data = new Uint8Array([1]);
    const { payloads } = this.#control;
    const secret = SecretSpec.create({ name: 'password' });
    await payloads.createSecret(CALLER, CreateSecretRequest.create({ spec: secret, data }));
    const config = ConfigSpec.create({ name: 'settings' });
    await payloads.createConfig(CALLER, CreateConfigRequest.create({ spec: config, data }));
    await this.run('update', ...PERMIT);
  }

  async create(words: readonly string[]): Promise<void> {
    await this.run('service', 'create', '-d', '--no-resolve-image', '--name', 'it', ...words, IMAGE);
  }

  async update(words: readonly string[]): Promise<void> {
    await this.run('service', 'update', '-d', '--no-resolve-image', ...words, 'it');
  }

  /** What is declared: its bytes, and what inspect prints of it. */
  async declared(): Promise<{ readonly bytes: string; readonly shown: string }> {
    const { service } = await this.#control.getService(CALLER, GetServiceRequest.create({ reference: 'it' }));
    const bytes = ServiceSpec.encode(service?.spec ?? ServiceSpec.create());
    const shown = await this.run('service', 'inspect', '--format', '{{json .Spec}}', 'it');
    return { bytes: Buffer.from(bytes).toString('base64'), shown };
  }
}

async function created(words: readonly string[]): Promise<Swarm> {
  const swarm = new Swarm();
  await swarm.prepare();
  await swarm.create(words);
  return swarm;
}

/** Fails where a flag has no example, or an example no flag. */
function exampleFor(flag: AnyFlag, examples: ReadonlyMap<string, FlagExample>): FlagExample | undefined {
  const example = examples.get(flag.name);
  const needsNone = flag.refusal !== undefined || ABOUT_THE_CALL.has(flag.name);
  if (example === undefined) assert.ok(needsNone, `--${flag.name} has no example in flag-examples.ts`);
  return example;
}

describe('cli: every flag of service create', () => {
  for (const flag of serviceCreate.flags)
    it(`--${flag.name}`, async () => {
      const example = exampleFor(flag, CREATE_EXAMPLES);
      if (example === undefined) return;
      const without = await (await created(example.with ?? PLAIN)).declared();
      const given = await (await created([...(example.with ?? PLAIN), ...example.words])).declared();
      assert.notEqual(given.bytes, without.bytes, 'nothing else is declared');
      assert.notEqual(given.shown, without.shown, 'inspect shows nothing of it');
    });
});

describe('cli: every flag of service update', () => {
  for (const flag of serviceUpdate.flags)
    it(`--${flag.name}`, async () => {
      const example = exampleFor(flag, UPDATE_EXAMPLES);
      if (example === undefined) return;
      const swarm = await created(example.with ?? PLAIN);
      const before = await swarm.declared();
      await swarm.update(example.words);
      const after = await swarm.declared();
      assert.notEqual(after.bytes, before.bytes, 'nothing else is declared');
      assert.notEqual(after.shown, before.shown, 'inspect shows nothing of it');
    });
});

/** Goal: transactions are all or nothing, errors exact, and contexts of several namespaces do not mix. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNetworkNamespace, type NetworkNamespace, removeNetworkNamespace } from '#agent/kernel/netns.ts';
import { Nftables, NftablesError } from '#agent/kernel/nftables.ts';
import { SwarmError } from '#common/errors.ts';

describe('kernel: nftables', () => {
  let directory: string;
  const namespaces: NetworkNamespace[] = [];
  const contexts: Nftables[] = [];

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'starling-nftables-'));
    for (const name of ['a', 'b']) {
      const namespace = createNetworkNamespace(join(directory, name));
      namespaces.push(namespace);
      contexts.push(Nftables.open(namespace));
    }
  });

  after(async () => {
    for (const context of contexts) await context.close();
    for (const namespace of namespaces) namespace.close();
    for (const name of ['a', 'b']) removeNetworkNamespace(join(directory, name));
    rmSync(directory, { recursive: true });
  });

  function context(index: number): Nftables {
    const found = contexts[index];
    assert.ok(found);
    return found;
  }

  it('keeps namespaces apart, also when both are used at once', async () => {
    await Promise.all([context(0).run('add', 'add table ip one'), context(1).run('add', 'add table ip two')]);
    assert.match(await context(0).list('list', 'list ruleset', { elements: true }), /^table ip one/);
    assert.match(await context(1).list('list', 'list ruleset', { elements: true }), /^table ip two/);
  });

  it('leaves its socket to nobody: a child would keep the namespace alive', async () => {
    await context(0).run('use it', 'add table ip one');
    const descriptors = execFileSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' });
    assert.doesNotMatch(descriptors, / ([3-9]|\d\d+) -> socket:/);
  });

  it('does all of a transaction or nothing, and says what was wrong with it', async () => {
    const transaction = 'add table ip half\nadd element ip half nothing { 10.0.0.1 }';
    await assert.rejects(context(0).run('try it', transaction), (error) => {
      assert.ok(error instanceof SwarmError && error.cause instanceof NftablesError);
      assert.equal(error.reason, 'network-failed');
      assert.match(error.message, /^cannot try it: No such file or directory/);
      assert.equal(error.cause.missing, true);
      assert.equal(error.cause.transaction, transaction);
      assert.match(error.cause.message, /^\s*\^+$/m, `the place in the text: ${error.cause.message}`);
      return true;
    });
    assert.doesNotMatch(await context(0).list('list', 'list tables', { elements: true }), /half/);
    await assert.rejects(context(0).run('try it', 'rubbish'), (error) => {
      assert.ok(error instanceof SwarmError && error.cause instanceof NftablesError && !error.cause.missing);
      return true;
    });
    // A failure leaves the context usable.
    await context(0).run('add', 'add table ip after');
  });

  it('lists without elements when asked to, and as JSON', async () => {
    await context(0).run('add', 'table ip listed {\n set s { type ipv4_addr; elements = { 10.0.0.1 }; }\n}\n');
    const listed = (elements: boolean): Promise<string> =>
      context(0).list('list', 'list table ip listed', { elements });
    assert.match(await listed(true), /10\.0\.0\.1/);
    assert.doesNotMatch(await listed(false), /10\.0\.0\.1/);
    const json = await context(0).listJson('list', 'list table ip listed', { elements: true });
    assert.match(JSON.stringify(json), /"elem":\["10\.0\.0\.1"\]/);
  });
});

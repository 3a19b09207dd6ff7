/**
 * Goal: of a service whose tasks stop without managers there are never two at a time, whatever links, processes,
 * hosts, leaders and clocks do, and in the end there is one; no node may be removed as long as it runs one. Method:
 * random histories; the same with nodes that ignore their limit shows that a second one would be seen.
 * `HISTORIES=2000` for more of them.
 */
import assert from 'node:assert/strict';
import { SingletonWorld } from './singleton-world.ts';

const HISTORIES = Number(process.env['HISTORIES'] ?? 12);
const HAPPENINGS = 12;
const PAUSE_MAX_MS = 40_000;
/** All fences are over, and what was held back has started. */
const REST_MS = 240_000;

async function history(
  seed: number,
  ignoresLimits: boolean,
): Promise<{ readonly world: SingletonWorld; readonly told: string }> {
  const world = new SingletonWorld(seed);
  for (const agent of world.agents) agent.ignoresLimits = ignoresLimits;
  await world.start();
  await world.run(20_000);
  const told: string[] = [];
  for (let count = 0; count < HAPPENINGS && world.most < 2; count++) {
    told.push(`${world.nowMs}: ${world.happen()}`);
    await world.run(world.random.next() * PAUSE_MAX_MS);
  }
  if (world.most < 2) {
    world.heal();
    await world.run(REST_MS);
  }
  world.stop();
  return { world, told: told.join('\n') };
}

describe('sim: tasks that stop without managers', () => {
  it('there are never two of a slot, and in the end there is one', async () => {
    for (let seed = 1; seed <= HISTORIES; seed++) {
      const { world, told } = await history(seed, false);
      const story = `seed ${seed} at ${world.nowMs}:\n${told}\n${world.states}`;
      assert.equal(world.most, 1, story);
      assert.equal(world.running, 1, story);
      assert.equal(world.removable, undefined, story);
    }
  }).timeout(60_000 + HISTORIES * 2000);

  it('nodes that ignore their limit are found out', async () => {
    let found = false;
    for (let seed = 1; seed <= HISTORIES && !found; seed++) found = (await history(seed, true)).world.most > 1;
    assert.ok(found);
  }).timeout(60_000 + HISTORIES * 2000);
});

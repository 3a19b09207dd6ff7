/**
 * Goal: no address, port, identifier or number is ever given twice, nothing leaks, what becomes free heals who waits at
 * once, and a new leader decides as the old one would have. Method: random histories (`allocator-world.ts`) with changes
 * of leaders, refused writes and writes of unknown outcome; promises are checked with every commit and at every rest.
 */
import fc from 'fast-check';
import { AllocatorWorld } from './allocator-world.ts';

const HISTORIES = Number(process.env['HISTORIES'] ?? 60);

describe('allocator: histories', function () {
  this.timeout(600_000);

  it('gives nothing twice, leaks nothing, and heals', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 10, max: 300 }), (seed, steps) => {
        const world = new AllocatorWorld(seed);
        for (let step = 0; step < steps; step++) world.step();
        world.settle();
        world.changeLeader();
        world.settle();
        world.empty();
      }),
      { numRuns: HISTORIES },
    );
  });
});

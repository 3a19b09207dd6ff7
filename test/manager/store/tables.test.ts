import assert from 'node:assert/strict';
import type { StoreObject } from '#gen/swarm/v1/store.ts';
import { TABLE_NAMES, type TableName } from '#manager/store/index.ts';

type Kind = NonNullable<StoreObject['object']>['kind'];

/** Compiles only while every kind of object of the contract has a table, and every table its kind of object. */
const KINDS = {
  cluster: true,
  node: true,
  service: true,
  revision: true,
  task: true,
  network: true,
  secret: true,
  secretVersion: true,
  config: true,
  configVersion: true,
  volume: true,
  stack: true,
  client: true,
  event: true,
} as const satisfies Record<Kind, true> & Record<TableName, true>;

describe('manager/store: tables', () => {
  it('has one for each kind of object of the contract', () => {
    assert.deepEqual([...TABLE_NAMES].sort(), Object.keys(KINDS).sort());
  });
});

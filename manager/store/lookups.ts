import type { Revision, Service, Task } from '#gen/swarm/v1/objects.ts';
import type { TableName, Tables } from './stored-objects.ts';
import { type MultipleIndex, numberKey, type UniqueIndex } from './tables.ts';

/** What views find by their indexes, whatever these are made of. */
export abstract class Lookups {
  abstract find<Name extends TableName>(table: Name, index: UniqueIndex<Name>, key: string): Tables[Name] | undefined;
  abstract members<Name extends TableName>(
    table: Name,
    index: MultipleIndex<Name>,
    key: string,
  ): Iterable<Tables[Name]>;

  tasksOfService(serviceId: string): Iterable<Task> {
    return this.members('task', 'service', serviceId);
  }

  tasksOfSlot(serviceId: string, slot: number): Iterable<Task> {
    return this.members('task', 'slot', numberKey(serviceId, slot));
  }

  tasksOfNode(nodeId: string): Iterable<Task> {
    return this.members('task', 'node', nodeId);
  }

  revisionsOfService(serviceId: string): Iterable<Revision> {
    return this.members('revision', 'service', serviceId);
  }

  revision(serviceId: string, number: number): Revision | undefined {
    return this.find('revision', 'number', numberKey(serviceId, number));
  }

  serviceByName(name: string): Service | undefined {
    return this.find('service', 'name', name.toLowerCase());
  }

  oneOffByName(name: string): Task | undefined {
    return this.find('task', 'name', name.toLowerCase());
  }
}

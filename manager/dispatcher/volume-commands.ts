/** What a node is told of volumes: those that it is to make, and those that it is to remove. The others it has. */
import { AssignmentChange } from '#gen/swarm/v1/dispatcher.ts';
import type { StoreEvent, StoreView } from '#manager/store/index.ts';
import { isCommand } from '#manager/volumes/index.ts';

/** All that are open: a node that has done one of them does it again without harm, and says so again. */
export function volumeCommands(view: StoreView, nodeId: string): readonly AssignmentChange[] {
  return [...view.members('volume', 'node', nodeId)]
    .filter(isCommand)
    .map((value) => AssignmentChange.create({ item: { kind: 'volume', value } }));
}

/** Those that the events have brought. */
export function newVolumeCommands(events: readonly StoreEvent[], nodeId: string): readonly AssignmentChange[] {
  return events.flatMap((event) => {
    if (event.table !== 'volume' || event.kind === 'remove') return [];
    const { object, old } = event;
    if (object.nodeId !== nodeId || !isCommand(object)) return [];
    if (old !== undefined && isCommand(old) && old.pendingDelete === object.pendingDelete) return [];
    return [AssignmentChange.create({ item: { kind: 'volume', value: object } })];
  });
}

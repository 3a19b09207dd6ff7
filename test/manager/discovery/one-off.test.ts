/** Goal: a container of `swarm run` is in the tables of its networks under its own names. Method: objects in, table out. */
import assert from 'node:assert/strict';
import {
  Network,
  NetworkAttachment,
  Node,
  NodeDataPath,
  NodeDescription,
  NodeState,
  NodeStatus,
  OneOff,
  Task,
  TaskState,
  TaskStatus,
} from '#gen/swarm/v1/objects.ts';
import { IpamSubnet, NetworkSpec } from '#gen/swarm/v1/specs.ts';
import { NetworkTables } from '#manager/discovery/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';
import { revision, spec } from '#test/manager/loops/objects.ts';

describe('manager/discovery: containers of swarm run', () => {
  it('are endpoints of no service, with the name that they were given and their aliases', () => {
    const view = new MemoryView();
    const dataPath = NodeDataPath.create({ address: '192.0.2.1', mtu: 1500 });
    const node = Node.create({
      id: 'n1',
      index: 1,
      status: NodeStatus.create({ state: NodeState.READY }),
      description: NodeDescription.create({ dataPath }),
    });
    const network = Network.create({
      id: 'net',
      vni: 4097,
      spec: NetworkSpec.create({ name: 'crew', attachable: true }),
      subnets: [IpamSubnet.create({ subnet: '10.1.0.0/24', gateway: '10.1.0.1' })],
    });
    const task = Task.create({
      id: 't1',
      nodeId: 'n1',
      revision: 7,
      desiredState: TaskState.RUNNING,
      status: TaskStatus.create({ state: TaskState.RUNNING }),
      oneOff: OneOff.create({ name: 'relay' }),
      networks: [NetworkAttachment.create({ network: 'net', addresses: ['10.1.0.9'], aliases: ['smtp'] })],
    });
    view.commit([
      { kind: 'create', table: 'node', object: node },
      { kind: 'create', table: 'network', object: network },
      { kind: 'create', table: 'revision', object: revision('', 7, spec({ name: 'relay' })) },
      { kind: 'create', table: 'task', object: task },
    ]);
    const tables = new NetworkTables();
    tables.restore(view);
    const items = tables.complete('net').map(({ item }) => item);
    assert.deepEqual(
      items.map((item) => item?.kind),
      ['table', 'peer', 'endpoint'],
    );
    const endpoint = items.find((item) => item?.kind === 'endpoint')?.value;
    assert.deepEqual(endpoint, {
      taskId: 't1',
      serviceId: '',
      nodeId: 'n1',
      slot: 0,
      addresses: ['10.1.0.9'],
      aliases: ['smtp'],
      serving: true,
      containerName: 'relay',
      hostname: '',
    });
  });
});

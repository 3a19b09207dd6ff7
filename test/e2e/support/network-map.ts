/** Who is on a network by the word of the managers, and whether all of them find and reach one another. */
import assert from 'node:assert/strict';
import type { Network, Service, Task } from '#gen/swarm/v1/objects.ts';
import type { Cluster } from './cluster.ts';
import { isRunning } from './cluster.ts';
import { askFrom } from './network-probe/ask-from.ts';
import type { Answers, Door } from './network-probe/questions.ts';

/** A task on the network. */
export interface Member {
  readonly service: string;
  readonly task: Task;
  readonly addresses: readonly string[];
  /** Those that its container is found by. */
  readonly names: readonly string[];
  /** Its service is on other networks as well. */
  readonly isElsewhere: boolean;
}

export interface NetworkMap {
  readonly network: Network;
  readonly members: readonly Member[];
  /** Every name on the network -> its addresses. */
  readonly names: ReadonlyMap<string, readonly string[]>;
  /** Every address, those of services as well -> the port there, and the addresses of the tasks that may answer. */
  readonly doors: ReadonlyMap<string, { readonly port: number; readonly servers: readonly string[] }>;
}

/** Service -> the port that its tasks listen at. */
export type Ports = Readonly<Record<string, number>>;

export async function networkMap(cluster: Cluster, reference: string, ports: Ports): Promise<NetworkMap> {
  const { control } = cluster.client();
  const { network } = await control.getNetwork({ reference });
  assert.ok(network);
  const names = new Map<string, readonly string[]>();
  const doors = new Map<string, { readonly port: number; readonly servers: readonly string[] }>();
  const members: Member[] = [];
  for (const [name, port] of Object.entries(ports)) {
    const { service } = await control.getService({ reference: name });
    assert.ok(service);
    const own = membersOf(network, service, (await cluster.tasks(name)).filter(isRunning));
    const all = own.flatMap(({ addresses }) => addresses);
    const virtual = service.endpoint?.addresses.find((one) => one.network === network.id)?.addresses ?? [];
    names.set(name, virtual.length > 0 ? virtual : all);
    names.set(`tasks.${name}`, all);
    for (const address of virtual) doors.set(address, { port, servers: all });
    for (const { addresses, names: known } of own) {
      for (const one of known) names.set(one, addresses);
      for (const address of addresses) doors.set(address, { port, servers: [address] });
    }
    members.push(...own);
  }
  return { network, members, names, doors };
}

function membersOf(network: Network, service: Service, tasks: readonly Task[]): readonly Member[] {
  const name = service.spec?.name ?? '';
  return tasks.map((task) => {
    const place = task.slot === 0 ? task.nodeId : String(task.slot);
    const addresses = task.networks.find((one) => one.network === network.id)?.addresses ?? [];
    assert.notEqual(addresses.length, 0, `a task of ${name} is on ${network.spec?.name}`);
    // A global service has nodes for slots, and no names by number.
    const slotNames = task.slot === 0 ? [] : [`${task.slot}.${name}`];
    const isElsewhere = (service.spec?.task?.networks.length ?? 0) > 1;
    return {
      service: name,
      isElsewhere,
      task,
      addresses,
      names: [...slotNames, `${name}.${place}.${task.id}`, task.id],
    };
  });
}

/**
 * Every task finds and reaches every other, itself and every service: by each name and each address. Tasks that are on
 * other networks as well are not asked, as they know some of the names by more addresses. Returns the number of answers.
 */
export async function assertAllReached(map: NetworkMap): Promise<number> {
  const questions = {
    names: [...map.names.keys()].flatMap((name) => ([4, 6] as const).map((family) => ({ name, family }))),
    doors: [...map.doors].map(([address, { port }]): Door => ({ address, port })),
  };
  const asked = map.members.filter((member) => !member.isElsewhere);
  const answers = asked.map(async (member) => ({ ...member, answers: await askFrom(member.task, questions) }));
  for (const { service, task, answers: said } of await Promise.all(answers))
    assert.deepEqual(wrongAnswers(map, said), [], `asked in ${service} ${task.id}`);
  return asked.length * (questions.names.length + questions.doors.length);
}

function wrongAnswers(map: NetworkMap, { names, doors }: Answers): readonly string[] {
  const wrong: string[] = [];
  for (const [name, addresses] of map.names)
    for (const family of [4, 6]) {
      const wanted = addresses.filter((address) => address.includes(':') === (family === 6)).toSorted();
      const answer = names[`${name}/${family}`];
      // A name without an address of the family is no error: c-ares calls it "no data".
      const isRight = wanted.length === 0 ? answer === 'ENODATA' : String(answer) === String(wanted);
      if (!isRight) wrong.push(`${name} is ${answer}, not ${wanted.join(', ')}`);
    }
  for (const [address, { port, servers }] of map.doors) {
    const answer = doors[`${address} ${port}`] ?? '';
    // nginx says its own address last.
    const isRight = port === 80 ? servers.includes(answer.split(' ')[2] ?? '') : answer === 'open';
    if (!isRight) wrong.push(`${address} port ${port}: ${answer}, not one of ${servers.join(', ')}`);
  }
  return wrong;
}

/** No task finds a name or reaches an address of a network that it is not on. */
export async function assertApart(maps: readonly NetworkMap[], timeoutMs = 1500): Promise<void> {
  const asked = maps.flatMap((map) => map.members.map((member) => ({ map, ...member })));
  const answers = asked.map(async ({ map, service, task }) => {
    const others = maps.filter((one) => one !== map);
    const names = others.flatMap((one) => [...one.names.keys()]).filter((name) => !map.names.has(name));
    const doors = others.flatMap((one) => [...one.doors]).filter(([address]) => !map.doors.has(address));
    const questions = {
      names: names.map((name) => ({ name, family: 4 as const })),
      doors: doors.map(([address, { port }]): Door => ({ address, port })),
      timeoutMs,
    };
    return { service, task, ...(await askFrom(task, questions)) };
  });
  for (const { service, task, names, doors } of await Promise.all(answers)) {
    const found = Object.entries(names).filter(([, answer]) => typeof answer !== 'string');
    const reached = Object.entries(doors).filter(([, answer]) => !/^E[A-Z]+$/.test(answer));
    assert.deepEqual([...found, ...reached], [], `asked in ${service} ${task.id}`);
  }
}

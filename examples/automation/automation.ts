/**
 * A program that runs a service on a swarm from outside: lists nodes, follows events, creates a service, waits until its
 * tasks run, and removes it. `node automation.ts BUNDLE [IMAGE]`
 */
import { connect, type Json, type Swarm } from './swarm.ts';

const NAME = `automation-${process.pid}`;
const REPLICAS = 2;
const WAIT_MS = 60_000;

const [bundle, image = 'busybox:latest'] = process.argv.slice(2);
if (bundle === undefined) {
  console.error('usage: node automation.ts BUNDLE [IMAGE]');
  process.exit(2);
}

const swarm = connect(bundle);
try {
  await listNodes(swarm);
  const { version } = await lastEvent(swarm);
  const told = followEvents(swarm, version);
  told.catch(() => {}); // It is asked for at the end, unless something else goes wrong before.
  const { service } = (await swarm.call('ControlService', 'CreateService', {
    spec: {
      name: NAME,
      task: { container: { image, args: ['sleep', '1000'] } },
      replicated: { replicas: REPLICAS },
    },
  })) as { service: { id: string } };
  console.log(`created service ${NAME} (${service.id})`);
  try {
    await untilRunning(swarm, service.id);
  } finally {
    await swarm.call('ControlService', 'RemoveService', { reference: service.id });
    console.log(`removed service ${NAME}`);
  }
  await within(told, `nobody has told that ${NAME} was removed`);
} finally {
  swarm.close();
}

async function listNodes({ stream }: Swarm): Promise<void> {
  for await (const page of stream('ControlService', 'ListNodes'))
    for (const { description, role, status } of page.nodes as Record<string, Json>[])
      console.log(`node ${description.hostname}: ${role}, ${status.state}`);
}

/** Tasks are read again with each change that the watch tells of: no polling. */
async function untilRunning({ stream }: Swarm, serviceId: string): Promise<void> {
  const running = async (): Promise<void> => {
    let shown = -1;
    const selectors = [{ kind: 'OBJECT_KIND_TASK' }];
    for await (const _change of stream('WatchService', 'Watch', { selectors })) {
      let count = 0;
      for await (const page of stream('ControlService', 'ListTasks', { serviceIds: [serviceId] }))
        for (const { task } of page.tasks as { task: { status: Json } }[])
          if (task.status.state === 'TASK_STATE_RUNNING') count++;
      if (count !== shown) console.log(`${count} of ${REPLICAS} tasks run`);
      shown = count;
      if (count === REPLICAS) return;
    }
  };
  await within(running(), `the tasks of ${NAME} do not run`);
}

/** What has not come by then does not come. */
async function within<T>(work: Promise<T>, complaint: string): Promise<T> {
  const { promise: tooLate, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`${complaint} after ${WAIT_MS} ms`)), WAIT_MS);
  try {
    return await Promise.race([work, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

/** Where to go on from. */
async function lastEvent({ stream }: Swarm): Promise<{ version: string }> {
  let version = '0';
  for await (const page of stream('EventService', 'ListEvents')) version = String(page.version);
  return { version };
}

/** Ends with the event that the service was removed. */
async function followEvents({ stream }: Swarm, afterVersion: string): Promise<void> {
  for await (const { events } of stream('EventService', 'ListEvents', { afterVersion, follow: true }))
    for (const { type, action, subjectName, actor } of events as Record<string, Json>[]) {
      console.log(`event: ${type} ${subjectName} ${action} by ${actor?.name || actor?.kind}`);
      if (String(subjectName) === NAME && String(action) === 'remove') return;
    }
}

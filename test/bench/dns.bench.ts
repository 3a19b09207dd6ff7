/**
 * Names: the resolver process as it is shipped, asked over real sockets by a client process of its own, at full load
 * (64 questions under way) and at half of what that gave. Beside it, in the same run, dns2's own server with one fixed
 * answer and no tables: what its codec alone costs. The server's own processor time says what one core would answer.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import dns2 from 'dns2';
import { NetworkTables } from '#agent/discovery/index.ts';
import { DEFAULT_RESOLVER_PROCESS_CONFIG, ResolverProcess } from '#agent/dns/index.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { systemRandom } from '#common/system/random.ts';
import { ResolverSettings } from '#gen/swarm/v1/resolver.ts';
import { askerOf, changesOf, question } from '#test/agent/dns/support.ts';

const SERVICES = 10_000;
const TASKS_PER_SERVICE = 3;
const SECONDS = 3;
const WINDOW = 64;
/** Clients ask from several addresses, as containers do: each has its own limit. */
const ASKERS = Array.from({ length: 16 }, (_, index) => `127.0.0.${10 + index}`);
const TARGET_PER_SECOND = 30_000;
const TARGET_P99_MS = 3;
const SERVER = '127.0.0.2';
/** What a tick of /proc/<pid>/stat is. */
const TICK_SECONDS = 0.01;

interface Load {
  readonly port: number;
  /** Undefined: as fast as the window allows. */
  readonly perSecond: number | undefined;
  readonly names: readonly string[];
}

interface Measured {
  readonly answers: number;
  readonly seconds: number;
  readonly lost: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** What else the machine does is not to be measured. */
function prefer(pid: number): void {
  setPriority(pid, -20);
}

/** The client's part, in a process of its own. */
async function ask({ port, perSecond, names }: Load): Promise<Measured> {
  prefer(process.pid);
  const queries = names.map((name) => question(name));
  const sentAt = new Float64Array(65_536);
  const latencies: number[] = [];
  const sockets: Socket[] = [];
  let next = 0;
  let sent = 0;
  let answers = 0;
  let going = true;
  const send = (socket: Socket): void => {
    const id = next++ & 0xffff;
    const query = Buffer.from(queries[next % queries.length] ?? Buffer.alloc(0));
    query.writeUInt16BE(id, 0);
    sentAt[id] = performance.now();
    sent++;
    socket.send(query, port, SERVER);
  };
  for (const address of ASKERS) {
    const socket = createSocket({ type: 'udp4', lookup: (name, _options, done) => done(null, name, 4) });
    await new Promise<void>((resolve) => socket.bind(0, address, resolve));
    socket.on('message', (answer) => {
      answers++;
      latencies.push(performance.now() - (sentAt[answer.readUInt16BE(0)] ?? 0));
      if (going && perSecond === undefined) send(socket);
    });
    sockets.push(socket);
  }
  const begin = performance.now();
  if (perSecond === undefined)
    for (let index = 0; index < WINDOW; index++) send(sockets[index % sockets.length] as Socket);
  const endMs = begin + SECONDS * 1000;
  while (performance.now() < endMs) {
    if (perSecond !== undefined) {
      const due = ((performance.now() - begin) / 1000) * perSecond;
      while (sent < due) send(sockets[sent % sockets.length] as Socket);
    }
    await new Promise((resolve) => setTimeout(resolve, 1)); // paces the questions: time is what is measured
  }
  going = false;
  const seconds = (performance.now() - begin) / 1000;
  await answered(() => sent - answers);
  for (const socket of sockets) socket.close();
  latencies.sort((left, right) => left - right);
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
  return { answers, seconds, lost: sent - answers, p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** Resolves when nothing is outstanding; what has not come after a second counts as lost. */
async function answered(outstanding: () => number): Promise<void> {
  const endMs = performance.now() + 1000;
  while (outstanding() > 0 && performance.now() < endMs) await new Promise((resolve) => setImmediate(resolve));
}

/** The peer: dns2's own server, one answer for everything. */
async function servePeer(): Promise<number> {
  const server = dns2.createUDPServer((request, send) => {
    const response = dns2.Packet.createResponseFromRequest(request);
    const name = request.questions[0]?.name ?? '';
    response.answers.push(new dns2.Packet.Resource({ name, type: 1, class: 1, ttl: 5, address: '10.0.0.1' }));
    void send(response);
  });
  await server.listen(0, SERVER);
  prefer(process.pid);
  return server.address().port;
}

async function inProcess<T>(role: string, input?: Load): Promise<{ readonly child: ChildProcess; readonly result: T }> {
  const args = [role, JSON.stringify(input ?? null)];
  const child = fork(import.meta.filename, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const [result] = (await once(child, 'message')) as [T];
  return { child, result };
}

async function measure(load: Load): Promise<Measured> {
  const { child, result } = await inProcess<Measured>('ask', load);
  child.kill();
  return result;
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_SECONDS;
}

function memoryText(pid: number): string {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kilobytes = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0);
  return `${(kilobytes('VmRSS') / 1024).toFixed(0)} MB resident, ${(kilobytes('RssAnon') / 1024).toFixed(0)} MB of its own`;
}

async function report(
  label: string,
  pid: number,
  load: Load,
): Promise<{ readonly measured: Measured; readonly perCore: number }> {
  const before = cpuSeconds(pid);
  const measured = await measure(load);
  const perCore = measured.answers / (cpuSeconds(pid) - before);
  const rate = `${Math.round(measured.answers / measured.seconds)}/s`;
  console.log(
    `${label.padEnd(46)}${rate.padStart(10)}   p50 ${measured.p50Ms.toFixed(2)} ms  p99 ${measured.p99Ms.toFixed(2)} ms  lost ${measured.lost}   ${Math.round(perCore)} a second of processor time`,
  );
  return { measured, perCore };
}

function tablesOf(services: number): NetworkTables {
  const tables = new NetworkTables();
  const address = (block: number, index: number): string => `10.${block}.${index >> 8}.${index & 255}`;
  tables.receive(
    changesOf({
      name: 'front',
      services: Array.from({ length: services }, (_, index) => ({
        name: `service${index}`,
        addresses: [address(1, index)],
      })),
      endpoints: Array.from({ length: services * TASKS_PER_SERVICE }, (_, index) => ({
        id: `task${String(index).padStart(21, '0')}`,
        service: `service${Math.floor(index / TASKS_PER_SERVICE)}`,
        slot: 1 + (index % TASKS_PER_SERVICE),
        addresses: [address(2 + (index >> 16), index & 0xffff)],
      })),
    }),
  );
  return tables;
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'starling-bench-dns-'));
  const root = join(import.meta.dirname, '../..');
  const port = 20_000 + (process.pid % 20_000);
  const resolver = new ResolverProcess({
    directory: join(directory, 'resolver'),
    program: { node: process.execPath, entry: join(root, 'dist/resolver.mjs'), version: 'bench' },
    config: DEFAULT_RESOLVER_PROCESS_CONFIG,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  try {
    const settings = ResolverSettings.create({ listenAddresses: [SERVER], listenPort: port });
    const askers = ASKERS.map((address) => askerOf(address, ['front']));
    await resolver.start({ views: tablesOf(10).views, askers, settings });
    const pid = resolver.pid ?? 0;
    prefer(pid);
    console.log(`${'memory with 10 services'.padEnd(46)}${memoryText(pid)}`);
    const begin = performance.now();
    await resolver.apply(tablesOf(SERVICES).views, [], new AbortController().signal);
    await resolver.close();
    const again = new ResolverProcess({
      directory: join(directory, 'resolver'),
      program: { node: process.execPath, entry: join(root, 'dist/resolver.mjs'), version: 'bench' },
      config: DEFAULT_RESOLVER_PROCESS_CONFIG,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    });
    await again.start({ views: tablesOf(SERVICES).views, askers, settings });
    const told = `${Math.round(performance.now() - begin)} ms`;
    console.log(
      `${`told ${SERVICES} services of ${TASKS_PER_SERVICE} tasks`.padEnd(46)}${told.padStart(10)}   ${memoryText(pid)}`,
    );
    const names = Array.from({ length: 100 }, (_, index) => `service${index * 97}`);
    await measure({ port, perSecond: undefined, names }); // the compiler's turn, and the collector's
    const virtual = await report('a name with a virtual address', pid, { port, perSecond: undefined, names });
    await report('tasks.<service>, 3 addresses', pid, {
      port,
      perSecond: undefined,
      names: names.map((name) => `tasks.${name}`),
    });
    const half = TARGET_PER_SECOND / 2;
    const { measured } = await report(`a virtual address at ${half}/s`, pid, { port, perSecond: half, names });
    console.log(`${'memory afterwards'.padEnd(46)}${memoryText(pid)}`);
    const peer = await inProcess<number>('peer');
    const own = await report("dns2's own server, one fixed answer", peer.child.pid ?? 0, {
      port: peer.result,
      perSecond: undefined,
      names,
    });
    peer.child.kill();
    console.log(
      `${'answers per core, against dns2 alone'.padEnd(46)}${(virtual.perCore / own.perCore).toFixed(2).padStart(10)}`,
    );
    const good = virtual.perCore >= TARGET_PER_SECOND && measured.p99Ms < TARGET_P99_MS;
    console.log(
      `target: ${TARGET_PER_SECOND} a second on one core, p99 below ${TARGET_P99_MS} ms at half of that: ${good ? 'reached' : 'missed'}`,
    );
    await again.destroy();
  } finally {
    await resolver.destroy();
    rmSync(directory, { recursive: true, force: true });
  }
}

const [, , role, input = 'null'] = process.argv;
if (role === undefined) await main();
else if (role === 'peer') process.send?.(await servePeer());
else process.send?.(await ask(JSON.parse(input) as Load));

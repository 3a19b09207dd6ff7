/**
 * A manager whose calls go to a leader elsewhere: other managers on loopback, which a test scripts, and a leadership that
 * the test decides.
 */
import assert from 'node:assert/strict';
import { peerIdentity } from '#certs/peer.ts';
import { NodeServerCredentials } from '#certs/tls.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { ControlService } from '#gen/swarm/v1/control.ts';
import { LogsService, SubscribeLogsResponse } from '#gen/swarm/v1/logs.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import { createClient } from '#proto/grpc/client.ts';
import { RpcServer } from '#proto/grpc/server.ts';
import { LeaderCalls } from '#src/swarmd/leader-calls.ts';
import { LEADER_CALLS_DEFAULTS, type LeaderCallsConfig } from '#src/swarmd/leader-config.ts';
import { CLUSTER_ID, type TestNode, testAuthority, testNode } from '#test/certs/fixtures.ts';
import { everyMethod } from '#test/proto/support/every-method.ts';
import { FakeLeadership } from './fake-leadership.ts';

const authority = testAuthority();
/** Patient: nobody waits for so long while all is well, however busy the machine is. */
export const CONFIG = { ...LEADER_CALLS_DEFAULTS, leaderWaitMs: 10_000, answerGraceMs: 100 };
/** For tests in which no leader comes. */
export const IMPATIENT = { ...CONFIG, leaderWaitMs: 400 };
/** The manager whose calls these are. */
export const SELF = testNode(authority, 'manager');

export /** A manager elsewhere, which answers as the test says. */
class OtherManager {
  readonly node: TestNode = testNode(authority, 'manager');
  server: RpcServer | undefined;
  address = '';
  seen: CallContext[] = [];
  removeService: (context: CallContext) => Promise<string> = () => Promise.resolve('');
  logs: (context: CallContext) => AsyncGenerator<string> = async function* () {};

  get id(): string {
    return this.node.identity.nodeId;
  }

  async listen(address = '127.0.0.1:0'): Promise<void> {
    const server = new RpcServer({
      trust: {
        kind: 'certificate',
        identify: (call) => peerIdentity(call, Date.now()),
        clusterId: () => CLUSTER_ID,
      },
      logger: silentLogger,
    });
    const notScripted = { code: 'unimplemented', reason: 'not-supported', message: 'not scripted' } as const;
    server.addService(ControlService, {
      ...everyMethod(ControlService, () => Promise.reject(new SwarmError(notScripted))),
      removeService: async (_request, context) => {
        this.seen.push(context);
        return { id: await this.removeService(context) };
      },
    });
    const { logs, seen } = { logs: (context: CallContext) => this.logs(context), seen: this.seen };
    server.addService(LogsService, {
      subscribeLogs: async function* (_request, context) {
        seen.push(context);
        for await (const warning of logs(context)) yield SubscribeLogsResponse.create({ warnings: [warning] });
      },
    });
    this.server = server;
    this.address = `127.0.0.1:${await server.listen(address, new NodeServerCredentials(this.node))}`;
  }

  async close(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    await server?.close(0);
  }
}

/** Calls of the manager `SELF`, of one test. */
export class CallsToLeader {
  readonly log = new FakeLeadership();
  calls: LeaderCalls;
  /** Writes that were run here. */
  ran = 0;
  /** Connections that were made: the certificate is read for each. */
  connections = 0;
  readonly #others: OtherManager[] = [];

  constructor() {
    this.calls = this.#newCalls(CONFIG, systemClock);
  }

  /** Begins anew with other settings. */
  configure(config: LeaderCallsConfig, clock: Clock = systemClock): void {
    this.calls.close();
    this.calls = this.#newCalls(config, clock);
  }

  async close(): Promise<void> {
    this.calls.close();
    assert.equal(this.log.listenerCount, 0);
    await Promise.all(this.#others.map((other) => other.close()));
  }

  /** Another manager, known to the log. */
  readonly other = async (): Promise<OtherManager> => {
    const manager = new OtherManager();
    await manager.listen();
    this.#others.push(manager);
    this.log.peers = this.#others.map(({ id, address }) => ({ nodeId: id, address }));
    return manager;
  };

  /** A write, made wherever it belongs. */
  readonly write = (from = context(), local: () => Promise<string> = async () => 'here'): Promise<string> =>
    this.calls.unary(from, {
      local: () => {
        this.ran++;
        return local();
      },
      remote: async (transport, options) =>
        (await createClient(ControlService, transport).removeService({ reference: 'x' }, options)).id,
    });

  #newCalls(config: LeaderCallsConfig, clock: Clock): LeaderCalls {
    const counted = (): void => void this.connections++;
    const shown: TestNode = {
      ...SELF,
      get certificatePem() {
        counted();
        return SELF.certificatePem;
      },
    };
    const tls = (): TestNode => shown;
    return new LeaderCalls({
      log: this.log,
      identity: { clusterId: CLUSTER_ID, tls },
      clock,
      random: new SeededRandom(1),
      logger: silentLogger,
      config,
    });
  }
}

/** A call that came in at this manager. */
export function context(change: Partial<CallContext> = {}): CallContext {
  return {
    caller: { kind: 'local' },
    forwardedBy: undefined,
    path: ControlService.removeService.path,
    peer: '',
    deadlineMs: undefined,
    signal: new AbortController().signal,
    ...change,
  };
}

/** A manager that has passed a call on. */
export function peerOf({ node }: OtherManager): NonNullable<CallContext['forwardedBy']> {
  const { nodeId, clusterId } = node.identity;
  return { nodeId, role: 'manager', clusterId, serial: '', notBeforeMs: 0, notAfterMs: 0, issuerKeyId: '' };
}

export function refusal(reason: SwarmError['reason']): SwarmError {
  return new SwarmError({ code: 'unavailable', reason, message: reason });
}

/**
 * The agent's conversation with the leader: one stream, opened again for ever with backoff, at another manager if the
 * last one failed, and at once where a manager that does not lead says who does. Assignments come in, statuses and
 * heartbeats go out.
 *
 *   disconnected -> connecting -> established -> disconnected -> ...       removed | closed (for good)
 */
import { AssignmentCollector, type AssignmentStep } from '#agent/worker/index.ts';
import { backoffDelay } from '#common/backoff.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import {
  AgentHello,
  AppliedAssignments,
  type SessionEnd,
  SessionEndReason,
  type SessionRequest,
  type SessionResponse,
  type SessionWelcome,
  type VolumeReport,
} from '#gen/swarm/v1/dispatcher.ts';
import type { NetworkCheck, NetworkCheckReport } from '#gen/swarm/v1/doctor.ts';
import type { AppliedNetworks, NetworkChanges } from '#gen/swarm/v1/networks.ts';
import type { ManagerPeer, Node, NodeDescription, TaskStatus } from '#gen/swarm/v1/objects.ts';
import type { SessionConfig } from './config.ts';
import { Heartbeat, type ManagerSigns } from './heartbeat.ts';
import { type ConversationEnd, ManagerChoice } from './manager-choice.ts';
import { SilenceWatch } from './silence-watch.ts';
import { StatusReporter } from './status-reporter.ts';

/** One open stream to one manager. */
export interface DispatcherStream {
  /** Queues a message, in order. The caller waits for acknowledgements, but for what a session begins with. */
  send(message: SessionRequest): void;
  readonly responses: AsyncIterable<SessionResponse>;
  /** Whether the manager's host has answered by now, busy as the manager may be; undefined where that is no question. */
  readonly hasReached?: () => Promise<boolean>;
  /** Ends the stream; `responses` ends too. A connection that is broken is not used for another one. */
  close(connection?: 'broken'): void;
}

export interface SessionOptions {
  /** Opens a stream to the manager at the address; the node's own manager is "local". */
  readonly dial: (address: string) => DispatcherStream;
  /** Addresses to try, best first. Asked anew when all have been tried. */
  readonly managers: () => readonly string[];
  /** Where to dial a manager that another one has named. */
  readonly addressOf: (manager: ManagerPeer) => string;
  readonly describe: () => Promise<NodeDescription>;
  readonly advertiseAddress: () => string;
  readonly statuses: () => readonly { readonly taskId: string; readonly status: TaskStatus }[];
  readonly apply: (step: AssignmentStep) => Promise<void>;
  readonly onManagers: (managers: readonly ManagerPeer[]) => void;
  readonly onNode: (node: Node) => void;
  /** Roots that the node is to trust from now on, PEM. Told by a manager that TLS has verified. */
  readonly onTrustedRoots?: ((pem: Uint8Array) => void) | undefined;
  /** How long certificates hold that are issued now; told again and again, 0 by managers that do not say. */
  readonly onCertExpiry?: ((expiryMs: number) => void) | undefined;
  /** What the node is to know of networks. Acknowledged by `confirmNetworks`, whenever it has been applied. */
  readonly onNetworks: (changes: NetworkChanges) => void;
  /** Looks at the node's networks for the leader; undefined: this node cannot. What it throws is logged. */
  readonly checkNetworks?: ((check: NetworkCheck) => Promise<NetworkCheckReport>) | undefined;
  /** A session stands: sends what the node has of volumes, then what changes, until the returned function is called. */
  readonly reportVolumes?: ((send: (report: VolumeReport) => void) => () => void) | undefined;
  readonly signs?: ManagerSigns;
  /** A session stands. */
  readonly onEstablished: () => void;
  /** This node was removed from the cluster; the session ends for good. */
  readonly onRemoved: (message: string) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly config: SessionConfig;
}

/** The manager that the session is with. */
export interface SessionLink {
  readonly address: string;
  /** Aborted when the session ends. */
  readonly ended: AbortSignal;
}

export class Session {
  readonly #options: SessionOptions;
  readonly #choice: ManagerChoice;
  readonly #reporter: StatusReporter;
  #stream: DispatcherStream | undefined;
  /** Set between welcome and the end of the stream. */
  #established: SessionWelcome | undefined;
  /** Set with `#established`. */
  #link: { readonly address: string; readonly controller: AbortController } | undefined;
  /** How the conversation of the moment ended, as far as it is known. */
  #end: ConversationEnd = 'refused';
  readonly #heart: Heartbeat;
  #silence: SilenceWatch | undefined;
  #describing: CancelTimer | undefined;
  #attempt = 0;
  #closed = false;
  #removed = false;
  #wake: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #lastError: SwarmError | undefined;
  #description = '';
  #stopVolumes: (() => void) | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#choice = new ManagerChoice(options.config.redirectsMax);
    this.#reporter = new StatusReporter(options.config.statusBatch);
    const { clock, random, signs = { nowMs: () => clock.monotonic(), heard: () => {} } } = options;
    const send = (): void => this.#send({ message: { kind: 'heartbeat', value: {} } });
    this.#heart = new Heartbeat({ send, signs, clock, random });
  }

  start(): void {
    this.#running ??= this.#run();
  }

  get connected(): boolean {
    return this.#established !== undefined;
  }

  /** Undefined while there is no session. */
  get link(): SessionLink | undefined {
    const link = this.#link;
    return link === undefined ? undefined : { address: link.address, ended: link.controller.signal };
  }

  /** Why there is no session, for `swarm info`. */
  get lastError(): SwarmError | undefined {
    return this.#established === undefined ? this.#lastError : undefined;
  }

  /** A task's status changed. */
  report(taskId: string, status: TaskStatus): void {
    this.#reporter.put(taskId, status);
    this.#flush();
  }

  /** The node has applied what it was told of networks. */
  confirmNetworks(value: AppliedNetworks): void {
    if (this.#established !== undefined) this.#send({ message: { kind: 'appliedNetworks', value } });
  }

  /** Says goodbye: the manager need not wait for missed heartbeats. */
  async leave(removed: boolean, reason: string): Promise<void> {
    if (this.#established !== undefined) this.#send({ message: { kind: 'leaving', value: { removed, reason } } });
    await this.close();
  }

  /** Begins another session with the same manager at once, over a connection that shows the node as it is now. */
  reopen(): void {
    if (this.#link === undefined) return;
    this.#choice.named(this.#link.address);
    this.#stream?.close();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stream?.close();
    this.#wake?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#closed && !this.#removed) {
      const limitMs = this.#choice.welcomeMs(this.#options.config);
      const address = this.#choice.next(this.#options.managers());
      if (address !== undefined) await this.#converse(address, limitMs);
      if (this.#closed || this.#removed) return;
      if (this.#choice.redirected) continue;
      await this.#pause(backoffDelay(this.#options.config.reconnect, this.#attempt++, this.#options.random));
    }
  }

  async #pause(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.setTimer(delayMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
    this.#wake = undefined;
  }

  /** `welcomeMs`: the manager has to welcome this agent within this. */
  async #converse(address: string, welcomeMs: number): Promise<void> {
    const { logger } = this.#options;
    this.#end = 'refused';
    const errorBefore = this.#lastError;
    try {
      const description = await this.#options.describe();
      if (this.#closed) return;
      this.#stream = this.#options.dial(address);
      this.#description = JSON.stringify(description);
      this.#watchSilence(this.#stream, welcomeMs);
      this.#heart.helloSent();
      this.#send({
        message: {
          kind: 'hello',
          value: AgentHello.create({
            description,
            advertiseAddress: this.#options.advertiseAddress(),
            checksNetworks: this.#options.checkNetworks !== undefined,
          }),
        },
      });
      const assignments = new AssignmentCollector();
      for await (const response of this.#stream.responses) {
        this.#silence?.heard();
        if (!(await this.#handle(response, assignments, address))) break;
      }
      if (this.#lastError === undefined || this.#lastError === errorBefore)
        this.#lastError = new SwarmError({
          code: 'unavailable',
          reason: 'connection-failed',
          message: `the manager at ${address} ended the session`,
        });
    } catch (thrown) {
      this.#lastError = SwarmError.from(thrown);
      if (this.#lastError.reason === 'node-removed') this.#endRemoved(this.#lastError.message);
      logger.warn('session lost', { manager: address, error: this.#lastError.message });
    } finally {
      this.#stopTimers();
      this.#stopVolumes?.();
      this.#stopVolumes = undefined;
      this.#stream?.close();
      this.#stream = undefined;
      this.#established = undefined;
      this.#link?.controller.abort();
      this.#link = undefined;
      this.#choice.ended(address, this.#end);
      this.#reporter.reset();
    }
  }

  /** Takes one message; false ends the stream. */
  async #handle(response: SessionResponse, assignments: AssignmentCollector, address: string): Promise<boolean> {
    const message = response.message;
    switch (message?.kind) {
      case 'welcome':
        this.#welcome(message.value, address);
        return true;
      case 'assignments': {
        const step = assignments.add(message.value);
        if (step === undefined) return true;
        this.#heart.counts();
        await this.#options.apply(step);
        this.#send({ message: { kind: 'applied', value: AppliedAssignments.create({ version: step.version }) } });
        return true;
      }
      case 'statusAck':
        this.#reporter.acknowledged(message.value.batch);
        this.#flush();
        return true;
      case 'managers':
        this.#options.onManagers(message.value.managers);
        return true;
      case 'node':
        this.#options.onNode(message.value);
        return true;
      case 'end':
        this.#ended(message.value, address);
        return false;
      case 'networks':
        this.#options.onNetworks(message.value);
        return true;
      case 'networkCheck':
        this.#checkNetworks(message.value);
        return true;
      case 'trustedRoots':
        this.#options.onTrustedRoots?.(message.value.certificatesPem);
        return true;
      case 'heartbeatAck':
        this.#heart.answered(message.value.periodMs);
        this.#options.onCertExpiry?.(message.value.certExpiryMs);
        return true;
      case undefined: // a message of a newer manager
        return true;
    }
  }

  /** Goes on beside everything else; what it finds is of use to the session that asked. */
  #checkNetworks(check: NetworkCheck): void {
    const { checkNetworks, logger } = this.#options;
    const session = this.#established;
    if (checkNetworks === undefined) return;
    checkNetworks(check).then(
      (value) => {
        if (session !== undefined && this.#established === session)
          this.#send({ message: { kind: 'networkCheckReport', value } });
      },
      (thrown: unknown) =>
        logger.warn('networks were not looked at', { check: check.id, error: SwarmError.from(thrown).message }),
    );
  }

  #welcome(welcome: SessionWelcome, address: string): void {
    this.#established = welcome;
    this.#link = { address, controller: new AbortController() };
    this.#end = 'lost';
    this.#silence?.welcomed();
    this.#choice.established(address);
    this.#attempt = 0;
    this.#lastError = undefined;
    this.#options.logger.info('session established', { session: welcome.sessionId, manager: address });
    if (welcome.managers !== undefined) this.#options.onManagers(welcome.managers.managers);
    if (welcome.trustedRoots !== undefined) this.#options.onTrustedRoots?.(welcome.trustedRoots.certificatesPem);
    if (welcome.node !== undefined) this.#options.onNode(welcome.node);
    for (const { taskId, status } of this.#options.statuses()) this.#reporter.put(taskId, status);
    // All of them before the first heartbeat: with that the node counts as ready, and what it has not said serves as before.
    for (const value of this.#reporter.all()) this.#send({ message: { kind: 'statuses', value } });
    this.#heart.begin(welcome.heartbeatPeriodMs);
    this.#describeLater();
    this.#stopVolumes = this.#options.reportVolumes?.((value) => this.#send({ message: { kind: 'volumes', value } }));
    this.#options.onEstablished();
  }

  #ended({ reason, message, leader }: SessionEnd, address: string): void {
    if (reason === SessionEndReason.NODE_REMOVED) {
      this.#endRemoved(message);
      return;
    }
    this.#lastError = new SwarmError({
      code: 'unavailable',
      reason: reason === SessionEndReason.NOT_LEADER ? 'not-leader' : 'session-invalid',
      message: `the manager at ${address} ended the session: ${message}`,
    });
    if (reason !== SessionEndReason.NOT_LEADER) return;
    this.#end = 'not-leader';
    if (leader !== undefined) this.#choice.named(this.#options.addressOf(leader));
  }

  #endRemoved(message: string): void {
    this.#removed = true;
    this.#options.onRemoved(message);
  }

  #flush(): void {
    if (this.#established === undefined) return;
    const batch = this.#reporter.next();
    if (batch !== undefined) this.#send({ message: { kind: 'statuses', value: batch } });
  }

  #send(message: SessionRequest): void {
    this.#stream?.send(message);
  }

  /** Ends a stream on which nothing comes any more. */
  #watchSilence(stream: DispatcherStream, welcomeMs: number): void {
    const { clock, config, logger } = this.#options;
    this.#silence = new SilenceWatch({
      welcomeMs,
      limitMs: () => this.#heart.periodMs * config.silentPeriods,
      hasReached: stream.hasReached,
      onSilent: (how) => {
        this.#end = how;
        stream.close('broken');
      },
      clock,
      logger,
      config,
    });
  }

  #describeLater(): void {
    this.#describing?.();
    this.#describing = this.#options.clock.setTimer(this.#options.config.describeEveryMs, () => {
      this.redescribe()
        .catch((thrown: unknown) =>
          this.#options.logger.warn('the node cannot describe itself', { error: SwarmError.from(thrown).message }),
        )
        .finally(() => {
          if (this.#established !== undefined) this.#describeLater();
        });
    });
  }

  /** Looks at the node again and tells the manager if something changed. */
  async redescribe(): Promise<void> {
    const description = await this.#options.describe();
    const text = JSON.stringify(description);
    if (this.#established === undefined || text === this.#description) return;
    this.#description = text;
    this.#send({ message: { kind: 'description', value: description } });
  }

  #stopTimers(): void {
    this.#heart.stop();
    this.#silence?.stop();
    this.#describing?.();
  }
}

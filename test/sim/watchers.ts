import { SwarmError } from '#common/errors.ts';
import type { CommitStream } from '#manager/replicated-store/index.ts';
import type { RecordedWatch } from '#test/linearizability/index.ts';
import type { ClientsWorld } from './clients.ts';
import { changesOf } from './objects.ts';
import type { Running } from './sim-manager.ts';
import type { SimRandom } from './sim-random.ts';

const LOOK_MS = 300;
/** How a watch may end, or fail to begin; any other reason is a defect. */
const ENDS: ReadonlySet<string> = new Set([
  ...['version-gone', 'slow-watcher', 'shutting-down', 'timeout', 'not-leader', 'no-quorum', 'leadership-lost'],
  ...['log-failed', 'disk-full', 'node-removed', 'too-many'],
]);

/** Follows the commits on one manager after another, going on where it was. */
export class Watcher {
  readonly #name: string;
  readonly #world: ClientsWorld;
  readonly #random: SimRandom;
  #at: Running | undefined;
  /** Counts beginnings: what an earlier one still brings is not heard. */
  #attempt = 0;
  #stream: CommitStream | undefined;
  #session: RecordedWatch | undefined;
  #lastVersion: number | undefined;
  #isDone = false;

  constructor(name: string, world: ClientsWorld, random: SimRandom) {
    this.#name = name;
    this.#world = world;
    this.#random = random;
  }

  /** The last version that it was told. */
  get lastVersion(): number | undefined {
    return this.#lastVersion;
  }

  start(): void {
    this.#world.clockWorld.time.after(LOOK_MS * (0.5 + this.#random.next()), () => {
      if (this.#isDone) return;
      if (this.#at?.process.isAlive === false || this.#random.chance(0.02)) this.#leave();
      if (this.#at === undefined) this.#open();
      this.start();
    });
  }

  end(): void {
    this.#isDone = true;
    this.#leave();
  }

  #leave(): void {
    this.#session?.end();
    this.#session = undefined;
    this.#stream?.close();
    this.#stream = undefined;
    this.#at = undefined;
    this.#attempt++;
  }

  #open(): void {
    const up = this.#world.managers.flatMap(({ running }) => (running?.isStarted === true ? [running] : []));
    if (up.length === 0) return;
    const running = this.#random.pick(up);
    this.#at = running;
    const attempt = ++this.#attempt;
    running.process.after(this.#world.network.delayMs(), () => {
      this.#follow(running, attempt).catch((thrown: unknown) => {
        const error = SwarmError.from(thrown);
        this.#world.trace(() => `${this.#name} cannot watch ${running.process.name}: ${error.reason}`);
        if (!ENDS.has(error.reason))
          this.#world.broken(`${this.#name} on ${running.process.name}: ${error.reason}: ${error.message}`);
        if (this.#attempt === attempt) this.#leave();
      });
    });
  }

  async #follow(running: Running, attempt: number): Promise<void> {
    await running.store.readBarrier({ timeoutMs: this.#world.options.requestTimeoutMs });
    if (this.#attempt !== attempt) return;
    const { stream, after } = this.#begin(running);
    this.#stream = stream;
    this.#world.trace(() => `${this.#name} watches ${running.process.name} after version ${after}`);
    const session = this.#world.recorder.watch(this.#name, after, { everything: true });
    this.#session = session;
    for await (const commit of stream) {
      if (this.#attempt !== attempt) return;
      session.commit(commit.version, changesOf(commit));
      this.#lastVersion = commit.version;
    }
  }

  #begin({ store }: Running): { readonly stream: CommitStream; readonly after: number } {
    const after = this.#lastVersion;
    if (after !== undefined)
      try {
        return { stream: store.watch({ after }), after };
      } catch (thrown) {
        if (SwarmError.from(thrown).reason !== 'version-gone') throw thrown;
      }
    const { view, commits } = store.viewAndWatch();
    if (after !== undefined && view.version < after)
      this.#world.broken(`${this.#name} was told version ${after}; after a barrier it sees version ${view.version}`);
    this.#lastVersion = view.version;
    return { stream: commits, after: view.version };
  }
}

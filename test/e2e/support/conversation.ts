import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import type { Task } from '#gen/swarm/v1/objects.ts';
import { eventually } from '#test/support/eventually.ts';
import { POSTGRES_PATH } from './network-lab.ts';
import { inContainer } from './network-probe/ask-from.ts';

interface Dialogue {
  readonly what: string;
  readonly client: readonly string[];
  readonly path: string;
  /** Gives the connection a name that another one, as clients make when theirs breaks, would not have. */
  readonly opening: string;
  /** Is answered with the name, and the number of the question. */
  readonly question: (number: number) => string;
}

const REDIS: Dialogue = {
  what: 'redis',
  client: ['redis-cli', '-h', 'cache'],
  path: '/usr/bin:/bin',
  opening: 'CLIENT SETNAME kept',
  question: (number) => `CLIENT GETNAME\nECHO answer-${number}`,
};

const POSTGRES: Dialogue = {
  what: 'postgres',
  client: ['psql', '-h', 'db', '-U', 'postgres', '-At'],
  path: POSTGRES_PATH,
  opening: "SET application_name = 'kept';",
  question: (number) => `SELECT current_setting('application_name');\nSELECT 'answer-' || ${number};`,
};

/** One connection of a real client to a real server, kept open over a whole test. */
export class Conversation {
  readonly #client: ChildProcess;
  readonly #dialogue: Dialogue;
  #said = '';
  #asked = 0;

  private constructor(dialogue: Dialogue, task: Task) {
    const [file = '', ...args] = inContainer(task, dialogue.client, dialogue.path);
    this.#dialogue = dialogue;
    this.#client = spawn(file, args, { stdio: 'pipe' });
    for (const stream of [this.#client.stdout, this.#client.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#said += text;
      });
    // A client that has ended is seen by the answer that does not come.
    this.#client.stdin?.on('error', () => {});
    this.#client.stdin?.write(`${dialogue.opening}\n`);
  }

  /** With the service `cache`, from one of its own tasks. */
  static redis(task: Task): Conversation {
    return new Conversation(REDIS, task);
  }

  /** With the service `db`, from its own task. */
  static postgres(task: Task): Conversation {
    return new Conversation(POSTGRES, task);
  }

  /** Asks once more; fails when nothing answers, or the connection is not the one of the start. */
  async goesOn(): Promise<void> {
    const number = ++this.#asked;
    const { what, question } = this.#dialogue;
    this.#client.stdin?.write(`${question(number)}\n`);
    await eventually(
      () => `${what} to answer question ${number}; it said ${this.#said}`,
      () => this.#said.includes(`answer-${number}\n`),
    );
    const lines = this.#said.split('\n').filter((line) => line === 'kept');
    assert.equal(lines.length, number, `the connection to ${what} is another one: ${this.#said}`);
  }

  end(): void {
    this.#client.kill('SIGKILL');
  }
}

/** A program of the test's own that runs inside a network namespace and is talked to over IPC. */
import { type ChildProcess, spawn } from 'node:child_process';
import { SwarmError, type SwarmErrorInit } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';

const CALL_TIMEOUT_MS = 20_000;

/** What a program can be asked for; parameters and answers survive JSON. */
// The parameters of the methods are what they are: only a type that takes any function can stand for all of them.
export type ProgramMethods = Readonly<Record<string, (...parameters: never[]) => unknown>>;
type Result<T extends ProgramMethods, M extends keyof T> = Awaited<ReturnType<T[M]>>;

interface Call {
  readonly id: number;
  readonly method: string;
  readonly parameters: readonly unknown[];
}

interface Answer {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: SwarmErrorInit;
}

/** The program's side: answers calls until its parent is gone. */
export function serveMethods(methods: ProgramMethods): void {
  process.on('message', (call: Call) => {
    const method = methods[call.method] as (...parameters: readonly unknown[]) => unknown;
    Promise.resolve()
      .then(() => method(...call.parameters))
      .then(
        (result) => process.send?.({ id: call.id, result }),
        (error: unknown) => {
          const { code, reason, message, field, hint } = SwarmError.from(error);
          process.send?.({ id: call.id, error: { code, reason, message, field, hint } });
        },
      );
  });
  process.on('disconnect', () => process.exit());
  process.send?.({ ready: true });
}

/** The test's side. */
export class NamespaceProgram<T extends ProgramMethods> {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>();
  readonly #ended: Promise<void>;
  readonly #ready: Promise<void>;
  #calls = 0;

  constructor(script: URL, netnsPath: string) {
    this.#child = spawn('nsenter', [`--net=${netnsPath}`, process.execPath, script.pathname], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#ended = new Promise((resolve) => this.#child.once('exit', () => resolve()));
    this.#ready = new Promise((resolve) => this.#child.once('message', () => resolve()));
    this.#child.on('message', (answer: Answer) => {
      const waiting = this.#waiting.get(answer.id ?? -1);
      if (answer.error === undefined) waiting?.resolve(answer.result);
      else waiting?.reject(new SwarmError(answer.error));
    });
  }

  async call<M extends keyof T & string>(method: M, ...parameters: Parameters<T[M]>): Promise<Result<T, M>> {
    await withDeadline(this.#ready, CALL_TIMEOUT_MS, 'a program in a namespace to start');
    const id = ++this.#calls;
    const answered = new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, method, parameters } satisfies Call);
    });
    try {
      return (await withDeadline(answered, CALL_TIMEOUT_MS, `${method} in a namespace`)) as Result<T, M>;
    } finally {
      this.#waiting.delete(id);
    }
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

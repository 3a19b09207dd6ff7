/** A runtime in temporary directories, with a busybox image, and everything it made removed afterwards. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { detectCgroups } from '#agent/runtime/cgroups/detect-cgroups.ts';
import {
  type ContainerExit,
  type ContainerRuntime,
  type ContainerSpec,
  type CreateRequest,
  DEFAULT_RUNTIME_CONFIG,
  EMPTY_CONTAINER_SPEC,
  type ImageDefaults,
  NO_IMAGE_DEFAULTS,
  openRuntime,
  type RecoveryReport,
  type RuntimeConfig,
} from '#agent/runtime/index.ts';
import type { Clock } from '#common/clock.ts';
import type { Logger } from '#common/log.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';

const run = promisify(execFile);
const BUSYBOX = '/bin/busybox';

export const BUSYBOX_MISSING = existsSync(BUSYBOX) ? undefined : 'no /bin/busybox: install busybox-static';

/** Files of a small system: busybox with its applets, some users and groups. */
export async function makeBusyboxLayer(directory: string): Promise<void> {
  for (const name of ['bin', 'etc', 'tmp', 'proc', 'sys', 'dev', 'root', 'data'])
    await mkdir(join(directory, name), { recursive: true });
  await copyFile(BUSYBOX, join(directory, 'bin/busybox'));
  const { stdout } = await run(BUSYBOX, ['--list']);
  for (const applet of stdout.split('\n'))
    if (applet !== '' && applet !== 'busybox') await symlink('/bin/busybox', join(directory, 'bin', applet));
  await writeFile(
    join(directory, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n1234:x:5678:5678::/:/bin/sh\n',
  );
  await writeFile(join(directory, 'etc/group'), 'root:x:0:\naudio:x:29:user\nvideo:x:44:user\nuser:x:1000:\n');
}

export interface TestRuntimeOptions {
  readonly runtimeName?: string;
  readonly config?: Partial<RuntimeConfig>;
  readonly clock?: Clock;
  readonly log?: Logger;
  readonly bootId?: string;
  /** Called with the directory of all before the runtime is opened in it. */
  readonly before?: (directory: string) => Promise<void>;
}

export class TestRuntime {
  readonly directory: string;
  readonly layer: string;
  readonly cgroupParent: string;
  runtime: ContainerRuntime;
  report: RecoveryReport;
  readonly #options: TestRuntimeOptions;
  #count = 0;

  private constructor(
    directory: string,
    runtime: ContainerRuntime,
    report: RecoveryReport,
    options: TestRuntimeOptions,
  ) {
    this.directory = directory;
    this.layer = join(directory, 'layer');
    this.cgroupParent = cgroupParentOf(directory);
    this.runtime = runtime;
    this.report = report;
    this.#options = options;
  }

  static async make(options: TestRuntimeOptions = {}): Promise<TestRuntime> {
    const directory = await mkdtemp(join(tmpdir(), 'starling-rt-'));
    await makeBusyboxLayer(join(directory, 'layer'));
    await options.before?.(directory);
    try {
      const opened = await open(directory, options);
      return new TestRuntime(directory, opened.runtime, opened.report, options);
    } catch (error) {
      await (await detectCgroups()).remove(cgroupParentOf(directory));
      await rm(directory, { recursive: true });
      throw error;
    }
  }

  get stateDirectory(): string {
    return join(this.directory, 'state');
  }

  get runDirectory(): string {
    return join(this.directory, 'run');
  }

  /** As an agent that comes back: a new runtime over the same directories. */
  async reopen(changes: TestRuntimeOptions = {}): Promise<RecoveryReport> {
    this.runtime.close();
    const opened = await open(this.directory, { ...this.#options, ...changes });
    this.runtime = opened.runtime;
    this.report = opened.report;
    return opened.report;
  }

  request(command: readonly string[], changes: RequestChanges = {}): CreateRequest {
    const { spec, defaults, ...rest } = changes;
    return {
      id: `c${++this.#count}`,
      spec: { ...EMPTY_CONTAINER_SPEC, command, ...spec },
      image: { id: 'image', layers: [this.layer], defaults: { ...NO_IMAGE_DEFAULTS, ...defaults }, is32Bit: false },
      network: { kind: 'none' },
      files: {},
      stopSignal: 15,
      stopGraceMs: 5000,
      log: { driver: 'file', maxBytes: 10_000_000, maxFiles: 3 },
      labels: {},
      ...rest,
    };
  }

  /** Makes and starts one; its id. */
  async start(command: readonly string[], changes: RequestChanges = {}): Promise<string> {
    const request = this.request(command, changes);
    await this.runtime.create(request);
    await this.runtime.start(request.id);
    return request.id;
  }

  /** Runs one to its end. */
  async run(
    command: readonly string[],
    changes: RequestChanges = {},
  ): Promise<ContainerExit & { readonly output: string; readonly id: string }> {
    const id = await this.start(command, changes);
    const exit = await this.runtime.wait(id);
    return { ...exit, id, output: await this.output(id) };
  }

  shell(script: string, changes: RequestChanges = {}): ReturnType<TestRuntime['run']> {
    return this.run(['/bin/sh', '-c', script], changes);
  }

  /** What it has printed so far, both streams, without the log's own words. */
  async output(id: string): Promise<string> {
    const text = await readFile(this.runtime.context.paths.log(id), 'utf8').catch(() => '');
    return text.replaceAll(/^\S+ std(?:out|err) ([FP]) (.*)\n/gm, (_line, flag: string, data: string) =>
      flag === 'F' ? `${data}\n` : data,
    );
  }

  async remove(): Promise<void> {
    for (const { record } of this.runtime.list()) await this.runtime.remove(record.id);
    this.runtime.close();
    await this.runtime.context.cgroups.remove(this.cgroupParent);
    await rm(this.directory, { recursive: true, force: true });
  }
}

export interface RequestChanges extends Partial<Omit<CreateRequest, 'spec'>> {
  readonly spec?: Partial<ContainerSpec>;
  readonly defaults?: Partial<ImageDefaults>;
}

function cgroupParentOf(directory: string): string {
  return `/starling-test-${directory.slice(directory.lastIndexOf('/') + 1)}`;
}

function open(directory: string, options: TestRuntimeOptions): ReturnType<typeof openRuntime> {
  return openRuntime({
    stateDirectory: join(directory, 'state'),
    runDirectory: join(directory, 'run'),
    cgroupParent: cgroupParentOf(directory),
    runtime: options.runtimeName,
    seccompProfile: undefined,
    config: { ...DEFAULT_RUNTIME_CONFIG, ...options.config },
    clock: options.clock ?? systemClock,
    log: options.log ?? silentLogger,
    ...(options.bootId === undefined ? {} : { bootId: options.bootId }),
  });
}

/** Processes whose command line mentions the text. */
export async function processesMentioning(text: string): Promise<readonly number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const line = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    if (line.includes(text)) found.push(Number(name));
  }
  return found;
}

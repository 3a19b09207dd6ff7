/** The seam to the host that is looked at. Nothing here throws for what a host may lack. */

export interface ProgramResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Connection {
  /** Name of the system error (`ECONNREFUSED`, `ETIMEDOUT`); undefined when the connection came about. */
  readonly error: string | undefined;
  readonly elapsedMs: number;
}

export interface FileSystem {
  readonly kind: 'tmpfs' | 'overlay' | 'cgroup2' | 'other';
  readonly availableBytes: number;
}

export interface DockerEngine {
  readonly version: string;
  /** `active` when that engine is part of a swarm of its own. */
  readonly swarmState: string;
}

export interface Host {
  /** Text of a file; undefined when it is not there or may not be read. */
  read(path: string): Promise<string | undefined>;
  /** Absolute path of a program; undefined when it is not installed. */
  find(program: string): Promise<string | undefined>;
  /** Runs a program to its end; undefined when it is not installed. */
  run(program: string, ...args: string[]): Promise<ProgramResult | undefined>;
  /** Binds and lets go again. The name of the system error, or undefined when it worked. */
  bind(protocol: 'tcp' | 'udp', host: string, port: number): Promise<string | undefined>;
  /** Whether the file could be written; it is not touched. */
  writable(path: string): Promise<boolean>;
  connect(host: string, port: number, timeoutMs: number): Promise<Connection>;
  /** How far this host's clock is ahead of the manager's, in milliseconds; undefined when it does not tell its time. */
  clockSkew(host: string, port: number): Promise<number | undefined>;
  /** Undefined when the path is not there. */
  fileSystem(path: string): Promise<FileSystem | undefined>;
  /** Calls `use` with an empty directory below `parent`, and removes it with all that is in it. */
  withScratch<T>(parent: string, use: (directory: string) => Promise<T>): Promise<T>;
  /** Undefined when no engine answers on the socket. */
  docker(socket: string): Promise<DockerEngine | undefined>;
}

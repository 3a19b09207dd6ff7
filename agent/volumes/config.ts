export interface VolumesConfig {
  /** A plugin has to answer within this. What it mounts may be far away, so that mounting gets longer. */
  readonly pluginCallTimeoutMs: number;
  readonly pluginMountTimeoutMs: number;
  /** More of an answer is not read. */
  readonly pluginAnswerBytesMax: number;
  /** mount(8) and umount(8) are given up after this; a server that does not answer keeps them waiting for minutes. */
  readonly mountTimeoutMs: number;
  readonly unmountTimeoutMs: number;
  /** Where plugins put their sockets, and where files say where their sockets are; the first that has one wins. */
  readonly pluginSocketDirectory: string;
  readonly pluginSpecDirectories: readonly string[];
}

export const VOLUMES_DEFAULTS: VolumesConfig = {
  // Docker gives up after 30 s, too.
  pluginCallTimeoutMs: 30_000,
  pluginMountTimeoutMs: 2 * 60_000,
  // An answer is a path and a few words of status.
  pluginAnswerBytesMax: 1024 * 1024,
  mountTimeoutMs: 60_000,
  unmountTimeoutMs: 30_000,
  pluginSocketDirectory: '/run/docker/plugins',
  pluginSpecDirectories: ['/etc/docker/plugins', '/usr/lib/docker/plugins'],
};

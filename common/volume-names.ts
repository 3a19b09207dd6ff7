/** Names of volumes and of their drivers, which become parts of paths. Pure. */

/** Docker's rule: longer than other names, and case matters. */
const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;
/** The name of a plugin's socket without its ending; Docker allows a path and a tag (`vieux/sshfs:latest`). */
const DRIVER_NAME =
  /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}(?:\/[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}){0,2}(?::[a-zA-Z0-9_.-]{1,64})?$/;

export function isVolumeName(name: string): boolean {
  return VOLUME_NAME.test(name);
}

export function isDriverName(name: string): boolean {
  return DRIVER_NAME.test(name);
}

/** Beside its name, a volume that was made without one has this label, as in Docker. */
export const ANONYMOUS_LABEL = 'com.docker.volume.anonymous';

import { SwarmError } from '#common/errors.ts';

/** The archive, or an image in it, is not what it has to be; nothing of it is kept. */
export function invalidImage(message: string, hint?: string, cause?: unknown): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'image-invalid',
    message: `invalid image archive: ${message}`,
    hint: hint ?? 'make the archive again, with `docker save`, `podman save` or `skopeo copy`',
    cause,
  });
}

/** The archive is more than this node takes. `limit` is the name of the setting. */
export function archiveTooLarge(limit: string, message: string): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'image-invalid',
    message: `invalid image archive: ${message}`,
    limit,
    hint: 'if the image is meant to be like this, push it to a registry and pull it from there',
  });
}

export function cancelledError(what: string): SwarmError {
  return new SwarmError({ code: 'cancelled', reason: 'cancelled', message: `${what} was cancelled` });
}

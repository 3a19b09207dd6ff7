import { CliError } from '../../cli-errors.ts';
import { boolFlag, type FlagValues } from '../../flags.ts';

/** Scripts that give it give its default. */
export const CONTENT_TRUST = boolFlag({
  name: 'disable-content-trust',
  usage: 'Skip image verification',
  shownDefault: 'true',
});

export function refuseContentTrust(flags: FlagValues): void {
  if (flags.value(CONTENT_TRUST) !== false) return;
  throw new CliError('--disable-content-trust=false is not supported: signatures of images are not verified', {
    hint: 'name the image by its digest: NAME@sha256:...',
  });
}

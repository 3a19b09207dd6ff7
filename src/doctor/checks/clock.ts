import type { HostPort } from '#common/host-port.ts';
import { type Check, EVERYWHERE, fail, ok, warn } from '../check.ts';
import { DOCTOR_CONFIG } from '../config.ts';
import type { Host } from '../host.ts';

const SET_IT = 'keep the clock with chronyd or systemd-timesyncd (`timedatectl set-ntp true`)';

export const clock: Check = {
  name: 'clock',
  purposes: EVERYWHERE,
  run: async ({ nowMs, host, managers, clockSkewMs }) => {
    const now = new Date(nowMs).toISOString();
    if (nowMs < DOCTOR_CONFIG.clockEarliestMs)
      return fail(`the clock says ${now}: certificates made now would be worthless`, SET_IT);
    const skewMs = clockSkewMs === undefined ? await askManagers(host, managers) : await clockSkewMs();
    if (skewMs === undefined) return ok(`the clock says ${now}; there is no manager to compare it with`);
    const size = Math.abs(skewMs);
    const message = `the clock is ${describe(size)} ${skewMs > 0 ? 'ahead of' : 'behind'} the manager's`;
    if (size < DOCTOR_CONFIG.clockWarnMs) return ok(message);
    return size < DOCTOR_CONFIG.clockFailMs ? warn(message, SET_IT) : fail(message, SET_IT);
  },
};

async function askManagers(host: Host, managers: readonly HostPort[]): Promise<number | undefined> {
  for (const manager of managers) {
    const skewMs = await host.clockSkew(manager.host, manager.port);
    if (skewMs !== undefined) return skewMs;
  }
  return undefined;
}

function describe(sizeMs: number): string {
  if (sizeMs < 1000) return `${Math.round(sizeMs)} ms`;
  return sizeMs < 600_000 ? `${(sizeMs / 1000).toFixed(1)} s` : `${Math.round(sizeMs / 60_000)} min`;
}

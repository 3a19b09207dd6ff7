/** A time to the second as Go prints it, in the user's own time zone: `2026-06-06 07:08:09 +0000 UTC`. */
export function goTime(ms: number): string {
  const date = new Date(ms);
  const offsetMinutes = -date.getTimezoneOffset();
  const local = new Date(ms + offsetMinutes * 60_000).toISOString();
  return `${local.slice(0, 10)} ${local.slice(11, 19)} ${offsetText(offsetMinutes)}`;
}

/** Zones that have no name here are named by their offset, as Go does. */
function offsetText(minutes: number): string {
  if (minutes === 0) return '+0000 UTC';
  const size = Math.abs(minutes);
  const hours = `${minutes < 0 ? '-' : '+'}${String(Math.floor(size / 60)).padStart(2, '0')}`;
  const rest = String(size % 60).padStart(2, '0');
  return `${hours}${rest} ${hours}${rest === '00' ? '' : rest}`;
}

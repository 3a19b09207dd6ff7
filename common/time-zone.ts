/** How far the clocks of a place are from UTC, by the rules of the IANA database that the runtime carries. */

/** Seconds to add to UTC at a time, given in seconds since 1970. */
export type ZoneOffset = (second: number) => number;

/** A schedule asks for the same few times again and again. */
const REMEMBERED_MAX = 512;

const ZONES = new Map<string, ZoneOffset>();
/** Zones are told apart by every spelling that somebody gave; nobody has this many. */
const ZONES_MAX = 1000;

/** Undefined for a name that is not known. The empty name is UTC. */
export function zoneOffset(name: string): ZoneOffset | undefined {
  if (name === '' || /^(etc\/)?utc$/i.test(name)) return () => 0;
  const known = ZONES.get(name);
  if (known !== undefined) return known;
  const offset = readZone(name);
  if (offset === undefined) return undefined;
  if (ZONES.size >= ZONES_MAX) ZONES.clear();
  ZONES.set(name, offset);
  return offset;
}

function readZone(name: string): ZoneOffset | undefined {
  // A bare offset is understood by the runtime and has no rules: it is a mistake more often than a wish.
  if (!/^[a-z]/i.test(name)) return undefined;
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset' });
  } catch {
    return undefined;
  }
  const remembered = new Map<number, number>();
  return (second) => {
    const known = remembered.get(second);
    if (known !== undefined) return known;
    const text = format.formatToParts(second * 1000).find(({ type }) => type === 'timeZoneName')?.value ?? 'GMT';
    const offset = parseOffset(text);
    if (remembered.size >= REMEMBERED_MAX) remembered.clear();
    remembered.set(second, offset);
    return offset;
  };
}

/** "GMT", "GMT+05:30", "GMT-00:25:21". */
function parseOffset(text: string): number {
  const [, sign = '+', hours = '0', minutes = '0', seconds = '0'] =
    /^GMT([+-])(\d+)(?::(\d+))?(?::(\d+))?$/.exec(text) ?? [];
  const size = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
  return sign === '-' ? -size : size;
}

import { DURATION, INT, STRINGS, type StructType, struct } from '#common/template/go-types.ts';

/** How a container's health is checked. Two of Docker's types have these fields: a service's and an image's. */
export function healthCheckType(name: string): StructType {
  return struct(name, {
    'Test?': STRINGS,
    'Interval?': DURATION,
    'Timeout?': DURATION,
    'StartPeriod?': DURATION,
    'StartInterval?': DURATION,
    'Retries?': INT,
  });
}

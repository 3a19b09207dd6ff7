/** Where the library says what it does. Called synchronously; must not throw. */
export interface Logger {
  debug(text: string): void;
  info(text: string): void;
  warning(text: string): void;
  error(text: string): void;
}

export const SILENT_LOGGER: Logger = {
  debug() {},
  info() {},
  warning() {},
  error() {},
};

/** An id as the logs show it: hexadecimal. */
export function hex(id: number): string {
  return id.toString(16);
}

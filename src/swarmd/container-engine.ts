import type { Logger } from '#common/log.ts';
import type { Engine } from './engine.ts';
import type { DaemonOptions } from './options.ts';
import type { Paths } from './paths.ts';
export async function openContainerEngine(_o: DaemonOptions, _p: Paths, _l: Logger): Promise<Engine> {
  throw new Error('coming');
}

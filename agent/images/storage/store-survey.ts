import type { ImageDocument } from './image-config.ts';
import type { Lineage } from './lineage.ts';
import type { StoreView } from './store-index.ts';

/** Everything that is known of the store, for deciding over all images at once. */
export interface StoreSurvey {
  readonly view: StoreView;
  readonly documents: ReadonlyMap<string, ImageDocument>;
  readonly lineage: Lineage;
}

/** Which images were built on which: the hidden records that a build leaves, one per step, and what has come of them. */
import type { ImageDocument, ImageHistoryEntry } from './image-config.ts';
import type { StoredImage, StoreView } from './store-index.ts';

export interface Lineage {
  /** Image id -> id of the image that it was built on here. */
  readonly parents: ReadonlyMap<string, string>;
  /** Ids of the images that others were built on. */
  readonly withChildren: ReadonlySet<string>;
}

function sameStep(a: ImageHistoryEntry, b: ImageHistoryEntry): boolean {
  return (
    a.created === b.created && a.createdBy === b.createdBy && a.emptyLayer === b.emptyLayer && a.comment === b.comment
  );
}

/** Whether the first history is the beginning of the second, which goes on. */
function isBeginning(first: readonly ImageHistoryEntry[], second: readonly ImageHistoryEntry[]): boolean {
  return (
    first.length > 0 &&
    first.length < second.length &&
    first.every((step, index) => sameStep(step, second[index] as ImageHistoryEntry))
  );
}

function isBuiltOn(child: ImageDocument, parent: ImageDocument): boolean {
  return (
    parent.diffIds.length <= child.diffIds.length &&
    parent.diffIds.every((diffId, index) => child.diffIds[index] === diffId) &&
    isBeginning(parent.history, child.history)
  );
}

/** Images by a step of their history: candidates for a parent share their last step with one of the child's. */
function stepKey(step: ImageHistoryEntry, position: number): string {
  return `${position} ${step.created} ${step.createdBy}`;
}

/** @param documents of all images of the view that can be read. */
export function lineageOf(view: StoreView, documents: ReadonlyMap<string, ImageDocument>): Lineage {
  const byLastStep = new Map<string, string[]>();
  for (const [id, document] of documents) {
    const last = document.history.at(-1);
    if (last === undefined) continue;
    const key = stepKey(last, document.history.length - 1);
    byLastStep.set(key, [...(byLastStep.get(key) ?? []), id]);
  }
  const parents = new Map<string, string>();
  for (const [id, document] of documents) {
    const parent = nearestParent(document, byLastStep, documents);
    if (parent !== undefined && view.images.has(parent)) parents.set(id, parent);
  }
  return { parents, withChildren: new Set(parents.values()) };
}

function nearestParent(
  child: ImageDocument,
  byLastStep: ReadonlyMap<string, readonly string[]>,
  documents: ReadonlyMap<string, ImageDocument>,
): string | undefined {
  for (let position = child.history.length - 2; position >= 0; position--) {
    const step = child.history[position] as ImageHistoryEntry;
    for (const candidate of byLastStep.get(stepKey(step, position)) ?? []) {
      const document = documents.get(candidate);
      if (document !== undefined && isBuiltOn(child, document)) return candidate;
    }
  }
  return undefined;
}

/** A nameless image that nothing was built on: what remains when a name moves on to a newer build. */
export function isDangling(image: StoredImage, lineage: Lineage): boolean {
  return image.names.length === 0 && !lineage.withChildren.has(image.id);
}

/** A nameless image that others were built on: a step of a build, of interest to nobody. */
export function isIntermediate(image: StoredImage, lineage: Lineage): boolean {
  return image.names.length === 0 && lineage.withChildren.has(image.id);
}

/** Nameless images below this one that go with it: those on which nothing else was built. */
export function ancestorsThatGoWith(image: StoredImage, view: StoreView, lineage: Lineage): readonly StoredImage[] {
  const going: StoredImage[] = [];
  let last = image.id;
  for (;;) {
    const parent = view.images.get(lineage.parents.get(last) ?? '');
    if (parent === undefined || parent.names.length > 0) return going;
    const children = [...lineage.parents].filter(([, of]) => of === parent.id).map(([child]) => child);
    if (children.some((child) => child !== last)) return going;
    going.push(parent);
    last = parent.id;
  }
}

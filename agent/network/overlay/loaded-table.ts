/** The nftables tables of one router as they were loaded last, and how the kernel lists them while they are whole. */
import type { KernelNamespace } from './kernel/network-kernel.ts';
import { elementsText, missingCounts, type RepairScene } from './repair-router.ts';
import type { RouterDelta } from './router-model.ts';
import {
  countChains,
  countChainsText,
  type Listing,
  parseListing,
  routerTableText,
  sameSkeleton,
} from './router-table.ts';

/** Chains that are made with the table: most services have no more backends. */
const FIRST_COUNTS = Array.from({ length: 16 }, (_, index) => index + 1);

export class LoadedTable {
  readonly #learnListing: (tableText: string) => Promise<Listing>;
  /** With the text that they were loaded from. */
  #whole: { readonly text: string; readonly listing: Listing } | undefined;
  /** Counts that have their chain. */
  #counts: ReadonlySet<number> = new Set();

  /** `learnListing` tells how the tables list when they are loaded from this text. */
  constructor(learnListing: (tableText: string) => Promise<Listing>) {
    this.#learnListing = learnListing;
  }

  /** The namespace is another one. */
  forget(): void {
    this.#whole = undefined;
  }

  async learnWhole(text: string): Promise<Listing> {
    if (this.#whole?.text !== text) this.#whole = { text, listing: await this.#learnListing(text) };
    return this.#whole.listing;
  }

  /** Makes the chains that these groups of backends need. */
  async ensureChains(namespace: KernelNamespace, groups: RouterDelta['groups'], owner: string): Promise<void> {
    await this.#ensureCounts(namespace, missingCounts(groups, this.#counts), owner);
  }

  async #ensureCounts(namespace: KernelNamespace, counts: ReadonlySet<number>, owner: string): Promise<void> {
    if (counts.size === 0) return;
    await namespace.load(`add chains to ${owner}`, countChainsText(counts));
    this.#counts = new Set([...this.#counts, ...counts]);
  }

  /** Compares with what the kernel has, and loads what is missing or different; says what that was. */
  async repair({ namespace, model }: RepairScene, owner: string): Promise<readonly string[]> {
    const text = routerTableText({ subnets: model.subnets });
    const listing = parseListing(await namespace.ruleset());
    const isEmpty = listing.size === 0;
    if (!isEmpty) await this.learnWhole(text);
    const counts = countChains(listing);
    if (!isEmpty && counts !== undefined && this.#whole !== undefined && sameSkeleton(listing, this.#whole.listing)) {
      this.#counts = counts;
      const missing = new Set([...model.balancer.counts()].filter((count) => !counts.has(count)));
      await this.#ensureCounts(namespace, missing, owner);
      return [...missing].map((count) => `chain of ${count} backends`);
    }
    const due = new Set([...FIRST_COUNTS, ...model.balancer.counts()]);
    // Of a network in use: the new table with all its elements takes the place of the old one in one transaction.
    const elements = isEmpty ? '' : elementsText(model);
    await namespace.load(`load the tables of ${owner}`, `${text}${countChainsText(due)}${elements}`);
    this.#counts = due;
    if (this.#whole?.text !== text) this.#whole = { text, listing: parseListing(await namespace.ruleset()) };
    return ['nftables tables'];
  }
}

/** What a probe inside the network of a container is asked, and what it says. */

export interface Door {
  readonly address: string;
  /** Servers on port 80 speak HTTP, and are asked for "/". */
  readonly port: number;
}

export interface Questions {
  readonly names: readonly { readonly name: string; readonly family: 4 | 6 }[];
  readonly doors: readonly Door[];
  /** For each. */
  readonly timeoutMs: number;
}

export interface Answers {
  /** "NAME/FAMILY" -> sorted addresses, or the code of the error. */
  readonly names: Readonly<Record<string, readonly string[] | string>>;
  /** "ADDRESS PORT" -> what the server said, "open" where it speaks something else, or the code of the error. */
  readonly doors: Readonly<Record<string, string>>;
}

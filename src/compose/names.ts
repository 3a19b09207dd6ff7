/** Names and labels of what a stack has, as `docker stack` gives them. */

export const NAMESPACE_LABEL = 'com.docker.stack.namespace';
/** The image as the file names it, before it was pinned to a digest. */
export const IMAGE_LABEL = 'com.docker.stack.image';

export class StackNames {
  readonly stack: string;

  constructor(stack: string) {
    this.stack = stack;
  }

  /** The name in the swarm of something that the file calls `name`. */
  scoped(name: string): string {
    return `${this.stack}_${name}`;
  }

  labels(own: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
    return { ...own, [NAMESPACE_LABEL]: this.stack };
  }
}

import { SwarmError, type SwarmErrorInit } from '#common/errors.ts';

/** Why an authority outside of the swarm did not sign. The message tells whoever asked all that is known. */
export class SigningFailure extends SwarmError {
  /**
   * The kind of trouble, in words that are the same at each attempt as long as the trouble is: they are written to the log
   * of the managers, where another text would be another write.
   */
  readonly summary: string;

  constructor(init: SwarmErrorInit & { readonly summary: string }) {
    super(init);
    this.summary = init.summary;
  }
}

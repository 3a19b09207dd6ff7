export interface ProbeConfig {
  /** Packets that were not answered are sent again after this. */
  readonly retryMs: number;
  /** How long packets are sent, and those of others answered. */
  readonly windowMs: number;
  /** Sizes between the smallest and the full one that are tried where the full one does not pass. */
  readonly sizeSteps: number;
  /** Answers to one peer in one check: more is no check of ours. */
  readonly answersPerPeerMax: number;
  /** Frames that are sent before the event loop gets a turn. */
  readonly framesPerTurn: number;
  readonly receiveBufferBytes: number;
}

export const DEFAULT_PROBE_CONFIG: ProbeConfig = {
  // A hundred times a round trip in a data centre, and longer than one around the world.
  retryMs: 250,
  // Other nodes begin when they hear of the check: a busy one is half a second late. Ten attempts of the rest.
  windowMs: 2_500,
  // Steps of some tens of bytes: enough to tell a tunnel on the way from a wrong setting.
  sizeSteps: 16,
  // Ten attempts of four kinds and the sizes.
  answersPerPeerMax: 256,
  // 30 µs each.
  framesPerTurn: 64,
  // A burst of full-size frames of a few dozen peers.
  receiveBufferBytes: 8 * 1024 * 1024,
};

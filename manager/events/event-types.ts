/** Everything that events can say: what it is about, and what was done. Whoever adds one adds it to `docs/events.md`. */
export const EVENT_ACTIONS = {
  /** The swarm's own settings. */
  cluster: ['create', 'update', 'upgrade'],
  node: [
    'join',
    'rejoin',
    'leave',
    'remove',
    'prune',
    'ready',
    'down',
    'disconnect',
    'promote',
    'demote',
    'update',
    'drain',
    'drained',
  ],
  /** Who is a manager, as opposed to who should be one. */
  manager: ['add', 'remove'],
  certificate: ['issue', 'renew', 'rotate'],
  root: ['rotate', 'complete', 'abort', 'replace', 'leave-behind'],
  token: ['rotate'],
  key: ['set', 'rotate', 'remove'],
  client: ['create', 'renew', 'update', 'revoke'],
  service: ['create', 'update', 'remove', 'gone'],
  rollout: ['complete', 'pause', 'resume', 'rollback', 'rolled-back'],
  network: ['create', 'update', 'remove'],
  secret: ['create', 'update', 'remove'],
  config: ['create', 'update', 'remove'],
  volume: ['create', 'update', 'remove', 'gone'],
  stack: ['create', 'update', 'remove', 'gone'],
} as const;

export type EventType = keyof typeof EVENT_ACTIONS;
export type EventAction<Type extends EventType = EventType> = (typeof EVENT_ACTIONS)[Type][number];

/** What an event says, before it is known who did it and when. */
export type EventDraft = { readonly [Type in EventType]: DraftOf<Type> }[EventType];

interface DraftOf<Type extends EventType> {
  readonly type: Type;
  readonly action: EventAction<Type>;
  readonly subject: EventSubject;
  /** One sentence. Never anything secret. */
  readonly message: string;
  /** Left out where they are empty. */
  readonly attributes?: Readonly<Record<string, string>>;
}

export interface EventSubject {
  readonly id: string;
  readonly name: string;
}

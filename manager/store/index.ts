export type {
  Change,
  ChangeGroup,
  ChangeOf,
  CommitEvents,
  EventOf,
  Loop,
  Plan,
  StoredObject,
  StoreEvent,
  StoreView,
  TableName,
  Tables,
} from './types.ts';

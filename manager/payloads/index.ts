export {
  CONFIGS,
  newestNumber,
  PAYLOAD_KINDS,
  type Payload,
  type PayloadData,
  type PayloadKind,
  type PayloadReference,
  SECRETS,
} from './payload-kind.ts';
export {
  followedSpec,
  follows,
  hasPayloads,
  isLeading,
  type KindReference,
  mapPayloadReferences,
  numbersInRevisions,
  type PayloadUse,
  payloadKey,
  payloadReferences,
  usesOf,
} from './payload-references.ts';

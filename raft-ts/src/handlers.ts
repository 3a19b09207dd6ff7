import type { Core } from './core.ts';
import type { Refusal } from './errors.ts';
import type { Message, MessageType } from './message.ts';

/** Takes one type of message. A refusal is worth telling the sender. */
export type Handler = (core: Core, message: Message) => Refusal | undefined | void;

/** What a role does with each type of message; a type without a handler is ignored in that role. */
export type Handlers = Readonly<Partial<Record<MessageType, Handler>>>;

export function handle(handlers: Handlers, core: Core, message: Message): Refusal | undefined {
  return handlers[message.type]?.(core, message) ?? undefined;
}

import type { ServiceDefinition } from '#proto/codec.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import type { Handlers } from '#proto/grpc/methods.ts';

/** Handlers of a service of which every one does the same, and never has an answer. */
export function everyMethod<S extends ServiceDefinition>(
  service: S,
  answer: (context: CallContext) => Promise<never>,
): Handlers<S> {
  const handlers = Object.keys(service).map((name) => [
    name,
    (_request: unknown, context: CallContext) => answer(context),
  ]);
  // One handler fits every method: it looks at no request and resolves to no answer. TypeScript knows no names here.
  return Object.fromEntries(handlers) as Handlers<S>;
}

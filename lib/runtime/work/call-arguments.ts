/** The fingerprint of what a durable call was asked for with: by it replay tells another call from the same one. */
import { messageOf, StreamError } from '../../core/errors.ts';
import { digest, encodeText } from '../../core/serde.ts';

/** Empty where nothing was given. Throws `NOT_SERIALISABLE` for what has no bytes. */
export const digestOf = (id: string, args: unknown): string => {
  if (args === undefined) return '';
  try {
    return digest(encodeText(args));
  } catch (cause) {
    const options = cause instanceof StreamError ? { cause, details: cause.details } : { cause };
    throw new StreamError('NOT_SERIALISABLE', `\`args\` of durable call \`${id}\`: ${messageOf(cause)}`, options);
  }
};

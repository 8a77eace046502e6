/**
 * The zod schemas of chat requests under way. An event keeps its schema as JSON, which can not say refinements and
 * transforms; while the process that sent the request runs, the answer is checked by the schema itself. Bounded: the
 * oldest is forgotten first (I10).
 */
import type * as z from 'zod';

/** Of events that were made and not sent yet. */
const made = new WeakMap<object, z.ZodType>();

/** Of events that were sent, by job and event. */
const sent = new Map<string, z.ZodType>();
const sentMax = 20_000;

export const noteSchema = (event: object, schema: z.ZodType): void => void made.set(event, schema);

/** The event was sent and goes by this name. */
export const noteSent = (event: object, jobId: string, id: string): void => {
  const schema = made.get(event);
  if (schema === undefined) return;
  if (sent.size >= sentMax) sent.delete(sent.keys().next().value ?? '');
  sent.set(nameOf(jobId, id), schema);
};

export const schemaOf = (jobId: string, id: string): z.ZodType | undefined => sent.get(nameOf(jobId, id));

/** The request has its answer. */
export const forgetSchema = (jobId: string, id: string): void => void sent.delete(nameOf(jobId, id));

const nameOf = (jobId: string, id: string): string => `${jobId} ${id}`;

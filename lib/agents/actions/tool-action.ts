/**
 * The built-in action that calls the tools a chat model wants. Each call is a durable call, so it is not made twice
 * (I8), and a tool that fails is told to the model.
 */
import { messageOf, StreamError } from '../../core/errors.ts';
import { ownCopy } from '../../core/own-copy.ts';
import { isOwnFailure } from '../../core/own-failure.ts';
import { plainText } from '../../core/plain-json.ts';
import type { ActionDefinition, RunnerContext } from '../contract.ts';
import { ToolRequestEvent, ToolResponseEvent, type RequestedToolCall } from '../events/tool-events.ts';
import type { ActionContext } from '../runs/runner-context.ts';
import type { FunctionTool } from '../definition/tool.ts';

export const toolActionName = 'tool_call_action';

/** A failed tool never fails the action: the model is told, and the event says why. */
const callTools = async (event: ToolRequestEvent, context: RunnerContext): Promise<void> => {
  const calls = event.toolCalls;
  // All start before the first is awaited, in the order of the list, so each has its place in the journal.
  // the runtime makes every context
  const outcomes = await Promise.all(calls.map((call) => callTool(call, context as ActionContext)));
  // one for each call
  const results = outcomes.map((outcome, index) => ({ ...outcome, ...(calls[index] as RequestedToolCall) }));
  // An id may be a name that every object has, so nothing is assigned by it.
  const responses = Object.fromEntries(results.map(({ id, response }) => [id, response]));
  const success = Object.fromEntries(results.map(({ id, error }) => [id, error === undefined]));
  const error = Object.fromEntries(
    results.flatMap(({ id, error: reason }) => (reason === undefined ? [] : [[id, reason] as const])),
  );
  const externalIds = Object.fromEntries(
    results.flatMap(({ id, original_id: of }) => (of === undefined ? [] : [[id, of] as const])),
  );
  context.sendEvent(new ToolResponseEvent({ requestId: event.id ?? '', responses, success, error, externalIds }));
};

interface ToolOutcome {
  readonly response: unknown;
  readonly error?: string;
}

const callTool = async (call: RequestedToolCall, context: ActionContext): Promise<ToolOutcome> => {
  const { name, arguments: args } = call.function;
  const tool = findTool(name, context);
  if (tool === undefined) return { response: `Tool ${name} does not exist.`, error: `Tool ${name} does not exist.` };
  const { timeoutMs, retry } = tool;
  try {
    // A copy for each attempt: what one does to its arguments is not seen by the next, which may be made after a crash.
    const options = { args: { name, arguments: args }, timeout: timeoutMs, retry };
    const response =
      (await context.callDurably('tool-call', (durable) => tool.call(ownCopy(args), durable), options)) ?? null;
    plainText(response); // What a model can not be told is a failure of the tool.
    return { response };
  } catch (error) {
    if (!isOwnFailure(error)) throw error;
    return failed(name, error, context);
  }
};

/** Characters of a reason that the model is told. */
const reasonMax = 1000;

/** The model is told why, so that it can do better; the log hears of it once, and the counter each time. */
const failed = (tool: string, error: unknown, context: ActionContext): ToolOutcome => {
  const isTimeout = error instanceof StreamError && error.code === 'WORK_TIMEOUT';
  const reason = isTimeout ? 'it took too long' : messageOf(error);
  context.actionMetricGroup.getSubGroup('tool', tool).getCounter('failures').inc();
  context.warnOnce(
    `tool ${tool}`,
    { tool, key: context.key, error },
    `tool '${tool}' failed, and the model is told why: ${reason.slice(0, reasonMax)}`,
  );
  return {
    response: `Tool ${tool} execute failed: ${reason.slice(0, reasonMax)}`,
    error: isTimeout ? `tool '${tool}': ${error.message}` : reason,
  };
};

const findTool = (name: string, context: ActionContext): FunctionTool | undefined => {
  try {
    return context.getResource<FunctionTool>('tool', name);
  } catch (error) {
    if (error instanceof StreamError && error.code === 'RESOURCE_NOT_FOUND') return undefined;
    throw error;
  }
};

export const toolAction: ActionDefinition = {
  name: toolActionName,
  triggers: [ToolRequestEvent],
  handler: callTools,
  async: true,
};

/** What every error of an action says of it, for programs. */
import type { ActionHost } from '../contract.ts';

export const actionFacts = (
  { uid, action, key }: Pick<ActionHost, 'uid' | 'action' | 'key'>,
  agent: string,
): Readonly<Record<string, unknown>> => ({ ...(uid !== undefined && { uid }), agent, action: action.name, key });

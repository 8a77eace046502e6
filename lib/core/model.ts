/**
 * The doors to models and tools. Connections live in `connectors/`; the built-in chat action in `lib/agents/` drives
 * them.
 */

export type MessageRole = 'user' | 'assistant' | 'system' | 'tool';

/** The JSON of Flink Agents' ChatMessage. */
export interface ChatMessage {
  readonly role: MessageRole;
  readonly content: string;
  readonly tool_calls?: readonly ToolCall[] | undefined;
  /** `model_name`, `promptTokens`, `completionTokens`, `externalId`, `structured_output`, `provider_fields` ... */
  readonly extra_args?: Readonly<Record<string, unknown>> | undefined;
}

export interface ToolCall {
  readonly id: string;
  readonly type?: 'function' | undefined;
  readonly function: { readonly name: string; readonly arguments: Readonly<Record<string, unknown>> };
  /** What the provider put beside it and may need back, such as the signature of a thought. */
  readonly provider_fields?: Readonly<Record<string, unknown>> | undefined;
}

export interface ToolMetadata {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of the arguments. */
  readonly inputSchema: Readonly<Record<string, unknown>>;
}

export interface ChatRequest {
  /** Name of the model at the provider; undefined: the connection's default. */
  readonly model?: string | undefined;
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly ToolMetadata[] | undefined;
  /** Temperature and the like, passed on to the provider. */
  readonly args?: Readonly<Record<string, unknown>> | undefined;
  /** JSON Schema that the answer should match, for providers that can enforce one. */
  readonly outputSchema?: Readonly<Record<string, unknown>> | undefined;
}

export interface ChatOptions {
  /** Aborted on timeout and when the job stops. */
  readonly signal: AbortSignal;
  /** The durable call this request belongs to. */
  readonly callId: string;
  /** The agent's key. */
  readonly key: unknown;
  /** Stable across crashes and attempts; for providers that take one. */
  readonly idempotencyKey: string;
}

/**
 * Rejects with a `StreamError` whose code is `MODEL_REQUEST`, `MODEL_UNAVAILABLE`, `MODEL_RESPONSE`, `MODEL_REFUSED` or
 * `MODEL_CUT_OFF`. `details.retryAfterMs` is how long the provider asks to wait before another attempt.
 */
export interface ChatModelConnection {
  /** Longest such wait, in milliseconds; a request that is asked to wait longer fails. @defaultValue 10 minutes */
  readonly retryAfterMaxMs?: number | undefined;
  /** Sends one request and gives the model's message. */
  chat(request: ChatRequest, options: ChatOptions): Promise<ChatMessage>;
  /** Runs when the job is over. */
  close?(): Promise<void>;
}

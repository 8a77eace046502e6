/** The doors to models and tools. Connections live in `connectors/`; the built-in chat action in `lib/agents/` drives them. */

export type MessageRole = 'user' | 'assistant' | 'system' | 'tool';

/** The JSON of Flink Agents' ChatMessage. */
export interface ChatMessage {
  readonly role: MessageRole;
  readonly content: string;
  readonly tool_calls?: readonly ToolCall[] | undefined;
  /** `model_name`, `promptTokens`, `completionTokens`, `externalId`, `structured_output` ... */
  readonly extra_args?: Readonly<Record<string, unknown>> | undefined;
}

export interface ToolCall {
  readonly id: string;
  readonly type?: 'function' | undefined;
  readonly function: { readonly name: string; readonly arguments: Readonly<Record<string, unknown>> };
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
  readonly signal: AbortSignal;
  /** The durable call this request belongs to. */
  readonly callId: string;
  /** The agent's key. */
  readonly key: unknown;
  /** Stable across crashes and attempts; for providers that take one. */
  readonly idempotencyKey: string;
}

/** Rejects with a `StreamError` whose code is `MODEL_REQUEST`, `MODEL_UNAVAILABLE` or `MODEL_RESPONSE`. */
export interface ChatModelConnection {
  chat(request: ChatRequest, options: ChatOptions): Promise<ChatMessage>;
  close?(): Promise<void>;
}

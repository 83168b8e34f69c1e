// The used part of supabase-js.

/**
 * The used part of a supabase-js client. Its types are loose, so that a client with any generated
 * `Database` type fits, and users of other transports need not install the types of supabase-js.
 */
export interface SupabaseClientLike {
  readonly realtime: {
    setAuth(token?: string | null): Promise<void>;
    isConnected(): boolean;
    disconnect(): unknown;
  };
  channel(name: string, options?: never): unknown;
  removeChannel(channel: never): Promise<unknown>;
  schema(schema: never): unknown;
}

/** The same with exact types. */
export interface Supabase {
  readonly realtime: { setAuth(): Promise<void>; isConnected(): boolean; disconnect(): unknown };
  channel(name: string, options: { config: Record<string, unknown> }): Channel;
  removeChannel(channel: Channel): Promise<unknown>;
  schema(schema: string): {
    rpc(name: string, args: Record<string, unknown>, options?: { get: boolean }): Query;
    from(table: string): { select(columns: string, options?: { count: "exact" }): Query };
  };
}

export interface Channel {
  on(type: string, filter: Record<string, string>, listener: (message: unknown) => void): Channel;
  subscribe(listener: (status: string, error?: unknown) => void): Channel;
}

export interface Query extends PromiseLike<Answer> {
  eq(column: string, value: string): Query;
  in(column: string, values: readonly string[]): Query;
  lt(column: string, value: number): Query;
  order(column: string, options: { ascending: boolean }): Query;
  limit(rows: number): Query;
  abortSignal(signal: AbortSignal): Query;
}

export interface Answer {
  data: unknown;
  error: unknown;
  status: number;
  count: number | null;
}

// `GET /api/system` and `GET /api/system/findings`, and what is worked out from them.

export interface Stream {
  readonly stream: string;
  readonly holder: string | null;
  readonly is_held: boolean;
  readonly lease_expires_at: string | null;
  readonly position: string;
  readonly epoch: number;
  readonly applied: number;
  readonly stale: number;
  readonly early: number;
  readonly rejected: number;
  readonly lag_seconds: number | null;
  readonly applied_at: string | null;
  readonly losses: number;
  readonly lost: number;
  readonly last_loss: string | null;
  readonly lost_at: string | null;
}

export interface System {
  readonly now: string;
  readonly daemon: {
    readonly version: string;
    readonly started_at: string;
    readonly holder: string | null;
    readonly publishes: boolean;
    readonly problems: readonly string[];
  };
  readonly schema: { readonly version: number | null; readonly expected: number | null };
  readonly kernel: { readonly kind: "native" | "portable"; readonly version: string | null };
  readonly postgres: { readonly version: string; readonly is_standby: boolean };
  readonly streams: readonly Stream[];
  readonly relays: readonly {
    readonly holder: string;
    readonly streams: readonly string[];
    readonly expires_at: string;
  }[];
  readonly outbox: { readonly rows: number; readonly oldest_at: string | null };
  readonly sweeper: {
    readonly every_seconds: number | null;
    readonly at: string | null;
    readonly problem: string | null;
    readonly stalled?: number;
    readonly resumed?: number;
    readonly expired?: number;
    readonly waiting_for?: readonly string[];
  };
  readonly early_events: number;
  readonly dead_letters: number;
  readonly settings: Readonly<Record<string, unknown>>;
}

export interface Finding {
  readonly level: "ok" | "warning" | "failure";
  readonly check: string;
  readonly found: string;
  readonly remedy?: string;
}

export interface Findings {
  readonly at: string;
  readonly findings: readonly Finding[];
}

const settled = (stream: Stream) => stream.applied + stream.stale + stream.early + stream.rejected;

/** Events a second of each stream between two readings; none where they are not comparable. */
export function ratesOf(before: System, after: System): Map<string, number> {
  const seconds = (Date.parse(after.now) - Date.parse(before.now)) / 1000;
  const rates = new Map<string, number>();
  if (!(seconds > 0)) return rates;
  for (const stream of after.streams) {
    const former = before.streams.find(({ stream: name }) => name === stream.stream);
    const events = former === undefined ? -1 : settled(stream) - settled(former);
    if (events >= 0) rates.set(stream.stream, events / seconds);
  }
  return rates;
}

/** A relay that keeps up proves so every few seconds; a longer lag is one. */
const LIVE_UP_TO_S = 5;

export const isLive = (stream: Stream): boolean =>
  stream.is_held && stream.lag_seconds !== null && stream.lag_seconds < LIVE_UP_TO_S;

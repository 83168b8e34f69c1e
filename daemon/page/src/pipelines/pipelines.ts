// `GET /api/pipelines`, and what the graph and the charts are drawn from.

export interface State {
  readonly name: string;
  readonly label: string;
  readonly weight: number;
  readonly final: boolean;
  readonly next: readonly string[];
  readonly rework: readonly string[];
  readonly max_attempts: number | null;
  readonly stall_after: number | null;
  readonly retry_after: number | null;
}

export interface Pipeline {
  readonly name: string;
  readonly version: number;
  readonly states: readonly State[];
  readonly books: Readonly<Record<string, number>>;
  readonly stages: readonly {
    readonly name: string;
    readonly median_seconds: number;
    readonly p95_seconds: number;
    readonly samples: number;
  }[];
  readonly failures: readonly { readonly stage: string; readonly at: string; readonly n: number }[];
}

export interface Pipelines {
  readonly now: string;
  readonly since: string;
  readonly bucket: "hour" | "day";
  readonly pipelines: readonly Pipeline[];
}

const BUCKET_MS = { hour: 3_600_000, day: 86_400_000 } as const;

/** The beginnings of all buckets of an answer, in ms; in UTC, so each has the same length. */
export function bucketsOf({ since, now, bucket }: Pipelines): number[] {
  const [first, last, step] = [Date.parse(since), Date.parse(now), BUCKET_MS[bucket]];
  const number = Math.max(1, Math.floor((last - first) / step) + 1);
  return Array.from({ length: number }, (_, index) => first + index * step);
}

/** The failures of a stage in each bucket. */
export function seriesOf(pipeline: Pipeline, stage: string, buckets: readonly number[]): number[] {
  const found = new Map<number, number>();
  for (const failure of pipeline.failures)
    if (failure.stage === stage) found.set(Date.parse(failure.at), failure.n);
  return buckets.map((bucket) => found.get(bucket) ?? 0);
}

export interface Edge {
  readonly from: number;
  readonly to: number;
  readonly isRework: boolean;
  /** How far it keeps from the states: 0 is a straight edge to the state below. */
  readonly lane: number;
}

/** The edges of a pipeline by the states' places, so that arcs on one side do not coincide. */
export function edgesOf(states: readonly State[]): Edge[] {
  const place = new Map(states.map(({ name }, index) => [name, index]));
  const edges: Edge[] = [];
  states.forEach((state, from) => {
    for (const [names, isRework] of [
      [state.next, false],
      [state.rework, true],
    ] as const)
      for (const name of names) {
        const to = place.get(name);
        if (to !== undefined) edges.push({ from, to, isRework, lane: 0 });
      }
  });
  const isStraight = (edge: Edge) => !edge.isRework && edge.to === edge.from + 1;
  const taken: { isRework: boolean; lane: number; top: number; bottom: number }[] = [];
  const length = (edge: Edge) => Math.abs(edge.to - edge.from);
  const arcs = edges.filter((edge) => !isStraight(edge)).sort((a, b) => length(a) - length(b));
  const lanes = new Map<Edge, number>();
  for (const edge of arcs) {
    const top = Math.min(edge.from, edge.to);
    const bottom = Math.max(edge.from, edge.to);
    let lane = 1;
    while (
      taken.some(
        (other) =>
          other.isRework === edge.isRework &&
          other.lane === lane &&
          other.top < bottom &&
          top < other.bottom,
      )
    )
      lane += 1;
    taken.push({ isRework: edge.isRework, lane, top, bottom });
    lanes.set(edge, lane);
  }
  return edges.map((edge) => ({ ...edge, lane: lanes.get(edge) ?? 0 }));
}

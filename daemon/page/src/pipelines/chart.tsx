// A small bar chart: the failures of a stage over time.
import { count, counted } from "../operation/text.js";

const [WIDTH, HEIGHT] = [168, 32];

export function FailureChart({
  label,
  series,
  buckets,
  bucket,
}: {
  label: string;
  series: readonly number[];
  /** The beginnings of the buckets, in ms. */
  buckets: readonly number[];
  bucket: "hour" | "day";
}) {
  const total = series.reduce((sum, n) => sum + n, 0);
  const most = Math.max(1, ...series);
  const peak = series.indexOf(most);
  const step = WIDTH / series.length;
  const format = new Intl.DateTimeFormat(
    "en",
    bucket === "day"
      ? { month: "short", day: "numeric", timeZone: "UTC" }
      : { month: "short", day: "numeric", hour: "numeric", minute: "2-digit", timeZone: "UTC" },
  );
  const at = (index: number) => format.format(buckets[index]);
  const text =
    total === 0
      ? `${label}: no failures since ${at(0)}.`
      : `${label}: ${counted(total, "failure")} since ${at(0)}, ` +
        `most at ${at(peak)} (${count(most)}).`;
  return (
    <svg
      class="chart"
      role="img"
      aria-label={text}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      width={WIDTH}
      height={HEIGHT}
    >
      <path class="chart-line" d={`M0 ${HEIGHT - 0.5}H${WIDTH}`} />
      {series.map(
        (n, index) =>
          n > 0 && (
            <rect
              key={buckets[index]}
              class="chart-bar"
              x={index * step + 0.5}
              width={Math.max(1, step - 1)}
              y={HEIGHT - Math.max(2, (n / most) * (HEIGHT - 2))}
              height={Math.max(2, (n / most) * (HEIGHT - 2))}
            >
              <title>{`${at(index)}: ${counted(n, "failure")}`}</title>
            </rect>
          ),
      )}
    </svg>
  );
}

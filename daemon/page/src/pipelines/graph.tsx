// A pipeline as a graph: its states in order from top to bottom, with the number of books in each.
import { count, counted } from "../operation/text.js";
import { edgesOf, type Edge, type Pipeline, type State } from "./pipelines.js";

const [WIDTH, HEIGHT, GAP, LANE, CHARS] = [220, 34, 22, 18, 22];
const middle = (index: number) => index * (HEIGHT + GAP) + HEIGHT / 2;
const cut = (text: string) => (text.length > CHARS ? `${text.slice(0, CHARS - 1)}…` : text);

/** The graph in words, for readers who do not see it. */
function words(pipeline: Pipeline): string {
  const label = (name: string) =>
    pipeline.states.find((state) => state.name === name)?.label ?? name;
  const list = (names: readonly string[]) => names.map(label).join(" or ");
  return pipeline.states
    .map(({ name, label: own, next, rework }) => {
      const books = counted(pipeline.books[name] ?? 0, "book");
      const on = next.length === 0 ? "" : `, leads to ${list(next)}`;
      const back = rework.length === 0 ? "" : `, may go back to ${list(rework)}`;
      return `${own}: ${books}${on}${back}.`;
    })
    .join(" ");
}

export function Graph({ pipeline }: { pipeline: Pipeline }) {
  const { states } = pipeline;
  const edges = edgesOf(states);
  const lanes = (isRework: boolean) =>
    Math.max(0, ...edges.filter((edge) => edge.isRework === isRework).map(({ lane }) => lane));
  const [left, right] = [lanes(true) * LANE + 4, lanes(false) * LANE + 4];
  const size = { width: left + WIDTH + right, height: middle(states.length - 1) + HEIGHT / 2 };
  const marker = `arrow-${pipeline.name}-${pipeline.version}`;
  return (
    <svg
      class="graph"
      role="img"
      aria-label={`${pipeline.name}, version ${pipeline.version}. ${words(pipeline)}`}
      viewBox={`${-left} -2 ${size.width} ${size.height + 4}`}
      width={size.width}
      height={size.height + 4}
    >
      <defs>
        <marker
          id={marker}
          viewBox="0 0 6 6"
          refX="5"
          refY="3"
          markerWidth="6"
          markerHeight="6"
          orient="auto"
        >
          <path d="M0 0 6 3 0 6z" class="graph-arrow" />
        </marker>
      </defs>
      {edges.map((edge) => (
        <path
          key={`${edge.from} ${edge.to} ${edge.isRework}`}
          class={edge.isRework ? "graph-edge rework" : "graph-edge"}
          d={line(edge)}
          marker-end={`url(#${marker})`}
        />
      ))}
      {states.map((state, index) => (
        <Node
          key={state.name}
          state={state}
          y={middle(index)}
          books={pipeline.books[state.name] ?? 0}
        />
      ))}
    </svg>
  );
}

function line({ from, to, isRework, lane }: Edge): string {
  if (lane === 0) return `M${WIDTH / 2} ${middle(from) + HEIGHT / 2}V${middle(to) - HEIGHT / 2}`;
  // An arc leaves a state above its middle and arrives below it, so that arcs do not touch.
  const [x, out] = isRework ? [0, -lane * LANE] : [WIDTH, WIDTH + lane * LANE];
  const [start, end] = isRework
    ? [middle(from) - 8, middle(to) + 8]
    : [middle(from) + 8, middle(to) - 8];
  return `M${x} ${start}C${out} ${start} ${out} ${end} ${x} ${end}`;
}

function Node({ state, y, books }: { state: State; y: number; books: number }) {
  return (
    <g class="graph-state" data-state={state.name} data-books={books}>
      <title>{`${state.label} (${state.name})`}</title>
      <rect x={0} y={y - HEIGHT / 2} width={WIDTH} height={HEIGHT} rx={6} />
      <text x={10} y={y} dominant-baseline="central">
        {cut(state.label)}
      </text>
      <text
        x={WIDTH - 10}
        y={y}
        dominant-baseline="central"
        text-anchor="end"
        class={books === 0 ? "graph-count none" : "graph-count"}
      >
        {count(books)}
      </text>
    </g>
  );
}

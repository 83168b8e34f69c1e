// The pipelines: a graph with the books in each state, durations, and failures over time.
import { useEffect, useState } from "preact/hooks";
import { OperationTab, Problem } from "../operation/parts.js";
import { usePolled } from "../operation/poll.js";
import { count, counted, duration } from "../operation/text.js";
import { useSession } from "../session.js";
import { change, hrefOf, usePlace } from "../url.js";
import { FailureChart } from "./chart.js";
import { Graph } from "./graph.js";
import { bucketsOf, seriesOf, type Pipeline, type Pipelines } from "./pipelines.js";
import "./style.css";

const PERIODS = ["2", "14", "90"] as const;
/** A median of fewer visits is marked. */
const FEW_SAMPLES = 3;

export function PipelinesTab() {
  const { mayAct } = useSession();
  return <OperationTab title="Pipelines">{mayAct && <PipelineList />}</OperationTab>;
}

function PipelineList() {
  const { parameters } = usePlace();
  const days = PERIODS.find((days) => days === parameters["days"]) ?? "14";
  const { answer, problem } = usePolled<Pipelines>("/api/pipelines", { days });
  // While another period is read, the one before stays.
  const [shown, setShown] = useState<Pipelines | null>(null);
  useEffect(() => {
    if (answer !== null) setShown(answer);
  }, [answer]);
  return (
    <>
      <Problem text={problem} />
      <p class="period">
        <label for="period">Failures of the last</label>
        <select
          id="period"
          value={days}
          onChange={(event) =>
            change({
              days: event.currentTarget.value === "14" ? undefined : event.currentTarget.value,
            })
          }
        >
          {PERIODS.map((days) => (
            <option key={days} value={days}>
              {days} days
            </option>
          ))}
        </select>
      </p>
      {shown === null ? (
        <p class="muted" aria-busy="true">
          Loading…
        </p>
      ) : (
        shown.pipelines.map((pipeline) => (
          <PipelineCard
            key={`${pipeline.name} ${pipeline.version}`}
            pipeline={pipeline}
            answer={shown}
          />
        ))
      )}
    </>
  );
}

function PipelineCard({ pipeline, answer }: { pipeline: Pipeline; answer: Pipelines }) {
  const { name, version, states, books } = pipeline;
  const buckets = bucketsOf(answer);
  const total = Object.values(books).reduce((sum, n) => sum + n, 0);
  const id = `pipeline-${name}-${version}`;
  const halted = [
    ["FAILED", "Failed"],
    ["CANCELLED", "Cancelled"],
  ] as const;
  return (
    <section class="card pipeline" aria-labelledby={id} data-pipeline={`${name} ${version}`}>
      <h3 id={id}>
        {name} <span class="muted">version {version}</span>
      </h3>
      <p class="pipeline-books">
        {counted(total, "book")}
        {halted.map(([status, label]) => (
          <span key={status}>
            {" · "}
            <a href={hrefOf("books", { status, pipeline: name })}>
              {label} {count(books[status] ?? 0)}
            </a>
          </span>
        ))}
      </p>
      <div class="pipeline-parts">
        <Graph pipeline={pipeline} />
        <ul class="op-stages" aria-label={`Stages of ${name}`}>
          {states
            .filter(({ weight }) => weight > 0)
            .map(({ name: stage, label, max_attempts: most, stall_after: stall }) => {
              const pace = pipeline.stages.find((known) => known.name === stage);
              const series = seriesOf(pipeline, stage, buckets);
              const failures = series.reduce((sum, n) => sum + n, 0);
              return (
                <li key={stage} class="op-stage" data-stage={stage}>
                  <div class="stage-text">
                    <h4>{label}</h4>
                    <p>
                      {pace === undefined ? (
                        "No book has finished this stage"
                      ) : (
                        <>
                          Median {duration(pace.median_seconds)}, 95th percentile{" "}
                          {duration(pace.p95_seconds)}, of {counted(pace.samples, "visit")}
                          {pace.samples < FEW_SAMPLES && <span class="warn"> (few)</span>}
                        </>
                      )}
                    </p>
                    <p class="muted">
                      {most === null ? "Any number of attempts" : counted(most, "attempt")}
                      {stall === null ? "" : `, fails after ${duration(stall)} without a heartbeat`}
                    </p>
                  </div>
                  <div class="stage-failures">
                    <FailureChart
                      label={label}
                      series={series}
                      buckets={buckets}
                      bucket={answer.bucket}
                    />
                    <p class={failures > 0 ? "bad" : "muted"}>{counted(failures, "failure")}</p>
                  </div>
                </li>
              );
            })}
        </ul>
      </div>
    </section>
  );
}

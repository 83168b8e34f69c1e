// The installation: doctor's findings, streams, daemons, outbox, sweeper, versions.
import { useEffect, useRef, useState } from "preact/hooks";
import { Ago, Card, Fact, OperationTab, Problem } from "../operation/parts.js";
import { usePolled } from "../operation/poll.js";
import { count, counted, duration, rate } from "../operation/text.js";
import { useSession } from "../session.js";
import { hrefOf } from "../url.js";
import {
  isLive,
  ratesOf,
  type Finding,
  type Findings,
  type Stream,
  type System,
} from "./system.js";
import "./style.css";

/** The daemon runs the checks at most once in 15 seconds. */
const FINDINGS_EVERY_MS = 30_000;

export function SystemTab() {
  const { mayAct } = useSession();
  return <OperationTab title="System">{mayAct && <Overview />}</OperationTab>;
}

function Overview() {
  const { answer, problem } = usePolled<System>("/api/system");
  const findings = usePolled<Findings>("/api/system/findings", {}, FINDINGS_EVERY_MS);
  const rates = useRates(answer);
  return (
    <>
      <Problem text={problem} />
      {answer?.daemon.problems.map((text) => (
        <p key={text} class="operation-problem" role="alert">
          {text}
        </p>
      ))}
      <FindingList findings={findings.answer} problem={findings.problem} />
      {answer === null ? (
        <p class="muted" aria-busy="true">
          Loading…
        </p>
      ) : (
        <Parts system={answer} rates={rates} />
      )}
    </>
  );
}

/** The rates between the last two readings. */
function useRates(system: System | null): ReadonlyMap<string, number> {
  const before = useRef<System | null>(null);
  const [rates, setRates] = useState<ReadonlyMap<string, number>>(new Map());
  useEffect(() => {
    if (system === null) return;
    if (before.current !== null) setRates(ratesOf(before.current, system));
    before.current = system;
  }, [system]);
  return rates;
}

const levelText = { ok: "OK", warning: "Warning", failure: "Failure" } as const;
const levelClass = { ok: "good", warning: "warn", failure: "bad" } as const;

function FindingList({ findings, problem }: { findings: Findings | null; problem: string | null }) {
  if (findings === null)
    return problem === null ? (
      <p class="muted" aria-busy="true">
        Running the checks of doctor…
      </p>
    ) : (
      <Problem text={problem} />
    );
  const bad = findings.findings.filter(({ level }) => level !== "ok");
  const good = findings.findings.filter(({ level }) => level === "ok");
  const worst = [...bad].sort((a, b) => a.level.localeCompare(b.level));
  return (
    <section class="findings" aria-labelledby="findings">
      <h3 id="findings">Findings of doctor</h3>
      <p class="muted">
        {bad.length === 0 ? "No problem found" : counted(bad.length, "problem")}, checked{" "}
        <Ago at={findings.at} />
      </p>
      {worst.length > 0 && <FindingItems findings={worst} label="Problems" />}
      <details>
        <summary>{counted(good.length, "check")} without a problem</summary>
        <FindingItems findings={good} label="Checks without a problem" />
      </details>
    </section>
  );
}

function FindingItems({ findings, label }: { findings: readonly Finding[]; label: string }) {
  return (
    <ul class="finding-list" aria-label={label}>
      {findings.map(({ level, check, found, remedy }) => (
        <li key={`${check} ${found}`} class="finding" data-level={level}>
          <span class={`finding-level ${levelClass[level]}`}>{levelText[level]}</span>
          <code>{check}</code>
          <div>
            <p>{found}</p>
            {remedy !== undefined && (
              <p>
                <strong>What to do:</strong> {remedy}
              </p>
            )}
          </div>
        </li>
      ))}
    </ul>
  );
}

function Parts({ system, rates }: { system: System; rates: ReadonlyMap<string, number> }) {
  const { daemon, schema, kernel, postgres, outbox, sweeper, relays } = system;
  return (
    <>
      <section class="op-section" aria-labelledby="streams">
        <h3 id="streams">Streams</h3>
        {system.streams.length === 0 ? (
          <p class="muted">No stream was ever relayed.</p>
        ) : (
          <div class="cards">
            {system.streams.map((stream) => (
              <StreamCard
                key={stream.stream}
                stream={stream}
                perSecond={rates.get(stream.stream)}
              />
            ))}
          </div>
        )}
      </section>
      <section class="op-section" aria-labelledby="parts">
        <h3 id="parts">Parts</h3>
        <div class="cards">
          <Card title="This daemon">
            <dl class="op-facts">
              <Fact name="Version">{daemon.version}</Fact>
              <Fact name="Started">
                <Ago at={daemon.started_at} />
              </Fact>
              <Fact name="Holder">{daemon.holder ?? "relays nothing"}</Fact>
            </dl>
          </Card>
          <Card title="Relays">
            {relays.length === 0 ? (
              <p class="muted">No relay is running.</p>
            ) : (
              <dl class="op-facts">
                {relays.map(({ holder, streams }) => (
                  <Fact key={holder} name={holder}>
                    {counted(streams.length, "stream")}
                  </Fact>
                ))}
              </dl>
            )}
          </Card>
          <Card title="Events">
            <dl class="op-facts">
              <Fact name="Dead letters">
                <a href={hrefOf("dead-letters")}>{count(system.dead_letters)}</a>
              </Fact>
              <Fact name="Early events">
                <a href={hrefOf("dead-letters", { view: "early" })}>{count(system.early_events)}</a>
              </Fact>
            </dl>
          </Card>
          <Card title="Outbox">
            <dl class="op-facts">
              <Fact name="Waiting">{counted(outbox.rows, "message")}</Fact>
              <Fact name="Oldest">
                <Ago at={outbox.oldest_at} none="none" />
              </Fact>
              <Fact name="Published by this daemon">{daemon.publishes ? "yes" : "no"}</Fact>
            </dl>
          </Card>
          <Card title="Sweeper">
            <Sweeper sweeper={sweeper} />
          </Card>
          <Card title="Kernel and schema">
            <dl class="op-facts">
              <Fact name="Kernel">
                {kernel.kind}
                {kernel.version === null ? "" : ` ${kernel.version}`}
              </Fact>
              <Fact name="Schema">
                {schema.version === null ? "not recorded" : `version ${schema.version}`}
              </Fact>
              {schema.version !== null && schema.version !== schema.expected && (
                <Fact name="This daemon's schema">
                  <span class="bad">version {schema.expected ?? "unknown"}</span>
                </Fact>
              )}
              <Fact name="PostgreSQL">
                {postgres.version}
                {postgres.is_standby ? ", standby" : ""}
              </Fact>
            </dl>
          </Card>
          <Card title="Settings">
            <dl class="op-facts">
              {Object.entries(system.settings).map(([name, value]) => (
                <Fact key={name} name={name}>
                  {String(value)}
                </Fact>
              ))}
            </dl>
          </Card>
        </div>
      </section>
    </>
  );
}

function StreamCard({ stream, perSecond }: { stream: Stream; perSecond: number | undefined }) {
  const lag = stream.lag_seconds;
  return (
    <Card title={stream.stream}>
      <dl class="op-facts">
        <Fact name="Lag">
          {lag === null ? (
            <span class="warn">never caught up</span>
          ) : isLive(stream) ? (
            <span class="good">live</span>
          ) : (
            <span class="warn">{duration(lag)}</span>
          )}
        </Fact>
        <Fact name="Holder">
          {stream.is_held ? stream.holder : <span class="bad">no relay holds it</span>}
        </Fact>
        <Fact name="Rate">{perSecond === undefined ? "measuring" : rate(perSecond)}</Fact>
        <Fact name="Position">{stream.position}</Fact>
        <Fact name="Last batch">
          <Ago at={stream.applied_at} />
        </Fact>
        <Fact name="Applied">{count(stream.applied)}</Fact>
        <Fact name="Stale">{count(stream.stale)}</Fact>
        <Fact name="Early">{count(stream.early)}</Fact>
        <Fact name="Rejected">
          {stream.rejected === 0 ? (
            "0"
          ) : (
            <a href={hrefOf("dead-letters", { stream: stream.stream })}>{count(stream.rejected)}</a>
          )}
        </Fact>
        {stream.losses > 0 && (
          <Fact name="Losses">
            <span class="bad">
              {counted(stream.losses, "loss", "losses")}, {counted(stream.lost, "entry", "entries")}
              , last {stream.last_loss} <Ago at={stream.lost_at} />
            </span>
          </Fact>
        )}
      </dl>
    </Card>
  );
}

function Sweeper({ sweeper }: { sweeper: System["sweeper"] }) {
  if (sweeper.every_seconds === null)
    return <p class="muted">This daemon does not sweep. Another one may.</p>;
  return (
    <>
      <dl class="op-facts">
        <Fact name="Interval">{duration(sweeper.every_seconds)}</Fact>
        <Fact name="Last sweep">
          <Ago at={sweeper.at} />
        </Fact>
        {sweeper.at !== null && (
          <>
            <Fact name="Stalled books failed">{count(sweeper.stalled ?? 0)}</Fact>
            <Fact name="Books resumed">{count(sweeper.resumed ?? 0)}</Fact>
            <Fact name="Early events expired">{count(sweeper.expired ?? 0)}</Fact>
            {(sweeper.waiting_for ?? []).length > 0 && (
              <Fact name="Waits for">{(sweeper.waiting_for ?? []).join(", ")}</Fact>
            )}
          </>
        )}
      </dl>
      {sweeper.problem !== null && <p class="bad">{sweeper.problem}</p>}
    </>
  );
}

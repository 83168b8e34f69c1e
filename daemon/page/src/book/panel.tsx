// One book, beside the list; on a phone, in its place.
import type { BookStatus } from "@bindery/react/client";
import {
  errorText,
  overdue,
  present,
  remaining,
  segmentedBar,
  stageList,
  statusPill,
  titleOf,
  toneOf,
} from "@bindery/react/view";
import { useEffect, useRef } from "preact/hooks";
import { isFinal, rewindTargets, type Asked } from "../acts.js";
import { CopyButton, Json } from "../copy.js";
import { useBook } from "../live.js";
import { useSession } from "../session.js";
import { hrefOf } from "../url.js";
import { ago, at, draw, labels, useNow } from "../view.js";
import { resumesAt } from "./resumes.js";
import { Checkpoints, Substeps, useCurrentSubsteps, type SubstepRow } from "./substeps.js";
import { attemptsOf, History, useTimeline } from "./timeline.js";

export function Panel({
  bookId,
  onClose,
  onAct,
}: {
  bookId: string;
  onClose: () => void;
  onAct: (asked: Asked) => void;
}) {
  const view = useBook(bookId);
  const book = view?.book ?? null;
  const now = useNow(1000);
  const panel = useRef<HTMLElement>(null);
  // On a phone the panel replaces the list, and with it the focus.
  useEffect(() => {
    if (innerWidth < 900) panel.current?.focus();
  }, []);
  return (
    <aside
      class="panel"
      ref={panel}
      tabIndex={-1}
      aria-label={book === null ? "Book" : titleOf(book, labels)}
      data-tone={book === null ? "waiting" : toneOf(book)}
    >
      <button type="button" class="plain icon close" aria-label="Close the book" onClick={onClose}>
        <span aria-hidden="true" class="close-wide">
          ✕
        </span>
        <span aria-hidden="true" class="close-narrow">
          ←
        </span>
      </button>
      {book === null ? (
        <p class="nothing">
          {view?.error == null ? labels.loading : labels.problems[view.error.kind]}
        </p>
      ) : (
        <Details book={book} now={now} onAct={onAct} />
      )}
    </aside>
  );
}

function Details({
  book,
  now,
  onAct,
}: {
  book: BookStatus;
  now: number;
  onAct: (asked: Asked) => void;
}) {
  const { mayAct } = useSession();
  const timeline = useTimeline(book);
  const substeps = useCurrentSubsteps(book);
  const next = resumesAt(book, substeps.length > 0 ? substeps : book.substeps, now);
  const checkpoints = substeps.filter((row) => row.checkpoint != null);
  return (
    <>
      <header class="panel-head">
        <h2 dir="auto">{titleOf(book, labels)}</h2>
        <div class="figures">
          {statusPill(draw, { book }, labels)}
          <span class="percent">{labels.percent(book.overall_progress)}</span>
          <span class="soft">{remaining(book, now, labels)}</span>
          {overdue(book, now, labels) !== null && (
            <span class="late">{overdue(book, now, labels)}</span>
          )}
        </div>
        {segmentedBar(draw, book, labels)}
        {book.status !== "FAILED" && present(book.message) !== null && (
          <p class="message" dir="auto">
            {book.message}
          </p>
        )}
      </header>
      {book.status === "FAILED" && <Failure book={book} next={next} />}
      {mayAct && !isFinal(book) && <Acts book={book} next={next} onAct={onAct} />}
      <section class="section" aria-labelledby="stages-title">
        <div class="section-head">
          <h3 id="stages-title">Stages</h3>
        </div>
        <div class="stages" data-tone={toneOf(book)}>
          {stageList(draw, book, labels, {
            now,
            showSubsteps: false,
            attempts: attemptsOf(timeline),
          })}
        </div>
      </section>
      <Substeps book={book} />
      <History book={book} timeline={timeline} now={now} />
      <Facts book={book} now={now} checkpoints={checkpoints} />
    </>
  );
}

function Failure({ book, next }: { book: BookStatus; next: string | null }) {
  const code = present(book.error?.code);
  return (
    <section class="failure" aria-label="Error">
      <p class="failure-text" dir="auto">
        {errorText(book, labels)}
      </p>
      {code !== null && (
        <p>
          <code>{code}</code>
        </p>
      )}
      {next !== null && <p class="resumes">{next}</p>}
      {book.error !== null && (
        <details>
          <summary>Error as JSON</summary>
          <Json value={book.error} label="Error as JSON" />
        </details>
      )}
    </section>
  );
}

function Acts({
  book,
  next,
  onAct,
}: {
  book: BookStatus;
  next: string | null;
  onAct: (asked: Asked) => void;
}) {
  const sentence =
    next === null ? null : `${next.replace(/^Resumes|^A resume continues/, "It continues")}.`;
  return (
    <div class="acts">
      {book.status === "FAILED" && (
        <button
          type="button"
          class="primary"
          onClick={() => onAct({ act: "resume", book, resumesAt: sentence })}
        >
          Resume
        </button>
      )}
      {rewindTargets(book).length > 0 && (
        <button type="button" onClick={() => onAct({ act: "rewind", book })}>
          Rewind…
        </button>
      )}
      <button type="button" class="danger" onClick={() => onAct({ act: "cancel", book })}>
        Cancel book…
      </button>
    </div>
  );
}

function Facts({
  book,
  now,
  checkpoints,
}: {
  book: BookStatus;
  now: number;
  checkpoints: readonly SubstepRow[];
}) {
  const time = (value: string) => (
    <time datetime={value} title={at(value)}>
      {ago(value, now)}
    </time>
  );
  const { tags } = book.metadata;
  const texts = Array.isArray(tags)
    ? tags.filter((tag): tag is string => typeof tag === "string")
    : [];
  return (
    <section class="section" aria-labelledby="facts-title">
      <div class="section-head">
        <h3 id="facts-title">Details</h3>
      </div>
      <dl class="facts">
        <dt>Id</dt>
        <dd>
          <code>{book.book_id}</code> <CopyButton text={book.book_id} label="Copy id" />
        </dd>
        <dt>Owner</dt>
        <dd>
          {book.owner_id === null ? (
            "None"
          ) : (
            <a href={hrefOf("books", { owner: book.owner_id })}>
              <code>{book.owner_id}</code>
            </a>
          )}
        </dd>
        <dt>Pipeline</dt>
        <dd>
          <a href={hrefOf("books", { pipeline: book.pipeline })}>{book.pipeline}</a>
          <span class="soft">, version {book.pipeline_version}</span>
        </dd>
        <dt>Attempt</dt>
        <dd>{book.attempt}</dd>
        <dt>Last event</dt>
        <dd>{time(book.heartbeat_at)}</dd>
        <dt>Registered</dt>
        <dd>{time(book.created_at)}</dd>
        {book.completed_at !== null && (
          <>
            <dt>Completed</dt>
            <dd>{time(book.completed_at)}</dd>
          </>
        )}
        <dt>Revision</dt>
        <dd>{book.revision}</dd>
        {texts.length > 0 && (
          <>
            <dt>Tags</dt>
            <dd class="tags">
              {texts.map((tag) => (
                <a key={tag} class="tag" href={hrefOf("books", { tag })}>
                  {tag}
                </a>
              ))}
            </dd>
          </>
        )}
      </dl>
      {checkpoints.length > 0 && (
        <details>
          <summary>Checkpoints</summary>
          <Checkpoints rows={checkpoints} />
        </details>
      )}
      {Object.keys(book.metadata).length > 0 && (
        <details>
          <summary>Metadata</summary>
          <Json value={book.metadata} label="Metadata" />
        </details>
      )}
    </section>
  );
}

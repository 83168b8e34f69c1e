// One dead letter or early event: a line, and below it what it is, why, and what to do.
import { fromNow, count, counted, fullTime } from "../operation/text.js";
import { Ago, Fact } from "../operation/parts.js";
import { change, hrefOf } from "../url.js";
import type { Act } from "./act.js";
import type { Letter } from "./letters.js";
import { remedyOf, waitOf } from "./remedies.js";

/** A field of the event, where it is a text. */
function field(letter: Letter, name: string): string | null {
  const { payload } = letter;
  if (typeof payload !== "object" || payload === null) return null;
  const value: unknown = (payload as Record<string, unknown>)[name];
  return typeof value === "string" ? value : null;
}

export function Item({
  letter,
  isOpen,
  isSelected,
  onSelect,
  onAct,
}: {
  letter: Letter;
  isOpen: boolean;
  isSelected: boolean;
  /** Absent for early events, which cannot be selected. */
  onSelect?: ((selected: boolean) => void) | undefined;
  onAct?: ((act: Act) => void) | undefined;
}) {
  const type = field(letter, "type") ?? "event";
  const more = letter.count > 1 ? ` (${counted(letter.count, "event")})` : "";
  return (
    <li class="letter" data-id={letter.id}>
      <div class="letter-line">
        {onSelect && (
          <input
            type="checkbox"
            aria-label={`Select dead letter ${letter.id}`}
            checked={isSelected}
            onChange={(event) => onSelect(event.currentTarget.checked)}
          />
        )}
        <button
          type="button"
          class="letter-open"
          aria-expanded={isOpen}
          onClick={() => change({ letter: isOpen ? undefined : String(letter.id) })}
        >
          <code class="letter-reason">{letter.reason}</code>
          <span class="letter-type">
            {type}
            {more}
          </span>
          <span class="letter-message">{letter.message}</span>
          <time class="letter-at" dateTime={letter.at} title={fullTime(letter.at)}>
            {fromNow(letter.at)}
          </time>
        </button>
      </div>
      {isOpen && <Detail letter={letter} onAct={onAct} />}
    </li>
  );
}

function Detail({ letter, onAct }: { letter: Letter; onAct?: ((act: Act) => void) | undefined }) {
  const isEarly = letter.expires_at !== undefined;
  return (
    <div class="letter-detail">
      <div class="letter-why">
        <h3>{isEarly ? "Why it waits" : "Why it was rejected"}</h3>
        <p>{letter.message}</p>
        <h3>{isEarly ? "What happens" : "What to do"}</h3>
        {isEarly ? <p>{waitOf(letter.reason)}</p> : <p>{remedyOf(letter.reason)}</p>}
        {letter.expires_at !== undefined && (
          <p>
            If nothing makes it applicable, it becomes a dead letter <Ago at={letter.expires_at} />.
          </p>
        )}
        {letter.replayable === false && (
          <p class="warn">
            It cannot be replayed: the relay could not read the event, or kept only a part of it.
          </p>
        )}
        <dl class="op-facts">
          <Fact name="Stream">{letter.stream}</Fact>
          <Fact name="Event">
            {letter.first_event_id !== null && letter.first_event_id !== letter.event_id
              ? `${letter.first_event_id} to ${letter.event_id ?? "?"}`
              : (letter.event_id ?? "no id")}
          </Fact>
          <Fact name="Events">{count(letter.count)}</Fact>
          <Fact name="Book">
            {letter.book_id === null ? (
              "none named"
            ) : (
              <a href={hrefOf("books", { book: letter.book_id })}>{letter.book_id}</a>
            )}
          </Fact>
          <Fact name={isEarly ? "Arrived" : "Rejected"}>
            <Ago at={letter.at} />
          </Fact>
          {letter.replayed_at !== undefined && (
            <Fact name="Replayed">
              <Ago at={letter.replayed_at} />
            </Fact>
          )}
        </dl>
        {onAct && (
          <div class="act-buttons">
            <button
              type="button"
              onClick={() => onAct("replay")}
              disabled={letter.replayable === false}
            >
              Replay this one
            </button>
            <button type="button" class="danger" onClick={() => onAct("drop")}>
              Drop this one
            </button>
          </div>
        )}
      </div>
      <div class="letter-event">
        <h3>The event</h3>
        <pre tabIndex={0} aria-label="The event as JSON">
          {JSON.stringify(letter.payload, null, 2)}
        </pre>
      </div>
    </div>
  );
}

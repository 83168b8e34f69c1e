// Dead letters and early events: by reason, with the event, why, and what to do.
import { useEffect, useState } from "preact/hooks";
import { useKeys } from "../keyboard.js";
import { OperationTab, Problem } from "../operation/parts.js";
import { count, counted } from "../operation/text.js";
import { useSession } from "../session.js";
import { change, hrefOf, usePlace } from "../url.js";
import { ActDialog, type Act, type Choice } from "./act.js";
import { Item } from "./item.js";
import { useLetters, type Filter, type Kind } from "./letters.js";
import "./style.css";

/** The search begins once nothing was typed for this long. */
const SEARCH_AFTER_MS = 250;

export function DeadLettersTab() {
  const { mayAct } = useSession();
  return (
    <OperationTab title="Dead letters and early events">{mayAct && <LetterList />}</OperationTab>
  );
}

function LetterList() {
  const { parameters } = usePlace();
  const kind: Kind = parameters["view"] === "early" ? "early-events" : "dead-letters";
  const isDead = kind === "dead-letters";
  const filter: Filter = {
    reason: parameters["reason"],
    stream: parameters["stream"],
    book_id: parameters["of_book"],
    q: parameters["q"],
  };
  const key = JSON.stringify([kind, filter]);
  const list = useLetters(kind, filter);
  const [selected, setSelected] = useState<ReadonlySet<number>>(new Set());
  const [act, setAct] = useState<{ act: Act; choice: Choice } | null>(null);
  const [outcome, setOutcome] = useState<string | null>(null);
  useEffect(() => {
    setSelected(new Set());
    setOutcome(null);
  }, [key]);

  const letters = list.letters ?? [];
  const select = (id: number, isSelected: boolean) => {
    const next = new Set(selected);
    if (isSelected) next.add(id);
    else next.delete(id);
    setSelected(next);
  };
  const open = letters.findIndex((letter) => String(letter.id) === parameters["letter"]);
  const openAt = (index: number) => {
    const letter = letters[index];
    if (letter === undefined) return;
    change({ letter: String(letter.id) });
    const button = document.querySelector<HTMLElement>(`.letter[data-id="${letter.id}"] button`);
    button?.focus();
    button?.scrollIntoView({ block: "nearest" });
  };
  useKeys({
    "/": () => document.getElementById("letter-search")?.focus(),
    j: () => openAt(open + 1),
    k: () => openAt(open < 0 ? 0 : open - 1),
    x: () => {
      const letter = letters[open];
      if (isDead && letter !== undefined) select(letter.id, !selected.has(letter.id));
    },
    Escape: () => {
      if (open >= 0) change({ letter: undefined });
      else setSelected(new Set());
    },
  });
  const areAllSelected = letters.length > 0 && letters.every((letter) => selected.has(letter.id));
  const what = isDead ? "dead letter" : "early event";
  const choice: Choice = selected.size > 0 ? { ids: [...selected] } : { filter };
  const number = selected.size > 0 ? selected.size : list.total;

  return (
    <>
      <nav class="letter-kinds" aria-label="Kinds of events">
        <a href={hrefOf("dead-letters")} aria-current={isDead ? "page" : undefined}>
          Dead letters
        </a>
        <a
          href={hrefOf("dead-letters", { view: "early" })}
          aria-current={isDead ? undefined : "page"}
        >
          Early events
        </a>
      </nav>
      <p class="muted letter-about">
        {isDead
          ? "Events that could not be applied. Nothing else waited for them."
          : "Events that arrived before the change that makes them applicable. They wait."}
      </p>
      <Problem text={list.problem} />
      <Reasons counts={list.counts} reason={filter.reason} />
      <Filters filter={filter} />
      <div class="letter-bar">
        {isDead && (
          <label class="letter-all">
            <input
              type="checkbox"
              checked={areAllSelected}
              disabled={letters.length === 0}
              onChange={(event) =>
                setSelected(
                  new Set(event.currentTarget.checked ? letters.map((letter) => letter.id) : []),
                )
              }
            />
            Select all shown
          </label>
        )}
        <p class="letter-total" role="status">
          {selected.size > 0 ? `${count(selected.size)} selected` : counted(list.total, what)}
        </p>
        {isDead && (
          <div class="act-buttons">
            {(["replay", "drop"] as const).map((name) => (
              <button
                key={name}
                type="button"
                class={name === "drop" ? "danger" : ""}
                disabled={number === 0}
                onClick={() => setAct({ act: name, choice })}
              >
                {name === "replay" ? "Replay" : "Drop"}{" "}
                {selected.size > 0 ? `${count(number)} selected` : `all ${count(number)}`}…
              </button>
            ))}
          </div>
        )}
      </div>
      {outcome !== null && (
        <p class="letter-outcome" role="status">
          {outcome}
        </p>
      )}
      {list.letters === null ? (
        <p class="muted" aria-busy="true">
          Loading…
        </p>
      ) : letters.length === 0 ? (
        <p class="muted letter-none">No results</p>
      ) : (
        <ul class="letters" aria-label={isDead ? "Dead letters" : "Early events"}>
          {letters.map((letter) => (
            <Item
              key={letter.id}
              letter={letter}
              isOpen={parameters["letter"] === String(letter.id)}
              isSelected={selected.has(letter.id)}
              onSelect={isDead ? (isSelected) => select(letter.id, isSelected) : undefined}
              onAct={
                isDead ? (name) => setAct({ act: name, choice: { ids: [letter.id] } }) : undefined
              }
            />
          ))}
        </ul>
      )}
      {list.hasMore && (
        <button type="button" disabled={list.isLoading} onClick={list.loadMore}>
          Show older ({count(letters.length)} of {count(list.total)})
        </button>
      )}
      {act !== null && (
        <ActDialog
          act={act.act}
          choice={act.choice}
          onClose={() => setAct(null)}
          onDone={(text) => {
            setOutcome(text);
            setSelected(new Set());
            list.reload();
          }}
        />
      )}
    </>
  );
}

/** The reasons with their counts; each is a filter. */
function Reasons({
  counts,
  reason,
}: {
  counts: Readonly<Record<string, number>>;
  reason: string | undefined;
}) {
  const known = { ...(reason === undefined ? {} : { [reason]: 0 }), ...counts };
  const sorted = Object.entries(known).sort(([a, m], [b, n]) => n - m || a.localeCompare(b));
  if (sorted.length === 0) return null;
  return (
    <ul class="reasons" aria-label="Reasons">
      {sorted.map(([name, number]) => (
        <li key={name}>
          <button
            type="button"
            aria-pressed={name === reason}
            onClick={() => change({ reason: name === reason ? undefined : name })}
          >
            <code>{name}</code> <span class="reason-count">{count(number)}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

function Filters({ filter }: { filter: Filter }) {
  const [text, setText] = useState(filter.q ?? "");
  const q = filter.q ?? "";
  // Another address, such as by the browser's back button, has another text.
  useEffect(() => {
    if (q !== text.trim()) setText(q);
  }, [q]);
  useEffect(() => {
    const timer = setTimeout(() => change({ q: text.trim() || undefined }), SEARCH_AFTER_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const given = [
    ["stream", "Stream", filter.stream],
    ["of_book", "Book", filter.book_id],
  ] as const;
  return (
    <div class="letter-filters">
      <label class="unseen" for="letter-search">
        Search messages and ids
      </label>
      <input
        id="letter-search"
        type="search"
        placeholder="Message, event id or book id"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      {given.map(
        ([name, label, value]) =>
          value !== undefined && (
            <button key={name} type="button" onClick={() => change({ [name]: undefined })}>
              {label}: {value} ×<span class="unseen"> remove this filter</span>
            </button>
          ),
      )}
    </div>
  );
}

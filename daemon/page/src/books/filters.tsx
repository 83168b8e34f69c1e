// The tools above the list: search, phases with their counts, filters, sort order.
import { PHASES, type BooksSort, type BooksView, type Phase } from "@bindery/react/client";
import { icon, type Tone } from "@bindery/react/view";
import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "../api.js";
import { useSession } from "../session.js";
import { change } from "../url.js";
import { draw } from "../view.js";
import { isScoped, sortKeys, sortParameters, sorts, type ListPlace } from "./place.js";

export const phaseNames: Readonly<Record<Phase, string>> = {
  queued: "Queued",
  working: "At work",
  failed: "Failed",
  completed: "Completed",
  cancelled: "Cancelled",
};
const tones: Readonly<Record<Phase, Tone>> = {
  queued: "waiting",
  working: "active",
  failed: "failed",
  completed: "done",
  cancelled: "cancelled",
};

export function Tools({
  place,
  counts,
  known,
}: {
  place: ListPlace;
  counts: BooksView["counts"];
  known: Known;
}) {
  const total = counts === null ? null : PHASES.reduce((sum, name) => sum + (counts[name] ?? 0), 0);
  const choose = (phase: Phase | null) => change({ phase: phase ?? undefined, book: undefined });
  return (
    <div class="tools">
      <Search key="search" value={place.search} />
      <div class="phases" role="group" aria-label="Phase">
        <button type="button" aria-pressed={place.phase === null} onClick={() => choose(null)}>
          All <Count of={total} />
        </button>
        {PHASES.map((phase) => (
          <button
            key={phase}
            type="button"
            data-tone={tones[phase]}
            aria-pressed={place.phase === phase}
            onClick={() => choose(phase)}
          >
            {icon(draw, tones[phase])}
            <span class="phase-name">{phaseNames[phase]}</span>{" "}
            <Count of={counts === null ? null : (counts[phase] ?? 0)} />
          </button>
        ))}
      </div>
      <Filters place={place} known={known} />
      <Sort place={place} />
    </div>
  );
}

function Count({ of }: { of: number | null }) {
  return <span class="count">{of === null ? "" : of.toLocaleString("en")}</span>;
}

function Search({ value }: { value: string }) {
  const input = useRef<HTMLInputElement>(null);
  const [text, setText] = useState(value);
  // Another address, such as after "back".
  useEffect(() => {
    if (document.activeElement !== input.current) setText(value);
  }, [value]);
  useEffect(() => {
    if (text === value) return;
    const timer = setTimeout(() => change({ q: text || undefined }), 200);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <div class="search">
      <label class="unseen" for="search">
        Search titles and errors, or the beginning of an id
      </label>
      <input
        ref={input}
        id="search"
        type="search"
        placeholder="Search titles and errors"
        autocomplete="off"
        spellcheck={false}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") event.currentTarget.blur();
        }}
      />
      <kbd aria-hidden="true">/</kbd>
    </div>
  );
}

/** The values that filters offer. */
export interface Known {
  pipelines: readonly string[];
  statuses: readonly string[];
  tags: readonly string[];
}

function Filters({ place, known }: { place: ListPlace; known: Known }) {
  const [isOpen, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const active = [place.status, place.pipeline, place.owner, place.tag].filter(Boolean).length;
  const { mayAct } = useSession();
  const [all, setAll] = useState<Known>({ pipelines: [], statuses: [], tags: [] });
  useEffect(() => {
    if (!isOpen) return;
    const leave = (event: Event) => {
      if (event.target instanceof Node && !box.current?.contains(event.target)) setOpen(false);
    };
    addEventListener("pointerdown", leave);
    return () => removeEventListener("pointerdown", leave);
  }, [isOpen]);
  useEffect(() => {
    if (!isOpen || !mayAct) return;
    // What is offered comes from the shown books as well, so a failure needs no message.
    get<{ pipelines: { name: string; states: { name: string }[] }[] }>("/api/pipelines", {
      days: 1,
    }).then(
      ({ pipelines }) =>
        setAll({
          pipelines: pipelines.map(({ name }) => name),
          statuses: pipelines.flatMap(({ states }) => states.map(({ name }) => name)),
          tags: [],
        }),
      () => undefined,
    );
  }, [isOpen, mayAct]);
  return (
    <div
      class="popover-box"
      ref={box}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !isOpen) return;
        event.preventDefault();
        event.stopPropagation();
        setOpen(false);
        box.current?.querySelector("button")?.focus();
      }}
    >
      <button
        type="button"
        aria-expanded={isOpen}
        aria-controls="filters"
        data-active={active > 0}
        onClick={() => setOpen(!isOpen)}
      >
        Filters{active > 0 && <span class="count">{active}</span>}
      </button>
      {isOpen && (
        <div class="popover" id="filters">
          <Field
            name="pipeline"
            label="Pipeline"
            value={place.pipeline}
            options={merge(known.pipelines, all.pipelines)}
          />
          <Field
            name="status"
            label="Status"
            value={place.status}
            options={merge(known.statuses, all.statuses)}
          />
          <Field name="owner" label="Owner (UUID)" value={place.owner} />
          <Field name="tag" label="Tag" value={place.tag} options={known.tags} />
          <div class="actions">
            <button
              type="button"
              disabled={!isScoped(place)}
              onClick={() =>
                change({
                  pipeline: undefined,
                  status: undefined,
                  owner: undefined,
                  tag: undefined,
                })
              }
            >
              Clear filters
            </button>
          </div>
        </div>
      )}
    </div>
  );
}

const merge = (...lists: (readonly string[])[]): string[] => [...new Set(lists.flat())].sort();

function Field({
  name,
  label,
  value,
  options = [],
}: {
  name: string;
  label: string;
  value: string;
  options?: readonly string[];
}) {
  // The list is drawn again while one types.
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  return (
    <label class="field">
      {label}
      <input
        type="text"
        list={options.length > 0 ? `known-${name}` : undefined}
        value={text}
        placeholder="Any"
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => setText(event.currentTarget.value)}
        onChange={(event) => change({ [name]: event.currentTarget.value.trim() || undefined })}
      />
      {options.length > 0 && (
        <datalist id={`known-${name}`}>
          {options.map((option) => (
            <option key={option} value={option} />
          ))}
        </datalist>
      )}
    </label>
  );
}

function Sort({ place: { sort, descending } }: { place: ListPlace }) {
  return (
    <div class="sort">
      <label class="unseen" for="sort">
        Sort by
      </label>
      <select
        id="sort"
        value={sort}
        onChange={(event) => {
          const key = event.currentTarget.value as BooksSort;
          change(sortParameters(key, sorts[key].descending));
        }}
      >
        {sortKeys.map((key) => (
          <option key={key} value={key}>
            {sorts[key].label}
          </option>
        ))}
      </select>
      <button
        type="button"
        class="icon"
        aria-label="Reverse the order"
        aria-pressed={descending !== sorts[sort].descending}
        onClick={() => change(sortParameters(sort, !descending))}
      >
        <span aria-hidden="true">{descending ? "↓" : "↑"}</span>
      </button>
    </div>
  );
}

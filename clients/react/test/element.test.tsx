// @vitest-environment jsdom
import { act } from "react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { BinderyError } from "../src/errors.js";
import { BinderyProgressElement } from "../src/element/index.js";
import { createBindery, ProgressTracker, type Bindery, type BookView } from "../src/index.js";
import { at, id, noon, status } from "./support/books.js";
import { FakeTransport } from "./support/fake-transport.js";
import { render, unmountAll } from "./support/render.js";
import { completed, failed, fixtures, moments, view } from "./support/views.js";

beforeEach(() => {
  vi.useFakeTimers({ now: noon, toFake: ["setInterval", "clearInterval", "Date"] });
});

afterEach(async () => {
  document.body.replaceChildren();
  await settled();
  await unmountAll();
  vi.useRealTimers();
});

const settled = () => new Promise((resolve) => setTimeout(resolve));

/** A client that shows what the test sets. */
class Shown {
  current: BookView;
  readonly listeners = new Set<(view: BookView) => void>();
  readonly client: Bindery;

  constructor(view: BookView) {
    this.current = view;
    const unused = createBindery(new FakeTransport());
    this.client = {
      ...unused,
      bookView: () => this.current,
      watchBook: (_, listener) => {
        this.listeners.add(listener);
        return () => this.listeners.delete(listener);
      },
    };
  }

  show(view: BookView) {
    this.current = view;
    for (const listener of this.listeners) listener(view);
  }
}

function element(client: Bindery | null, more: Partial<BinderyProgressElement> = {}) {
  const made = document.createElement("bindery-progress");
  made.setAttribute("book-id", id(1));
  if (client !== null) made.client = client;
  return document.body.appendChild(Object.assign(made, more));
}

/** React and the element make different ids. */
const withoutIds = (html: string) =>
  html.replaceAll(/(id|aria-labelledby)="[^"]*"/g, (_, name: string) => `${name}="…"`);

const steps: [string, BookView][] = [
  ...moments,
  ...fixtures.map((one): [string, BookView] => [`revision ${one.revision}`, view(one)]),
];

describe("<bindery-progress>", () => {
  test.each(steps)("has the same markup as React's ProgressTracker: %s", async (_, shown) => {
    const onRetry = () => undefined;
    const { container } = await render(<ProgressTracker view={shown} onRetry={onRetry} />);
    const made = element(new Shown(shown).client, { onRetry });
    expect(withoutIds(made.innerHTML)).toBe(withoutIds(container.innerHTML));
    expect(made.querySelector(".bindery-tracker")).not.toBeNull();
  });

  test("keeps the same markup as React's when the book changes under it", async () => {
    const client = new Shown(view(null));
    const made = element(client.client);
    const { container, render: again } = await render(<ProgressTracker view={view(null)} />);
    for (const [, shown] of [...steps, ...[...steps].reverse()]) {
      await act(async () => client.show(shown));
      await again(<ProgressTracker view={shown} />);
      expect(withoutIds(made.innerHTML)).toBe(withoutIds(container.innerHTML));
    }
  });

  test("reports completion and failure once each, and not what it finds at first", () => {
    const client = new Shown(view(completed));
    const events: string[] = [];
    for (const name of ["bindery-complete", "bindery-fail"] as const)
      document.body.addEventListener(name, (event) =>
        events.push(`${event.type} ${event.detail.book.status}`),
      );
    element(client.client);
    expect(events).toEqual([]);
    client.show(view(status({ revision: 20 })));
    client.show(view(failed));
    client.show(view({ ...failed, revision: 10, resume_at: at(60) }));
    client.show(view({ ...failed, revision: 12, attempt: 4 }));
    client.show(view(completed));
    client.show(view(completed));
    expect(events).toEqual([
      "bindery-fail FAILED",
      "bindery-fail FAILED",
      "bindery-complete COMPLETED",
    ]);
  });

  test("watches another book after a change of book-id, and none without it", async () => {
    const transport = new FakeTransport();
    transport.answers = (what) => status({ book_id: String(what), title: `Book ${String(what)}` });
    const client = createBindery(transport);
    const made = element(client);
    await vi.waitFor(() => expect(made.textContent).toContain(`Book ${id(1)}`));
    made.setAttribute("book-id", id(2));
    expect(made.textContent).not.toContain(`Book ${id(1)}`);
    await vi.waitFor(() => expect(made.textContent).toContain(`Book ${id(2)}`));
    made.removeAttribute("book-id");
    expect(made.textContent).toContain("Not available");
    await client.close();
  });

  test("stays subscribed when it is moved, and ends everything when it is removed", async () => {
    const client = new Shown(view(status()));
    const made = element(client.client);
    const other = document.body.appendChild(document.createElement("div"));
    other.append(made);
    await settled();
    expect(client.listeners.size).toBe(1);
    expect(made.textContent).toContain("The Salt Clock");
    made.remove();
    await settled();
    expect([client.listeners.size, made.childNodes.length, vi.getTimerCount()]).toEqual([0, 0, 0]);
    document.body.append(made);
    expect(client.listeners.size).toBe(1);
    expect(made.textContent).toContain("The Salt Clock");
  });

  test("counts the seconds to the next attempt", () => {
    const made = element(new Shown(view({ ...failed, resume_at: at(19) })).client);
    expect(made.textContent).toContain("Retries in 19 s");
    vi.advanceTimersByTime(7_000);
    expect(made.textContent).toContain("Retries in 12 s");
  });

  test("retries once at a time, and shows a rejection", async () => {
    let reject = () => undefined as void;
    const onRetry = vi.fn(() => new Promise<void>((_, no) => (reject = () => no(new Error("no")))));
    const made = element(new Shown(view(failed)).client, { onRetry });
    made.querySelector("button")?.click();
    await settled();
    made.querySelector("button")?.click();
    expect(onRetry).toHaveBeenCalledExactlyOnceWith(failed);
    expect(made.querySelector("button")?.textContent).toBe("Retrying");
    reject();
    await vi.waitFor(() => expect(made.textContent).toContain("The retry failed."));
  });

  test("announces stages in its live region, which is there from the start", async () => {
    const client = new Shown(view(null));
    const made = element(client.client);
    const region = made.querySelector('[aria-live="polite"]');
    client.show(view(status()));
    expect(region?.textContent).toBe("");
    client.show(view(status({ status: "GENERATING_SCENES", revision: 6 })));
    await settled();
    expect(made.querySelector('[aria-live="polite"]')).toBe(region);
    expect(region?.textContent).toBe("Writing the scenes, stage 2 of 3");
  });

  test("takes properties that were set before it was defined", () => {
    const client = new Shown(view(status())).client;
    const made = document.createElement("late-progress");
    made.setAttribute("book-id", id(1));
    Object.assign(made, { client, labels: { percent: () => "wenig" } });
    document.body.append(made);
    customElements.define("late-progress", class extends BinderyProgressElement {});
    expect(made.textContent).toContain("The Salt Clock");
    expect(made.textContent).toContain("wenig");
  });

  test("shows fewer parts by its attributes", () => {
    const made = element(new Shown(view(status())).client);
    made.setAttribute("max-substeps", "1");
    expect(made.textContent).toContain("0 of 2 substeps done; 1 shown");
    made.setAttribute("hide-substeps", "");
    expect(made.querySelector(".bindery-substep")).toBeNull();
    made.setAttribute("hide-stages", "");
    expect(made.querySelector(".bindery-stages")).toBeNull();
  });

  test("shows why there is no book", () => {
    const error = new BinderyError("denied", "no");
    const made = element(new Shown(view(null, { loading: false, error })).client);
    expect(made.textContent).toContain("You may not view this book.");
  });
});

// @vitest-environment jsdom
import axe from "axe-core";
import { act } from "react";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { BinderyProvider, createBindery, ProgressTracker, StatusIndicator } from "../src/index.js";
import { at, id, noon, row, stages, status } from "./support/books.js";
import { FakeTransport } from "./support/fake-transport.js";
import { render, unmountAll } from "./support/render.js";
import { completed, failed, moments, view } from "./support/views.js";

beforeEach(() => {
  vi.useFakeTimers({ now: noon, toFake: ["setInterval", "clearInterval", "Date"] });
});

afterEach(async () => {
  await unmountAll();
  vi.useRealTimers();
});

const bar = (container: HTMLElement) =>
  container.querySelector('[role="progressbar"]') as HTMLElement;
const spoken = (container: HTMLElement) =>
  container.querySelector('[aria-live="polite"]')?.textContent;

describe("ProgressTracker", () => {
  test.each(moments)("has nothing that axe finds fault with: %s", async (_, moment) => {
    vi.useRealTimers();
    // Relative times stand still while axe works.
    vi.useFakeTimers({ now: noon, toFake: ["setInterval", "clearInterval"] });
    const { container } = await render(<ProgressTracker view={moment} onRetry={() => undefined} />);
    // Colour needs a real renderer; the browser test looks at it.
    const { violations } = await axe.run(container, {
      rules: { "color-contrast": { enabled: false }, region: { enabled: false } },
    });
    expect(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)])).toEqual([]);
  });

  test.each(moments)("can be rendered on the server: %s", (_, moment) => {
    expect(renderToString(<ProgressTracker view={moment} />)).toContain("bindery-tracker");
  });

  test("shows the progress of the book in figures and in words", async () => {
    const { container } = await render(
      <ProgressTracker view={view(status({ overall_progress: 42.9 }))} />,
    );
    const attributes = ["aria-valuemin", "aria-valuemax", "aria-valuenow", "aria-valuetext"].map(
      (name) => bar(container).getAttribute(name),
    );
    expect(attributes).toEqual([
      "0",
      "100",
      "42",
      "42 %, Reading the book: Extract text 48 of 120 pages",
    ]);
    expect(
      document.getElementById(bar(container).getAttribute("aria-labelledby") ?? "")?.textContent,
    ).toBe("The Salt Clock");
  });

  test("99.99 is not rounded to done", async () => {
    const { container } = await render(
      <ProgressTracker view={view(status({ overall_progress: 99.99 }))} />,
    );
    expect(bar(container).getAttribute("aria-valuenow")).toBe("99");
  });

  test("shows stages and substeps, each state in words", async () => {
    const { container } = await render(<ProgressTracker view={view(status())} />);
    const lines = [...container.querySelectorAll(".bindery-stage")].map((line) => line.textContent);
    expect(lines).toEqual([
      "Reading the book, in progress 40 %Extract text, in progress 48 of 120 pagesDetect chapters, pending",
      "Writing the scenes, pending",
      "Drawing the pictures, pending",
    ]);
    expect(container.querySelector('[aria-current="step"]')?.textContent).toContain(
      "Reading the book",
    );
  });

  test("counts the substeps where it does not show them all", async () => {
    const { container, render: again } = await render(<ProgressTracker view={view(status())} />);
    const count = () => container.querySelector(".bindery-substeps-count")?.textContent;
    expect(count()).toBeUndefined();
    await again(
      <ProgressTracker view={view(status({ substeps_total: 1000, substeps_done: 812 }))} />,
    );
    expect(count()).toBe("812 of 1,000 substeps done; 2 shown");
    await again(
      <ProgressTracker view={view(status({ substeps_total: 1000 }))} showSubsteps={false} />,
    );
    expect(count()).toBeUndefined();
  });

  test("shows the remaining time while the estimate lies ahead, and nothing once it has passed", async () => {
    const { container } = await render(
      <ProgressTracker view={view(status({ estimated_completion_at: at(12 * 60) }))} />,
    );
    expect(container.textContent).toContain("about 12 min left");
    await act(async () => vi.advanceTimersByTime(5 * 60_000));
    expect(container.textContent).toContain("about 7 min left");
    await act(async () => vi.advanceTimersByTime(6.5 * 60_000));
    expect(container.textContent).toContain("about 1 min left");
    await act(async () => vi.advanceTimersByTime(60_000));
    expect(container.textContent).not.toContain("left");
  });

  test("shows that it reconnects, and that its data may be out of date", async () => {
    const { container, render: again } = await render(
      <ProgressTracker view={view(status(), { connection: "reconnecting" })} />,
    );
    expect(container.querySelector(".bindery-notice")?.textContent).toBe("Reconnecting");
    await again(<ProgressTracker view={view(status(), { connection: "polling", stale: true })} />);
    expect(container.querySelector(".bindery-notice")?.textContent).toBe(
      "No live connection: updated every few seconds · May be out of date",
    );
    await again(<ProgressTracker view={view(status())} />);
    expect(container.querySelector(".bindery-notice")).toBeNull();
  });

  test("shows why a book failed, and when it is retried", async () => {
    const { container } = await render(
      <ProgressTracker view={view({ ...failed, resume_at: at(90) })} />,
    );
    expect(container.querySelector(".bindery-error")?.textContent).toBe(
      "The ink ran out out_of_inkRetries in 2 min",
    );
    expect(container.querySelector("button")).toBeNull();
  });

  test("takes an empty text for none", async () => {
    const [first, ...others] = status().substeps;
    const substeps =
      first === undefined ? [] : [{ ...first, label: " ", message: "", unit: "" }, ...others];
    const [stage, ...later] = stages("ANALYZING", 40);
    const book = {
      title: " ",
      message: "",
      substeps,
      stages: stage === undefined ? [] : [{ ...stage, label: "" }, ...later],
    };
    const { container, render: again } = await render(
      <ProgressTracker view={view(status(book))} />,
    );
    expect(container.querySelector(".bindery-title")?.textContent).toBe("Untitled book");
    expect(container.querySelector(".bindery-message, .bindery-substep-message")).toBeNull();
    expect(container.querySelector(".bindery-stage")?.textContent).toBe(
      "Analyzing, in progress 40 %extract_text, in progress 48 of 120Detect chapters, pending",
    );
    const error = { code: "", message: "" };
    await again(<ProgressTracker view={view({ ...failed, error })} />);
    expect(container.querySelector(".bindery-error")?.textContent).toBe("The ink ran out");
    await again(<ProgressTracker view={view({ ...failed, error, message: "" })} />);
    expect(container.querySelector(".bindery-error")?.textContent).toBe("Failed");
    await again(
      <ProgressTracker view={view({ ...failed, error: { code: "disk_full" }, message: "" })} />,
    );
    expect(container.querySelector(".bindery-error")?.textContent).toBe("disk_full");
  });

  test("shows that changes are delayed, on the tracker and on the pill", async () => {
    const { container, render: again } = await render(
      <ProgressTracker view={view(status(), { connection: "delayed" })} />,
    );
    expect(container.querySelector(".bindery-notice")?.textContent).toBe(
      "Delayed: updated every few seconds",
    );
    expect(container.querySelector(".bindery-tracker")?.getAttribute("data-connection")).toBe(
      "delayed",
    );
    await again(<StatusIndicator book={status()} connection="delayed" />);
    expect(container.textContent).toBe("Reading the book · Delayed: updated every few seconds");
  });

  test("retries once at a time, and shows that a retry failed", async () => {
    let settle = { resolve: () => undefined as void, reject: () => undefined as void };
    const onRetry = vi.fn(
      () =>
        new Promise<void>(
          (resolve, reject) => (settle = { resolve, reject: () => reject(new Error("no")) }),
        ),
    );
    const { container, render: again } = await render(
      <ProgressTracker view={view(failed)} onRetry={onRetry} />,
    );
    const button = () => container.querySelector("button") as HTMLButtonElement;
    await act(async () => button().click());
    await act(async () => button().click());
    expect(onRetry).toHaveBeenCalledExactlyOnceWith(failed);
    expect([button().textContent, button().getAttribute("aria-disabled")]).toEqual([
      "Retrying",
      "true",
    ]);
    await act(async () => settle.reject());
    expect(container.querySelector(".bindery-error")?.textContent).toContain("The retry failed.");
    await act(async () => button().click());
    await again(
      <ProgressTracker view={view(status({ revision: 10, attempt: 4 }))} onRetry={onRetry} />,
    );
    await act(async () => settle.resolve());
    expect(container.querySelector("button")).toBeNull();
  });

  test("speaks other languages", async () => {
    const labels = {
      percent: (progress: number) => `${progress} Prozent`,
      states: { ANALYZING: "Liest das Buch" },
    };
    const { container } = await render(<ProgressTracker view={view(status())} labels={labels} />);
    expect(bar(container).getAttribute("aria-valuetext")).toBe(
      "8 Prozent, Liest das Buch: Extract text 48 of 120 pages",
    );
  });
});

describe("the live region", () => {
  test("is there from the start, and keeps quiet at first sight", async () => {
    const { container, render: again } = await render(<ProgressTracker view={view(null)} />);
    expect(spoken(container)).toBe("");
    await again(<ProgressTracker view={view(status())} />);
    expect(spoken(container)).toBe("");
  });

  test("speaks of stages, and of tens of percent, not of each change", async () => {
    const { container, render: again } = await render(
      <ProgressTracker view={view(status({ overall_progress: 8 }))} />,
    );
    const announced: string[] = [];
    for (let progress = 9; progress <= 70; progress++) {
      vi.setSystemTime(noon + progress * 1000);
      const stage = progress < 35 ? "ANALYZING" : "GENERATING_SCENES";
      await again(
        <ProgressTracker
          view={view(status({ overall_progress: progress, revision: progress, status: stage }))}
        />,
      );
      if (announced.at(-1) !== spoken(container)) announced.push(spoken(container) ?? "");
    }
    expect(announced).toEqual([
      "",
      "10 %",
      "20 %",
      "30 %",
      "Writing the scenes, stage 2 of 3",
      "40 %",
      "50 %",
      "60 %",
      "70 %",
    ]);
  });

  test("waits between figures when the book is fast", async () => {
    const { container, render: again } = await render(
      <ProgressTracker view={view(status({ overall_progress: 0 }))} />,
    );
    const announced = new Set<string>();
    for (let progress = 1; progress < 100; progress++) {
      vi.setSystemTime(noon + progress * 100);
      await again(
        <ProgressTracker view={view(status({ overall_progress: progress, revision: progress }))} />,
      );
      announced.add(spoken(container) ?? "");
    }
    expect([...announced]).toEqual(["", "50 %"]);
  });

  test("announces failure, the next attempt, and completion", async () => {
    const { container, render: again } = await render(<ProgressTracker view={view(status())} />);
    await again(<ProgressTracker view={view(failed)} />);
    expect(spoken(container)).toBe("Failed");
    await again(
      <ProgressTracker
        view={view(status({ status: "CREATING_ARTWORK", attempt: 2, revision: 10 }))}
      />,
    );
    expect(spoken(container)).toBe("Drawing the pictures, stage 3 of 3, attempt 2");
    await again(<ProgressTracker view={view(completed)} />);
    expect(spoken(container)).toBe("Completed");
    await again(<ProgressTracker view={view(status({ book_id: id(2) }))} />);
    expect(spoken(container)).toBe("");
  });
});

describe("StatusIndicator", () => {
  test.each([
    ["active", status(), "Reading the book · 8 %"],
    ["quiet", status({ health: "quiet" }), "Reading the book · 8 % · Quiet"],
    ["waiting", status({ health: "waiting" }), "Reading the book · 8 % · Waiting"],
    ["stalled", status({ health: "stalled" }), "Reading the book · 8 % · Stalled"],
    ["failed", failed, "Failed"],
    ["done", completed, "Completed"],
    ["waiting", row({ status: "UPLOADED", overall_progress: 0 }), "Uploaded"],
    ["active", row({ status: "GENERATING_SCENES" }), "Generating scenes · 8 %"],
    ["waiting", null, "Loading"],
  ] as const)("shows %s by a word and a shape", async (tone, book, text) => {
    const { container } = await render(<StatusIndicator book={book} showProgress />);
    expect(container.textContent).toBe(text);
    expect(container.querySelector("[data-tone]")?.getAttribute("data-tone")).toBe(tone);
    expect(container.querySelector("svg")?.getAttribute("aria-hidden")).toBe("true");
  });

  test("no two tones have the same shape", async () => {
    const books = [
      status(),
      status({ health: "quiet" }),
      status({ health: "stalled" }),
      failed,
      completed,
      status({ status: "CANCELLED" }),
      null,
    ];
    const { container } = await render(
      books.map((book, n) => <StatusIndicator key={n} book={book} />),
    );
    const shapes = [...container.querySelectorAll("path")].map((path) => path.getAttribute("d"));
    expect(new Set(shapes).size).toBe(books.length);
  });

  test("watches a book, as the tracker does, over one subscription", async () => {
    vi.useRealTimers();
    const transport = new FakeTransport();
    transport.answers = () => status();
    const client = createBindery(transport);
    const { container } = await render(
      <BinderyProvider client={client}>
        <StatusIndicator bookId={id(1)} />
        <ProgressTracker bookId={id(1)} />
      </BinderyProvider>,
    );
    expect(container.querySelectorAll(".bindery-status").length).toBe(2);
    expect(bar(container).getAttribute("aria-valuenow")).toBe("8");
    expect([transport.subscriptions.length, transport.requests.length]).toEqual([1, 1]);
    await act(async () => transport.subscription.ended("lost"));
    expect(container.textContent).toContain("Reading the book · Reconnecting");
    await client.close();
  });
});

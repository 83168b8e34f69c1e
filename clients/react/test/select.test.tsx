// @vitest-environment jsdom
import { act } from "react";
import { renderToString } from "react-dom/server";
import { afterEach, expect, test, vi } from "vitest";
import { useBookStatus, type BookResult, type BookStatus } from "../src/index.js";
import { isSameParts } from "../src/react/use-selected.js";
import { broadcast, id, status } from "./support/books.js";
import { transport, useClient } from "./support/client.js";
import { pass, provided, strict } from "./support/provided.js";
import { render, unmountAll } from "./support/render.js";

useClient();
afterEach(unmountAll);

interface Selecting {
  select: (result: BookResult) => unknown;
  isEqual?: (a: unknown, b: unknown) => boolean;
  initial?: BookStatus;
  bookId?: string;
}

let renders = 0;
function Shown({ bookId = id(1), ...options }: Selecting) {
  renders += 1;
  return <p>{JSON.stringify(useBookStatus(bookId, options))}</p>;
}

async function live() {
  await act(async () => transport.request.answer(status({ overall_progress: 8 })));
  await act(async () => transport.subscription.subscribed());
  await act(async () => transport.request.answer(status({ overall_progress: 8 })));
}

const message = (revision: number, overall_progress: number) =>
  act(async () => transport.subscription.message(broadcast({ revision, overall_progress })));

test("a component renders again only when the selected value changes", async () => {
  const select = ({ book }: BookResult) => Math.floor((book?.overall_progress ?? 0) / 10);
  const { container } = await render(provided(<Shown select={select} />));
  await live();
  renders = 0;
  for (let n = 1; n < 10; n++) await message(5 + n, 8 + n / 10);
  expect([renders, container.textContent]).toEqual([0, "0"]);
  await message(20, 25);
  expect([renders, container.textContent]).toEqual([1, "2"]);
  await act(async () => transport.subscription.ended("lost"));
  await pass(60_000);
  expect([renders, container.textContent]).toEqual([1, "2"]);
});

test("a new object with the same parts is no change, and a new function selects anew", async () => {
  const titles = ({ book }: BookResult) => ({ title: book?.title ?? null });
  const page = await render(provided(<Shown select={titles} />));
  await live();
  renders = 0;
  await message(6, 50);
  expect(renders).toBe(0);
  const upper = ({ book }: BookResult) => book?.title?.toUpperCase();
  await page.render(provided(<Shown select={upper} />));
  expect(page.container.textContent).toBe('"THE SALT CLOCK"');
});

test("an inline function that makes an object does not render without end", async () => {
  function Inline() {
    renders += 1;
    const { stages } = useBookStatus(id(1), {
      onFail: ({ attempt }) => attempt.toFixed(),
      select: ({ book }) => ({ stages: book?.stages.length ?? 0 }),
    });
    return <p>{stages}</p>;
  }
  renders = 0;
  const { container } = await render(provided(<Inline />));
  await live();
  await message(6, 50);
  expect(container.textContent).toBe("3");
  expect(renders).toBeLessThan(5);
});

test("isEqual decides what a change is", async () => {
  const select = ({ book }: BookResult) => book?.overall_progress ?? 0;
  const isEqual = (a: unknown, b: unknown) => Math.abs(Number(a) - Number(b)) < 5;
  const { container } = await render(provided(<Shown select={select} isEqual={isEqual} />));
  await live();
  await message(6, 12);
  expect(container.textContent).toBe("8");
  await message(7, 14);
  expect(container.textContent).toBe("14");
});

test("another book is selected from at once", async () => {
  const select = ({ book }: BookResult) => book?.title ?? "-";
  transport.answers = (target) =>
    status({ book_id: String(target), title: `Book ${String(target).slice(-1)}` });
  const page = await render(strict(<Shown select={select} />));
  expect(page.container.textContent).toBe('"Book 1"');
  await page.render(strict(<Shown select={select} bookId={id(2)} />));
  expect(page.container.textContent).toBe('"Book 2"');
});

test("the server selects from the initial status, and the browser takes over", async () => {
  const errors = vi.spyOn(console, "error");
  const select = ({ book }: BookResult) => book?.title ?? "-";
  const node = strict(<Shown select={select} initial={status({ title: "From the server" })} />);
  const html = renderToString(node);
  expect(html).toContain("From the server");
  const { container } = await render(node, html);
  await act(async () => transport.request.answer(status({ title: "Live" })));
  expect(container.textContent).toBe('"Live"');
  expect(errors).not.toHaveBeenCalled();
});

test.each<[unknown, unknown, boolean]>([
  [1, 1, true],
  [Number.NaN, Number.NaN, true],
  [{ a: 1 }, { a: 1 }, true],
  [[1, 2], [1, 2], true],
  [{ a: 1 }, { a: 1, b: undefined }, false],
  [{ a: undefined }, { b: undefined }, false],
  [[], {}, false],
  [{ a: {} }, { a: {} }, false],
  [new Date(1), new Date(2), false],
  [new Map(), new Map(), false],
  [null, {}, false],
])("%j and %j have the same parts: %s", (a, b, same) => {
  expect(isSameParts(a, b)).toBe(same);
});

// @vitest-environment jsdom
import { act } from "react";
import { afterEach, describe, expect, test, vi } from "vitest";
import { useBookStatus, type BookStatus } from "../src/index.js";
import { at, broadcast, id, status } from "./support/books.js";
import { transport, useClient } from "./support/client.js";
import { pass, provided, strict } from "./support/provided.js";
import { render, unmountAll } from "./support/render.js";

useClient();
afterEach(unmountAll);

const completed: Partial<BookStatus> = {
  status: "COMPLETED",
  current_stage: "COMPLETED",
  overall_progress: 100,
  completed_at: at(1),
  health: null,
};
const failed: Partial<BookStatus> = {
  status: "FAILED",
  current_stage: "ANALYZING",
  error: { code: "oom" },
  health: null,
};

const onComplete = vi.fn<(book: BookStatus) => void>();
const onFail = vi.fn<(book: BookStatus) => void>();
const calls = () => [onComplete.mock.calls.length, onFail.mock.calls.length];

function Watched({ bookId = id(1), initial }: { bookId?: string; initial?: BookStatus }) {
  // Inline functions, as in most components.
  useBookStatus(bookId, {
    initial,
    onComplete: (book) => onComplete(book),
    onFail: (book) => onFail(book),
    select: () => null,
  });
  return null;
}

afterEach(() => {
  onComplete.mockReset();
  onFail.mockReset();
});

async function live(first: Partial<BookStatus> = {}) {
  await act(async () => transport.request.answer(status(first)));
  await act(async () => transport.subscription.subscribed());
  await act(async () => transport.request.answer(status(first)));
}

const message = (changes: Partial<BookStatus>) =>
  act(async () => transport.subscription.message(broadcast(changes)));

describe.each([
  ["in StrictMode", strict],
  ["without StrictMode", provided],
])("%s", (_, around) => {
  test("onComplete is called once, with the book", async () => {
    await render(around(<Watched />));
    await live();
    expect(calls()).toEqual([0, 0]);
    await message({ ...completed, revision: 6 });
    expect(calls()).toEqual([1, 0]);
    expect(onComplete.mock.calls[0]?.[0]).toMatchObject({ book_id: id(1), status: "COMPLETED" });
    await message({ ...completed, revision: 7 });
    await message({ ...completed, revision: 6 });
    await act(async () => transport.request.answer(status({ ...completed, revision: 8 })));
    await pass(120_000);
    expect(calls()).toEqual([1, 0]);
  });

  test("onFail is called once for each attempt", async () => {
    await render(around(<Watched />));
    await live();
    await message({ ...failed, revision: 6 });
    await message({ ...failed, revision: 7, message: "more about it" });
    expect(calls()).toEqual([0, 1]);
    await message({ status: "ANALYZING", revision: 8, attempt: 2 });
    expect(calls()).toEqual([0, 1]);
    await message({ ...failed, revision: 9, attempt: 2 });
    expect(calls()).toEqual([0, 2]);
    // Its resume was not seen.
    await message({ ...failed, revision: 11, attempt: 3 });
    expect(calls()).toEqual([0, 3]);
  });

  test("a book that has ended at mount calls nothing until it ends again", async () => {
    await render(around(<Watched />));
    await live(failed);
    expect(calls()).toEqual([0, 0]);
    await message({ status: "ANALYZING", revision: 6, attempt: 2 });
    await message({ ...failed, revision: 7, attempt: 2 });
    expect(calls()).toEqual([0, 1]);
  });

  test("a book that has ended since the server rendered it calls once", async () => {
    await render(around(<Watched initial={status()} />));
    await live({ ...completed, revision: 6 });
    expect(calls()).toEqual([1, 0]);
  });

  test("a book that had ended when the server rendered it calls nothing", async () => {
    const initial = status({ ...completed, revision: 6 });
    await render(around(<Watched initial={initial} />));
    await live({ ...completed, revision: 6 });
    expect(calls()).toEqual([0, 0]);
  });

  test("another book begins anew, and so does the old one when it is back", async () => {
    transport.answers = (target) => status({ ...failed, book_id: String(target) });
    const page = await render(around(<Watched />));
    await page.render(around(<Watched bookId={id(2)} />));
    await page.render(around(<Watched bookId={id(1)} />));
    await pass(100);
    expect(calls()).toEqual([0, 0]);
  });

  test("the same id in another form is the same book", async () => {
    const page = await render(around(<Watched />));
    await live();
    await message({ ...failed, revision: 6 });
    await page.render(around(<Watched bookId={id(1).toUpperCase()} />));
    await message({ ...failed, revision: 7 });
    expect(calls()).toEqual([0, 1]);
  });

  test("a book that is rewound and completes again calls again", async () => {
    await render(around(<Watched />));
    await live();
    await message({ ...completed, revision: 6, attempt: 1 });
    await message({ status: "ANALYZING", revision: 7, attempt: 2, completed_at: null });
    await message({ ...completed, revision: 8, attempt: 2, completed_at: at(9) });
    expect(calls()).toEqual([2, 0]);
  });

  test("a completion after a rewind that was not seen calls again", async () => {
    await render(around(<Watched />));
    await live({ ...completed });
    await message({ ...completed, revision: 9, completed_at: at(9) });
    expect(calls()).toEqual([1, 0]);
  });

  test("nothing is called after the component is gone", async () => {
    const { unmount } = await render(around(<Watched />));
    await live();
    const { subscription } = transport;
    await unmount();
    await act(async () => subscription.message(broadcast({ ...failed, revision: 6 })));
    expect(calls()).toEqual([0, 0]);
  });

  test("the listeners of the latest render are called", async () => {
    const [first, second] = [vi.fn(), vi.fn()];
    function Other({ listener }: { listener: () => void }) {
      useBookStatus(id(1), { onFail: listener });
      return null;
    }
    const page = await render(around(<Other listener={first} />));
    await live();
    await page.render(around(<Other listener={second} />));
    await message({ ...failed, revision: 6 });
    expect([first.mock.calls.length, second.mock.calls.length]).toEqual([0, 1]);
  });
});

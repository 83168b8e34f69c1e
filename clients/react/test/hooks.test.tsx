// @vitest-environment jsdom
import { act, memo, StrictMode } from "react";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  BinderyProvider,
  createBindery,
  useBookStatus,
  useBooks,
  type Bindery,
  type BookRow,
  type BookStatus,
  type BooksFilter,
  type BooksResult,
} from "../src/index.js";
import { at, id, owner, row, status } from "./support/books.js";
import { FakeTransport } from "./support/fake-transport.js";
import { render, unmountAll } from "./support/render.js";
import { world, type World } from "./support/world.js";

let around: World;
let transport: FakeTransport;
let client: Bindery;

beforeEach(() => {
  around = world();
  transport = new FakeTransport();
  client = createBindery(transport, { environment: around });
});

afterEach(async () => {
  await unmountAll();
  await client.close();
  vi.useRealTimers();
});

const pass = (milliseconds: number) => act(() => around.pass(milliseconds));

function Title({
  bookId,
  initial,
  seen,
}: {
  bookId: string | null;
  initial?: BookStatus;
  seen?: (text: string) => void;
}) {
  const { book, loading, connection, stale, error } = useBookStatus(bookId, { initial });
  const text = [
    book?.book_id ?? "-",
    book?.title ?? "-",
    loading,
    connection,
    stale,
    error?.kind ?? "-",
  ].join(" ");
  seen?.(text);
  return <p>{text}</p>;
}

const page = (
  bookId: string | null,
  more: { initial?: BookStatus; seen?: (text: string) => void } = {},
) => (
  <BinderyProvider client={client}>
    <Title bookId={bookId} {...more} />
  </BinderyProvider>
);

describe("useBookStatus", () => {
  test("loads, goes live, shows changes", async () => {
    const { container } = await render(page(id(1)));
    expect(container.textContent).toBe("- - true connecting false -");
    await act(async () => transport.request.answer(status({ title: "One" })));
    expect(container.textContent).toBe(`${id(1)} One false connecting false -`);
    await act(async () => transport.subscription.subscribed());
    await act(async () => transport.subscription.message(row({ title: "Two", revision: 6 })));
    expect(container.textContent).toBe(`${id(1)} Two false live false -`);
    await act(async () => transport.subscription.ended("lost"));
    expect(container.textContent).toContain("reconnecting");
    await pass(15_000);
    expect(container.textContent).toBe(`${id(1)} Two false reconnecting true -`);
  });

  test("never shows the old book under a new id, and aborts its question", async () => {
    const seen: string[] = [];
    const { render: again } = await render(page(id(1), { seen: (text) => seen.push(text) }));
    const first = transport.request;
    await again(page(id(2), { seen: (text) => seen.push(text) }));
    seen.length = 0;
    await pass(2000);
    expect(first.signal.aborted).toBe(true);
    first.answer(status({ book_id: id(1) }));
    await pass(0);
    await act(async () =>
      transport.requests
        .find((request) => request.target === id(2))
        ?.answer(status({ book_id: id(2), title: "Second" })),
    );
    expect(seen.join()).not.toContain(id(1));
    expect(seen.at(-1)).toContain("Second");
  });

  test("a known book is replaced at once when the id changes", async () => {
    transport.answers = (target) =>
      status({ book_id: String(target), title: `Book ${String(target).slice(-1)}` });
    const seen: string[] = [];
    const { render: again, container } = await render(page(id(1)));
    expect(container.textContent).toContain("Book 1");
    await again(page(id(2), { seen: (text) => seen.push(text) }));
    expect(seen.join()).not.toContain("Book 1");
    expect(container.textContent).toContain("Book 2");
  });

  test("unmounting in the middle of a question leaves nothing behind", async () => {
    const { unmount } = await render(page(id(1)));
    await unmount();
    await pass(2000);
    transport.request.answer(status());
    await pass(0);
    expect(transport.request.signal.aborted).toBe(true);
    expect(transport.subscriptions.length).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("unmounting while subscribed leaves nothing behind", async () => {
    transport.answers = () => status();
    const { unmount } = await render(page(id(1)));
    await act(async () => transport.subscription.subscribed());
    await unmount();
    await pass(2000);
    expect(transport.subscription.closed).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("shows what is wrong with an id that is no UUID, and asks nothing", async () => {
    const { container } = await render(page("seven"));
    expect(container.textContent).toBe("- - false closed false invalid");
    expect(transport.requests.length).toBe(0);
  });

  test("shows a book under another form of its id, the server's rendering included", async () => {
    const { container } = await render(
      page(`{${id(1).toUpperCase()}}`, { initial: status({ title: "Rendered" }) }),
    );
    expect(container.textContent).toContain(`${id(1)} Rendered`);
    await act(async () => transport.request.answer(status({ title: "One" })));
    await act(async () => transport.subscription.message(row({ title: "Two", revision: 6 })));
    expect(container.textContent).toContain(`${id(1)} Two`);
  });

  test("asks nothing without an id", async () => {
    const { container, render: again } = await render(page(null));
    expect(container.textContent).toBe("- - false closed false -");
    expect(transport.requests.length).toBe(0);
    await again(page(id(1)));
    expect(transport.requests.length).toBe(1);
    await again(page(null));
    expect(container.textContent).toBe("- - false closed false -");
  });

  test("StrictMode mounts twice, and subscribes once", async () => {
    transport.answers = () => status();
    await render(<StrictMode>{page(id(1))}</StrictMode>);
    await pass(5000);
    expect(transport.subscriptions.length).toBe(1);
    expect(transport.subscription.closed).toBe(false);
  });

  test("the server renders without asking, and the browser takes over without a word of difference", async () => {
    const errors = vi.spyOn(console, "error");
    const html = renderToString(page(id(1), { initial: status({ title: "From the server" }) }));
    expect(html).toContain("From the server");
    expect(transport.requests.length + transport.subscriptions.length).toBe(0);
    expect(renderToString(page(id(1)))).toContain("true connecting");
    const { container } = await render(
      page(id(1), { initial: status({ title: "From the server" }) }),
      html,
    );
    expect(container.textContent).toContain("From the server");
    await act(async () => transport.request.answer(status({ title: "Live" })));
    expect(container.textContent).toContain("Live");
    expect(errors).not.toHaveBeenCalled();
  });

  test("what the server gave for another book is not shown", async () => {
    const { container } = await render(
      page(id(2), { initial: status({ title: "From the server" }) }),
    );
    expect(container.textContent).not.toContain("From the server");
  });

  test("without a provider the error names what is missing", () => {
    expect(() => renderToString(<Title bookId={id(1)} />)).toThrow("BinderyProvider");
  });
});

describe("useBooks", () => {
  const books = (...numbers: number[]) =>
    numbers.map((n) => row({ book_id: id(n), created_at: at(n), title: `Book ${n}` }));
  const drawn: string[] = [];
  const Line = memo(function Line({ book }: { book: BookRow }) {
    drawn.push(String(book.title));
    return (
      <li>
        {book.title} {book.overall_progress}
      </li>
    );
  });
  let result: BooksResult;
  function List({ filter }: { filter: BooksFilter }) {
    result = useBooks(filter);
    return (
      <ul>
        {result.books.map((book) => (
          <Line key={book.book_id} book={book} />
        ))}
      </ul>
    );
  }
  const page = (filter: BooksFilter) => (
    <BinderyProvider client={client}>
      <List filter={filter} />
    </BinderyProvider>
  );

  test("lists, stays live, and redraws only what changed", async () => {
    transport.answers = () => books(3, 2, 1);
    const { container, render: again } = await render(page({ ownerId: owner }));
    await pass(20);
    expect(result).toMatchObject({ total: 3, hasMore: false, loading: false });
    drawn.length = 0;
    await act(async () =>
      transport.subscription.message(
        row({
          book_id: id(2),
          created_at: at(2),
          title: "Book 2",
          revision: 6,
          overall_progress: 55,
        }),
      ),
    );
    await pass(20);
    expect(container.textContent).toContain("Book 2 55");
    expect(drawn).toEqual(["Book 2"]);
    await again(page({ ownerId: owner }));
    expect(transport.requests.length).toBe(1);
  });

  test("another filter is another list, and shows nothing of the old one", async () => {
    transport.answers = () => books(3, 2, 1);
    const { container, render: again } = await render(page({ ownerId: owner }));
    await pass(20);
    transport.answers = null;
    await again(page({ ownerId: owner, status: "FAILED" }));
    expect(container.textContent).toBe("");
    expect(result.loading).toBe(true);
  });

  test("brings more when asked, and refetches", async () => {
    transport.answers = (query) => ({
      rows: books(3, 2, 1).slice(0, (query as { limit: number }).limit),
      total: 3,
    });
    const { container } = await render(page({ ownerId: owner, pageSize: 2 }));
    await pass(20);
    expect(result.hasMore).toBe(true);
    await act(async () => result.loadMore());
    await pass(20);
    expect(container.querySelectorAll("li").length).toBe(3);
    expect(result).toMatchObject({ hasMore: false, loadingMore: false });
    await act(() => result.refetch());
    expect(transport.requests.length).toBe(3);
  });

  test("the server renders an empty list that is loading", () => {
    expect(renderToString(page({}))).toBe("<ul></ul>");
    expect(result).toMatchObject({ loading: true, connection: "connecting", total: null });
  });
});

// @vitest-environment jsdom
// The adapter with the real library.
import {
  dehydrate,
  type DehydratedState,
  hydrate,
  QueryClient,
  QueryClientProvider,
  useInfiniteQuery,
  useQuery,
  useSuspenseQuery,
} from "@tanstack/react-query";
import { act, StrictMode, Suspense, type ReactNode } from "react";
import { afterEach, beforeEach, describe, expect, expectTypeOf, test, vi } from "vitest";
import { createBindery, type BooksFilter, type BookStatus } from "../src/client.js";
import { BinderyError } from "../src/errors.js";
import { binderyQueries, type BinderyQueries } from "../src/tanstack-query/index.js";
import { at, broadcast, id, owner, row, status, substep } from "./support/books.js";
import { around, bindery, transport, useClient } from "./support/client.js";
import { FakeTransport } from "./support/fake-transport.js";
import { event, listed, pageRequests, Server } from "./support/pages.js";
import { pass } from "./support/provided.js";
import { render, unmountAll } from "./support/render.js";

let queryClient: QueryClient;
let queries: BinderyQueries;
let disconnect: () => void;
let server: Server;

useClient();

beforeEach(() => {
  queryClient = new QueryClient({ defaultOptions: { queries: { gcTime: 10_000 } } });
  queries = binderyQueries(bindery);
  disconnect = queries.connect(queryClient);
  server = new Server();
  server.events = [6, 5, 4, 3, 2, 1].map((revision) => event(revision));
  server.substeps = ["a", "b", "c", "d", "e"].map((key) => listed(key));
  server.status = status({ substeps: [...server.substeps], substeps_total: 5 });
  transport.answers = server.answer;
});

afterEach(async () => {
  await unmountAll();
  disconnect();
  queryClient.clear();
});

const page = (node: ReactNode) => (
  <StrictMode>
    <QueryClientProvider client={queryClient}>{node}</QueryClientProvider>
  </StrictMode>
);

async function show(node: ReactNode) {
  const rendered = await render(page(node));
  await pass(50);
  return { ...rendered, render: (next: ReactNode) => rendered.render(page(next)) };
}

async function live() {
  await act(async () => transport.subscription.subscribed());
  await pass(2_000);
}

async function message(payload: unknown) {
  await act(async () => transport.subscription.message(payload));
  await pass(50);
}

const statusRequests = () =>
  transport.requests.filter(({ target }) => typeof target === "string").length;

function Book({ bookId }: { bookId: string | null }) {
  const { data, error, status } = useQuery(queries.book(bookId));
  return (
    <p>
      {status} {data?.title} {data?.overall_progress} {error?.kind}
    </p>
  );
}

describe("a book", () => {
  test("is requested once, and its messages are written into the cache", async () => {
    const { container } = await show(<Book bookId={id(1)} />);
    expect(container.textContent).toBe("success The Salt Clock 8 ");
    expect([statusRequests(), transport.subscriptions.length]).toEqual([1, 1]);
    await live();
    await message(broadcast({ revision: 6, overall_progress: 9 }));
    expect(container.textContent).toBe("success The Salt Clock 9 ");
    expect(queryClient.getQueryData(queries.book(id(1)).queryKey)?.revision).toBe(6);
    expectTypeOf(queryClient.getQueryData(queries.book(id(1)).queryKey)).toEqualTypeOf<
      BookStatus | undefined
    >();
  });

  test("has one query under all forms of its id, and none without an id", async () => {
    const { container } = await show(
      <>
        <Book bookId={id(1)} />
        <Book bookId={`{${id(1).toUpperCase()}}`} />
        <Book bookId={null} />
      </>,
    );
    const shown = [...container.querySelectorAll("p")].map(({ textContent }) => textContent);
    expect(shown).toEqual(["success The Salt Clock 8 ", "success The Salt Clock 8 ", "pending   "]);
    expect(statusRequests()).toBe(1);
  });

  test("is unsubscribed with its last observer, and leaves the cache after its gcTime", async () => {
    const { container, render } = await show(
      <>
        <Book bookId={id(1)} />
        <Book bookId={id(1)} />
      </>,
    );
    await live();
    await render(<Book bookId={id(1)} />);
    await pass(3_000);
    expect(transport.subscription.closed).toBe(false);
    await render(null);
    await pass(3_000);
    expect(transport.subscription.closed).toBe(true);
    expect(queryClient.getQueryData(queries.book(id(1)).queryKey)).toBeDefined();
    const sent = transport.requests.length;
    await pass(20_000);
    expect(transport.requests.length).toBe(sent);
    expect(queryClient.getQueryCache().getAll()).toEqual([]);
    expect(container.textContent).toBe("");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("that is observed again shows its cached data at once and is subscribed again", async () => {
    const { container, render } = await show(<Book bookId={id(1)} />);
    await live();
    await render(null);
    await pass(5_000);
    server.status = status({ revision: 9, overall_progress: 30 });
    await render(<Book bookId={id(1)} />);
    expect(container.textContent).toBe("success The Salt Clock 8 ");
    await pass(50);
    expect(container.textContent).toBe("success The Salt Clock 30 ");
    await live();
    await message(broadcast({ revision: 10, overall_progress: 31 }));
    expect(container.textContent).toBe("success The Salt Clock 31 ");
    expect(transport.subscriptions.length).toBe(2);
  });

  test("that is removed from the cache is unsubscribed", async () => {
    await show(<Book bookId={id(1)} />);
    queryClient.removeQueries({ queryKey: ["bindery"] });
    await pass(3_000);
    expect(transport.subscription.closed).toBe(true);
  });

  test("that is not readable any more is removed from the query, and shown when it is again", async () => {
    const { container } = await show(<Book bookId={id(1)} />);
    await live();
    transport.answers = null;
    await act(async () => transport.subscription.deleted(id(1)));
    await act(async () => transport.request.refuse(new BinderyError("gone", "no such book")));
    await pass(50);
    expect(container.textContent).toBe("error   gone");
    transport.answers = server.answer;
    await pass(2_000);
    expect(container.textContent).toBe("success The Salt Clock 8 ");
  });

  test("that is unknown is an error without a retry by the query", async () => {
    transport.answers = null;
    const { container } = await show(<Book bookId={id(1)} />);
    await act(async () => transport.request.refuse(new BinderyError("gone", "no such book")));
    await pass(50);
    expect(container.textContent).toBe("error   gone");
    expect(statusRequests()).toBe(1);
  });

  test("with an id that is not a UUID is an error without a request", async () => {
    const { container } = await show(<Book bookId="seven" />);
    await pass(50);
    expect(container.textContent).toBe("error   invalid");
    expect(transport.requests.length).toBe(0);
  });

  test("whose server does not answer is shown as soon as it does", async () => {
    transport.answers = null;
    const { container } = await show(<Book bookId={id(1)} />);
    await act(async () => transport.request.refuse());
    await pass(50);
    expect(container.textContent).toBe("pending   ");
    transport.answers = server.answer;
    await pass(1_500);
    expect(container.textContent).toBe("success The Salt Clock 8 ");
  });

  test("is requested again by invalidateQueries", async () => {
    const { container } = await show(<Book bookId={id(1)} />);
    await live();
    server.status = status({ revision: 9, overall_progress: 30 });
    const sent = statusRequests();
    await act(() => queryClient.invalidateQueries({ queryKey: ["bindery", "book"] }));
    await pass(50);
    expect(container.textContent).toBe("success The Salt Clock 30 ");
    expect(statusRequests()).toBe(sent + 1);
  });

  test("is not requested twice when the window is focused", async () => {
    await show(<Book bookId={id(1)} />);
    await live();
    await pass(5_000);
    const sent = statusRequests();
    await act(async () => {
      around.wake();
      document.dispatchEvent(new Event("visibilitychange"));
      window.dispatchEvent(new Event("focus"));
    });
    await pass(1_000);
    expect(statusRequests()).toBe(sent + 1);
  });

  test("is not touched after disconnect, and live again after connect", async () => {
    const { container } = await show(<Book bookId={id(1)} />);
    await live();
    disconnect();
    await pass(3_000);
    expect(transport.subscription.closed).toBe(true);
    server.status = status({ revision: 9, overall_progress: 30 });
    disconnect = queries.connect(queryClient);
    await pass(50);
    expect(container.textContent).toBe("success The Salt Clock 30 ");
    expect(transport.subscriptions.length).toBe(2);
  });
});

describe("on a server", () => {
  test("a prefetched book is one request without a subscription, and a page takes it over", async () => {
    const served = new FakeTransport();
    served.answers = () => status({ title: "From the server" });
    const onServer = binderyQueries(createBindery(served, { environment: around }));
    const serverCache = new QueryClient();
    await serverCache.prefetchQuery(onServer.book(id(1)));
    expect(served.subscriptions.length).toBe(0);
    const html = JSON.parse(JSON.stringify(dehydrate(serverCache))) as unknown;
    serverCache.clear();
    hydrate(queryClient, html as DehydratedState);
    transport.answers = null;
    const { container } = await show(<Book bookId={id(1)} />);
    expect(container.textContent).toBe("success From the server 8 ");
    await act(async () => transport.request.answer(status({ title: "Live", revision: 6 })));
    await pass(50);
    expect(container.textContent).toBe("success Live 8 ");
    expect(statusRequests()).toBe(1);
  });

  test("a suspended component is shown with its data", async () => {
    function Suspended() {
      return <p>{useSuspenseQuery(queries.book(id(1))).data.title}</p>;
    }
    const { container } = await show(
      <Suspense fallback="loading">
        <Suspended />
      </Suspense>,
    );
    expect(container.textContent).toBe("The Salt Clock");
  });
});

describe("a list", () => {
  const rows = (...numbers: number[]) =>
    numbers.map((n) => row({ book_id: id(n), created_at: at(n), title: `Book ${n}` }));

  function List({ filter }: { filter: BooksFilter }) {
    const { data } = useQuery(queries.books(filter));
    return (
      <p>{`${data?.total} ${data?.books.map(({ title, revision }) => title + " " + revision)}`}</p>
    );
  }

  test("is live, and filters with the same meaning are one query", async () => {
    transport.answers = () => rows(3, 2, 1);
    const { container } = await show(
      <>
        <List filter={{ ownerId: owner, status: "A" }} />
        <List filter={{ ownerId: owner.toUpperCase(), status: ["A"], pageSize: 50 }} />
      </>,
    );
    expect(transport.requests.length).toBe(1);
    expect(queryClient.getQueryCache().getAll().length).toBe(1);
    transport.answers = () => rows(3, 2, 1);
    await live();
    const changed = {
      book_id: id(2),
      created_at: at(2),
      title: "Book 2",
      revision: 6,
      status: "A",
    };
    await message(row(changed));
    expect(container.querySelector("p")?.textContent).toBe("3 Book 3 5,Book 2 6,Book 1 5");
    const before = queryClient.getQueryData(
      queries.books({ ownerId: owner, status: "A" }).queryKey,
    );
    await pass(61_000);
    expect(
      queryClient.getQueryData(queries.books({ ownerId: owner, status: "A" }).queryKey)?.books[0],
    ).toBe(before?.books[0]);
  });

  test("that may not be read is an error", async () => {
    transport.answers = null;
    await show(<List filter={{ ownerId: owner }} />);
    await act(async () => transport.request.refuse(new BinderyError("denied", "no")));
    await pass(50);
    const state = queryClient.getQueryState(queries.books({ ownerId: owner }).queryKey);
    expect(state).toMatchObject({ status: "error", error: { kind: "denied" } });
  });
});

describe("a timeline", () => {
  let more: () => Promise<unknown>;
  function Timeline({ limit = 2 }: { limit?: number }) {
    const { data, hasNextPage, fetchNextPage } = useInfiniteQuery(
      queries.timeline(id(1), { limit }),
    );
    more = () => fetchNextPage();
    const pages = data?.pages.map(({ events }) => events.map(({ revision }) => revision).join());
    return <p>{`${pages?.join(" | ")}${hasNextPage ? " …" : ""}`}</p>;
  }

  test("pages backward, and new events appear on the first page", async () => {
    const { container } = await show(<Timeline />);
    expect(container.textContent).toBe("6,5 …");
    await act(more);
    await act(more);
    await pass(50);
    expect(container.textContent).toBe("6,5 | 4,3 | 2,1");
    await live();
    server.events.unshift(event(8));
    await message(broadcast({ revision: 8, attempt: 2 }));
    await pass(2_000);
    expect(container.textContent).toBe("8,6,5 | 4,3 | 2,1");
  });

  test("keeps its pages over a remount, and requests no page twice while live", async () => {
    const { container, render } = await show(<Timeline />);
    await live();
    await act(more);
    await pass(50);
    expect(pageRequests(transport.requests)).toEqual([
      { before: null, limit: 2 },
      { before: 5, limit: 2 },
    ]);
    await render(null);
    await pass(5_000);
    server.events.unshift(event(8));
    server.status = status({ revision: 8, attempt: 2 });
    await render(<Timeline />);
    expect(container.textContent).toBe("6,5 | 4,3 …");
    await pass(3_000);
    expect(container.textContent?.startsWith("8,6")).toBe(true);
    expect(container.textContent?.replaceAll(" | ", ",")).toContain("8,6,5,4");
  });

  test("begins anew where new events do not join the known ones", async () => {
    const { container } = await show(<Timeline />);
    await live();
    server.events.unshift(...[20, 19, 18, 17].map((revision) => event(revision)));
    await message(broadcast({ revision: 20, attempt: 2 }));
    await pass(2_000);
    expect(container.textContent).toBe("20,19 …");
    await act(more);
    await pass(50);
    expect(container.textContent).toBe("20,19 | 18,17 …");
  });
});

describe("substeps", () => {
  let more: () => Promise<unknown>;
  function Substeps({ stage }: { stage?: string }) {
    const { data, hasNextPage, fetchNextPage } = useInfiniteQuery(
      queries.substeps(id(1), { stage, limit: 2 }),
    );
    more = () => fetchNextPage();
    const pages = data?.pages.map(({ substeps }) =>
      substeps.map((one) => `${one.substep}${one.progress}`).join(),
    );
    return <p>{`${pages?.join(" | ")}${hasNextPage ? " …" : ""}`}</p>;
  }

  test("page forward, and changes appear on each page", async () => {
    const { container } = await show(<Substeps />);
    expect(container.textContent).toBe("a0,b0 …");
    await act(more);
    await act(more);
    await pass(50);
    expect(container.textContent).toBe("a0,b0 | c0,d0 | e0");
    await live();
    const counts = { revision: 6, substeps_total: 5 };
    await message(broadcast(counts, [substep("b", 50), substep("d", 7), substep("e", 1)]));
    expect(container.textContent).toBe("a0,b50 | c0,d7 | e1");
  });

  test("of the next stage replace those of the old one", async () => {
    const { container } = await show(<Substeps />);
    await act(more);
    await pass(50);
    server.substeps = ["b", "x", "y"].map((key) => listed(key, 0, { revision: 7 }));
    const next = { status: "GENERATING_SCENES", current_stage: "GENERATING_SCENES", revision: 7 };
    server.status = status({ ...next, substeps: [...server.substeps], substeps_total: 3 });
    await live();
    await pass(2_000);
    expect(container.textContent).toBe("b0,x0 …");
  });
});

// @vitest-environment jsdom
import { act } from "react";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  bookSubsteps,
  useBookTimeline,
  useSubsteps,
  type SubstepsResult,
  type TimelineResult,
} from "../src/index.js";
import { broadcast, id, status, substep } from "./support/books.js";
import { bindery, transport, useClient } from "./support/client.js";
import { event, listed, pageRequests, Server } from "./support/pages.js";
import { pass, provided, strict } from "./support/provided.js";
import { render, unmountAll } from "./support/render.js";

useClient();
afterEach(unmountAll);

let server: Server;
beforeEach(() => {
  server = new Server();
  server.events = [4, 3, 2, 1].map((revision) => event(revision));
  server.substeps = ["a", "b", "c"].map((key) => listed(key));
  server.status = status({ substeps: server.substeps.map((one) => one), substeps_total: 3 });
  transport.answers = server.answer;
});

let timeline: TimelineResult;
function Timeline({ bookId, limit }: { bookId: string | null; limit?: number }) {
  timeline = useBookTimeline(bookId, { limit });
  return <p>{timeline.events.map(({ revision }) => revision).join()}</p>;
}

let substeps: SubstepsResult;
function Substeps({ bookId, stage }: { bookId: string | null; stage?: string }) {
  substeps = useSubsteps(bookId, { stage, limit: 2 });
  return <p>{substeps.substeps.map(({ substep, progress }) => `${substep}${progress}`).join()}</p>;
}

describe("useBookTimeline", () => {
  test("loads, pages and follows new events", async () => {
    const page = await render(strict(<Timeline bookId={id(1)} limit={2} />));
    expect(page.container.textContent).toBe("4,3");
    await act(async () => timeline.loadMore());
    expect(page.container.textContent).toBe("4,3,2,1");
    expect(timeline).toMatchObject({ hasMore: false, loading: false, error: null });
    server.events.unshift(event(6, { to_status: "FAILED" }));
    await act(async () =>
      transport.subscription.message(broadcast({ revision: 6, status: "FAILED" })),
    );
    await pass(2_000);
    expect(page.container.textContent).toBe("6,4,3,2,1");
    await act(() => timeline.refetch());
    expect(pageRequests(transport.requests).length).toBe(4);
  });

  test("shares the requests of the book with other hooks, in StrictMode too", async () => {
    await render(
      strict(
        <>
          <Timeline bookId={id(1)} />
          <Timeline bookId={id(1).toUpperCase()} />
        </>,
      ),
    );
    await pass(2_000);
    expect(transport.requests.map(({ target }) => typeof target)).toEqual(["string", "object"]);
    expect(transport.subscriptions.length).toBe(1);
  });

  test("requests nothing without an id, and ends with its component", async () => {
    const page = await render(provided(<Timeline bookId={null} />));
    expect(timeline).toMatchObject({ events: [], loading: false, connection: "closed" });
    expect(transport.requests.length).toBe(0);
    await page.render(provided(<Timeline bookId={id(1)} />));
    expect(page.container.textContent).toBe("4,3,2,1");
    await page.unmount();
    await pass(3_000);
    expect(vi.getTimerCount()).toBe(0);
    expect(transport.subscription.closed).toBe(true);
  });

  test("never shows the history of the old book under a new id", async () => {
    const page = await render(provided(<Timeline bookId={id(1)} />));
    transport.answers = null;
    await page.render(provided(<Timeline bookId={id(2)} />));
    expect(page.container.textContent).toBe("");
    expect(timeline.loading).toBe(true);
  });

  test("the server renders a list that is loading", () => {
    expect(renderToString(provided(<Timeline bookId={id(1)} />))).toBe("<p></p>");
    expect(timeline).toMatchObject({ loading: true, connection: "connecting" });
    expect(transport.requests.length).toBe(0);
  });
});

describe("useSubsteps", () => {
  test("loads, pages and merges changes", async () => {
    const page = await render(strict(<Substeps bookId={id(1)} />));
    expect(page.container.textContent).toBe("a0,b0");
    await act(async () => substeps.loadMore());
    expect(page.container.textContent).toBe("a0,b0,c0");
    await act(async () => transport.subscription.subscribed());
    const counts = { substeps_total: 3, revision: 6 };
    await act(async () =>
      transport.subscription.message(broadcast(counts, [substep("b", 50), substep("c", 7)])),
    );
    expect(page.container.textContent).toBe("a0,b50,c7");
  });

  test("reads the stage that is given, and another one after a change", async () => {
    const page = await render(provided(<Substeps bookId={id(1)} stage="ANALYZING" />));
    await page.render(provided(<Substeps bookId={id(1)} stage="CREATING_ARTWORK" />));
    expect(pageRequests(transport.requests)).toMatchObject([
      { stage: "ANALYZING" },
      { stage: "CREATING_ARTWORK" },
    ]);
    expect(bookSubsteps(bindery, id(1), { stage: "ANALYZING", limit: 2 }).view().loading).toBe(
      false,
    );
  });

  test("shows what is wrong with an id that is not a UUID", async () => {
    await render(provided(<Substeps bookId="seven" />));
    expect(substeps.error?.kind).toBe("invalid");
  });
});

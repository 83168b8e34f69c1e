import { describe, expect, test } from "vitest";
import { backoff } from "../src/backoff.js";
import { nextConnection, type Connection, type ConnectionEvent } from "../src/connection.js";
import { refusal, unreachable } from "../src/errors.js";
import { isStale, staleFrom } from "../src/stale.js";

describe("the connection", () => {
  const after = (...events: ConnectionEvent[]) =>
    events.reduce<Connection>(nextConnection, "closed");

  test.each<[Connection, ConnectionEvent[]]>([
    ["connecting", ["open"]],
    ["connecting", ["open", "answered"]],
    ["reconnecting", ["open", "unanswered"]],
    ["live", ["open", "subscribed"]],
    ["live", ["open", "subscribed", "unanswered", "answered"]],
    ["reconnecting", ["open", "lost"]],
    ["reconnecting", ["open", "subscribed", "lost"]],
    ["polling", ["open", "subscribed", "lost", "answered"]],
    ["polling", ["open", "lost", "answered", "lost"]],
    ["reconnecting", ["open", "lost", "answered", "unanswered"]],
    ["live", ["open", "lost", "answered", "subscribed"]],
    ["polling", ["open", "unavailable"]],
    ["delayed", ["open", "subscribed", "missed"]],
    ["delayed", ["open", "subscribed", "missed", "answered", "unanswered"]],
    ["live", ["open", "subscribed", "missed", "received"]],
    ["live", ["open", "subscribed", "missed", "subscribed"]],
    ["reconnecting", ["open", "subscribed", "missed", "lost"]],
    ["polling", ["open", "unavailable", "missed", "received"]],
    ["closed", ["open", "subscribed", "close"]],
    ["closed", ["open", "close", "subscribed"]],
    ["connecting", ["open", "close", "open"]],
  ])("is %s after %j", (connection, events) => expect(after(...events)).toBe(connection));

  test("is never live without a subscription, and is closed before it is opened", () => {
    const events: ConnectionEvent[] = [
      "subscribed",
      "lost",
      "unavailable",
      "missed",
      "received",
      "answered",
      "unanswered",
      "close",
      "open",
    ];
    const from: Connection[] = ["connecting", "reconnecting", "polling", "closed"];
    for (const connection of from) {
      for (const event of events) {
        if (event !== "subscribed") expect(nextConnection(connection, event)).not.toBe("live");
        if (connection === "closed" && event !== "open")
          expect(nextConnection(connection, event)).toBe("closed");
      }
    }
  });
});

describe("staleness", () => {
  const patience = { live: 100, otherwise: 10 };

  test("comes later while live, and never where nothing is shown", () => {
    expect(staleFrom("live", 1000, patience)).toBe(1100);
    expect(staleFrom("reconnecting", 1000, patience)).toBe(1010);
    expect(staleFrom("reconnecting", null, patience)).toBeNull();
    expect(isStale("polling", 1000, 1009, patience)).toBe(false);
    expect(isStale("polling", 1000, 1010, patience)).toBe(true);
    expect(isStale("live", 1000, 1010, patience)).toBe(false);
    expect(isStale("polling", null, 99999, patience)).toBe(false);
  });

  test("is assumed after the clock was set back, not after it was trimmed", () => {
    expect(isStale("polling", 1000, 995, patience)).toBe(false);
    expect(isStale("polling", 1000, 900, patience)).toBe(true);
  });
});

test("the wait doubles up to 30 seconds, half of it by chance", () => {
  expect([1, 2, 3, 5, 6, 60].map((failures) => backoff(failures, () => 1))).toEqual([
    1000, 2000, 4000, 16000, 30000, 30000,
  ]);
  expect(backoff(1, () => 0)).toBe(500);
});

describe("errors", () => {
  const body = {
    code: "PT404",
    message: "No such book",
    details: '{"code": "unknown_book"}',
    hint: "Register it.",
  };

  test("have the texts of the database", () => {
    expect(refusal(404, body)).toMatchObject({
      kind: "gone",
      code: "unknown_book",
      message: "No such book",
      hint: "Register it.",
    });
  });

  test.each([
    ["gone", 404, null],
    ["refused", 404, { code: "PGRST202", message: "no function" }],
    ["signed_out", 401, { code: "PGRST301", message: "JWT expired" }],
    ["signed_out", 401, null],
    ["denied", 403, { code: "42501" }],
    ["refused", 400, { code: "22P02", details: "not json" }],
    ["unreachable", 503, "<html>"],
    ["unreachable", 0, { code: "", message: "TypeError: fetch failed" }],
  ])("are %s for HTTP %i with %j", (kind, status, body) =>
    expect(refusal(status, body).kind).toBe(kind),
  );

  test("keep their cause", () => {
    const cause = new TypeError("fetch failed");
    expect(unreachable(cause)).toMatchObject({
      kind: "unreachable",
      message: "fetch failed",
      cause,
    });
    expect(unreachable("text").message).toBe("text");
    const known = refusal(403, null);
    expect(unreachable(known)).toBe(known);
  });
});

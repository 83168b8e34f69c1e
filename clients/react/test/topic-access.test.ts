import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { TopicAccess, type Outcome } from "../src/transports/topic-access.js";

let access: TopicAccess;
let joins: string[];
const ends = new Map<string, (outcome: Outcome) => void>();
const join = (owner: string | null, name: string) =>
  access.join(owner, () => {
    joins.push(name);
    return new Promise((resolve) => ends.set(name, resolve));
  });
const end = async (name: string, outcome: Outcome) => {
  ends.get(name)?.(outcome);
  await vi.advanceTimersByTimeAsync(0);
};

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000 });
  access = new TopicAccess();
  joins = [];
});

afterEach(() => {
  vi.useRealTimers();
});

test("of an owner's topics one is tried, and the others follow when it is admitted", async () => {
  const joined = ["a", "b", "c"].map((name) => join("owner", name));
  void join("another", "d");
  await vi.advanceTimersByTimeAsync(0);
  expect(joins).toEqual(["a", "d"]);
  await end("a", "granted");
  expect(joins).toEqual(["a", "d", "b", "c"]);
  await end("b", "unknown");
  await end("c", "granted");
  expect(await Promise.all(joined)).toEqual([true, true, true]);
});

test("after a refusal no other topic of that owner is tried, for a time that doubles up to five minutes", async () => {
  const shut = [];
  for (let round = 0; round < 7; round++) {
    const [first, second] = [join("owner", `first ${round}`), join("owner", `second ${round}`)];
    await end(`first ${round}`, "refused");
    expect([await first, await second]).toEqual([true, false]);
    const from = Date.now();
    while (!(await Promise.race([join("owner", "probe"), Promise.resolve("joined")])))
      vi.setSystemTime(Date.now() + 1_000);
    shut.push((Date.now() - from) / 1_000);
    await end("probe", "unknown");
  }
  expect(shut).toEqual([15, 30, 60, 120, 240, 300, 300]);
});

test("a join that fails lets the next one try, and its error is its caller's", async () => {
  const first = access.join("owner", () => Promise.reject(new Error("no token")));
  const second = join("owner", "second");
  await expect(first).rejects.toThrow("no token");
  await end("second", "granted");
  expect(await second).toBe(true);
});

test("a join without an outcome lets the next one try", async () => {
  const joined = ["a", "b", "c"].map((name) => join(null, name));
  await end("a", "unknown");
  expect(joins).toEqual(["a", "b"]);
  await end("b", "refused");
  expect(joins).toEqual(["a", "b"]);
  expect(await Promise.all(joined)).toEqual([true, true, false]);
});

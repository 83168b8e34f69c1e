import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Doors, type Outcome } from "../src/transports/doors.js";

let doors: Doors;
let joins: string[];
const ends = new Map<string, (outcome: Outcome) => void>();
const enter = (owner: string | null, name: string) =>
  doors.enter(owner, () => {
    joins.push(name);
    return new Promise((resolve) => ends.set(name, resolve));
  });
const end = async (name: string, outcome: Outcome) => {
  ends.get(name)?.(outcome);
  await vi.advanceTimersByTimeAsync(0);
};

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000 });
  doors = new Doors();
  joins = [];
});

afterEach(() => {
  vi.useRealTimers();
});

test("of an owner's topics one is tried, and the others follow when it is admitted", async () => {
  const entered = ["a", "b", "c"].map((name) => enter("owner", name));
  void enter("another", "d");
  await vi.advanceTimersByTimeAsync(0);
  expect(joins).toEqual(["a", "d"]);
  await end("a", "admitted");
  expect(joins).toEqual(["a", "d", "b", "c"]);
  await end("b", "unknown");
  await end("c", "admitted");
  expect(await Promise.all(entered)).toEqual([true, true, true]);
});

test("after a refusal no other topic of that owner is tried, for a time that doubles up to five minutes", async () => {
  const shut = [];
  for (let round = 0; round < 7; round++) {
    const [first, second] = [enter("owner", `first ${round}`), enter("owner", `second ${round}`)];
    await end(`first ${round}`, "refused");
    expect([await first, await second]).toEqual([true, false]);
    const from = Date.now();
    while (!(await Promise.race([enter("owner", "probe"), Promise.resolve("joined")])))
      vi.setSystemTime(Date.now() + 1_000);
    shut.push((Date.now() - from) / 1_000);
    await end("probe", "unknown");
  }
  expect(shut).toEqual([15, 30, 60, 120, 240, 300, 300]);
});

test("a join that fails lets the next one try, and its error is its caller's", async () => {
  const first = doors.enter("owner", () => Promise.reject(new Error("no token")));
  const second = enter("owner", "second");
  await expect(first).rejects.toThrow("no token");
  await end("second", "admitted");
  expect(await second).toBe(true);
});

test("a join without an outcome lets the next one try", async () => {
  const entered = ["a", "b", "c"].map((name) => enter(null, name));
  await end("a", "unknown");
  expect(joins).toEqual(["a", "b"]);
  await end("b", "refused");
  expect(joins).toEqual(["a", "b"]);
  expect(await Promise.all(entered)).toEqual([true, true, false]);
});

import { describe, expect, test } from "vitest";
import { bookUuid } from "../src/ids.js";
import { encoded, key, planned, text } from "../src/values.js";

describe("ids", () => {
  test("a text becomes the same uuid as in the Python package", () => {
    expect(bookUuid("moby-dick")).toBe("dc03f7b3-eeb7-5503-ac65-01820c8449c3");
    expect(bookUuid("Ünï")).toBe("6b0330d3-a40a-5c5b-96d4-cc19cbe80ddc");
  });

  test("a uuid in any form stays itself", () => {
    const id = "6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b";
    for (const form of [id, id.toUpperCase(), `{${id}}`, id.replaceAll("-", "")])
      expect(bookUuid(form)).toBe(id);
  });

  test("an empty id is refused", () => {
    expect(() => bookUuid("")).toThrow(RangeError);
  });
});

describe("texts", () => {
  test("escape sequences, control characters and direction overrides are removed", () => {
    expect(text("\u001b[31mred\u001b[0m\u0000 \u202eon\ta\nline\u001b]0;t\u0007", 100)).toBe(
      "red on\ta\nline",
    );
  });

  test("half of a surrogate pair becomes U+FFFD, a whole pair stays", () => {
    expect(text("a\ud83db \u{1f600}", 100)).toBe("a\ufffdb \u{1f600}");
  });

  test("a text is cut by characters, not by halves of them", () => {
    expect(text("\u{1f600}".repeat(5), 5)).toBe("\u{1f600}".repeat(5));
    expect(text("\u{1f600}".repeat(6), 5)).toBe("\u{1f600}".repeat(4) + "…");
  });
});

describe("JSON", () => {
  test("NaN becomes null, and NUL is removed from texts and keys", () => {
    expect(encoded({ "a\0": [Number.NaN, "x\0y"] })).toBe('{"a":[null,"xy"]}');
  });

  test("what is not JSON, too deep or too large is refused", () => {
    expect(() => encoded(undefined)).toThrow(TypeError);
    expect(() => encoded(10n)).toThrow(TypeError);
    let deep: unknown = 1;
    for (let level = 0; level < 65; level += 1) deep = [deep];
    expect(() => encoded(deep)).toThrow("deeper than 64 levels");
    expect(() => encoded("é".repeat(33_000))).toThrow("64 KiB");
    expect(encoded("e".repeat(65_534))).toHaveLength(65_536);
  });
});

test("the key of a substep is lower snake case of up to 63 characters", () => {
  expect(key("page_1")).toBe("page_1");
  for (const wrong of ["Page", "1st", "a-b", "", "a b", "a".repeat(64), "ä"])
    expect(() => key(wrong)).toThrow(RangeError);
});

test("a plan goes out in parts of 500 substeps, and weights are checked", () => {
  const names = Array.from({ length: 501 }, (_, place) => `page_${place}`);
  expect(planned(names).map((part) => (JSON.parse(part) as unknown[]).length)).toEqual([500, 1]);
  expect(planned({ a: 2.5 })).toEqual(['[{"substep":"a","weight":2.5}]']);
  for (const weight of [0, -1, 1e10, Number.NaN]) expect(() => planned({ a: weight })).toThrow();
  const many = Array.from({ length: 10_001 }, (_, place) => `p${place}`);
  expect(() => planned(many)).toThrow("at most 10000");
});

// Texts, numbers and plurals of the views, in English and in German.
import { describe, expect, test } from "vitest";
import { amount, duration, english, englishPlural, labelsFrom } from "../src/view/index.js";

describe("in English", () => {
  test.each([
    [0.1 + 0.2, 1, "story", "0.3 of 1 story"],
    [1, 12345, "story", "1 of 12,345 stories"],
    [3, 12, "batch", "3 of 12 batches"],
    [3, 12, "audio file", "3 of 12 audio files"],
    [3, 12, "", "3 of 12"],
    [3, undefined, "page", "3 pages"],
    [1, undefined, "page", "1 page"],
    [0.5, undefined, "page", "0.5 pages"],
    [1, 4, "constructor", "1 of 4 constructors"],
    [1, 4, "test constructor", "1 of 4 test constructors"],
    [1, 4, "__proto__", "1 of 4 __proto__"],
  ])("%d of %s in %j is written as %j", (done, total, unit, text) => {
    expect(amount(done, total, unit, english)).toBe(text);
  });

  test.each([
    ["page", "pages"],
    ["Page", "Pages"],
    ["batch", "batches"],
    ["box", "boxes"],
    ["class", "classes"],
    ["brush", "brushes"],
    ["day", "days"],
    ["story", "stories"],
    ["epoch", "epochs"],
    ["status", "statuses"],
    ["analysis", "analyses"],
    ["axis", "axes"],
    ["index", "indices"],
    ["vertex", "vertices"],
    ["person", "people"],
    ["test person", "test people"],
    ["half", "halves"],
    ["proof", "proofs"],
    ["video", "videos"],
    ["quiz", "quizzes"],
    ["lens", "lenses"],
    ["series", "series"],
    ["data", "data"],
    ["pages", "pages"],
    ["people", "people"],
    ["MB", "MB"],
    ["GiB", "GiB"],
    ["ms", "ms"],
    ["min", "min"],
    ["%", "%"],
  ])("the plural of %j is %j", (one, other) => {
    expect(englishPlural(one)).toBe(other);
  });

  test.each([
    [-5, "0 s"],
    [1_000, "1 s"],
    [59_000, "59 s"],
    [60_000, "1 min"],
    [3_900_000, "1 h 5 min"],
    [7_200_000, "2 h"],
    [23_000_000, "6 h"],
    [100_000_000, "1 day"],
    [200_000_000, "2 days"],
  ])("%d ms is written as %j", (milliseconds, text) => {
    expect(duration(milliseconds, english)).toBe(text);
  });
});

describe("in another language", () => {
  const german = labelsFrom({
    locale: "de",
    units: { page: { one: "Seite", other: "Seiten" } },
    time: { day: { one: "Tag", other: "Tage" } },
    amount: (done, total, unit) => [total === null ? done : `${done} von ${total}`, unit].join(" "),
  });

  test("numbers and plurals follow the locale", () => {
    expect(amount(0.5, 12345, "page", german)).toBe("0,5 von 12.345 Seiten");
    expect(amount(1, 1, "page", german)).toBe("1 von 1 Seite");
    expect(duration(200_000_000, german)).toBe("2 Tage");
  });

  test("a unit without forms is written as the producer gave it", () => {
    expect(amount(3, 12, "batch", german)).toBe("3 von 12 batch");
  });

  test("a locale with more than two forms chooses among them", () => {
    const page = { one: "strona", few: "strony", many: "stron", other: "strony" };
    const polish = labelsFrom({ locale: "pl", units: { page } });
    const words = [1, 2, 5, 22, 0.5].map((count) => amount(count, undefined, "page", polish));
    expect(words).toEqual(["1 strona", "2 strony", "5 stron", "22 strony", "0,5 strony"]);
  });

  test("a table of labels is completed, not replaced", () => {
    expect(labelsFrom({ connection: { live: "Verbunden" } }).connection).toEqual({
      ...english.connection,
      live: "Verbunden",
    });
  });
});

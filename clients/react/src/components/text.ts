// Texts and numbers for people. An empty text counts as none.

/** The text; null if it is empty or blank. */
export function present(text: unknown): string | null {
  return typeof text === "string" && text.trim() !== "" ? text : null;
}

const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 3 });
const rules = new Intl.PluralRules("en");

/** 12345 -> "12,345", 0.1 + 0.2 -> "0.3" */
export const number = (value: number): string => plain.format(value);

/**
 * The plural of a producer's unit: "page" -> "pages", "batch" -> "batches", "story" -> "stories".
 */
export function plural(unit: string, count: number): string {
  if (rules.select(count) === "one") return unit;
  // A plural already, or a symbol such as "MB", "%" or "s".
  if (/[^s]s$/.test(unit) || !/(^|[ _-])[a-z]{3,}$/.test(unit)) return unit;
  if (/[^aeiou]y$/.test(unit)) return `${unit.slice(0, -1)}ies`;
  return /(s|x|z|ch|sh)$/.test(unit) ? `${unit}es` : `${unit}s`;
}

type TimeUnit = "second" | "minute" | "hour" | "day";

const spans = Object.fromEntries(
  ["second", "minute", "hour", "day"].map((unit) => [
    unit,
    new Intl.NumberFormat("en", { style: "unit", unit, unitDisplay: "long" }),
  ]),
) as Record<TimeUnit, Intl.NumberFormat>;

/** "45 seconds", "1 hour 5 minutes", "3 days": coarser the longer it is. */
export function duration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 60) return spans.second.format(seconds);
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return spans.minute.format(minutes);
  const hours = Math.floor(minutes / 60);
  const rest = minutes % 60;
  if (hours >= 24) return spans.day.format(Math.round(hours / 24));
  const whole = spans.hour.format(hours);
  return rest === 0 || hours > 5 ? whole : `${whole} ${spans.minute.format(rest)}`;
}

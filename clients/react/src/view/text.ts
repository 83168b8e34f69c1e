// Texts and numbers for people. An empty text counts as none.
import type { Labels } from "./labels.js";
import { englishPlural, formFor, type PluralForms } from "./plural.js";

/** The text; null if it is empty or blank. */
export function present(text: unknown): string | null {
  return typeof text === "string" && text.trim() !== "" ? text : null;
}

const formats = new Map<string, Intl.NumberFormat>();

/** 12345 -> "12,345", 0.1 + 0.2 -> "0.3"; in the locale of the labels. */
export function number(value: number, { locale }: Pick<Labels, "locale">): string {
  const format = formats.get(locale) ?? new Intl.NumberFormat(locale, { maximumFractionDigits: 3 });
  formats.set(locale, format);
  return format.format(value);
}

/** A unit after a count: from `labels.units`, or by the rules of English, or as it is. */
export function unit(name: string, count: number, { locale, units }: Labels): string {
  // A unit may be called "constructor".
  const forms = Object.hasOwn(units, name) ? units[name] : undefined;
  if (forms !== undefined) return formFor(forms, count, locale);
  if (!/^en\b/i.test(locale)) return name;
  return formFor({ one: name, other: englishPlural(name) }, count, locale);
}

/** "48 of 120 pages", "3 pages". */
export function amount(
  done: number,
  total: number | undefined,
  name: string | undefined,
  labels: Labels,
): string {
  const known = present(name);
  return labels.amount(
    number(done, labels),
    total === undefined ? null : number(total, labels),
    known === null ? null : unit(known, total ?? done, labels),
  );
}

/** "45 s", "4 min", "1 h 5 min", "3 days": coarser the longer it is. */
export function duration(milliseconds: number, labels: Labels): string {
  const one = (count: number, forms: PluralForms) =>
    `${number(count, labels)} ${formFor(forms, count, labels.locale)}`;
  const { second, minute, hour, day } = labels.time;
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return one(seconds, second);
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return one(minutes, minute);
  const hours = Math.floor(minutes / 60);
  const rest = minutes % 60;
  if (hours >= 24) return one(Math.round(hours / 24), day);
  return rest === 0 || hours > 5 ? one(hours, hour) : `${one(hours, hour)} ${one(rest, minute)}`;
}

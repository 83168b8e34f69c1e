// Times, durations and numbers as texts.

const number = new Intl.NumberFormat("en");
const decimal = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const dateTime = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium" });
const plurals = new Intl.PluralRules("en");

export const count = (value: number): string => number.format(value);

/** `3 events`, `1 event`. */
export const counted = (value: number, one: string, many = `${one}s`): string =>
  `${count(value)} ${plurals.select(value) === "one" ? one : many}`;

/** A duration with its unit: `19 s`, `4 min`, `3 h`, `2 days`. */
export function duration(seconds: number): string {
  const s = Math.max(0, seconds);
  if (s < 10) return `${decimal.format(s)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  if (s < 172_800) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86_400)} days`;
}

/** How long ago a time was, or how long until it. */
export function fromNow(iso: string, now = Date.now()): string {
  const seconds = (now - Date.parse(iso)) / 1000;
  return seconds >= 0 ? `${duration(seconds)} ago` : `in ${duration(-seconds)}`;
}

/** A time in full, in the reader's time zone. */
export const fullTime = (iso: string): string => dateTime.format(new Date(iso));

/** Events a second. */
export const rate = (perSecond: number): string =>
  `${perSecond >= 10 ? count(Math.round(perSecond)) : decimal.format(perSecond)} events/s`;

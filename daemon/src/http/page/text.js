// Words and numbers as people read them.

const number = new Intl.NumberFormat('en', { maximumFractionDigits: 3 });
const rules = new Intl.PluralRules('en');
const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** 12.345 -> "12.3"; never "100.0" before the end. */
export function percent(value) {
  return value >= 100 ? '100' : (Math.floor(value * 10) / 10).toFixed(1);
}

/** 12345 -> "12,345", 0.1 + 0.2 -> "0.3" */
export const count = (value) => number.format(value);

/** The first text that has something to read in it, or null. */
export const firstText = (...texts) => texts.find((text) => typeof text === 'string' && text.trim() !== '') ?? null;

/** What is counted, a producer's own word: "page" -> "pages", "batch" -> "batches", "story" -> "stories". */
export function plural(unit, value) {
  if (rules.select(value) === 'one') return unit;
  // A plural already, or a symbol such as "MB", "%" or "s".
  if (/[^s]s$/.test(unit) || !/(^|[ _-])[a-z]{3,}$/.test(unit)) return unit;
  if (/[^aeiou]y$/.test(unit)) return `${unit.slice(0, -1)}ies`;
  return /(s|x|z|ch|sh)$/.test(unit) ? `${unit}es` : `${unit}s`;
}

/** How far a substep is: what was counted, where something was. */
export function amount({ done, total, unit, progress }) {
  if (!total) return `${percent(progress)} %`;
  const counted = `${count(done ?? 0)} of ${count(total)}`;
  return firstText(unit) ? `${counted} ${plural(unit, total)}` : counted;
}

/** CREATING_ARTWORK -> "Creating artwork" */
export function label(name) {
  const words = String(name ?? '').replaceAll('_', ' ').toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** What a book's status is called: as its pipeline calls it. */
export function statusLabel(book) {
  return stageLabel(book, book.status);
}

/** What a stage is called: as the book's pipeline calls it. */
export function stageLabel(book, name) {
  return firstText(book.stages?.find((stage) => stage.name === name)?.label) ?? label(name);
}

export const at = (time) => dateTime.format(new Date(time));

/** A span in words: "a moment", "4 min", "2 h 5 min", "3 days". */
export function span(milliseconds) {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 10) return 'a moment';
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.round(hours / 24)} days`;
}

export const ago = (time, now = Date.now()) => `${span(Math.max(0, now - Date.parse(time)))} ago`;

/** When a book is expected to be complete, or null. */
export function estimate(book, now = Date.now()) {
  if (!book.estimated_completion_at || phaseOf(book) !== 'working') return null;
  const left = Date.parse(book.estimated_completion_at) - now;
  return left > 0 ? `about ${span(left)} left` : 'any moment now';
}

/** As the API sorts books into phases. */
export function phaseOf(book) {
  if (book.completed_at) return 'completed';
  if (book.status === 'FAILED') return 'failed';
  return book.status === 'CANCELLED' ? 'cancelled' : 'working';
}

export const PHASES = [
  { name: 'failed', label: 'Failed', sign: '✕' },
  { name: 'working', label: 'At work', sign: '●' },
  { name: 'completed', label: 'Complete', sign: '✓' },
  { name: 'cancelled', label: 'Cancelled', sign: '–' },
];

export const titleOf = (book) => firstText(book.title) ?? `Untitled (${book.book_id.slice(0, 8)})`;

/** Why a book failed, in a sentence. */
export function failure(book) {
  const error = book.error ?? {};
  return firstText(error.message, book.message) ?? (error.code ? label(error.code) : 'No reason was given.');
}

// Words and numbers as people read them.

const number = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** 12.345 -> "12.3"; never "100.0" before the end. */
export function percent(value) {
  return value >= 100 ? '100' : (Math.floor(value * 10) / 10).toFixed(1);
}

export const count = (value) => number.format(value);

/** CREATING_ARTWORK -> "Creating artwork" */
export function label(name) {
  const words = String(name ?? '').replaceAll('_', ' ').toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** What a book's status is called: as its pipeline calls it. */
export function statusLabel(book) {
  return book.stages?.find((stage) => stage.name === book.status)?.label ?? label(book.status);
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

export const titleOf = (book) => book.title || `Untitled (${book.book_id.slice(0, 8)})`;

/** Why a book failed, in a sentence. */
export function failure(book) {
  const error = book.error ?? {};
  return error.message ?? book.message ?? (error.code ? label(error.code) : 'No reason was given.');
}

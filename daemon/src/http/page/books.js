// The books that are shown: which, in what order, and each at its newest revision.
import { get } from './api.js';
import { complete, follow } from './substeps.js';
import { phaseOf, titleOf } from './text.js';

const PAGE = 50;

/** Failed ones first, then the newest: as the API sorts them. */
function compare(a, b) {
  const failed = (b.status === 'FAILED') - (a.status === 'FAILED');
  if (failed) return failed;
  if (a.created_at !== b.created_at) return Date.parse(b.created_at) - Date.parse(a.created_at) || (a.created_at < b.created_at ? 1 : -1);
  return a.book_id < b.book_id ? 1 : -1;
}

export class Books {
  /** @param {() => void} changed called when the list has to be drawn anew */
  constructor(changed) {
    this.changed = changed;
    this.known = new Map();
    this.query = { q: '', phase: '' };
    this.next = null;
    this.counts = {};
    this.loading = null;
  }

  /** Whether a book belongs to what is asked for. */
  fits(book) {
    const { q, phase } = this.query;
    if (phase && phaseOf(book) !== phase) return false;
    const sought = q.trim().toLowerCase();
    return !sought || titleOf(book).toLowerCase().includes(sought) || book.book_id.startsWith(sought);
  }

  sorted() {
    return [...this.known.values()].sort(compare);
  }

  /** Reads the list anew: at the start, when something else is asked for, and after each (re)connection. */
  async load(pages = 1) {
    this.loading?.abort();
    const loading = new AbortController();
    this.loading = loading;
    const found = new Map();
    const before = this.known;
    this.known = new Map(before);
    let after = null;
    let counts = this.counts;
    for (let page = 0; page < pages; page += 1) {
      const answer = await this.ask(after, loading.signal, page === 0);
      for (const book of answer.books) found.set(book.book_id, follow(null, book));
      counts = answer.counts ?? counts;
      after = answer.next;
      if (!after) break;
    }
    // What came by the stream meanwhile may be newer than what was read: books gone, changed and born.
    for (const id of before.keys()) if (!this.known.has(id)) found.delete(id);
    const last = after ? [...found.values()].sort(compare).at(-1) : null;
    for (const [id, book] of this.known) {
      const read = found.get(id);
      const born = !read && before.get(id) !== book && this.fits(book) && !(last && compare(last, book) < 0);
      if (born) found.set(id, book);
      else if (read && book.revision > read.revision) found.set(id, complete(book, read));
    }
    this.known = found;
    this.next = after;
    this.counts = counts;
    this.changed();
  }

  async more() {
    const answer = await this.ask(this.next, this.loading?.signal, false);
    for (const book of answer.books) this.take(book, true);
    this.next = answer.next;
    this.changed();
  }

  ask(after, signal, counts) {
    const query = new URLSearchParams({ limit: PAGE, failed_first: true });
    for (const [name, value] of Object.entries(this.query)) if (value) query.set(name, value);
    if (after) query.set('after', after);
    if (counts) query.set('counts', true);
    return get(`/api/books?${query}`, signal);
  }

  /** The numbers beside the filters, which the stream does not carry. */
  async recount() {
    const query = new URLSearchParams({ limit: 1, counts: true, ...(this.query.q && { q: this.query.q }) });
    this.counts = (await get(`/api/books?${query}`)).counts;
    this.changed();
  }

  /** A status, from the stream or an answer. Returns what was known before, and the book as it is known now. */
  take(status, paged = false) {
    const before = this.known.get(status.book_id);
    const newer = !before || before.revision <= status.revision;
    const book = newer ? follow(before, status) : complete(before, status);
    const last = !paged && this.next && !before ? this.sorted().at(-1) : null;
    // A book further down than what is shown comes with its page.
    const here = this.fits(book) && !(last && compare(last, book) < 0);
    if (here) this.known.set(book.book_id, book);
    else this.known.delete(book.book_id);
    return { before, book, here };
  }

  drop(id) {
    this.known.delete(id);
  }
}

// One book in full: its stages, all its substeps, what happened to it, and what an operator may do.
import { get, post } from './api.js';
import { badge, bar, make, stages, substeps, write } from './cards.js';
import { complete, follow, isLacking } from './substeps.js';
import { ago, at, estimate, failure, firstText, label, percent, phaseOf, stageLabel, titleOf } from './text.js';

const KINDS = {
  register: { sign: '+', words: 'Registered' },
  transition: { sign: '→', words: 'Went on' },
  fail: { sign: '✕', words: 'Failed' },
  resume: { sign: '↻', words: 'Resumed' },
  rewind: { sign: '↶', words: 'Taken back' },
  cancel: { sign: '–', words: 'Cancelled' },
  complete: { sign: '✓', words: 'Completed' },
};

export class Detail {
  /** @param {HTMLDialogElement} dialog @param {object} acts mayAct(), acted(book), closed() */
  constructor(dialog, acts) {
    this.dialog = dialog;
    this.acts = acts;
    this.book = null;
    dialog.addEventListener('close', () => {
      this.book = null;
      acts.closed();
    });
    // A click beside the sheet closes it.
    dialog.addEventListener('click', (event) => {
      if (event.target === dialog) dialog.close();
    });
  }

  open(status) {
    const book = isLacking(status) ? status : follow(null, status);
    this.book = book;
    this.build();
    this.show(book);
    this.read();
    if (!this.dialog.open) this.dialog.showModal();
  }

  build() {
    this.title = make('h2', { id: 'detail-title' });
    this.status = badge();
    this.value = make('span', { class: 'value', 'aria-hidden': 'true' });
    this.whole = bar('whole');
    this.row = stages();
    this.steps = substeps();
    this.facts = make('dl', { class: 'facts' });
    this.failure = make('p', { class: 'failure' });
    this.problem = make('p', { class: 'problem', role: 'alert' });
    this.buttons = make('div', { class: 'acts' });
    this.events = make('ol', { class: 'timeline' });
    this.older = make('button', { type: 'button', hidden: true, onclick: () => this.read(this.next) }, 'Earlier');
    this.sheet = make('div', { class: 'sheet' },
      make('button', { type: 'button', class: 'quiet icon close', 'aria-label': 'Close', onclick: () => this.dialog.close() }, '✕'),
      make('div', { class: 'head' }, this.title, this.status.root, this.value),
      this.whole.root, this.row.root, this.failure, this.steps.root, this.facts, this.buttons, this.problem,
      make('h3', { text: 'What happened' }), this.events, make('p', { class: 'more' }, this.older));
    this.dialog.replaceChildren(this.sheet);
    this.drawn = null;
  }

  /** A status of any book. Returns the book that is open, if it is that one. */
  take(status) {
    if (this.book?.book_id !== status.book_id) return null;
    this.show(this.book.revision <= status.revision ? follow(this.book, status) : complete(this.book, status));
    return this.book;
  }

  show(book) {
    this.book = book;
    write(this.title, titleOf(book));
    this.status.show(book);
    this.sheet.dataset.phase = phaseOf(book);
    write(this.value, `${percent(book.overall_progress)} %`);
    this.whole.show(book.overall_progress, 'Progress of the whole book', `${percent(book.overall_progress)} percent`);
    this.row.show(book);
    this.steps.show(book);
    this.failure.hidden = book.status !== 'FAILED';
    if (book.status === 'FAILED') write(this.failure, failure(book));
    const facts = [
      ['Stage', `${this.stageLabel(book.current_stage)}, ${percent(book.stage_progress)} %`],
      ['Attempt', String(book.attempt)],
      book.health && ['Health', book.health],
      estimate(book) && ['Estimate', estimate(book)],
      ['Registered', at(book.created_at)],
      book.completed_at && ['Completed', at(book.completed_at)],
      ['Pipeline', `${book.pipeline}, version ${book.pipeline_version}`],
      ['Id', book.book_id],
    ].filter(Boolean);
    const text = JSON.stringify(facts);
    if (this.factsShown !== text || !this.facts.hasChildNodes()) {
      this.factsShown = text;
      this.facts.replaceChildren(...facts.flatMap(([name, value]) => [make('dt', { text: name }), make('dd', { text: value })]));
    }
    const state = `${book.status} ${book.attempt}`;
    if (this.drawn !== null && this.drawn !== state) this.read();
    if (this.drawn !== state) this.drawButtons();
    this.drawn = state;
  }

  drawButtons() {
    const book = this.book;
    this.buttons.replaceChildren();
    if (!this.acts.mayAct() || ['completed', 'cancelled'].includes(phaseOf(book))) return;
    if (book.status === 'FAILED') this.button('Resume', 'primary', () => this.act('resume', {}));
    const here = book.stages.findIndex((stage) => stage.name === book.current_stage);
    const back = book.stages.slice(0, book.status === 'FAILED' ? here + 1 : here);
    if (back.length) {
      const choice = make('select', { 'aria-label': 'Stage to go back to' },
        ...back.map((stage) => make('option', { value: stage.name, text: this.stageLabel(stage.name) })));
      choice.value = back.at(-1).name;
      this.buttons.append(make('span', { class: 'rewind' }, choice,
        make('button', { type: 'button', onclick: () => this.act('rewind', { to_stage: choice.value }) }, 'Go back there')));
    }
    const cancel = this.button('Cancel the book', 'danger', () => {
      if (cancel.dataset.sure) return void this.act('cancel', {});
      cancel.dataset.sure = 'yes';
      write(cancel, 'Really? It is for good');
      return undefined;
    });
  }

  button(words, kind, act) {
    const button = make('button', { type: 'button', class: kind, onclick: act }, words);
    this.buttons.append(button);
    return button;
  }

  async act(name, body) {
    const { book_id: id, revision } = this.book;
    write(this.problem, '');
    try {
      // An act is meant for what is on the screen, unless progress alone has moved it on.
      this.acts.acted(await post(`/api/books/${id}/${name}`, body));
    } catch (error) {
      write(this.problem, [error.message, error.hint].filter(Boolean).join(' '));
      if (this.book?.revision === revision) this.drawButtons();
    }
  }

  /** Reads the history: the latest, or what is before a revision. */
  async read(before) {
    const id = this.book.book_id;
    try {
      const answer = await get(`/api/books/${id}/timeline?limit=50${before ? `&before=${before}` : ''}`);
      if (this.book?.book_id !== id) return;
      const items = answer.events.map((event) => this.item(event));
      if (before) this.events.append(...items);
      else this.events.replaceChildren(...items);
      this.next = answer.next;
      this.older.hidden = !answer.next;
    } catch (error) {
      if (this.book?.book_id === id) write(this.problem, error.message);
    }
  }

  item(event) {
    const kind = KINDS[event.kind] ?? { sign: '·', words: label(event.kind) };
    const said = firstText(event.message, event.data?.message) ?? (event.data?.code ? label(event.data.code) : null);
    const words = event.kind === 'transition' || event.kind === 'resume' || event.kind === 'rewind'
      ? `${kind.words} to ${this.stageLabel(event.to_status)}` : kind.words;
    return make('li', { 'data-kind': event.kind },
      make('span', { class: 'sign', 'aria-hidden': 'true', text: kind.sign }),
      make('div', {},
        make('p', { class: 'what' }, words, event.attempt > 1 && !['cancel', 'complete'].includes(event.kind) ? make('span', { class: 'attempt', text: ` attempt ${event.attempt}` }) : null),
        said ? make('p', { class: 'said', text: said }) : null,
        make('p', { class: 'when' }, make('time', { datetime: event.at, title: ago(event.at), text: at(event.at) }), ` · ${event.actor}`)));
  }

  stageLabel(name) {
    return stageLabel(this.book, name);
  }
}

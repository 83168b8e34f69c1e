// One book as a card. A card is made once and then only told what is another, so that bars move and focus stays.
import {
  ago, amount, count, estimate, failure, firstText, label, percent, phaseOf, PHASES, stageLabel, statusLabel, titleOf,
} from './text.js';

/** An element with attributes and children. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'text') element.textContent = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Writes only what is another. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function set(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** A bar with its name and value for those who do not see it. */
export function bar(kind) {
  const fill = make('span', { class: 'fill' });
  const root = make('div', { class: `progress ${kind}`, role: 'progressbar', 'aria-valuemin': '0', 'aria-valuemax': '100' }, fill);
  return {
    root,
    show(value, name, words) {
      set(root, 'aria-valuenow', String(Math.round(value * 10) / 10));
      set(root, 'aria-label', name);
      set(root, 'aria-valuetext', words);
      fill.style.setProperty('--part', String(value / 100));
    },
  };
}

/** The stages in a row: a sign and a name each, so that no colour is needed to read them. */
export function stages() {
  const root = make('ol', { class: 'stages' });
  const signs = { done: '✓', active: '●', failed: '✕', cancelled: '–', pending: '○' };
  const words = { done: 'done', active: 'at work', failed: 'failed here', cancelled: 'cancelled here', pending: 'to come' };
  let shown = '';
  return {
    root,
    show(book) {
      const now = JSON.stringify((book.stages ?? []).map((stage) => [stage.label, stage.state]));
      if (now === shown) return;
      shown = now;
      root.replaceChildren(...(book.stages ?? []).map((stage) =>
        make('li', { 'data-state': stage.state, 'aria-current': stage.state === 'active' ? 'step' : null },
          make('span', { class: 'sign', 'aria-hidden': 'true', text: signs[stage.state] ?? '○' }),
          make('span', { class: 'stage-name', text: stageLabel(book, stage.name) }),
          make('span', { class: 'unseen', text: `, ${words[stage.state] ?? stage.state}` }))));
    },
  };
}

/** The current stage's substeps, each with its own bar. `most`: how many are shown, those at work first. */
export function substeps(most = Infinity) {
  const root = make('ul', { class: 'substeps' });
  const rows = new Map();
  const rest = make('li', { class: 'rest' });
  const order = { active: 0, done: 1, pending: 2 };
  return {
    root,
    show(book) {
      const all = ['working', 'failed'].includes(phaseOf(book)) ? (book.substeps ?? []).filter((step) => step.substep !== 'all') : [];
      const chosen = all.length <= most ? all
        : [...all].sort((a, b) => order[a.state] - order[b.state]).slice(0, most).sort((a, b) => all.indexOf(a) - all.indexOf(b));
      const names = new Set(chosen.map((step) => `${book.current_stage} ${step.substep}`));
      for (const [name, row] of rows) {
        if (!names.has(name)) {
          row.root.remove();
          rows.delete(name);
        }
      }
      chosen.forEach((step, index) => {
        const key = `${book.current_stage} ${step.substep}`;
        let row = rows.get(key);
        if (!row) {
          row = { name: make('span', { class: 'step-name' }), value: make('span', { class: 'step-value' }), bar: bar('thin') };
          row.root = make('li', {}, row.name, row.value, row.bar.root);
          rows.set(key, row);
        }
        const name = firstText(step.label) ?? label(step.substep);
        const value = amount(step);
        write(row.name, name);
        write(row.value, step.state === 'pending' ? 'to come' : value);
        set(row.root, 'data-state', step.state);
        row.bar.show(step.progress, name, value);
        if (root.children[index] !== row.root) root.insertBefore(row.root, root.children[index] ?? null);
      });
      const hidden = (book.substeps ?? []).length - all.length;
      const more = all.length ? book.substeps_total - hidden - chosen.length : 0;
      if (more > 0) {
        write(rest, `and ${count(more)} more; ${count(book.substeps_done)} of ${count(book.substeps_total)} done`);
        root.append(rest);
      } else rest.remove();
    },
  };
}

/** The badge: a sign and words. */
export function badge() {
  const sign = make('span', { 'aria-hidden': 'true' });
  const words = make('span');
  const root = make('span', { class: 'badge' }, sign, words);
  return {
    root,
    show(book) {
      const phase = phaseOf(book);
      set(root, 'data-phase', phase);
      write(sign, PHASES.find(({ name }) => name === phase).sign);
      write(words, statusLabel(book));
    },
  };
}

/** How a book is doing, in one line. */
function doing(book) {
  const parts = [];
  if (book.health === 'waiting') parts.push('◷ waits in its queue');
  if (book.health === 'quiet') parts.push('◔ quiet for a while');
  if (book.health === 'stalled') parts.push('◌ stalled');
  const left = estimate(book);
  if (left) parts.push(left);
  if (book.attempt > 1) parts.push(`attempt ${book.attempt}`);
  if (book.resume_at && book.status === 'FAILED') {
    const wait = Date.parse(book.resume_at) - Date.now();
    parts.push(wait > 10_000 ? `goes on by itself in ${Math.round(wait / 1000)} s` : 'goes on by itself in a moment');
  }
  parts.push(`changed ${ago(book.updated_at)}`);
  return parts.join(' · ');
}

/**
 * @param {object} acts open(book), resume(book, button); mayAct() says whether buttons are shown
 */
export function card(first, acts) {
  let book = first;
  const title = make('button', { type: 'button', class: 'title', onclick: () => acts.open(book) });
  const status = badge();
  const value = make('span', { class: 'value', 'aria-hidden': 'true' });
  const whole = bar('whole');
  const row = stages();
  const steps = substeps(5);
  const message = make('p', { class: 'failure' });
  const resume = make('button', { type: 'button', class: 'primary resume', onclick: () => acts.resume(book, resume) }, 'Resume');
  const trouble = make('div', { class: 'trouble' }, message, resume);
  const line = make('p', { class: 'doing' });
  const root = make('article', { class: 'card' },
    make('div', { class: 'head' }, make('h2', {}, title), status.root, value),
    whole.root, row.root, trouble, steps.root, line);
  const item = make('div', { class: 'item', role: 'listitem', id: `book-${first.book_id}` }, root);
  return {
    root: item,
    tick() {
      write(line, doing(book));
    },
    show(next) {
      book = next;
      const phase = phaseOf(book);
      set(root, 'data-phase', phase);
      set(root, 'data-health', book.health ?? null);
      write(title, titleOf(book));
      status.show(book);
      write(value, `${percent(book.overall_progress)} %`);
      whole.show(book.overall_progress, `Progress of ${titleOf(book)}`, `${percent(book.overall_progress)} percent, ${statusLabel(book)}`);
      row.show(book);
      steps.show(book);
      trouble.hidden = phase !== 'failed';
      if (phase === 'failed') write(message, failure(book));
      resume.hidden = !acts.mayAct();
      set(resume, 'aria-label', `Resume ${titleOf(book)}`);
      write(line, doing(book));
    },
  };
}

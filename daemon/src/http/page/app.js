// The page: wires the stream of events to the list, and the list to the screen.
import { follow, forgetToken, get, post, roleOf, setToken, takeToken, token } from './api.js';
import { Books } from './books.js';
import { card, make, write } from './cards.js';
import { isLacking } from './substeps.js';
import { Detail } from './timeline.js';
import { PHASES, phaseOf, statusLabel, titleOf } from './text.js';

const $ = (id) => document.getElementById(id);
const cards = new Map();
const books = new Books(() => schedule());
let access = 'local';
let stream = null;
let pages = 1;
let drawing = false;

// ---- what is drawn

/** However many changes come, the screen is drawn once a frame. */
function schedule() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
}

function draw() {
  const list = $('books');
  const shown = books.sorted();
  const ids = new Set(shown.map((book) => book.book_id));
  for (const [id, one] of cards) {
    if (!ids.has(id)) {
      one.root.remove();
      cards.delete(id);
    }
  }
  shown.forEach((book, index) => {
    let one = cards.get(book.book_id);
    if (!one) {
      one = card(book, acts);
      cards.set(book.book_id, one);
    }
    if (one.book !== book) one.show(book);
    one.book = book;
    const there = list.children[index];
    if (there !== one.root) list.insertBefore(one.root, there ?? null);
  });
  const { q, phase } = books.query;
  $('empty').hidden = shown.length > 0;
  write($('empty'), q || phase ? 'No book is like that.' : 'No books yet. The first one appears here when it is registered.');
  $('more').hidden = !books.next;
  drawPhases();
  const failed = books.counts.failed ?? 0;
  document.title = failed ? `(${failed} failed) Bindery` : 'Bindery';
}

function drawPhases() {
  const total = Object.values(books.counts).reduce((sum, some) => sum + some, 0);
  for (const button of $('phases').children) {
    const { phase } = button.dataset;
    button.setAttribute('aria-pressed', String(books.query.phase === phase));
    write(button.lastElementChild, String(phase ? books.counts[phase] ?? 0 : total));
  }
}

function makePhases() {
  const all = [{ name: '', label: 'All', sign: '' }, ...PHASES];
  $('phases').append(...all.map(({ name, label, sign }) =>
    make('button', { type: 'button', 'data-phase': name, 'aria-pressed': 'false', onclick: () => ask({ phase: name }) },
      sign ? make('span', { class: 'sign', 'aria-hidden': 'true', text: sign }) : null, label, make('span', { class: 'count', text: '0' }))));
}

// ---- what is asked

async function load(howMany = pages) {
  pages = howMany;
  try {
    await books.load(pages);
    const open = books.known.get(detail.book?.book_id);
    if (open && open.revision >= detail.book.revision) detail.show(open);
    notice('');
  } catch (error) {
    if (error.name !== 'AbortError') refused(error);
  }
}

function ask(change) {
  Object.assign(books.query, change);
  drawPhases();
  load(1);
}

const acts = {
  mayAct: () => access === 'local' || (token() && roleOf(token()) === 'service_role'),
  open(book) {
    detail.open(book);
    history.replaceState(null, '', `#book=${book.book_id}`);
  },
  acted: (book) => take(book),
  closed() {
    history.replaceState(null, '', location.pathname + location.search);
  },
  async resume(book, button) {
    button.disabled = true;
    try {
      take(await post(`/api/books/${book.book_id}/resume`, {}));
    } catch (error) {
      notice([error.message, error.hint].filter(Boolean).join(' '));
    }
    button.disabled = false;
  },
};
const detail = new Detail($('detail'), acts);

// ---- what comes

let counting = null;
let countAgain = false;
let countTook = 0;
/** The numbers are asked for once things have moved, not at each move; and seldom where counting takes long. */
function recount() {
  if (counting) {
    countAgain = true;
    return;
  }
  counting = setTimeout(async () => {
    // What has come until now is counted; what comes before the answer may not be.
    countAgain = false;
    const began = performance.now();
    // They are asked for again at the next change.
    await books.recount().catch(() => {});
    countTook = performance.now() - began;
    counting = null;
    if (countAgain) recount();
  }, Math.max(700, 20 * countTook));
}

function take(status) {
  const { before, book, here } = books.take(status);
  if (!before || phaseOf(before) !== phaseOf(book)) recount();
  if (before && before.status !== book.status) tell(`${titleOf(book)}: ${statusLabel(book)}`);
  const open = detail.take(status);
  // Changes are missing: only a whole status has them.
  if ((here && isLacking(book)) || isLacking(open)) reread(book.book_id);
  schedule();
}

const rereading = new Set();
/** Reads a whole status, at most once a second for each book. */
async function reread(id) {
  if (rereading.has(id)) return;
  rereading.add(id);
  const whole = await get(`/api/books/${id}/status`).catch(() => null);
  setTimeout(() => {
    rereading.delete(id);
    const open = detail.book?.book_id === id ? detail.book : null;
    if (isLacking(books.known.get(id)) || isLacking(open)) reread(id);
  }, 1000);
  if (whole) take(whole);
}

let telling = null;
const news = [];
/** For those who listen: changes of status, a few at a time; never every percent. */
function tell(words) {
  news.push(words);
  telling ??= setTimeout(() => {
    telling = null;
    const some = news.splice(0);
    write($('news'), some.length > 3 ? `${some.length} books changed their status` : some.join('. '));
  }, 1500);
}

function connect() {
  stream?.stop();
  state('connecting');
  stream = follow('/api/events', {
    onEvent(name, data) {
      if (name === 'ready') {
        state('live');
        load();
      } else if (name === 'book_status') take(data);
      else if (name === 'book_gone') {
        books.drop(data.book_id);
        if (detail.book?.book_id === data.book_id) $('detail').close();
        recount();
        schedule();
      }
    },
    onState(now, error) {
      state(now);
      if (now === 'refused') refused(error);
    },
  });
}

function state(now) {
  const words = { connecting: 'Connecting…', live: 'Live', reconnecting: 'Reconnecting… what you see may be old', refused: 'Not connected' };
  $('connection').dataset.state = now;
  document.body.dataset.connection = now;
  write($('connection-text'), words[now]);
}

// ---- who may look

function refused(error) {
  if ([401, 403].includes(error.status) && access === 'tokens') {
    stream?.stop();
    state('refused');
    gate(token() ? error.message : '');
  } else notice([error.message, error.hint].filter(Boolean).join(' '));
}

function gate(problem) {
  $('main').hidden = true;
  $('gate').hidden = false;
  $('sign-out').hidden = true;
  notice(problem ? `The token was not taken: ${problem}` : '');
  $('token').focus();
}

function enter() {
  $('gate').hidden = true;
  $('main').hidden = false;
  $('sign-out').hidden = access !== 'tokens';
  connect();
}

function notice(words) {
  $('notice').hidden = !words;
  write($('notice'), words);
}

// ---- colours

function theme(chosen) {
  const dark = chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  if (chosen) document.documentElement.dataset.theme = chosen;
  $('theme').setAttribute('aria-label', dark ? 'Use light colours' : 'Use dark colours');
  $('theme').onclick = () => {
    localStorage.setItem('bindery.theme', dark ? 'light' : 'dark');
    theme(dark ? 'light' : 'dark');
  };
}

async function start() {
  theme(localStorage.getItem('bindery.theme'));
  makePhases();
  takeToken();
  let typing;
  $('search').addEventListener('input', (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => ask({ q: event.target.value }), 200);
  });
  $('more').addEventListener('click', () => {
    pages += 1;
    books.more().catch(refused);
  });
  $('gate').addEventListener('submit', (event) => {
    event.preventDefault();
    setToken($('token').value);
    $('token').value = '';
    notice('');
    enter();
  });
  $('sign-out').addEventListener('click', () => {
    forgetToken();
    location.reload();
  });
  setInterval(() => cards.forEach((one) => one.tick()), 5_000);
  const about = await get('/api').catch((error) => notice(error.message));
  access = about?.access ?? 'local';
  if (access === 'closed') {
    state('refused');
    notice('No token secret is configured, and this port is not on loopback only: the API is closed. Start binderyd with --jwt-secret or --jwks-url.');
    return;
  }
  if (access === 'local') {
    $('connection').title = 'No token secret is configured: this serves this machine only.';
    document.querySelector('.brand').append(make('span', { class: 'local', text: 'this machine only: no token secret is set' }));
  }
  if (access === 'tokens' && !token()) return gate('');
  enter();
  const wanted = new URLSearchParams(location.hash.slice(1)).get('book');
  if (wanted) get(`/api/books/${wanted}/status`).then((book) => detail.open(book), () => {});
}

start();

// The daemon's API: requests with the token, and server-sent events by fetch, since EventSource sends no headers.

const KEY = 'bindery.token';
/** The server sends a comment every 15 s; a connection that is silent for longer is dead. */
const SILENT = 40_000;

export class ApiError extends Error {
  constructor(status, body) {
    super(body?.message ?? `HTTP ${status}`);
    Object.assign(this, { status, code: body?.code, details: body?.details, hint: body?.hint });
  }
}

/** The token of `#token=…`, which then leaves the address, or the one that this tab knows. */
export function takeToken() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = fragment.get('token');
  if (given) {
    sessionStorage.setItem(KEY, given);
    fragment.delete('token');
    const rest = fragment.toString();
    history.replaceState(null, '', location.pathname + location.search + (rest ? `#${rest}` : ''));
  }
  return token();
}

export const token = () => sessionStorage.getItem(KEY);
export const setToken = (value) => sessionStorage.setItem(KEY, value.trim().replace(/^bearer\s+/i, ''));
export const forgetToken = () => sessionStorage.removeItem(KEY);

/** The token's role, for what is shown; what is allowed Postgres decides. */
export function roleOf(jwt) {
  try {
    const claims = atob(jwt.split('.')[1].replaceAll('-', '+').replaceAll('_', '/'));
    return JSON.parse(claims).role ?? 'anon';
  } catch {
    return 'anon';
  }
}

function headers(more = {}) {
  const jwt = token();
  return jwt ? { ...more, Authorization: `Bearer ${jwt}` } : more;
}

async function answerOf(response) {
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, body);
  return body;
}

export const get = async (path, signal) => answerOf(await fetch(path, { headers: headers(), signal, cache: 'no-store' }));

export const post = async (path, body) =>
  answerOf(await fetch(path, { method: 'POST', headers: headers({ 'Content-Type': 'application/json' }), body: JSON.stringify(body) }));

/**
 * Follows a stream of events until `stop()`.
 * onEvent(name, data) for each event; onState('live' | 'reconnecting' | 'refused', error?) when that changes.
 */
export function follow(path, { onEvent, onState }) {
  let stopped = false;
  let attempt = 0;
  let heardAt = 0;
  let abort = new AbortController();
  let wake = () => {};

  async function once() {
    abort = new AbortController();
    const response = await fetch(path, { headers: headers({ Accept: 'text/event-stream' }), signal: abort.signal, cache: 'no-store' });
    if (!response.ok) throw new ApiError(response.status, await response.json().catch(() => null));
    heardAt = Date.now();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      heardAt = Date.now();
      attempt = 0;
      const parts = (rest + value).split('\n\n');
      rest = parts.pop();
      for (const part of parts) handle(part);
    }
  }

  function handle(part) {
    let name = 'message';
    const data = [];
    for (const line of part.split('\n')) {
      if (line.startsWith('event:')) name = line.slice(6).trim();
      else if (line.startsWith('data:')) data.push(line.slice(5).trimStart());
    }
    if (data.length === 0) return;
    const value = JSON.parse(data.join('\n'));
    if (name === 'error') throw new ApiError(value.code?.startsWith('PGRST') ? 401 : 503, value);
    onEvent(name, value);
  }

  async function run() {
    while (!stopped) {
      let error = null;
      try {
        await once();
      } catch (problem) {
        error = problem;
      }
      if (stopped) return;
      // A token or a right does not come back by itself.
      if (error instanceof ApiError && [401, 403, 404].includes(error.status)) return onState('refused', error);
      onState('reconnecting', error);
      attempt += 1;
      const pause = Math.min(10_000, 300 * 2 ** attempt) * (0.5 + Math.random() / 2);
      await new Promise((resolve) => {
        wake = resolve;
        setTimeout(resolve, pause);
      });
    }
  }

  // A laptop that slept, a network that came back: ask anew at once, rather than wait for a timeout.
  const look = () => {
    if (document.visibilityState === 'visible' && Date.now() - heardAt > SILENT) {
      abort.abort();
      wake();
    }
  };
  const online = () => {
    abort.abort();
    wake();
  };
  const watch = setInterval(look, 5_000);
  document.addEventListener('visibilitychange', look);
  addEventListener('online', online);
  run();
  return {
    stop() {
      stopped = true;
      abort.abort();
      clearInterval(watch);
      document.removeEventListener('visibilitychange', look);
      removeEventListener('online', online);
    },
  };
}

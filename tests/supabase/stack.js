// What the tests run against, as scripts/supabase.sh starts it: a Postgres with the migration in
// it, and a Data API over it. One file at a time: what Realtime would read, the outbox and the dead
// letters belong to no test.
import { createHmac, randomUUID } from 'node:crypto';
import { createClient } from '@supabase/supabase-js';
import postgres from 'postgres';

/** @typedef {import('../../supabase/types/database.js').Database} Database */
/** @typedef {import('@supabase/supabase-js').SupabaseClient<Database, 'bindery'>} Client */

/** @param {string} name */
export function setting(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; run scripts/supabase.sh test`);
  return value;
}

export const restUrl = setting('API_URL');
export const databaseUrl = setting('DATABASE_URL');
const [publishable, secret, jwtSecret] = [
  setting('PUBLISHABLE_KEY'),
  setting('SECRET_KEY'),
  setting('JWT_SECRET'),
];

/** A session of the database's superuser, for what no API shows. */
export function database(options = {}) {
  return postgres(databaseUrl, { max: 1, onnotice: () => {}, ...options });
}

/**
 * A token as Supabase Auth signs it.
 * @param {Record<string, unknown>} claims
 */
export function token(claims) {
  /** @param {unknown} part */
  const encoded = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const body = `${encoded({ alg: 'HS256', typ: 'JWT' })}.${encoded({ exp: Math.floor(Date.now() / 1000) + 3600, ...claims })}`;
  return `${body}.${createHmac('sha256', jwtSecret).update(body).digest('base64url')}`;
}

/**
 * @param {string} key
 * @param {string} [bearer]
 * @returns {Client}
 */
function client(key, bearer) {
  /** @type {Record<string, string>} */
  const headers = bearer ? { Authorization: `Bearer ${bearer}` } : {};
  return createClient(restUrl, key, {
    db: { schema: 'bindery' },
    global: { headers },
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
  });
}

export const anon = client(publishable);
// With the key alone this server asks Postgres as its superuser; a token makes it switch to the
// role.
export const service = client(secret, token({ role: 'service_role' }));
/** @param {string} sub */
export const user = (sub) => client(publishable, token({ role: 'authenticated', sub }));

/** A worker's client. @param {Record<string, unknown>} claims */
export const worker = (claims) => client(publishable, token({ role: 'bindery_worker', ...claims }));

/** The headers of a plain request: the service's, or those of a user. */
export function headers(/** @type {string | undefined} */ sub = undefined) {
  /** @type {Record<string, string>} */
  const plain = { apikey: sub ? publishable : secret, 'Content-Type': 'application/json' };
  plain.Authorization = `Bearer ${token(sub ? { role: 'authenticated', sub } : { role: 'service_role' })}`;
  return plain;
}

/**
 * The data of an answer that must not be an error.
 * @template T
 * @param {PromiseLike<{ data: T, error: unknown }>} request
 * @returns {Promise<NonNullable<T>>}
 */
export async function ok(request) {
  const { data, error } = await request;
  if (error) throw Object.assign(new Error(JSON.stringify(error)), { cause: error });
  return /** @type {NonNullable<T>} */ (data);
}

/**
 * An answer that must be an error, as a program sees it.
 * @param {PromiseLike<{ data: unknown, status: number, error: any }>} request
 */
export async function refused(request) {
  const { data, status, error } = await request;
  if (!error) throw new Error(`it was not refused: ${JSON.stringify(data)}`);
  let details = error.details;
  try {
    details = JSON.parse(error.details);
  } catch {
    // Only Bindery's own errors have JSON there.
  }
  return { status, code: error.code, message: error.message, details, hint: error.hint };
}

/**
 * Registers a book and takes it through these statuses.
 * @param {{ path?: string[], owner?: string, title?: string, pipeline?: string }} [wanted]
 */
export async function book({ path = [], owner, title, pipeline } = {}) {
  const book_id = randomUUID();
  await ok(
    service.rpc('register_book', {
      book_id,
      ...(owner && { owner_id: owner }),
      ...(title && { title }),
      ...(pipeline && { pipeline }),
    }),
  );
  for (const to_status of path) await ok(service.rpc('transition_book', { book_id, to_status }));
  return book_id;
}

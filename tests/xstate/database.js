// One connection for a test file: everything in one transaction that is rolled back, with
// savepoints to step back by.
import pg from 'pg';

/** Connects to DATABASE_URL and begins the transaction. */
export async function connect() {
  const { DATABASE_URL } = process.env;
  if (!DATABASE_URL) throw new Error('DATABASE_URL is not set; run scripts/xstate.sh');
  const client = new pg.Client({ connectionString: DATABASE_URL });
  await client.connect();
  await client.query('begin');
  return client;
}

/** @param {pg.Client} client */
export async function disconnect(client) {
  await client.query('rollback');
  await client.end();
}

/**
 * The first value of the last row.
 * @param {pg.Client} client
 * @param {string} sql
 * @param {unknown[]} [values]
 * @returns {Promise<any>}
 */
export async function value(client, sql, values) {
  const result = await client.query({ text: sql, ...(values && { values }), rowMode: 'array' });
  // Several statements give several results.
  const last = Array.isArray(result) ? result.at(-1) : result;
  return last.rows.at(-1)?.[0];
}

let savepoints = 0;

/**
 * Does something and takes it back, in the database.
 * @param {pg.Client} client
 * @param {() => Promise<void>} act
 */
export async function andBack(client, act) {
  const name = `s${(savepoints += 1)}`;
  await client.query(`savepoint ${name}`);
  try {
    await act();
  } finally {
    await client.query(`rollback to ${name}; release ${name}`);
  }
}

// Facts that stand in more than one place: each list or number has one home, and the others agree.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { read, root } from './pages.js';

/** All that a pattern finds in a text: its first group. @param {string} text @param {RegExp} pattern */
const all = (text, pattern) => [...text.matchAll(pattern)].map((match) => match[1]);

/** @param {Iterable<string>} words */
const sorted = (words) => [...new Set(words)].sort();

/** The text between two others, which are there. @param {string} text @param {string} begin @param {string} end */
function between(text, begin, end) {
  const [, rest] = text.split(begin);
  assert.ok(rest !== undefined, `there is no ${begin}`);
  return rest.split(end)[0];
}

/** The section of a page without those below it. @param {string} page @param {string} heading */
const section = (page, heading) =>
  between(`${read(page)}\n# end\n`, `\n${heading}\n`, `\n${heading.replace(/ .*/, '')} `);

/** All files of a folder with this end, as one text. @param {string} folder @param {string} end */
const files = (folder, end) =>
  execFileSync('git', ['ls-files', folder], { cwd: root, encoding: 'utf8' })
    .split('\n')
    .filter((path) => path.endsWith(end))
    .map(read)
    .join('\n');

/** Without tests. @param {string} source Rust */
const product = (source) => source.replace(/#\[cfg\(test\)\]\nmod [^]*?\n}\n/g, '');

test('the kinds of losses are those that the table of positions admits', () => {
  const column = /constraint loss_is_known check \(last_loss in \(([^)]*)\)\)/;
  const [, list] = column.exec(read('sql/tables/relay_cursors.sql')) ?? [];
  const losses = sorted(all(list ?? '', /'(\w+)'/g));
  assert.equal(losses.length, 4);
  const words = (/** @type {string} */ text) =>
    sorted(all(text, /\b(trimmed|deleted|recreated|rewound|renamed|truncated)\b/g));
  const accepted = between(read('sql/relay/note_stream.sql'), 'loss not in (', ')');
  assert.deepEqual(sorted(all(accepted, /'(\w+)'/g)), losses);
  const names = between(read('daemon/src/relay/health.rs'), 'pub fn name(self)', '\n    }');
  assert.deepEqual(sorted(all(names, /=> "(\w+)"/g)), losses);
  const counted = between(read('daemon/src/metrics/count.rs'), 'for loss in [', ']');
  assert.deepEqual(sorted(all(counted, /"(\w+)"/g)), losses);
  const described = between(read('daemon/src/metrics.rs'), '"Losses detected', '"');
  assert.deepEqual(words(described), losses);
  const [row] = /\| `bindery_relay_losses_total.*/.exec(read('docs/monitor.md')) ?? [''];
  assert.deepEqual(words(row), losses);
  const [argument] = /\| `loss` \| what is missing.*/.exec(read('docs/api.md')) ?? [''];
  assert.deepEqual(words(argument), losses);
  const alert = section('docs/alerts.md', '## BinderyEntriesLost');
  const bullets = all(alert, /^- ((?:`\w+`(?:, )?)+):/gm);
  assert.deepEqual(sorted(bullets.flatMap((bullet) => all(bullet, /`(\w+)`/g))), losses);
});

test('docs/api.md has the errors that the SQL raises, each with its SQLSTATE, and no others', () => {
  /** @type {Set<string>} */
  const documented = new Set();
  let state = '';
  for (const row of section('docs/api.md', '## Errors').split('\n')) {
    const cells = /^\| (?:`(\w+)`)? ?\| (?:`(\w+)`)? ?\|/.exec(row);
    if (!cells) continue;
    state = cells[1] ?? state;
    if (cells[2]) documented.add(`${state} ${cells[2]}`);
  }
  const sql = files('sql', '.sql');
  const raised = [...sql.matchAll(/\berror\(\s*'(PT\d+|42501)',\s*'(\w+)'/g)];
  const given = new Set(raised.map(([, sqlstate, code]) => `${sqlstate} ${code}`));
  // The verdicts about a report are codes, to which refused_report gives the SQLSTATE.
  const verdicts = between(sql, 'function bindery_internal.refused_report', '$$;');
  for (const [, sqlstate, code] of verdicts.matchAll(/'(PT\d+)'[^']*'(\w+)'/g)) {
    given.add(`${sqlstate} ${code}`);
  }
  assert.ok(documented.size > 20, String([...documented]));
  const unknown = [...given].filter((error) => !documented.has(error));
  assert.deepEqual(unknown, [], 'raised, and not documented');
  const never = [...documented].filter((error) => !sql.includes(`'${error.split(' ')[1]}'`));
  assert.deepEqual(never, [], 'documented, and never raised');
});

test('the reasons for which an event waits are the same in SQL, its comment and the pages', () => {
  const comment = between(read('sql/tables/early_events.sql'), "'Why it waits:", "';");
  const reasons = sorted(all(comment, /\b(\w+_\w+)\b/g));
  assert.ok(reasons.length === 5, String(reasons));
  const table = section('docs/architecture.md', '## Early events');
  assert.deepEqual(sorted(all(table, /^\| `(\w+)` \|/gm)), reasons);
  const rows = section('docs/events.md', '## Rejection reasons').split('\n');
  const [row] = rows.filter((line) => line.includes('waited longer than `patience`'));
  assert.deepEqual(sorted(all(row.split(' | ')[0], /`(\w+)`/g)), reasons);
  const sql = files('sql', '.sql');
  for (const reason of reasons)
    assert.ok(sql.includes(`'${reason}'`) || sql.includes(`"${reason}"`), reason);
  const alert = section('docs/alerts.md', '## BinderyEarlyEventsWait');
  const named = all(alert, /`(\w+_\w+)`/g).filter((word) => !/^early_events$|settings/.test(word));
  assert.deepEqual(
    named.filter((reason) => !reasons.includes(reason)),
    [],
    'unknown reasons',
  );
});

test('each rejection reason that docs/events.md has is given by core or by the SQL', () => {
  const cells = section('docs/events.md', '## Rejection reasons').split('\n');
  const reasons = cells.flatMap((row) => all(/^\| (`.*?) \|/.exec(row)?.[1] ?? '', /`(\w+)`/g));
  assert.ok(reasons.length > 20, String(reasons));
  const core = between(read('core/src/event/error.rs'), 'pub fn code(', '\n    }');
  const sql = files('sql', '.sql');
  const given = (/** @type {string} */ reason) =>
    core.includes(`"${reason}"`) || new RegExp(`['"]${reason}['"]`).test(sql);
  assert.deepEqual(
    reasons.filter((reason) => !given(reason)),
    [],
  );
});

test('the types of events are the same in the schema and in the pages', () => {
  const schema = JSON.parse(read('docs/schema/event.schema.json'));
  const types = sorted(Object.keys(schema.$defs));
  const table = section('docs/events.md', '## Types');
  assert.deepEqual(sorted(all(table, /^\| `(\w+)` \|/gm)), types);
  const concept = between(read('docs/concepts.md'), '**Event.**', '[events.md]');
  assert.deepEqual(sorted(all(concept.split('Its types are')[1], /`(\w+)`/g)), types);
});

test('the fields that docs/events.md gives a type are those of the schema', () => {
  const schema = JSON.parse(read('docs/schema/event.schema.json'));
  const table = section('docs/events.md', '## Types').split('\n');
  for (const [type, { properties }] of Object.entries(schema.$defs)) {
    const [row] = table.filter((line) => line.startsWith(`| \`${type}\` |`));
    const fields = row.split(' | ')[1];
    const named = all(fields.replace(/\(JSON[^)]*\)/g, ''), /`(\w+)`/g);
    // A name whose schema is `false` must not be given.
    const own = Object.keys(properties).filter(
      (name) => properties[name] !== false && !['type', 'book_id', 'at'].includes(name),
    );
    const inherited = fields.includes('those of `register`')
      ? Object.keys(schema.$defs.register.properties)
      : [];
    const unknown = named.filter((name) => name !== 'register' && !own.includes(name));
    assert.deepEqual(unknown, [], `${type}: not in the schema`);
    const missing = own.filter((name) => !named.includes(name) && !inherited.includes(name));
    assert.deepEqual(missing, [], `${type}: not on the page`);
  }
});

test('the defaults of the settings are those that the pages name', () => {
  const sql = read('sql/tables/settings.sql');
  const value = (/** @type {string} */ name) =>
    (new RegExp(`\\n  ${name} \\w+ not null default '?([^',\\n]+)`).exec(sql) ?? [])[1];
  const supabase = read('docs/supabase.md');
  for (const name of ['broadcast_every', 'broadcasts_per_second']) {
    assert.ok(supabase.includes(`| \`${name}\` | ${value(name)} |`), `${name}: ${value(name)}`);
  }
  assert.equal(value('patience'), '15 minutes');
  for (const page of ['docs/concepts.md', 'docs/glossary.md', 'docs/alerts.md']) {
    const given = all(read(page).replace(/\s+/g, ' '), /(\d+ minutes)(?: by default)/g);
    assert.ok(given.includes(value('patience')), `${page}: patience`);
  }
  const digits = (/** @type {string} */ name) => Number(value(name)).toLocaleString('en-US');
  const [bounds] = /\| `too_many_early_events` \|.*/.exec(read('docs/events.md')) ?? [''];
  assert.ok(bounds.includes(`${digits('early_events_per_book')} a book`), bounds);
  assert.ok(bounds.includes(`${digits('early_events_total')} in all`), bounds);
});

test('the limits of docs/events.md are those that core has', () => {
  const limits = JSON.parse(read('tests/vectors/limits.json'));
  const text = section('docs/events.md', '## Limits').replace(/\s+/g, ' ');
  const kib = (/** @type {number} */ bytes) => `${bytes / 1024} KiB`;
  for (const part of [
    `An entry ${kib(limits.entry_bytes)}`,
    `${kib(limits.json_bytes)} of JSON each`,
    `${limits.json_depth} levels`,
    `Names ${limits.name_chars} characters`,
  ]) {
    assert.ok(text.includes(part), part);
  }
  const definition = limits.substeps.toLocaleString('en-US');
  assert.ok(read('docs/faq.md').includes(`**How many substeps can a stage have?** ${definition}.`));
});

test('the limits of the TypeScript package are those that core has', () => {
  const limits = JSON.parse(read('tests/vectors/limits.json'));
  const source = read('clients/typescript/src/values.ts');
  for (const [constant, limit] of Object.entries({
    MESSAGE: 'message_chars',
    TITLE: 'title_chars',
    WORKER: 'worker_chars',
    NAME: 'name_chars',
    SUBSTEPS: 'substeps',
    MIN_WEIGHT: 'min_weight',
    MAX_WEIGHT: 'max_weight',
    TOTAL: 'total',
    JSON_BYTES: 'json_bytes',
    JSON_LEVELS: 'json_depth',
  })) {
    const [, value] = new RegExp(`export const ${constant} = (.*);`).exec(source) ?? [];
    assert.ok(value, `there is no ${constant}`);
    const factors = value.replaceAll('_', '').split(' * ').map(Number);
    assert.equal(
      factors.reduce((product, factor) => product * factor, 1),
      limits[limit],
      constant,
    );
  }
});

test('the roles that install.md names are those that a migration makes', () => {
  const made = between(read('sql/access/roles.sql'), 'foreach wanted in array array[', ']');
  const named = between(read('docs/install.md'), 'creates the extension and the schema', 'where');
  assert.deepEqual(sorted(all(named, /`(\w+)`/g)), sorted(all(made, /'(\w+)'/g)));
});

test('README shows the states, substeps and shares of the pipeline comic', () => {
  const text = between(read('sql/pipelines/comic.sql'), "define_pipeline('comic', '", "');");
  /** @type {{ name: string, weight?: number, substeps?: { substep: string, weight?: number }[] }[]} */
  const { states } = JSON.parse(text);
  const total = states.reduce((sum, { weight = 0 }) => sum + weight, 0);
  const table = section('README.md', '## The states of a book').split('\n');
  for (const { name, weight = 0, substeps = [] } of states) {
    const [row] = table.filter((line) => line.startsWith(`| \`${name}\` |`));
    assert.ok(row, name);
    const [, , meaning, share] = row.split('|').map((cell) => cell.trim());
    assert.deepEqual(
      all(meaning, /`(\w+)`/g),
      substeps.map(({ substep }) => substep),
      name,
    );
    if (weight > 0) assert.equal(share, `${(100 * weight) / total} %`, name);
  }
});

test('the daemon has each log line that docs/monitor.md explains', () => {
  const source = files('daemon/src', '.rs').replace(/\\\n\s*/g, '');
  const table = section('docs/monitor.md', '## Logs').split('\n');
  const cells = table.map((row) => /^\| (`.*?) \| /.exec(row)?.[1] ?? '');
  const lines = cells.flatMap((cell) => all(cell, /`([^`]+)`/g));
  assert.ok(lines.length > 15, String(lines));
  for (const line of lines) {
    for (const part of line.split('…').map((text) => text.trim())) {
      if (part !== '') assert.ok(source.includes(part), `no line "${part}"`);
    }
  }
});

test('the daemon writes no table, and reads tables of the schema bindery only', () => {
  const sources = readdirSync(join(root, 'daemon/src'), { recursive: true })
    .map(String)
    .filter((path) => path.endsWith('.rs') && !/^schema|^migrate|tests?\.rs$/.test(path));
  for (const path of sources) {
    const source = product(read(join('daemon/src', path)));
    const written = /\b(?:insert into|delete from|truncate|update) bindery\w*\.\w+/i.exec(source);
    assert.equal(written, null, `${path}: ${written}`);
    const internal = /\b(?:from|join) bindery_internal\.\w+(?!\w*\()/i.exec(source);
    assert.equal(internal, null, `${path}: ${internal}`);
  }
});

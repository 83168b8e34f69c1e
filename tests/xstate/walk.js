// Walks a book in SQL and its pipeline in XState at the same time, and compares them at every step.
import assert from 'node:assert/strict';
import { createMachine, initialTransition, transition } from 'xstate';
import { andBack, value } from './database.js';

/** @typedef {import('pg').Client} Client */
/** @typedef {import('xstate').AnyMachineSnapshot} Snapshot */
/** @typedef {{ status: string, current_stage: string, attempt: number, substeps_total: number, substeps_done: number, substeps: string[], metadata: { may_leave?: boolean } }} Book */
/** @typedef {{ snapshot: Snapshot, book: Book }} Place */

/**
 * The statuses that SQL really goes to from here, guards included: each is tried and rolled back.
 * To the status that the book has already a transition has no effect.
 */
const TRY_ALL = `
create or replace function pg_temp.taken(book_id uuid, targets text[]) returns text[] language plpgsql as $$
declare
  target text;
  taken text[] := '{}';
  before constant bigint := (
    select b.revision from bindery.book_status b where b.book_id = taken.book_id);
begin
  foreach target in array targets loop
    begin
      if (select t.revision from bindery.transition_book(book_id, target) t) > before then
        raise exception using errcode = 'ZZ001';
      end if;
    exception
      when sqlstate 'ZZ001' then taken := taken || target;
      when sqlstate 'PT409' then null;
    end;
  end loop;
  return taken;
end
$$`;

/** @param {Iterable<string>} names */
const sorted = (names) => [...names].sort();

export class Walk {
  /**
   * @param {Client} client
   * @param {any} config what pipeline_xstate gave
   * @param {string} bookId
   */
  constructor(client, config, bookId) {
    this.client = client;
    this.config = config;
    this.bookId = bookId;
    /** What the guards return; a frontend works it out of the book's row. */
    this.facts = { substeps_complete: false, attempts_left: false, may_leave: false };
    this.machine = createMachine(config).provide({
      guards: {
        substeps_complete: () => this.facts.substeps_complete,
        attempts_left: () => this.facts.attempts_left,
        'public.may_leave': () => this.facts.may_leave,
      },
    });
    this.names = [
      ...config.meta.order,
      'FAILED',
      'CANCELLED',
      'NOPE',
      '',
      config.initial.toLowerCase(),
    ];
    /**
     * Where a failure, a resume and a cancellation were tried already: a state, and the edge by
     * which it was entered.
     */
    this.halted = new Set();
    this.tried = new Set();
    this.counts = { steps: 0, refusals: 0, paths: 0 };
    /** @type {Set<string>} */
    this.edges = new Set();
  }

  /** @returns {Promise<Place>} */
  async begin() {
    await this.client.query(TRY_ALL);
    const { pipeline } = this.config.meta;
    await this.client.query('select from bindery.register_book($1, pipeline => $2)', [
      this.bookId,
      pipeline,
    ]);
    const [snapshot] = initialTransition(this.machine);
    const place = { snapshot, book: await this.read() };
    await this.check(place, 'registered');
    return place;
  }

  /** @returns {Promise<Book>} */
  read() {
    return value(
      this.client,
      `select to_jsonb(b) || jsonb_build_object('substeps', array(
         select g.substep from bindery.book_progress g where g.book_id = b.book_id and g.stage = b.current_stage order by 1))
       from bindery.book_status b where b.book_id = $1`,
      [this.bookId],
    );
  }

  /** @param {Book} book */
  know(book) {
    const limit = this.config.states[book.current_stage].meta.max_attempts;
    this.facts = {
      substeps_complete: book.substeps_total > 0 && book.substeps_done === book.substeps_total,
      attempts_left: limit === undefined || book.attempt < limit,
      may_leave: book.metadata.may_leave === true,
    };
  }

  /** @param {Snapshot} snapshot */
  events(snapshot) {
    return this.names.filter((type) => snapshot.can({ type }));
  }

  /**
   * Both stand at the same place, and may go to the same places from there.
   * @param {Place} place
   * @param {string} came how: what is refused is tried once for each way to come here and each
   * answer of the guards
   */
  async check({ snapshot, book }, came) {
    const expected = book.status === 'FAILED' ? { FAILED: book.current_stage } : book.status;
    assert.deepEqual(snapshot.value, expected);

    this.facts = { substeps_complete: true, attempts_left: true, may_leave: true };
    const allowed = await value(
      this.client,
      `select coalesce(bindery_core.next_statuses(p.machine, $3, $4), '{}') from bindery.pipelines p where (p.name, p.version) = ($1, $2)`,
      [this.config.meta.pipeline, this.config.meta.version, book.status, book.current_stage],
    );
    assert.deepEqual(
      sorted(this.events(snapshot)),
      sorted(allowed),
      `guards aside, from ${book.status}`,
    );
    assert.equal(snapshot.status === 'done', allowed.length === 0);

    this.know(book);
    const situation = JSON.stringify([came, snapshot.value, this.facts]);
    if (this.tried.has(situation)) return;
    this.tried.add(situation);
    const taken = await value(this.client, 'select pg_temp.taken($1, $2)', [
      this.bookId,
      this.names,
    ]);
    assert.deepEqual(
      sorted(this.events(snapshot)),
      sorted(taken),
      `guards and all, from ${book.status}`,
    );
    assert.deepEqual(await this.read(), book, 'refused, the book is where it was');
    for (const type of this.names.filter((name) => !taken.includes(name))) {
      const [after] = transition(this.machine, snapshot, { type });
      assert.deepEqual(after.value, snapshot.value, `refused ${type}, the machine is where it was`);
      this.counts.refusals += 1;
    }
  }

  /**
   * @param {Place} from
   * @param {string} to
   * @returns {Promise<Place>}
   */
  async go(from, to) {
    this.know(from.book);
    const [snapshot] = transition(this.machine, from.snapshot, { type: to });
    await this.client.query('select from bindery.transition_book($1, $2)', [this.bookId, to]);
    const place = { snapshot, book: await this.read() };
    assert.equal(place.book.status, to);
    await this.check(place, `${from.book.status} -> ${to}`);
    this.counts.steps += 1;
    return place;
  }

  /**
   * The work of the current stage gets done, and every guard returns true.
   * @param {Place} place
   * @returns {Promise<Place>}
   */
  async work({ snapshot, book }) {
    if (this.config.states[book.status].meta.weight === 0) return { snapshot, book };
    const names = book.substeps.length > 0 ? book.substeps : ['all'];
    for (const name of names) {
      await this.client.query('select from bindery.report_progress($1, $2, 100)', [
        this.bookId,
        name,
      ]);
    }
    await this.client.query(
      `update bindery.book_status set metadata = '{"may_leave": true}' where book_id = $1`,
      [this.bookId],
    );
    const place = { snapshot, book: await this.read() };
    await this.check(place, 'work');
    return place;
  }

  /**
   * From here: cancel; fail and cancel; fail, resume and work on, until no attempt is left.
   * @param {Place} here
   */
  async halt(here) {
    const stage = here.book.status;
    await andBack(this.client, async () => void (await this.go(here, 'CANCELLED')));
    await andBack(this.client, async () => {
      let place = here;
      const limit = this.config.states[stage].meta.max_attempts ?? 1;
      do {
        const failed = await this.go(place, 'FAILED');
        await andBack(this.client, async () => void (await this.go(failed, 'CANCELLED')));
        place = await this.go(failed, stage);
      } while (place.book.attempt < limit);
      await this.work(place);
    });
  }

  /**
   * Every way on from here, each rework edge at most once on a way.
   * @param {Place} entered
   * @param {string[]} reworked
   * @param {string} came by which edge
   */
  async everyWay(entered, reworked = [], came = '') {
    const { status } = entered.book;
    if (entered.snapshot.status === 'done') {
      this.counts.paths += 1;
      return;
    }
    if (!this.halted.has(`${came} ${status}`)) {
      this.halted.add(`${came} ${status}`);
      await this.halt(entered);
    }
    const here = await this.work(entered);
    for (const [to, edge] of Object.entries(this.config.states[status].on)) {
      const name = `${status} -> ${to}`;
      const back = edge.meta.kind === 'rework';
      if (!['forward', 'rework'].includes(edge.meta.kind) || reworked.includes(name)) continue;
      this.know(here.book);
      // Work opens all edges but those for want of attempts; these stay shut, and check() has seen
      // that it is.
      if (!here.snapshot.can({ type: to })) continue;
      this.edges.add(name);
      await andBack(this.client, async () => {
        await this.everyWay(await this.go(here, to), back ? [...reworked, name] : reworked, name);
      });
    }
  }
}

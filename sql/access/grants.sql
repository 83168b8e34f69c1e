-- Grants. PUBLIC has no right, and neither has a role that default privileges gave one.
-- Invariants: writes go through functions; the service has only those plain writes that triggers
-- check. A function is granted by its name: no name here has two functions.
do $$
declare
  thing record;
begin
  -- Every right of a role other than the owner, whichever role granted it.
  for thing in
    select distinct o.statement, case when a.grantee = 0 then 'public'
      else quote_ident(pg_get_userbyid(a.grantee)) end as grantee
    from (
      select format('schema %I', n.nspname) as statement, n.nspacl as acl, n.nspowner as owner
      from pg_namespace n where n.nspname in ('bindery', 'bindery_internal')
      union all
      select format(case c.relkind when 'S' then 'sequence %s' else 'table %s' end,
        c.oid::regclass), c.relacl, c.relowner
      from pg_class c
      where c.relnamespace in ('bindery'::regnamespace, 'bindery_internal'::regnamespace)
        and c.relkind in ('r', 'p', 'v', 'm', 'S')
      union all
      select format('function %s', p.oid::regprocedure),
        coalesce(p.proacl, acldefault('f', p.proowner)), p.proowner
      from pg_proc p
      where p.pronamespace in ('bindery'::regnamespace, 'bindery_internal'::regnamespace)
    ) o
    cross join lateral aclexplode(o.acl) a
    where a.grantee <> o.owner
      -- ask_guard belongs to bindery_guard (pipelines/guards.sql); the schema's owner calls it.
      and a.grantee <> (
        select n.nspowner from pg_namespace n where n.nspname = 'bindery_internal')
  loop
    execute format('revoke all on %s from %s', thing.statement, thing.grantee);
  end loop;
end
$$;

grant usage on schema bindery, bindery_internal, bindery_core to authenticated, service_role;
grant usage on schema bindery, bindery_internal to bindery_relay, bindery_worker;
grant usage on schema bindery to anon;

grant select on bindery.book_status, bindery.book_progress, bindery.book_events,
  bindery.stage_visits
to authenticated;
grant select on all tables in schema bindery to service_role;
grant insert (book_id, owner_id, title, pipeline, pipeline_version, status, metadata)
on bindery.book_status to service_role;
grant update (owner_id, title, status, message, error, metadata)
on bindery.book_status to service_role;
grant update (broadcast, broadcast_every, broadcasts_per_second, notify, patience,
  early_events_per_book, early_events_total, dead_letters_total)
on bindery.settings to service_role;

do $$
declare
  granted record;
  called record;
begin
  for granted in
    select * from (values
      -- Reading, and the functions that reading calls.
      ('authenticated, service_role', array[
        'bindery.get_book_status', 'bindery.get_book_changes', 'bindery.list_substeps',
        'bindery.get_resume_point', 'bindery.list_books', 'bindery.status_at',
        'bindery.pipeline_xstate',
        'bindery_internal.user_id', 'bindery_internal.now', 'bindery_internal.may_set_clock',
        'bindery_internal.machine', 'bindery_internal.book_machine',
        'bindery_internal.missing_pipeline', 'bindery_internal.listed_status',
        'bindery_internal.stage_medians', 'bindery_internal.stages_json',
        'bindery_internal.substeps_bytes',
        'bindery_internal.listed_row', 'bindery_internal.is_queued',
        'bindery_internal.queued_among',
        'bindery_internal.health', 'bindery_internal.state_of',
        'bindery_internal.is_waiting', 'bindery_internal.brief_silence',
        'bindery_internal.substep_json', 'bindery_internal.shown_substeps',
        'bindery_internal.resume_point',
        'bindery_internal.book_json', 'bindery_internal.status_json', 'bindery_internal.cut_json',
        'bindery_internal.latest_version', 'bindery_internal.xstate_node',
        'bindery_internal.xstate_edge', 'bindery_internal.unknown_pipeline',
        'bindery_internal.unknown_book', 'bindery_internal.refused_report',
        'bindery_internal.error', 'bindery_internal.raise_error', 'bindery_internal.bad_input',
        'bindery_internal.refused_text', 'bindery_internal.is_worker']),
      -- Writing.
      ('service_role', array[
        'bindery.define_pipeline', 'bindery_internal.define_pipeline',
        'bindery.register_book', 'bindery_internal.do_register',
        'bindery.transition_book', 'bindery_internal.do_transition', 'bindery.cancel_book',
        'bindery.resume_book', 'bindery_internal.do_resume',
        'bindery.resume_books', 'bindery.cancel_books', 'bindery_internal.act_on_books',
        'bindery.rewind_book', 'bindery_internal.do_rewind']),
      -- Reporting, also for workers.
      ('service_role, bindery_worker', array[
        'bindery.begin_stage', 'bindery_internal.do_begin',
        'bindery.report_progress', 'bindery_internal.do_report',
        'bindery.plan_substeps', 'bindery_internal.do_plan',
        'bindery.heartbeat', 'bindery_internal.do_heartbeats',
        'bindery.fail_book', 'bindery_internal.do_fail',
        'bindery.report_events', 'bindery_internal.report_events',
        'bindery_internal.refused_attempt', 'bindery_internal.claimed_stage',
        'bindery_internal.worker_claims', 'bindery_internal.refused_worker']),
      -- Reads that workers need, and the functions that those call.
      ('bindery_worker', array[
        'bindery.get_resume_point', 'bindery_internal.worker_resume_point',
        'bindery_internal.worker_book', 'bindery_internal.is_worker',
        'bindery_internal.unknown_book',
        'bindery_internal.refused_report', 'bindery_internal.error',
        'bindery_internal.raise_error', 'bindery_internal.bad_input',
        'bindery_internal.refused_text']),
      -- Relaying.
      ('service_role, bindery_relay', array[
        'bindery.acquire_stream', 'bindery_internal.acquire_stream',
        'bindery.renew_stream', 'bindery_internal.renew_stream',
        'bindery.note_stream', 'bindery_internal.note_stream',
        'bindery.note_waiting', 'bindery_internal.note_waiting',
        'bindery.release_stream', 'bindery_internal.release_stream',
        'bindery.announce_relay', 'bindery_internal.announce_relay',
        'bindery.apply_events', 'bindery_internal.apply_events',
        'bindery.early_backlog', 'bindery_internal.early_backlog',
        'bindery.take_outbox', 'bindery_internal.take_outbox',
        'bindery.outbox_backlog', 'bindery_internal.outbox_backlog',
        'bindery.dead_letter_reasons', 'bindery_internal.dead_letter_reasons',
        'bindery.sweep', 'bindery_internal.sweep', 'bindery_internal.notifies',
        'bindery.send_held_broadcasts', 'bindery_internal.send_held_broadcasts',
        'bindery.make_realtime_policy', 'bindery_internal.make_realtime_policy']),
      -- Operation: unused streams, dead letters, retention, what the operator's page shows.
      ('service_role', array[
        'bindery.list_relays', 'bindery_internal.list_relays',
        'bindery.stage_durations', 'bindery_internal.stage_durations',
        'bindery.schema_version', 'bindery_internal.schema_version',
        'bindery.forget_stream', 'bindery_internal.forget_stream',
        'bindery.replay_dead_letters', 'bindery_internal.replay_dead_letters',
        'bindery.drop_dead_letters', 'bindery_internal.drop_dead_letters',
        'bindery.prune_events', 'bindery_internal.prune_events',
        'bindery.prune_dead_letters', 'bindery_internal.prune_dead_letters',
        'bindery.prune_outbox', 'bindery_internal.prune_outbox'])
    ) as g(roles, names)
  loop
    for called in
      select n.name, p.oid::regprocedure as signature
      from unnest(granted.names) as n(name)
      left join pg_proc p on p.proname = split_part(n.name, '.', 2)
        and p.pronamespace = to_regnamespace(split_part(n.name, '.', 1))
    loop
      if called.signature is null then
        raise exception 'There is no function %.', called.name;
      end if;
      execute format('grant execute on function %s to %s', called.signature, granted.roles);
    end loop;
  end loop;
end
$$;

-- Row-level security: a user reads the books it owns; the service reads all rows; the relay and
-- anon read no table.
-- Invariants: one permissive policy a role and action; the user's id is looked up once a statement.
drop policy if exists owner_reads_book on bindery.book_status;
create policy owner_reads_book on bindery.book_status for select to authenticated
  using (owner_id = (select bindery_internal.user_id()));
drop policy if exists owner_reads_progress on bindery.book_progress;
create policy owner_reads_progress on bindery.book_progress for select to authenticated
  using (exists (select from bindery.book_status b
    where b.book_id = book_progress.book_id and b.owner_id = (select bindery_internal.user_id())));
drop policy if exists owner_reads_history on bindery.book_events;
create policy owner_reads_history on bindery.book_events for select to authenticated
  using (exists (select from bindery.book_status b
    where b.book_id = book_events.book_id and b.owner_id = (select bindery_internal.user_id())));
drop policy if exists owner_reads_visits on bindery.stage_visits;
create policy owner_reads_visits on bindery.stage_visits for select to authenticated
  using (exists (select from bindery.book_status b
    where b.book_id = stage_visits.book_id and b.owner_id = (select bindery_internal.user_id())));

drop policy if exists service_reads_pipelines on bindery.pipelines;
create policy service_reads_pipelines on bindery.pipelines for select to service_role using (true);
drop policy if exists service_reads_books on bindery.book_status;
create policy service_reads_books on bindery.book_status for select to service_role using (true);
drop policy if exists service_inserts_books on bindery.book_status;
create policy service_inserts_books on bindery.book_status
  for insert to service_role with check (true);
drop policy if exists service_updates_books on bindery.book_status;
create policy service_updates_books on bindery.book_status
  for update to service_role using (true) with check (true);
drop policy if exists service_reads_progress on bindery.book_progress;
create policy service_reads_progress on bindery.book_progress
  for select to service_role using (true);
drop policy if exists service_reads_history on bindery.book_events;
create policy service_reads_history on bindery.book_events for select to service_role using (true);
drop policy if exists service_reads_outbox on bindery.outbox;
create policy service_reads_outbox on bindery.outbox for select to service_role using (true);
drop policy if exists service_reads_cursors on bindery.relay_cursors;
create policy service_reads_cursors on bindery.relay_cursors
  for select to service_role using (true);
drop policy if exists service_reads_dead_letters on bindery.dead_letters;
create policy service_reads_dead_letters on bindery.dead_letters
  for select to service_role using (true);
drop policy if exists service_reads_settings on bindery.settings;
create policy service_reads_settings on bindery.settings for select to service_role using (true);
drop policy if exists service_updates_settings on bindery.settings;
create policy service_updates_settings on bindery.settings
  for update to service_role using (true) with check (true);

-- Tables that only definer functions read: an explicit policy hides every row from other roles.
drop policy if exists nobody on bindery_internal.relays;
create policy nobody on bindery_internal.relays using (false);
drop policy if exists nobody on bindery_internal.waiting_books;
create policy nobody on bindery_internal.waiting_books using (false);
drop policy if exists nobody on bindery_internal.forgotten_streams;
create policy nobody on bindery_internal.forgotten_streams using (false);
drop policy if exists nobody on bindery_internal.stage_samples;
create policy nobody on bindery_internal.stage_samples using (false);
drop policy if exists nobody on bindery_internal.stage_pace;
create policy nobody on bindery_internal.stage_pace using (false);
drop policy if exists nobody on bindery_internal.pace_refresh;
create policy nobody on bindery_internal.pace_refresh using (false);
drop policy if exists nobody on bindery_internal.broadcast_windows;
create policy nobody on bindery_internal.broadcast_windows using (false);
drop policy if exists nobody on bindery_internal.unannounced;
create policy nobody on bindery_internal.unannounced using (false);
drop policy if exists nobody on bindery_internal.stored_answers;
create policy nobody on bindery_internal.stored_answers using (false);
drop policy if exists nobody on bindery_internal.mutexes;
create policy nobody on bindery_internal.mutexes using (false);
drop policy if exists nobody on bindery_internal.registration_slots;
create policy nobody on bindery_internal.registration_slots using (false);
drop policy if exists service_reads_visits on bindery.stage_visits;
create policy service_reads_visits on bindery.stage_visits for select to service_role using (true);
drop policy if exists service_reads_early_events on bindery.early_events;
create policy service_reads_early_events on bindery.early_events for select to service_role
  using (true);

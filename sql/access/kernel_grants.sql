-- Grants on the kernel: readers may call the functions that reading needs. Run again when a
-- database changes its kernel.
-- Invariant: both kernels have the same callers; the portable functions run with their caller's
-- rights.
revoke all on all functions in schema bindery_core from public, anon, authenticated, service_role,
  bindery_relay, bindery_worker;
grant execute on function bindery_core.stage_list(jsonb, text, text, double precision),
  bindery_core.label_of(text) to authenticated, service_role;

do $$
declare
  helper regprocedure;
begin
  for helper in
    select p.oid from pg_catalog.pg_proc p
    where p.pronamespace = 'bindery_core'::regnamespace
      and p.proname = any (array['refuse_null', 'refuse', 'as_double', 'product', 'quotient',
        'total', 'label_of', 'is_machine',
        'state_named', 'current_state', 'states_before'])
  loop
    execute format('grant execute on function %s to authenticated, service_role', helper);
  end loop;
end
$$;

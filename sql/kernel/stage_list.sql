-- The stages of a pipeline and a book's place among them.
-- Invariant: core/src/progress.rs in SQL. States of weight 0 are not stages.
create or replace function bindery_core.stage_list(
  machine jsonb, status text, stage text, stage_progress double precision
) returns jsonb
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
set extra_float_digits = 1
as $$
declare
  complete boolean;
  current text;
  before jsonb;
begin
  if machine is null then
    perform bindery_core.refuse_null('machine');
  elsif not bindery_core.is_machine(machine) then
    perform bindery_core.refuse('machine', 'this is not a compiled pipeline');
  elsif status is null then
    perform bindery_core.refuse_null('status');
  elsif stage_progress is null then
    perform bindery_core.refuse_null('stage_progress');
  end if;
  complete := status = machine #>> '{states,-1,name}';
  if not complete and status not in ('FAILED', 'CANCELLED')
    and bindery_core.state_named(machine, status) is null
  then
    perform bindery_core.refuse('stage', 'this pipeline has no state ' || status);
  end if;
  current := bindery_core.current_state(machine, status, stage) ->> 'name';
  if current is null and not complete then
    perform bindery_core.refuse('stage', 'this pipeline has no stage ' || coalesce(stage, status));
  end if;
  before := case when not complete then bindery_core.states_before(machine, current) end;
  return (
    select coalesce(jsonb_agg(jsonb_build_object('name', s.name, 'label', s.label,
      'weight', s.weight, 'state', s.stands, 'progress', case s.stands
        when 'done' then 100
        when 'pending' then 0
        else greatest(least(stage_progress, 100), 0)
      end) order by s.place), '[]')
    from (
      select listed.state ->> 'name' as name, listed.state -> 'label' as label,
        bindery_core.as_double(listed.state -> 'weight') as weight, listed.place, case
          when complete then 'done'
          when listed.state ->> 'name' = current then
            case status when 'FAILED' then 'failed' when 'CANCELLED' then 'cancelled'
              else 'active' end
          when before ? (listed.state ->> 'name') then 'done'
          else 'pending'
        end as stands
      from jsonb_array_elements(machine -> 'states') with ordinality as listed(state, place)
      where listed.state -> 'weight' <> '0'
    ) as s);
end
$$;

comment on function bindery_core.stage_list(jsonb, text, text, double precision) is
  'Returns the stages of the pipeline in its order: [{"name", "label", "weight", "state": done | '
  'active | pending | failed | cancelled, "progress"}]. machine: as compile_pipeline gives it. '
  'status, stage: the book''s; stage is the state that a halted book was last in, null for the '
  'initial one. stage_progress: the percent of the current stage. Errors: 22004 for a null '
  'machine, status or stage_progress, 22023 for a machine of another form, or a status or stage '
  'that the pipeline does not have.';

begin;
\ir helpers.psql
-- The kernel's border: what no caller should pass is an error with its SQLSTATE, never null and never a crash.
select plan(29);
create temp table machine as select machine as m from bindery.pipelines where (name, version) = ('comic', 1);
select is(tap.outcome(call), '22004', format('a null is refused: %s', left(call, 90)))
from unnest(array['select bindery_core.compile_pipeline(null)', 'select bindery_core.transition_error(null, ''A'', ''A'', ''B'', ''{}'')', 'select bindery_core.transition_error(m, null, ''A'', ''B'', ''{}'') from machine',
  'select bindery_core.transition_error(m, ''ANALYZING'', ''ANALYZING'', null, ''{}'') from machine', 'select bindery_core.next_statuses(null, ''A'', ''A'')', 'select bindery_core.next_statuses(m, null, ''A'') from machine',
  'select bindery_core.summarize(null, ''A'', ''A'', ''[]'')', 'select bindery_core.summarize(m, null, ''A'', ''[]'') from machine', 'select bindery_core.summarize(m, ''ANALYZING'', ''ANALYZING'', null) from machine',
  'select bindery_core.report_verdict(null, ''A'', ''A'', 1, null, null, null, false)', 'select bindery_core.report_verdict(m, ''ANALYZING'', ''ANALYZING'', null, null, null, null, false) from machine',
  'select bindery_core.report_verdict(m, ''ANALYZING'', ''ANALYZING'', 1, null, null, null, null) from machine']) call;
select is(tap.outcome(call), '22023', format('a wrong shape is refused: %s', left(call, 90)))
from unnest(array['select bindery_core.next_statuses(''{}'', ''A'', ''A'')', 'select bindery_core.next_statuses(''[]'', ''A'', ''A'')', 'select bindery_core.next_statuses(''5'', ''A'', ''A'')',
  'select bindery_core.next_statuses(jsonb_set(m, ''{states,0,name}'', ''5''), ''A'', ''A'') from machine', 'select bindery_core.next_statuses(jsonb_set(m, ''{states,0,next}'', ''[{"to": "NOPE"}]''), ''A'', ''A'') from machine',
  'select bindery_core.summarize(m, ''ANALYZING'', ''ANALYZING'', ''{}'') from machine', 'select bindery_core.summarize(m, ''ANALYZING'', ''ANALYZING'', ''[5]'') from machine',
  'select bindery_core.summarize(m, ''NOPE'', ''NOPE'', ''[]'') from machine', 'select bindery_core.summarize(m, ''FAILED'', ''NOPE'', ''[]'') from machine']) call;
select is(bindery_core.transition_error(m, 'ANALYZING', 'ANALYZING', 'GENERATING_SCENES', '{}'), null, 'null is what an allowed transition gives') from machine;
select is(bindery_core.next_statuses(m, 'FAILED', 'ANALYZING'), '{ANALYZING,CANCELLED}', 'a FAILED book may go on or be cancelled') from machine;
select is(bindery_core.next_statuses(m, 'COMPLETED', 'CREATING_ARTWORK'), '{}', 'nothing follows COMPLETED') from machine;
select is(bindery_core.summarize(m, 'ANALYZING', 'ANALYZING', '[{"substep": "extract_text", "progress": 1e300}, {"substep": "detect_chapters", "progress": -5}]') ->> 'stage_progress', '25', 'percents are kept within 0 and 100') from machine;
select is(bindery_core.compile_pipeline('{"states": [{"name": "A", "weight": 1}, {"name": "Z"}]}') #>> '{machine,states,0,label}', 'A', 'a definition is compiled');
select ok(jsonb_array_length(bindery_core.compile_pipeline(definition::jsonb) -> 'faults') > 0, format('%s has a fault', left(definition, 60)))
from unnest(array['null', '[]']) definition;
select isnt(tap.outcome($$select bindery.define_pipeline('x', '{"states": [{"name": "A", "weight": 1e400}, {"name": "Z"}]}')$$), 'ok', 'a weight that no double holds is refused');

select * from finish();
rollback;

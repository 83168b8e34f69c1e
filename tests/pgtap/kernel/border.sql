-- The kernel's border: what no caller should pass is an error with its SQLSTATE, never null.
begin;
\ir ../helpers.psql
select plan(60);
create temp table machine as
select machine as m from bindery.pipelines where (name, version) = ('comic', 1);

-- A missing argument.
select is(tap.outcome(format('select bindery_core.%s from machine', call)), '22004',
  format('A null is refused: %s.', call))
from unnest(array['compile_pipeline(null)', 'label_of(null)',
  'transition_error(null, ''A'', ''A'', ''B'', ''{}'')',
  'transition_error(m, null, ''A'', ''B'', ''{}'')',
  'transition_error(m, ''ANALYZING'', ''ANALYZING'', null, ''{}'')',
  'transition_verdict(null, ''A'', ''A'', ''B'', ''{}'')',
  'transition_verdict(m, null, ''A'', ''B'', ''{}'')',
  'transition_verdict(m, ''ANALYZING'', ''ANALYZING'', null, ''{}'')',
  'begin_verdict(null, ''A'', ''A'', ''B'', ''{}'')',
  'begin_verdict(m, null, ''A'', ''B'', ''{}'')',
  'begin_verdict(m, ''ANALYZING'', ''ANALYZING'', null, ''{}'')',
  'next_statuses(null, ''A'', ''A'')', 'next_statuses(m, null, ''A'')',
  'rewind_targets(null, ''A'', ''A'')', 'rewind_targets(m, null, ''A'')',
  'stage_list(null, ''A'', ''A'', 0)', 'stage_list(m, null, ''A'', 0)',
  'stage_list(m, ''ANALYZING'', ''ANALYZING'', null)',
  'progress_percentages(null, 0, 0, 0, 0, 0)', 'progress_percentages(0, null, 0, 0, 0, 0)',
  'progress_percentages(0, 0, null, 0, 0, 0)', 'progress_percentages(0, 0, 0, null, 0, 0)',
  'progress_percentages(0, 0, 0, 0, null, 0)', 'progress_percentages(0, 0, 0, 0, 0, null)',
  'report_verdict(null, ''A'', ''A'', 1, null, null, null, false)',
  'report_verdict(m, ''ANALYZING'', ''ANALYZING'', null, null, null, null, false)',
  'report_verdict(m, ''ANALYZING'', ''ANALYZING'', 1, null, null, null, null)']) call;

-- An argument of the wrong shape.
select is(tap.outcome(format('select bindery_core.%s from machine', call)), '22023',
  format('A wrong shape is refused: %s.', call))
from unnest(array['next_statuses(''{}'', ''A'', ''A'')', 'next_statuses(''[]'', ''A'', ''A'')',
  'next_statuses(''5'', ''A'', ''A'')', 'next_statuses(''null'', ''A'', ''A'')',
  'next_statuses(jsonb_set(m, ''{states,0,name}'', ''5''), ''A'', ''A'')',
  'next_statuses(jsonb_set(m, ''{states,0,next}'', ''[{"to": "NOPE"}]''), ''A'', ''A'')',
  'stage_list(''{}'', ''A'', ''A'', 0)', 'stage_list(m, ''NOPE'', ''NOPE'', 0)',
  'stage_list(m, ''FAILED'', ''NOPE'', 0)',
  'transition_verdict(''{}'', ''A'', ''A'', ''B'', ''{}'')',
  'begin_verdict(''{}'', ''A'', ''A'', ''B'', ''{}'')']) call;

-- What the kernel answers in the ordinary case.
select is(bindery_core.transition_error(m, 'ANALYZING', 'ANALYZING', 'GENERATING_SCENES', '{}'),
  null, 'transition_error gives null for an allowed transition.') from machine;
select is(bindery_core.transition_error(m, 'ANALYZING', 'ANALYZING', 'GENERATING_SCENES', null),
  null, 'Facts may be null if none is needed.') from machine;
select is(bindery_core.transition_verdict(m, 'ANALYZING', 'ANALYZING', target, '{}'), verdict,
  format('transition_verdict from ANALYZING to %s is %s.', target, verdict))
from machine, (values ('ANALYZING', 'none'), ('GENERATING_SCENES', 'accept'),
  ('COMPLETED', 'early'), ('UPLOADED', 'stale'), ('NOPE', 'illegal')) v(target, verdict);
select is(bindery_core.begin_verdict(m, 'ANALYZING', 'ANALYZING', target, '{}'), verdict,
  format('begin_verdict from ANALYZING to %s is %s.', target, verdict))
from machine, (values ('ANALYZING', 'none'), ('GENERATING_SCENES', 'accept'),
  ('CREATING_ARTWORK', 'early'), ('UPLOADED', 'stale'), ('COMPLETED', 'illegal'))
  v(target, verdict);
select is(bindery_core.next_statuses(m, 'FAILED', 'ANALYZING'), '{ANALYZING,CANCELLED}',
  'A FAILED book may continue or be cancelled.') from machine;
select is(bindery_core.next_statuses(m, 'COMPLETED', 'CREATING_ARTWORK'), '{}',
  'No status follows COMPLETED.') from machine;
select is(bindery_core.progress_percentages(3, 1, 1.25e17, 4e9, 0, 20), '{31.25,6.25}',
  'progress_percentages gives a stage''s and the overall percentage.');
select is(bindery_core.label_of('extract_text'), 'Extract text',
  'label_of makes a label of a substep''s key.');
select is(bindery_core.compile_pipeline(
    '{"states": [{"name": "A", "weight": 1}, {"name": "Z"}]}') #>> '{machine,states,0,label}',
  'A', 'compile_pipeline gives the machine of a definition.');
select is(jsonb_array_length(bindery_core.compile_pipeline(definition::jsonb) -> 'faults') > 0,
  true, format('compile_pipeline gives the faults of %s.', definition))
from unnest(array['null', '[]', '5', '{}']) definition;
select isnt(tap.outcome($$select bindery.define_pipeline('x',
    '{"states": [{"name": "A", "weight": 1e400}, {"name": "Z"}]}')$$), 'ok',
  'A weight that no double holds is refused.');

select * from finish();
rollback;

//! The functions' COMMENTs and rights. EXECUTE is revoked from PUBLIC;
//! `sql/access/kernel_grants.sql` grants it. `sql/kernel/` has the same comments.

pgrx::extension_sql!(
    r#"
revoke all on function compile_pipeline(jsonb), transition_error(jsonb, text, text, text, jsonb),
  transition_verdict(jsonb, text, text, text, jsonb), begin_verdict(jsonb, text, text, text, jsonb),
  next_statuses(jsonb, text, text), rewind_targets(jsonb, text, text),
  report_verdict(jsonb, text, text, integer, text, text, integer, boolean, integer),
  progress_percentages(integer, integer, double precision, double precision,
    double precision, double precision),
  stage_list(jsonb, text, text, double precision), label_of(text) from public;

comment on function compile_pipeline(jsonb) is
  'Compiles the definition of a pipeline. Returns {"machine": ...}, or {"faults": [{"path", '
  '"problem"}]} with every fault of the definition and its JSON path. Errors: 22004 for a null '
  'definition.';

comment on function transition_error(jsonb, text, text, text, jsonb) is
  'Returns why a book may not change its status, in a sentence that names what is allowed; null '
  'where it may. machine: as compile_pipeline gives it. status, stage: the book''s; stage is the '
  'state that a halted book was last in, null for the initial one. target: the new status. facts: '
  '{"substeps_complete", "attempts_left", "guards": {NAME: boolean}}, where a missing fact does '
  'not hold; "rewind": true for an operator''s step back, which follows rewind_targets and asks '
  'no guard; null for no facts. Errors: 22004 for a null machine, status or target, 22023 for a '
  'machine or facts of another form.';

comment on function transition_verdict(jsonb, text, text, text, jsonb) is
  'Returns what becomes of a transition event: none (the book has that status already), accept '
  '(transition_error allows it), early (forward edges lead to target from the book''s stage, so a '
  'later change can make it applicable), stale (target lies before the book''s stage, or the book '
  'is complete or CANCELLED) or illegal. A direct edge whose guard does not hold is early only if '
  'the guard is substeps_complete. Arguments and errors: as for transition_error.';

comment on function begin_verdict(jsonb, text, text, text, jsonb) is
  'Returns what becomes of an event by which a worker begins the state target: none (the book is '
  'in it), accept (the book FAILED in it, or a forward edge whose guard holds leads to it), early '
  '(forward edges lead to it from the book''s stage), stale (it lies before the book''s stage, or '
  'the book is complete or CANCELLED) or illegal (it is no state of the pipeline, the final one, '
  'or not connected). Arguments and errors: as for transition_error.';

comment on function next_statuses(jsonb, text, text) is
  'Returns the statuses that may follow, guards aside: forward, back by rework, then FAILED and '
  'CANCELLED; none for a complete or CANCELLED book. machine: as compile_pipeline gives it. '
  'status, stage: the book''s; stage is the state that a halted book was last in, null for the '
  'initial one. Errors: 22004 for a null machine or status, 22023 for a machine of another form.';

comment on function rewind_targets(jsonb, text, text) is
  'Returns the states that an operator may take a book back to: those before its own, in the '
  'order of the pipeline, then for a FAILED book the one it failed in; none for a complete or '
  'CANCELLED book. machine: as compile_pipeline gives it. status, stage: the book''s; stage is '
  'the state that a halted book was last in, null for the initial one. Errors: 22004 for a null '
  'machine or status, 22023 for a machine of another form.';

comment on function report_verdict(
  jsonb, text, text,
  integer, text, text, integer, boolean, integer) is
  'Returns what becomes of a progress report: accept, stale (from an earlier attempt or a stage '
  'already left: no effect), advance (it takes the book to its stage first), or the code of the '
  'refusal: unknown_stage, stage_not_reached, unknown_substep, attempt_ahead. machine: as '
  'compile_pipeline gives it. status, stage: the book''s; stage is the state that a halted book '
  'was last in, null for the initial one. attempt: the book''s. report_stage, substep, '
  'report_attempt: the report''s, null where it names none. planned: whether the book itself has '
  'the substep. last_attempt: the highest attempt that the book ever had at report_stage, null '
  'where it never was there or is there now. Errors: 22004 for a null machine, status, attempt or '
  'planned, 22023 for a machine of another form.';

comment on function progress_percentages(
  integer, integer, double precision,
  double precision, double precision, double precision) is
  'Returns {stage_progress, overall_progress} in percent, two decimals. stage_progress is 100 '
  'exactly when done = substeps > 0; overall_progress is at most 99.99. substeps, done: how many '
  'the stage has and how many are at 100. points, weight: the exact sums of the stage''s points '
  'and weight units. stage_base, stage_share: the percent of the whole before the stage, and its '
  'own. Errors: 22004 for a null.';

comment on function stage_list(jsonb, text, text, double precision) is
  'Returns the stages of the pipeline in its order: [{"name", "label", "weight", "state": done | '
  'active | pending | failed | cancelled, "progress"}]. machine: as compile_pipeline gives it. '
  'status, stage: the book''s; stage is the state that a halted book was last in, null for the initial '
  'one. stage_progress: the percent of the current stage. Errors: 22004 for a null machine, '
  'status or stage_progress, 22023 for a machine of another form, or a status or stage that the '
  'pipeline does not have.';

comment on function label_of(text) is
  'Returns the label that is made of a name: extract_text gives Extract text. Errors: 22004 for a '
  'null name.';
"#,
    name = "comments_and_rights",
    finalize
);

//! What the catalog says of the functions, and that nobody may call them until he is told so: a fresh extension, made by hand,
//! leaves nothing to PUBLIC. The schema's grants say who may. `sql/portable/` says the same of its functions.

pgrx::extension_sql!(
    r#"
revoke all on function compile_pipeline(jsonb), transition_error(jsonb, text, text, text, jsonb), next_statuses(jsonb, text, text),
  rewind_targets(jsonb, text, text), report_verdict(jsonb, text, text, integer, text, text, integer, boolean, integer),
  summarize(jsonb, text, text, jsonb) from public;

comment on function compile_pipeline(jsonb) is
'Compiles the definition of a pipeline. Gives {"machine": …}, or {"faults": [{"path": …, "problem": …}]} with every fault of the definition and its JSON path. Errors: 22004 where the definition is null.';

comment on function transition_error(jsonb, text, text, text, jsonb) is
'Why a book may not change its status; null where it may. machine: as compile_pipeline gives it; status, stage: the book''s (stage: the state a halted book was last in; null: the initial one); target: the status it is to have; facts: {"substeps_complete", "attempts_left", "guards": {NAME: boolean}}, where what is missing does not hold, and "rewind": true for an operator''s step back, which goes by rewind_targets and asks no guard; null: no facts. Gives a sentence that names what would be allowed. Errors: 22004 for a null machine, status or target, 22023 for a machine or facts of another form.';

comment on function next_statuses(jsonb, text, text) is
'The statuses that may follow, guards aside: forward, back by rework, then FAILED and CANCELLED; empty where the book is at its end. machine, status, stage: as for transition_error. Errors: 22004 for a null machine or status, 22023 for what is no machine.';

comment on function rewind_targets(jsonb, text, text) is
'The states that an operator may take a book back to: those before its own, in the pipeline''s order, then for a FAILED book the one it failed in; empty where there is none or the book is at its end. machine, status, stage: as for transition_error. Errors: 22004 for a null machine or status, 22023 for what is no machine.';

comment on function report_verdict(jsonb, text, text, integer, text, text, integer, boolean, integer) is
'What becomes of a progress report: accept, stale (too late: without effect), advance (it takes the book to its stage first), or the code of its refusal: unknown_stage, stage_not_reached, unknown_substep, attempt_ahead. machine, status, stage: as for transition_error; attempt: the book''s; report_stage, substep, report_attempt: the report''s, null where it names none; planned: whether the book itself knows the substep; last_attempt: the highest attempt the book ever had at report_stage, null where it never was there or is there now. Errors: 22004 for a null machine, status, attempt or planned, 22023 for what is no machine.';

comment on function summarize(jsonb, text, text, jsonb) is
'How far a book is: {"overall", "stage_progress"} in percent, two decimals, "substeps" of its stage and "stages" of its pipeline. machine, status, stage: as for transition_error; substeps: the book''s progress rows of that stage, [{"substep", "weight"?, "progress"?, "done"?, "total"?, "unit"?, "message"?}]. Errors: 22004 for a null machine, status or substeps, 22023 for a machine or rows of another form, or a status or stage that the pipeline does not have.';
"#,
    name = "comments_and_rights",
    finalize
);

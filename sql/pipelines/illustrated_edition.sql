-- The pipeline illustrated_edition, version 1: from a novel to an edition with plates. Shows
-- branches, rework and guards.
-- Invariants: the one of docs/pipelines.md; a change to it is a new version.
-- Locks: as define_pipeline.
select bindery.define_pipeline('illustrated_edition', '{
  "states": [
    {"name": "RECEIVED", "label": "Received"},
    {"name": "READING", "label": "Reading the book", "weight": 10,
     "stall_after": "2 minutes", "max_attempts": 3, "retry_after": "30 seconds",
     "substeps": [{"substep": "extract_text"}, {"substep": "choose_plates"},
       {"substep": "describe_characters", "weight": 2}]},
    {"name": "SKETCHING", "label": "Sketching", "weight": 20,
     "stall_after": "5 minutes", "max_attempts": 3, "retry_after": "1 minute",
       "open_substeps": true,
     "next": [{"to": "PAINTING", "guard": "substeps_complete"}]},
    {"name": "PAINTING", "label": "Painting", "weight": 40,
     "stall_after": "10 minutes", "max_attempts": 3, "retry_after": "1 minute",
       "open_substeps": true,
     "next": [{"to": "ART_REVIEW", "guard": "substeps_complete"}]},
    {"name": "ART_REVIEW", "label": "Reviewing the plates", "weight": 5,
     "stall_after": "5 minutes", "max_attempts": 3, "retry_after": "1 minute",
     "substeps": [{"substep": "likeness", "label": "Are they the same people on every plate?"},
       {"substep": "style"}],
     "next": [{"to": "LETTERING", "guard": "attempts_left"},
       {"to": "LAYOUT", "guard": "attempts_left"}, "EDITOR_CHECK"],
     "rework": ["PAINTING", "SKETCHING"]},
    {"name": "EDITOR_CHECK", "label": "With the editor", "weight": 5,
     "next": ["LETTERING", "LAYOUT"], "rework": ["PAINTING", "SKETCHING"]},
    {"name": "LETTERING", "label": "Lettering the plates", "weight": 10,
     "stall_after": "5 minutes", "max_attempts": 3, "retry_after": "30 seconds",
     "substeps": [{"substep": "captions"}, {"substep": "proofread"}],
     "next": [{"to": "LAYOUT", "guard": "substeps_complete"}]},
    {"name": "LAYOUT", "label": "Laying out the pages", "weight": 10,
     "stall_after": "5 minutes", "max_attempts": 3, "retry_after": "30 seconds"},
    {"name": "PUBLISHED", "label": "Published"}
  ]
}');

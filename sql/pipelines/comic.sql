-- The pipeline comic, version 1: from a novel to a comic.
-- Invariants: the one of README.md; a change to it is a new version.
-- Locks: as define_pipeline.
select bindery.define_pipeline('comic', '{
  "states": [
    {"name": "UPLOADED", "label": "Uploaded"},
    {"name": "ANALYZING", "label": "Reading the book", "weight": 20,
     "stall_after": "2 minutes", "max_attempts": 3, "retry_after": "30 seconds",
     "substeps": [{"substep": "extract_text"}, {"substep": "detect_chapters"},
       {"substep": "analyze_characters", "weight": 2}]},
    {"name": "GENERATING_SCENES", "label": "Cutting scenes", "weight": 30,
     "stall_after": "5 minutes", "max_attempts": 3, "retry_after": "30 seconds",
     "substeps": [{"substep": "split_scenes"}, {"substep": "write_prompts"}]},
    {"name": "CREATING_ARTWORK", "label": "Drawing", "weight": 50,
     "stall_after": "10 minutes", "max_attempts": 3, "retry_after": "1 minute",
       "open_substeps": true},
    {"name": "COMPLETED", "label": "Completed"}
  ]
}');
notify pgrst, 'reload schema';

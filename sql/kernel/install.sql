-- The portable kernel: the functions of the extension bindery in PL/pgSQL, for hosts that load no
-- native code. This file lists the order; psql runs it, and the daemon reads it.
\ir arguments.sql
\ir numbers.sql
\ir texts.sql
\ir definition_values.sql
\ir definition_parts.sql
\ir definition_graph.sql
\ir compile_pipeline.sql
\ir machine.sql
\ir next_statuses.sql
\ir transition_error.sql
\ir transition_verdict.sql
\ir report_verdict.sql
\ir progress_percentages.sql
\ir stage_list.sql

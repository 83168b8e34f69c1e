-- The native kernel in a self-hosted Supabase, by the superuser (supabase_admin): what the role
-- postgres may not do itself. The image runs it when it makes a new database; in an older one run
-- it once by hand. Safe to run again.
create extension if not exists bindery;

-- postgres owns the schema that stands on the kernel, and grants there who may call what.
revoke all on all functions in schema bindery_core from public;
grant usage on schema bindery_core to postgres with grant option;
grant execute on all functions in schema bindery_core to postgres with grant option;

-- bindery is the exposed API; bindery_internal is its implementation (triggers, definers, helpers).
-- Invariant: bindery_core (the kernel) is created by the extension or by sql/kernel, never here.
create schema if not exists bindery;
create schema if not exists bindery_internal;

comment on schema bindery is
  'Bindery: the status and progress of books in the making. Tables to read, functions to call.';
comment on schema bindery_internal is
  'What schema bindery stands on: triggers, definer functions, helpers. Not an API.';

-- Made by scripts/dist.sh of the schema that `binderyd migration` prints. Do not edit.

create schema bindery_package;
revoke all on schema bindery_package from public;

create function bindery_package.install() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
as $bindery_package$
begin
  if to_regnamespace('bindery') is not null then
    raise exception using errcode = '42P06', message = 'The schema bindery exists already.',
      hint = 'Upgrade it with `binderyd migrate`.';
  end if;
  execute $bindery_install$

$bindery_install$;
end
$bindery_package$;

comment on function bindery_package.install() is
  'Installs the schema bindery and its portable kernel, owned by the caller. Returns nothing. '
  'Errors: 42P06 where the schema exists.';
revoke all on function bindery_package.install() from public;

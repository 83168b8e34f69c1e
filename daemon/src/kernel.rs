//! The kernel: the rules that the schema stands on, native (the extension) or portable (PL/pgSQL), and the way from one to the
//! other.

use anyhow::Context;
use clap::ValueEnum;
use tokio_postgres::Client;
use tracing::info;

use crate::migrate::{file, files};

/// Which implementation of `bindery_core` a database has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kernel {
    /// The extension bindery.
    Native,
    /// PL/pgSQL, for servers that load no native code.
    Portable,
}

const NATIVE: &str = "create extension if not exists bindery";

/// Whoever works on books waits until the change is committed, and plans anew.
const STILL: &str = "do $$
begin
  if to_regclass('bindery.book_progress') is not null then
    lock table bindery.relay_cursors, bindery.book_status, bindery.book_progress in access exclusive mode;
  end if;
end
$$;";

/// What another kernel, or an older one, left: the functions of the schema are the kernel's alone.
const CLEAR: &str = "do $$
declare
  function regprocedure;
begin
  if exists (select from pg_catalog.pg_extension where extname = 'bindery') then
    drop extension bindery;
  end if;
  for function in
    select p.oid from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace where n.nspname = 'bindery_core'
  loop
    execute format('drop function %s', function);
  end loop;
end
$$;";

impl Kernel {
    /// The SQL that makes it.
    pub fn sql(self) -> anyhow::Result<String> {
        Ok(match self {
            Self::Native => format!("{NATIVE};\n"),
            Self::Portable => files("portable")?,
        })
    }
}

/// Sees to it that the database has the kernel that is wanted; without a wish the one it has, else native where the server
/// offers it. Books stay as they are: the schema finds the kernel's functions by name.
pub async fn install(client: &mut Client, wanted: Option<Kernel>) -> anyhow::Result<()> {
    let state = client
        .query_typed_one(
            "select exists (select from pg_catalog.pg_available_extensions where name = 'bindery'),
                exists (select from pg_catalog.pg_extension where extname = 'bindery'),
                to_regprocedure('bindery_core.compile_pipeline(jsonb)') is not null,
                to_regclass('bindery.book_progress') is not null,
                obj_description(to_regnamespace('bindery_core'), 'pg_namespace'), md5($1)",
            &[(&Kernel::Portable.sql()?, postgres_types::Type::TEXT)],
        )
        .await?;
    let (available, native, any, migrated): (bool, bool, bool, bool) =
        (state.get(0), state.get(1), state.get(2), state.get(3));
    let comment = match wanted.unwrap_or(if native || (available && !any) { Kernel::Native } else { Kernel::Portable })
    {
        Kernel::Native if native => return Ok(()),
        Kernel::Native => None,
        Kernel::Portable => Some(format!("Bindery's rules: the portable kernel {}.", state.get::<_, String>(5))),
    };
    let is_there = comment.is_some() && any && !native && comment == state.get::<_, Option<String>>(4);
    if is_there {
        return Ok(());
    }
    let kernel = if comment.is_some() { Kernel::Portable } else { Kernel::Native };
    anyhow::ensure!(
        kernel == Kernel::Portable || available,
        "this server has no extension bindery: install it into the server (scripts/install-extension.sh does), or take the \
        portable kernel (--kernel portable)"
    );
    let comment = comment.map_or_else(|| "null".to_owned(), |comment| format!("'{}'", comment.replace('\'', "''")));
    let transaction = client.transaction().await?;
    transaction.batch_execute(&format!("{STILL}\n{CLEAR}\n{}", kernel.sql()?)).await.context(match kernel {
        Kernel::Native => "the extension bindery could not be created; that takes a superuser",
        Kernel::Portable => "the portable kernel could not be installed",
    })?;
    transaction.batch_execute(&format!("comment on schema bindery_core is {comment}")).await?;
    if migrated {
        transaction.batch_execute(file("630_kernel_grants.sql")?).await?;
    }
    transaction.commit().await?;
    info!(?kernel, "installed the kernel");
    Ok(())
}

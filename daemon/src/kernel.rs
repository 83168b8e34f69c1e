//! The kernel: the rules that the schema calls, as the extension (native) or in PL/pgSQL
//! (portable), and the change from one to the other.

use anyhow::Context;
use clap::ValueEnum;
use tokio_postgres::Client;
use tracing::info;

use crate::schema::{Schema, checksum};

/// Which implementation of `bindery_core` a database has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kernel {
    /// The extension bindery.
    Native,
    /// PL/pgSQL, for servers that load no native code.
    Portable,
}

/// The version of the extension that this daemon's schema calls. Both are released together.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Drops the current kernel under an exclusive lock; other sessions wait and then replan. Every
/// function in `bindery_core` is the kernel's, and no object of the schema depends on one.
pub const CHANGE: &str = "do $$
declare
  function regprocedure;
begin
  if to_regclass('bindery.book_progress') is not null then
    lock table bindery.relay_cursors, bindery.book_status, bindery.book_progress
      in access exclusive mode;
  end if;
  if exists (select from pg_catalog.pg_extension where extname = 'bindery') then
    drop extension bindery;
  end if;
  for function in
    select p.oid
    from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'bindery_core'
  loop
    execute format('drop function %s', function);
  end loop;
end
$$;";

impl Kernel {
    /// The SQL that makes it.
    pub fn sql(self, schema: &Schema) -> anyhow::Result<String> {
        let (sql, comment) = match self {
            Self::Native => {
                ("create extension if not exists bindery;\n".to_owned(), "null".to_owned())
            }
            Self::Portable => (schema.kernel()?, format!("'{}'", portable(schema)?)),
        };
        Ok(format!("{sql}\ncomment on schema bindery_core is {comment};\n"))
    }
}

/// The comment on the schema of the portable kernel, by which a different one is recognized.
fn portable(schema: &Schema) -> anyhow::Result<String> {
    Ok(format!("Bindery''s rules: the portable kernel {}.", checksum(&schema.kernel()?)?))
}

/// Installs the requested kernel; by default keeps the current one, and in a new database takes
/// native where the server offers the extension. A kernel of another version is replaced. Books do
/// not change: the schema finds the kernel's functions by name.
pub async fn install(
    client: &mut Client,
    wanted: Option<Kernel>,
    schema: &Schema,
) -> anyhow::Result<()> {
    let state = client
        .query_typed_one(
            "select (select default_version from pg_catalog.pg_available_extensions
                     where name = 'bindery'),
                (select extversion from pg_catalog.pg_extension where extname = 'bindery'),
                to_regprocedure('bindery_core.compile_pipeline(jsonb)') is not null,
                to_regclass('bindery.book_progress') is not null,
                obj_description(to_regnamespace('bindery_core'), 'pg_namespace')",
            &[],
        )
        .await?;
    let (offered, native, comment): (Option<String>, Option<String>, Option<String>) =
        (state.get(0), state.get(1), state.get(4));
    let (any, migrated): (bool, bool) = (state.get(2), state.get(3));
    let is_native = native.is_some() || (offered.is_some() && !any);
    let kernel = wanted.unwrap_or(if is_native { Kernel::Native } else { Kernel::Portable });
    let is_there = match kernel {
        Kernel::Native => native.as_deref() == Some(VERSION),
        Kernel::Portable => {
            any && native.is_none() && comment == Some(portable(schema)?.replace("''", "'"))
        }
    };
    if is_there {
        return Ok(());
    }
    if kernel == Kernel::Native {
        let how = "install it into the server (scripts/build.sh does), or take the \
            portable kernel (--kernel portable)";
        let offered =
            offered.with_context(|| format!("this server has no extension bindery: {how}"))?;
        anyhow::ensure!(
            offered == VERSION,
            "this server has the extension bindery {offered}, and this binderyd goes with \
             {VERSION}: {how}"
        );
    }
    let transaction = client.transaction().await?;
    let change = format!("{CHANGE}\n{}", kernel.sql(schema)?);
    transaction.batch_execute(&change).await.context(match kernel {
        Kernel::Native => "the extension bindery could not be created; that takes a superuser",
        Kernel::Portable => "the portable kernel could not be installed",
    })?;
    if migrated {
        transaction.batch_execute(schema.file("access/kernel_grants.sql")?).await?;
    }
    transaction.commit().await?;
    info!(?kernel, "installed the kernel");
    Ok(())
}

//! The kernel: the rules that the schema stands on, native (the extension) or portable (PL/pgSQL), and the way from one to the
//! other.

use anyhow::Context;
use clap::ValueEnum;
use tokio_postgres::Client;
use tracing::info;

use crate::schema::{checksum, file, files};

/// Which implementation of `bindery_core` a database has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kernel {
    /// The extension bindery.
    Native,
    /// PL/pgSQL, for servers that load no native code.
    Portable,
}

/// The extension that this daemon's schema stands on; they are released together.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Makes way for a kernel. Whoever works on books waits until the change is committed, and plans anew. What another kernel,
/// or an older one, left goes: the functions of the schema are the kernel's alone, and nothing is bound to them.
pub const CHANGE: &str = "do $$
declare
  function regprocedure;
begin
  if to_regclass('bindery.book_progress') is not null then
    lock table bindery.relay_cursors, bindery.book_status, bindery.book_progress in access exclusive mode;
  end if;
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
        let (sql, comment) = match self {
            Self::Native => ("create extension if not exists bindery;\n".to_owned(), "null".to_owned()),
            Self::Portable => (files("portable")?, format!("'{}'", portable()?)),
        };
        Ok(format!("{sql}\ncomment on schema bindery_core is {comment};\n"))
    }
}

/// What the schema of the portable kernel says of itself, so that another one is known.
fn portable() -> anyhow::Result<String> {
    Ok(format!("Bindery''s rules: the portable kernel {}.", checksum(&files("portable")?)?))
}

/// Sees to it that the database has the kernel that is wanted, as this daemon has it; without a wish the one it has, else native
/// where the server offers it. Books stay as they are: the schema finds the kernel's functions by name.
pub async fn install(client: &mut Client, wanted: Option<Kernel>) -> anyhow::Result<()> {
    let state = client
        .query_typed_one(
            "select (select default_version from pg_catalog.pg_available_extensions where name = 'bindery'),
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
        Kernel::Portable => any && native.is_none() && comment == Some(portable()?.replace("''", "'")),
    };
    if is_there {
        return Ok(());
    }
    if kernel == Kernel::Native {
        let how = "install it into the server (scripts/install-extension.sh does), or take the portable kernel (--kernel portable)";
        let offered = offered.with_context(|| format!("this server has no extension bindery: {how}"))?;
        anyhow::ensure!(
            offered == VERSION,
            "this server has the extension bindery {offered}, and this binderyd goes with {VERSION}: {how}"
        );
    }
    let transaction = client.transaction().await?;
    transaction.batch_execute(&format!("{CHANGE}\n{}", kernel.sql()?)).await.context(match kernel {
        Kernel::Native => "the extension bindery could not be created; that takes a superuser",
        Kernel::Portable => "the portable kernel could not be installed",
    })?;
    if migrated {
        transaction.batch_execute(file("630_kernel_grants.sql")?).await?;
    }
    transaction.commit().await?;
    info!(?kernel, "installed the kernel");
    Ok(())
}

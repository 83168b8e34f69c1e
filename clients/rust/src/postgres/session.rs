//! The kinds of session of `target_session_attrs`.

use tokio_postgres::{Client, SimpleQueryMessage};

/// The kinds of libpq.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Session {
    #[default]
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    /// A standby; without one, any server.
    PreferStandby,
}

impl Session {
    /// Their names.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("any", Self::Any),
        ("read-write", Self::ReadWrite),
        ("read-only", Self::ReadOnly),
        ("primary", Self::Primary),
        ("standby", Self::Standby),
        ("prefer-standby", Self::PreferStandby),
    ];

    /// The kinds to try with all hosts, one after the other.
    pub fn rounds(self) -> &'static [Self] {
        match self {
            Self::Any => &[Self::Any],
            Self::ReadWrite => &[Self::ReadWrite],
            Self::ReadOnly => &[Self::ReadOnly],
            Self::Primary => &[Self::Primary],
            Self::Standby => &[Self::Standby],
            Self::PreferStandby => &[Self::Standby, Self::Any],
        }
    }

    /// Why this server is refused, if it is.
    pub async fn refusal(
        self,
        client: &Client,
    ) -> Result<Option<&'static str>, tokio_postgres::Error> {
        if matches!(self, Self::Any) {
            return Ok(None);
        }
        // Use the simple protocol, which every pooler supports.
        let query = "select pg_catalog.pg_is_in_recovery(), \
            pg_catalog.current_setting('transaction_read_only')";
        let answer = client.simple_query(query).await?;
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let is = |column, value| row.and_then(|row| row.get(column)) == Some(value);
        let (standby, read_only) = (is(0, "t"), is(1, "on"));
        Ok(match self {
            Self::ReadWrite if read_only => Some("its sessions are read-only"),
            Self::ReadOnly if !read_only => Some("its sessions are read-write"),
            Self::Primary if standby => Some("it is a standby"),
            Self::Standby if !standby => Some("it is a primary"),
            _ => None,
        })
    }
}

//! The kinds of request, and how many of each there were.

use std::fmt;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// A name in a directory, with its attributes.
    Lookup,
    /// The attributes of what is known by number.
    GetAttr,
    /// To open a directory.
    OpenDir,
    /// A part of a listing, or that there is no more.
    ReadDir,
    /// To open a file.
    Open,
    /// A part of a file.
    Read,
    /// To make and open a file.
    Create,
    /// To write to a file.
    Write,
    /// To put a file on the disk for sure.
    Fsync,
    /// To change attributes, among them the length.
    SetAttr,
    /// To make a directory.
    MkDir,
    /// To rename.
    Rename,
    /// To remove a file.
    Unlink,
    /// To remove a directory.
    RmDir,
    /// To make a symbolic or hard link, or to read a symbolic one.
    Link,
    /// How full the disk is.
    StatFs,
    /// Anything else; the answer is that it is not there.
    Other,
    /// To close a file or directory. Nobody waits for it.
    Close,
}

impl RequestKind {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 18] = [
        Self::Lookup,
        Self::GetAttr,
        Self::OpenDir,
        Self::ReadDir,
        Self::Open,
        Self::Read,
        Self::Create,
        Self::Write,
        Self::Fsync,
        Self::SetAttr,
        Self::MkDir,
        Self::Rename,
        Self::Unlink,
        Self::RmDir,
        Self::Link,
        Self::StatFs,
        Self::Other,
        Self::Close,
    ];

    /// Its name, as FUSE has it, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::GetAttr => "getattr",
            Self::OpenDir => "opendir",
            Self::ReadDir => "readdir",
            Self::Open => "open",
            Self::Read => "read",
            Self::Create => "create",
            Self::Write => "write",
            Self::Fsync => "fsync",
            Self::SetAttr => "setattr",
            Self::MkDir => "mkdir",
            Self::Rename => "rename",
            Self::Unlink => "unlink",
            Self::RmDir => "rmdir",
            Self::Link => "link",
            Self::StatFs => "statfs",
            Self::Other => "other",
            Self::Close => "close",
        }
    }

    /// Whether a caller waits for the answer.
    pub const fn is_waited_for(self) -> bool {
        !matches!(self, Self::Close)
    }
}

/// How many requests of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests(pub(super) [u64; RequestKind::ALL.len()]);

impl Requests {
    /// Those of a kind.
    pub const fn of(&self, kind: RequestKind) -> u64 {
        self.0[kind as usize]
    }

    /// All that a caller waited for.
    pub fn total(&self) -> u64 {
        RequestKind::ALL.into_iter().filter(|kind| kind.is_waited_for()).map(|kind| self.of(kind)).sum()
    }

    /// Those that came since an earlier count.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = *self;
        for (count, before) in since.0.iter_mut().zip(earlier.0) {
            *count = count.saturating_sub(before);
        }
        since
    }

    /// Every kind that there was, with its count.
    pub fn by_kind(&self) -> impl Iterator<Item = (RequestKind, u64)> {
        RequestKind::ALL.into_iter().map(|kind| (kind, self.of(kind))).filter(|(_, count)| *count > 0)
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<String> =
            self.by_kind().map(|(kind, count)| format!("{} {count}", kind.name())).collect();
        formatter.write_str(&kinds.join(", "))
    }
}

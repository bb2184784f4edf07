//! What a sweep of a damaged store has to come to.

use serde_json::Value;

use crate::place::Target;

/// What a sweep has to come to, beside what holds for every cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// A root is in doubt: it is told, no manifest and no blob goes anywhere, and these repositories lose no tag.
    Doubt { told: String, spared: Vec<&'static str> },
    /// It is unknown which blob a kept image means: that is reported as a doubt, and no blob goes.
    BlobDoubt { told: String },
    /// A kept tag does not pull: it is told which one and what it lacks; everything else is done.
    Broken { repository: &'static str, tag: String, missing: String },
    /// It is told as an error; everything else is done.
    Error { told: String },
    /// The collector cannot be run on such a store: it is told, and no blob goes.
    Uncollected,
    /// The collector would take what is needed, and is not run: no blob goes. What it is that is damaged may be told as
    /// an error.
    Refused { told: Option<String> },
    /// It is told, weighs nothing, and everything is done.
    Noted { told: String },
    /// Everything is done.
    Done,
}

impl Expect {
    pub(crate) fn broken(target: &Target, missing: &impl ToString) -> Self {
        Self::Broken {
            repository: target.repository,
            tag: target.tag.unwrap().to_owned(),
            missing: missing.to_string(),
        }
    }

    /// Whether it comes of what the registry's collector does.
    pub(crate) const fn is_of_the_registrys_collector(&self) -> bool {
        matches!(self, Self::Uncollected | Self::Refused { .. })
    }

    /// What it comes to where that one has no part in it.
    pub(crate) fn without_the_registrys_collector(self) -> Self {
        match self {
            Self::Uncollected | Self::Refused { told: None } => Self::Done,
            Self::Refused { told: Some(told) } => Self::Error { told },
            other => other,
        }
    }

    pub(crate) fn exit_code(&self, collects: bool) -> i32 {
        match self {
            Self::Refused { .. } if collects => 12,
            Self::Doubt { .. }
            | Self::BlobDoubt { .. }
            | Self::Broken { .. }
            | Self::Error { .. }
            | Self::Refused { told: Some(_) } => 3,
            Self::Uncollected => {
                if collects {
                    3
                } else {
                    0
                }
            }
            Self::Refused { told: None } | Self::Noted { .. } | Self::Done => 0,
        }
    }

    /// Whether the collector itself is what ends it.
    pub(crate) fn is_uncollected(&self) -> bool {
        matches!(self, Self::Uncollected | Self::Refused { .. })
    }

    /// What the report ought to say and does not.
    pub(crate) fn untold(&self, report: &Value) -> Option<String> {
        let finding = |severities: &[&str], told: &str| {
            let mut findings = report["findings"].as_array().into_iter().flatten();
            let is_it = |finding: &&Value| {
                let text = |key: &str| finding[key].as_str().unwrap_or_default();
                severities.contains(&text("severity"))
                    && format!("{} {}", text("path"), text("cause")).contains(told)
            };
            match findings.find(is_it) {
                None => Some(format!("no finding of {severities:?} tells of {told}")),
                Some(finding) => ["path", "cause", "remedy"]
                    .into_iter()
                    .find(|key| finding[*key].as_str().is_none_or(str::is_empty))
                    .map(|key| format!("a finding without its {key}: {finding}")),
            }
        };
        match self {
            Self::Doubt { told, .. } | Self::BlobDoubt { told } => finding(&["doubt"], told),
            Self::Error { told } | Self::Refused { told: Some(told) } => finding(&["error"], told),
            Self::Noted { told } => finding(&["note", "warning"], told),
            Self::Broken { repository, tag, missing } => {
                let mut broken = report["broken"].as_array().into_iter().flatten();
                let is_it = |broken: &&Value| broken["repository"] == *repository && broken["tag"] == **tag;
                match broken.find(is_it) {
                    None => Some(format!("nothing says that {repository}:{tag} is broken")),
                    Some(broken) if !broken["missing"].to_string().contains(missing) => {
                        Some(format!("it lacks {missing}: {broken}"))
                    }
                    Some(_) => None,
                }
            }
            Self::Uncollected | Self::Refused { told: None } | Self::Done => None,
        }
    }
}

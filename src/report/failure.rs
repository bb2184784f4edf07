//! What is told in a report's place where there was no sweep to report.

use serde::Serialize;

/// The document of a sweep that could not be made, or was not finished.
#[derive(Debug, Serialize)]
pub struct Failure<'a> {
    schema_version: u32,
    version: &'static str,
    status: FailureStatus,
    exit_code: u8,
    error: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum FailureStatus {
    Failed,
    NoStore,
    Locked,
    Refused,
    Interrupted,
}

impl<'a> Failure<'a> {
    /// What an exit code means, with the cause in words.
    pub fn new(exit_code: u8, error: &'a str) -> Self {
        let status = match exit_code {
            10 => FailureStatus::NoStore,
            11 => FailureStatus::Locked,
            12 => FailureStatus::Refused,
            128.. => FailureStatus::Interrupted,
            _ => FailureStatus::Failed,
        };
        Self { schema_version: 1, version: env!("CARGO_PKG_VERSION"), status, exit_code, error }
    }

    /// As one JSON document on one line, without an end of line.
    ///
    /// # Errors
    /// None that is known of: every field can be told in JSON.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_exit_code_has_its_status() {
        for (code, status) in [
            (1, "failed"),
            (10, "no-store"),
            (11, "locked"),
            (12, "refused"),
            (130, "interrupted"),
            (143, "interrupted"),
        ] {
            let told = Failure::new(code, "why \"so\"").to_json().unwrap();
            let version = env!("CARGO_PKG_VERSION");
            assert_eq!(
                told,
                format!(
                    r#"{{"schema_version":1,"version":"{version}","status":"{status}","exit_code":{code},"error":"why \"so\""}}"#
                )
            );
        }
    }
}

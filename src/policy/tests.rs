//! Tables and properties of the retention policy.

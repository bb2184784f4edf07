//! Tables for what goes and what waits.

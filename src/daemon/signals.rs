//! SIGTERM, SIGINT and SIGHUP ask for a stop; a second one ends the process and its child at once.

use std::io;
use std::sync::Arc;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::stop::Stop;

/// Begins to listen, on a thread of its own.
///
/// # Errors
/// When the handlers cannot be put in place.
pub fn listen(stop: Arc<Stop>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in &mut signals {
            if stop.check().is_err() {
                stop.kill_child();
                #[expect(
                    clippy::exit,
                    reason = "a person who asks twice wants out, and the next sweep tidies up"
                )]
                std::process::exit(128 + signal);
            }
            tracing::info!("asked to stop by signal {signal}; once more to stop at once");
            stop.request(signal);
        }
    })?;
    Ok(())
}

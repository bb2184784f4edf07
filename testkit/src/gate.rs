//! What stands before a registry: it sees every request, lets it pass, answers itself, or lets it wait.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::Registry;

/// A request, as far as it has been read.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `HEAD /v2/…`
    pub line: String,
    /// Its headers, by their names in lower case.
    pub headers: BTreeMap<String, String>,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The registry answers it.
    Pass,
    /// The registry answers it, and is told that it was asked for under another name.
    PassAs(&'static str),
    /// It is answered with this status line, these headers and this body.
    Answer(&'static str, String, String),
    /// It is never answered.
    Hold,
}

/// Before a registry; closes with the value.
pub struct Gate {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
    is_closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gate").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Gate {
    /// Opens a gate on a free port of loopback.
    pub fn before(registry: &Registry, decide: impl Fn(&Asked) -> Verdict + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address").to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let is_closing = Arc::new(AtomicBool::new(false));
        let (seen, closing) = (Arc::clone(&requests), Arc::clone(&is_closing));
        let (upstream, decide) = (registry.address().to_owned(), Arc::new(decide));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if closing.load(Ordering::Relaxed) {
                    return;
                }
                let (seen, upstream, decide) = (Arc::clone(&seen), upstream.clone(), Arc::clone(&decide));
                // A client that goes away in the middle is no failure of the gate's.
                thread::spawn(move || {
                    stream.and_then(|stream| serve(stream, &upstream, &seen, decide.as_ref())).ok()
                });
            }
        });
        Self { address, requests, is_closing, thread: Some(thread) }
    }

    /// A gate that lets everything pass.
    pub fn open(registry: &Registry) -> Self {
        Self::before(registry, |_| Verdict::Pass)
    }

    /// Where it listens, as `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far, each as `HEAD /v2/…`.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.is_closing.store(true, Ordering::Relaxed);
        // Wakes the thread, so that it sees that it is over.
        drop(TcpStream::connect(&self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// One request of one connection, which is closed after it.
fn serve(
    stream: TcpStream,
    upstream: &str,
    seen: &Mutex<Vec<String>>,
    decide: &dyn Fn(&Asked) -> Verdict,
) -> std::io::Result<()> {
    let mut client = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let line = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut asked = Asked { line, headers };
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(asked.line.clone());
    match decide(&asked) {
        Verdict::Pass => {}
        Verdict::PassAs(name) => {
            asked.headers.insert("host".to_owned(), name.to_owned());
            asked.headers.insert("x-forwarded-proto".to_owned(), "https".to_owned());
        }
        Verdict::Answer(status, headers, body) => {
            let length = body.len();
            return write!(
                client,
                "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
        Verdict::Hold => {
            // Until the client gives up.
            return reader.read_to_end(&mut Vec::new()).map(drop);
        }
    }
    asked.headers.insert("connection".to_owned(), "close".to_owned());
    let mut registry = TcpStream::connect(upstream)?;
    write!(registry, "{} HTTP/1.1\r\n", asked.line)?;
    for (name, value) in &asked.headers {
        write!(registry, "{name}: {value}\r\n")?;
    }
    write!(registry, "\r\n")?;
    registry.write_all(&body)?;
    std::io::copy(&mut registry, &mut client)?;
    Ok(())
}

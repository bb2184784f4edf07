//! The real registry, on loopback, on a port it picks itself.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::store_builder::set_mtime;
use crate::{Client, StoreView, process};

/// How long a registry may take to come up on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether the registry remembers blobs in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cache {
    /// Every question is answered from the disk.
    #[default]
    Off,
    /// `inmemory`, as the stock image's own configuration has it.
    InMemory,
}

/// What to start; the default is a fresh store, deletes enabled and no cache.
#[derive(Clone, Debug, Default)]
pub struct RegistryOptions {
    /// An existing store instead of a fresh one.
    pub store: Option<PathBuf>,
    /// Whether the registry remembers blobs in memory.
    pub cache: Cache,
    /// A configuration to use instead of the harness's own; store and port are set by environment.
    pub config: Option<PathBuf>,
    /// Variables of the registry's own process, which a janitor beside it does not see.
    pub variables: BTreeMap<String, String>,
    /// Each directory that it makes takes this much longer, as on storage behind a network: between its last look at
    /// what a push needs and the links that it writes, there is a directory to make.
    pub slow_directories: Option<Duration>,
}

/// A running registry; ends with the value.
#[derive(Debug)]
pub struct Registry {
    directory: TempDir,
    store: PathBuf,
    config: PathBuf,
    root_by_environment: bool,
    variables: BTreeMap<String, String>,
    slow_directories: Option<Duration>,
    running: Option<(Child, String)>,
}

/// The stock registry's binary: `$TEST_REGISTRY_BIN`, Debian's `docker-registry`, or `registry`.
pub fn registry_bin() -> PathBuf {
    if let Some(given) = env::var_os("TEST_REGISTRY_BIN") {
        return PathBuf::from(given);
    }
    find_program(&["docker-registry", "registry"]).unwrap_or_else(|| {
        panic!(
            "no registry to test with: install the Debian package docker-registry, \
             or set TEST_REGISTRY_BIN to the path of a registry 2.8 binary"
        )
    })
}

/// The first of these programs that is in the PATH.
pub(crate) fn find_program(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    names.iter().find_map(|name| {
        env::split_paths(&path).map(|directory| directory.join(name)).find(|program| program.is_file())
    })
}

impl Registry {
    /// Starts a registry with a fresh store.
    pub fn start() -> Self {
        Self::start_with(RegistryOptions::default())
    }

    /// Starts a registry.
    pub fn start_with(options: RegistryOptions) -> Self {
        let directory = TempDir::with_prefix("janitor-registry-").expect("a temporary directory");
        let store = options.store.unwrap_or_else(|| directory.path().join("store"));
        fs::create_dir_all(&store).expect("the store's directory is made");
        let root_by_environment = options.config.is_some();
        let config = options.config.unwrap_or_else(|| {
            let path = directory.path().join("config.yml");
            fs::write(&path, config_text(&store, options.cache)).expect("a configuration");
            path
        });
        let mut registry = Self {
            directory,
            store,
            config,
            root_by_environment,
            variables: options.variables,
            slow_directories: options.slow_directories,
            running: None,
        };
        registry.run();
        registry
    }

    /// Ends the process and starts another one on the same store; the port changes.
    pub fn restart(&mut self) {
        self.stop();
        self.run();
    }

    /// Ends the process; the store stays.
    pub fn stop(&mut self) {
        if let Some((mut child, _)) = self.running.take() {
            process::end(&mut child);
        }
    }

    /// The store's directory (the registry's `rootdirectory`).
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// What lies in the store.
    pub fn view(&self) -> StoreView {
        StoreView::new(&self.store)
    }

    /// The configuration file it runs with.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// A directory for whatever else a test writes; it goes with the registry.
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// What the collector's environment needs so that it works on this store; empty where the
    /// configuration says it all.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::new();
        if self.root_by_environment {
            environment.insert(
                "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY".to_owned(),
                self.store.display().to_string(),
            );
        }
        environment
    }

    /// `127.0.0.1:<port>`.
    pub fn address(&self) -> &str {
        let (_, address) = self.running.as_ref().expect("the registry is running");
        address
    }

    /// Its address, as a setting has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// A client for it.
    pub fn client(&self) -> Client {
        Client::new(self.address())
    }

    /// Moves the push time of a tag, as if it had been pushed then.
    pub fn set_push_time(&self, repository: &str, tag: &str, at: SystemTime) {
        set_mtime(&self.view().current_link(repository, tag), at);
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn run(&mut self) {
        let log = File::create(self.log_path()).expect("the registry's log is made");
        let binary = registry_bin();
        let child = self
            .command(&binary)
            .arg("serve")
            .arg(&self.config)
            .env_clear()
            .env("REGISTRY_HTTP_ADDR", "127.0.0.1:0")
            .env("REGISTRY_LOG_LEVEL", "info")
            .env("REGISTRY_LOG_FORMATTER", "text")
            .env("OTEL_TRACES_EXPORTER", "none")
            .envs(self.environment())
            .envs(&self.variables)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle on the log"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        // Stored before anything can fail, so that the child always ends with the value.
        self.running = Some((child, String::new()));
        let address = process::poll(PATIENCE, || {
            self.listening_address().filter(|address| Client::new(address).is_up())
        });
        let Some(address) = address else {
            panic!("the registry did not come up:\n{}", self.log());
        };
        if let Some((_, known)) = &mut self.running {
            *known = address;
        }
    }

    /// The registry's process is the one that is started, also where it is traced.
    fn command(&self, binary: &Path) -> Command {
        let Some(delay) = self.slow_directories else { return Command::new(binary) };
        let mut command = Command::new(find_program(&["strace"]).expect("strace is installed"));
        let delayed = format!("inject=/^mkdir:delay_enter={}", delay.as_micros());
        let tracer = ["-D", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=/^mkdir", "-e"];
        command.args(tracer).arg(delayed).arg(binary);
        command
    }

    /// The address in `msg="listening on 127.0.0.1:43495"`.
    fn listening_address(&self) -> Option<String> {
        let log = self.log();
        let (_, after) = log.split_once("listening on ")?;
        let (address, _) = after.split_once('"')?;
        Some(address.to_owned())
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("registry.log")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

fn config_text(store: &Path, cache: Cache) -> String {
    let cache = match cache {
        Cache::Off => "",
        Cache::InMemory => "  cache:\n    blobdescriptor: inmemory\n",
    };
    let root = store.display();
    format!(
        "version: 0.1\nlog:\n  level: info\nstorage:\n{cache}  filesystem:\n    rootdirectory: {root}\n  \
         delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:0\n"
    )
}

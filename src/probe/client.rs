//! The requests of a probe, to one registry.

use std::time::Duration;

use serde::Deserialize;
use ureq::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::challenge::Challenge;
use super::credentials::{Credentials, CredentialsError, Login, Secret};
use super::{Access, Address};
use crate::model::{Canary, Digest, Scratch};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a request may take, all in all; a stop is looked at in between.
const WHOLE: Duration = Duration::from_secs(20);
/// The most that an answer with a token may have.
const TOKEN_MAX_BYTES: u64 = 1 << 20;

/// Why a registry could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There was no answer.
    #[error("it did not answer ({0})")]
    NoAnswer(#[source] ureq::Error),
    /// It wants user name and password, and there are none.
    #[error("it wants a user name and a password, and {0}")]
    NoCredentials(#[from] CredentialsError),
    /// It does not take those that there are.
    #[error("it does not accept the user name and password of {0:?}")]
    WrongCredentials(String),
    /// They are not good enough.
    #[error("it does not let the janitor upload to {repository} (403 Forbidden)")]
    Forbidden {
        /// The scratch repositories.
        repository: &'static str,
    },
    /// It takes no uploads at all.
    #[error("it takes no uploads (405 Method Not Allowed), so it is read-only or a mirror")]
    ReadOnly,
    /// It is somewhere else.
    #[error("it is at {0}, it says; give that address")]
    Moved(String),
    /// It wants to know who is there in a way that is unknown here, or unsafe.
    #[error("it wants to know who is there in a way that the janitor does not use: {0}")]
    UnknownChallenge(String),
    /// It answered something else.
    #[error("to {request} it answered {answer}")]
    Odd {
        /// What was asked.
        request: &'static str,
        /// Status, or what was wrong about the answer.
        answer: String,
    },
}

/// An upload that was begun: where it goes on.
#[derive(Debug)]
pub struct Upload(String);

/// Asks one registry.
#[derive(Debug)]
pub struct Client<'a> {
    address: &'a Address,
    credentials: &'a Credentials,
    agent: Agent,
    authorization: Option<Secret>,
}

impl<'a> Client<'a> {
    /// Asks nothing yet.
    pub fn new(access: &'a Access, address: &'a Address) -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A registry is asked, not what stands between it and the rest of the world.
            .proxy(None)
            .tls_config(tls)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(WHOLE))
            .user_agent(concat!("registry-janitor/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Self { address, credentials: &access.credentials, agent, authorization: None }
    }

    /// Begins an upload.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn begin_upload(&mut self, scratch: &Scratch) -> Result<Upload, AskError> {
        let url = self.address.api(&format!("{}/blobs/uploads/", scratch.repository()));
        let response = self.ask(&Method::POST, &url, Some(b""))?;
        let request = "the begin of an upload";
        expect(&response, StatusCode::ACCEPTED, request)?;
        let location = text(response.headers(), &header::LOCATION);
        match location.and_then(|location| self.address.follow(location)) {
            Some(url) => Ok(Upload(url)),
            None => Err(AskError::Odd { request, answer: "202 without telling where it goes on".into() }),
        }
    }

    /// Uploads the canary and ends the upload.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn finish_upload(&mut self, upload: &Upload, canary: &Canary) -> Result<(), AskError> {
        let separator = if upload.0.contains('?') { '&' } else { '?' };
        let url = format!("{}{separator}digest={}", upload.0, canary.digest);
        let response = self.ask(&Method::PUT, &url, Some(&canary.content))?;
        expect(&response, StatusCode::CREATED, "an upload")
    }

    /// Whether the registry says that it has a blob.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn has_blob(&mut self, scratch: &Scratch, digest: &Digest) -> Result<bool, AskError> {
        let url = self.address.api(&format!("{}/blobs/{digest}", scratch.repository()));
        let response = self.ask(&Method::HEAD, &url, None)?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        expect(&response, StatusCode::OK, "the question for a blob")?;
        Ok(true)
    }

    /// Makes a request; says who is there only when that is asked for.
    fn ask(&mut self, method: &Method, url: &str, body: Option<&[u8]>) -> Result<Response<Body>, AskError> {
        let response = self.send(method, url, body)?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let login = self.credentials.look_up(self.address)?;
        self.authorization = Some(self.authorize(&response, &login)?);
        let response = self.send(method, url, body)?;
        if response.status() == StatusCode::UNAUTHORIZED {
            return Err(AskError::WrongCredentials(login.username));
        }
        Ok(response)
    }

    fn send(&self, method: &Method, url: &str, body: Option<&[u8]>) -> Result<Response<Body>, AskError> {
        let mut request = Request::builder().method(method.clone()).uri(url);
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization.reveal());
        }
        let failed = |error: ureq::http::Error| AskError::NoAnswer(error.into());
        match body {
            Some(body) => self.agent.run(request.body(body).map_err(failed)?),
            None => self.agent.run(request.body(()).map_err(failed)?),
        }
        .map_err(AskError::NoAnswer)
    }

    fn authorize(&self, response: &Response<Body>, login: &Login) -> Result<Secret, AskError> {
        let asked = response.headers().get_all(header::WWW_AUTHENTICATE);
        let asked: Vec<&str> = asked.iter().filter_map(|it| it.to_str().ok()).collect();
        match asked.iter().find_map(|header| Challenge::parse(header)) {
            Some(Challenge::Basic) => Ok(login.basic()),
            Some(Challenge::Bearer { realm, service, scope }) => {
                if self.address.is_secure() && !realm.starts_with("https://") {
                    let told = format!("a password sent in the clear to {realm}");
                    return Err(AskError::UnknownChallenge(told));
                }
                self.token(&realm, service, scope, login)
            }
            None if asked.is_empty() => Err(AskError::UnknownChallenge("it does not say how".into())),
            None => Err(AskError::UnknownChallenge(asked.join(", "))),
        }
    }

    /// Fetches a token from where the registry says that there are some.
    fn token(
        &self,
        realm: &str,
        service: Option<String>,
        scope: Option<String>,
        login: &Login,
    ) -> Result<Secret, AskError> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
        }
        let request = "the question for a token";
        let odd = |answer: &str| AskError::Odd { request, answer: answer.to_owned() };
        let query = [("service", service), ("scope", scope)];
        let query = query.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let asked = self
            .agent
            .get(realm)
            .query_pairs(query)
            .header(header::AUTHORIZATION, login.basic().reveal())
            .call();
        let mut response = asked.map_err(AskError::NoAnswer)?;
        if matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(AskError::WrongCredentials(login.username.clone()));
        }
        expect(&response, StatusCode::OK, request)?;
        let text = response.body_mut().with_config().limit(TOKEN_MAX_BYTES).read_to_string();
        let answer: Option<Answer> = serde_json::from_str(&text.map_err(AskError::NoAnswer)?).ok();
        match answer.and_then(|answer| answer.token.or(answer.access_token)) {
            Some(token) => Ok(Secret::new(format!("Bearer {token}"))),
            None => Err(odd("200 without a token")),
        }
    }
}

fn expect(response: &Response<Body>, expected: StatusCode, request: &'static str) -> Result<(), AskError> {
    let status = response.status();
    if status == expected {
        return Ok(());
    }
    Err(match status {
        StatusCode::FORBIDDEN => AskError::Forbidden { repository: Scratch::reserved() },
        StatusCode::METHOD_NOT_ALLOWED => AskError::ReadOnly,
        status => match text(response.headers(), &header::LOCATION) {
            Some(location) if status.is_redirection() => AskError::Moved(location.to_owned()),
            _ => AskError::Odd { request, answer: status.to_string() },
        },
    })
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

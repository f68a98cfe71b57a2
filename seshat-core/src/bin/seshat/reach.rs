//! How a cluster is reached: what of [`Reach`] isn't on the command line, but in files.

use std::fs;
use std::path::Path;

use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Error, Identity};

use crate::Failure;
use crate::arguments::Reach;

impl Reach {
    /// With which certificates; `None` without any.
    ///
    /// # Errors
    /// A file can't be read, isn't what its option says, or the key is another certificate's: with the exit code
    /// `wrong`, and the files by their names.
    pub(crate) fn tls(&self, wrong: u8) -> Result<Option<ClientTlsConfig>, Failure> {
        let Some(ca) = &self.ca else { return Ok(None) };
        let read = |option, path, label| pem(option, path, label, wrong);
        let authorities = Certificate::from_pem(read("--ca", ca, "CERTIFICATE")?);
        let tls = ClientTlsConfig::new().ca_certificate(authorities);
        let useless = |words: String| move |error| Failure::of(wrong, words, error);
        tried(&tls).map_err(useless(format!("--ca {} can't be used", ca.display())))?;
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else { return Ok(Some(tls)) };
        let tls = tls.identity(Identity::from_pem(
            read("--cert", cert, "CERTIFICATE")?,
            read("--key", key, "PRIVATE KEY")?,
        ));
        let words = format!("--key {} is not the key to --cert {}", key.display(), cert.display());
        tried(&tls).map_err(useless(words))?;
        Ok(Some(tls))
    }
}

/// Any address does, as nobody is called.
fn tried(tls: &ClientTlsConfig) -> Result<(), Error> {
    Endpoint::from_static("https://localhost").tls_config(tls.clone()).map(drop)
}

fn pem(option: &str, path: &Path, label: &str, wrong: u8) -> Result<String, Failure> {
    let at = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::of(wrong, format!("{option} {at} can't be read"), error))?;
    if !text.contains(&format!("{label}-----")) {
        let words = format!("{option} {at} has no {label} in PEM: see that it is the right file");
        return Err(Failure::new(wrong, words));
    }
    Ok(text)
}

//! A client in twenty lines, of the cluster that the README starts in half an hour. Run it where its
//! `certificates` are.
#![allow(clippy::print_stdout, reason = "an example")]

use std::time::Duration;

use seshat_core::client::{Certificate, Client, ClientTlsConfig, Identity};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = |name| std::fs::read(format!("certificates/{name}"));
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(file("ca.pem")?))
        .identity(Identity::from_pem(file("client.write.pem")?, file("client.write.key")?));
    let nodes = ["127.0.0.1:7479", "127.0.0.1:7480", "127.0.0.1:7481"].map(str::to_owned);
    let client = Client::new(nodes.into(), Some(tls), Duration::from_secs(10))?;

    // At once, and so in a few messages; a clone of a client shares its connections.
    let set = |n| {
        let client = client.clone();
        tokio::spawn(async move { client.set(format!("guest-{n}"), "welcome").await })
    };
    for done in (1..=1000).map(set).collect::<Vec<_>>() {
        done.await??;
    }
    let guest = client.get("guest-1000").await?.ok_or("nobody came")?;
    println!("guest 1000: {}", String::from_utf8_lossy(&guest));
    Ok(())
}

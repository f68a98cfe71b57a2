use std::path::Path;

use my_store::{MyCommand, MyConfig, MyLog, MyMachine};
use openraft::Entry;
use seshat_conformance::backend::{Backend, BoxError, Chunks, Command, OpenraftSuite, Shape};

struct MyBackend;

impl Backend for MyBackend {
    type C = MyConfig;
    type Log = MyLog;
    type Machine = MyMachine;
    type Transfer = Chunks;
    type Suite = OpenraftSuite;

    async fn open(&self, dir: &Path) -> Result<(MyLog, MyMachine), BoxError> {
        Ok(my_store::open(dir)?)
    }
    fn command(&self, command: &Command) -> Option<MyCommand> {
        let (key, value) = (format!("key-{}", command.n % 16), command.to_string());
        (command.shape == Shape::Plain).then_some(MyCommand::Set { key, value })
    }
    fn fingerprint(&self, entry: &Entry<MyConfig>) -> Vec<u8> {
        my_store::encode(entry)
    }
    fn node_id(&self, n: u64) -> u64 {
        n
    }
}

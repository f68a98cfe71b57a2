//! Back ends whose answers are useless, each in a way of its own, and right ones.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::{BasicNode, Entry, EntryPayload};

use crate::backend::{Backend, BoxError, Chunks, Command, OpenraftSuite, Shape};
use crate::driver;
use crate::options::Options;
use crate::outcome::Conclusion;
use crate::outcome::Outcome;
use crate::reference::{
    self, ReferenceLog, ReferenceLogs, ReferenceMachine, ReferenceMachines, Request, TypeConfig,
};
use crate::runner;

/// What a back end answers, by what is wrong with it.
#[derive(Debug, Default)]
struct Answers {
    wrong: &'static str,
    logs: ReferenceLogs<TypeConfig>,
    machines: ReferenceMachines<TypeConfig>,
    asked: AtomicU64,
}

impl Answers {
    fn is(&self, wrong: &str) -> bool {
        self.wrong == wrong
    }
}

impl Backend for Answers {
    type C = TypeConfig;
    type Log = ReferenceLog<TypeConfig>;
    type Machine = ReferenceMachine<TypeConfig>;
    type Transfer = Chunks;
    type Suite = OpenraftSuite;

    async fn open(&self, dir: &Path) -> Result<(Self::Log, Self::Machine), BoxError> {
        Ok((self.logs.open(dir)?, self.machines.open(dir)?))
    }

    fn command(&self, command: &Command) -> Option<Request> {
        match (self.wrong, command.shape) {
            ("no command", Shape::Plain) => None,
            ("one command", Shape::Plain) => Some(Request(b"always".to_vec())),
            ("new command", _) => {
                let asked = self.asked.fetch_add(1, Ordering::Relaxed);
                Some(Request(asked.to_le_bytes().to_vec()))
            }
            ("overflow", Shape::Plain) if command.n > 1 << 40 => panic!("overflow"),
            ("panic", Shape::Delete) => panic!("no commands that delete"),
            _ => reference::command(command),
        }
    }

    fn fingerprint(&self, entry: &Entry<TypeConfig>) -> Vec<u8> {
        let id = entry.log_id;
        let (term, node, index) = (id.leader_id.term, id.leader_id.node_id, id.index);
        let payload = match &entry.payload {
            EntryPayload::Blank => "blank".to_owned(),
            EntryPayload::Normal(_) if self.is("command left out") => "command".to_owned(),
            EntryPayload::Normal(request) => format!("command {request:?}"),
            EntryPayload::Membership(_) if self.is("membership left out") => "members".to_owned(),
            EntryPayload::Membership(_) if self.is("kind left out") => "blank".to_owned(),
            EntryPayload::Membership(members) if self.is("learners left out") => {
                format!("{:?}", members.get_joint_config())
            }
            EntryPayload::Membership(members) if self.is("voters left out") => {
                format!("{:?}", members.nodes().collect::<Vec<_>>())
            }
            EntryPayload::Membership(members) if self.is("addresses left out") => {
                let nodes: Vec<_> = members.nodes().map(|(id, _)| id).collect();
                format!("{:?} {nodes:?}", members.get_joint_config())
            }
            EntryPayload::Membership(members) => format!("{members:?}"),
        };
        let text = match self.wrong {
            "nothing" => String::new(),
            "payload left out" => format!("{term} {node} {index}"),
            "id left out" => payload,
            "term left out" => format!("{node} {index} {payload}"),
            "leader left out" => format!("{term} {index} {payload}"),
            "index left out" => format!("{term} {node} {payload}"),
            "never the same" => format!("{}", self.asked.fetch_add(1, Ordering::Relaxed)),
            _ => format!("{term} {node} {index} {payload}"),
        };
        text.into_bytes()
    }

    fn node_id(&self, n: u64) -> u64 {
        match self.wrong {
            "one node id" => 7,
            "few node ids" => n % 16,
            "new node ids" => self.asked.fetch_add(1, Ordering::Relaxed),
            _ => n,
        }
    }

    fn node(&self, n: u64) -> BasicNode {
        match self.wrong {
            "no nodes" => BasicNode::default(),
            _ => reference::node(n),
        }
    }
}

fn look(wrong: &'static str) -> Result<(), super::Unfit> {
    let driver = driver::of(Answers { wrong, ..Answers::default() });
    runner::fit(&driver, &Options::default())
}

#[test]
fn right_answers_are_let_through() {
    assert_eq!(look(""), Ok(()));
    // Node data is optional.
    assert_eq!(look("no nodes"), Ok(()));
}

#[test]
fn each_useless_answer_is_told_with_the_method_to_change() {
    for (wrong, method, told) in [
        ("nothing", "fingerprint", "different commands"),
        ("command left out", "fingerprint", "different commands"),
        ("payload left out", "fingerprint", "different commands"),
        ("kind left out", "fingerprint", "differ in the kind"),
        ("membership left out", "fingerprint", "differ in the membership"),
        ("learners left out", "fingerprint", "learners"),
        ("voters left out", "fingerprint", "voters"),
        ("addresses left out", "fingerprint", "other addresses"),
        ("id left out", "fingerprint", "differ in the index"),
        ("index left out", "fingerprint", "differ in the index"),
        ("term left out", "fingerprint", "differ in the term"),
        ("leader left out", "fingerprint", "differ in the leader's node"),
        ("never the same", "fingerprint", "asked twice"),
        ("no command", "command", "Shape::Plain"),
        ("new command", "command", "made twice"),
        ("one command", "fingerprint", "unless it is `Backend::command`"),
        ("panic", "command", "commands that delete"),
        ("overflow", "command", "overflow"),
        ("one node id", "node_id", "the nodes 1 and 2 the same id, 7"),
        ("few node ids", "node_id", "the nodes 1 and 17 the same id, 1"),
        ("new node ids", "node_id", "two ids"),
    ] {
        let unfit = look(wrong).expect_err(wrong);
        assert_eq!(unfit.method, method, "{wrong}: {unfit}");
        assert!(unfit.what.contains(told), "{wrong}: {unfit}");
    }
}

#[test]
fn no_check_runs_on_useless_answers() {
    let useless = || Answers { wrong: "nothing", ..Answers::default() };
    let report = runner::run(useless(), &Options::default(), &mut |_| {});
    assert_eq!(report.conclusion(), Conclusion::Fails);
    let [result] = &report.results[..] else { panic!("{report:?}") };
    assert_eq!(result.spec.id, super::ID);
    let one = runner::run_one(useless(), &Options::default(), "vote/again").expect("a result");
    assert!(matches!(&one.outcome, Outcome::Failed(f) if f.what.contains("Backend::fingerprint")));
    let replayed = runner::replay(useless(), &Options::default(), "build").expect("a history");
    assert_eq!(replayed, one.outcome);
}

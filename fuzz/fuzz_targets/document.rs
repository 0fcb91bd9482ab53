//! A whole policy, from YAML to its compiled form; every file and variable that it names answers.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall::clock::Timestamp;
use seawall::policy::document::PolicyDocument;
use seawall::policy::origin::At;
use seawall::policy::problem::Problems;
use seawall::policy::{Compiler, References, compile};
use seawall::provider::{reader, yaml};
use seawall::secret::{HashKey, Secret};

struct Answering;

impl References for Answering {
    fn file(&self, _: &At<String>) -> Result<Secret, String> {
        Ok(Secret::new("a secret\n"))
    }

    fn environment(&self, _: &At<String>) -> Result<Secret, String> {
        Ok(Secret::new("a secret"))
    }
}

fuzz_target!(|text: &str| {
    let mut problems = Problems::new();
    let tree = yaml::parse("policy.yaml", text, &mut problems);
    let draft = tree.and_then(|tree| reader::draft::<PolicyDocument>(tree, &mut problems));
    let Some(draft) = draft else {
        assert!(problems.are_fatal(), "nothing was read and nothing is wrong");
        return;
    };
    let hash_key = HashKey::from_bytes([0; 32]);
    let compiler = Compiler { hash_key: &hash_key, references: &Answering, now: Timestamp::UNIX_EPOCH };
    let (declared, further) = compile(draft.examine(), compiler);
    assert_eq!(declared.is_none(), further.are_fatal(), "a policy and a problem, or neither");
    problems.extend_elsewhere(further);
    let lines = u32::try_from(text.split(['\n', '\r']).count()).unwrap_or(u32::MAX);
    for problem in problems.sorted() {
        assert!((1..=lines).contains(&problem.origin.line) && problem.origin.column > 0, "{problem} is nowhere");
    }
});

//! Whatever is changed in a token, it is not a token any more.

use proptest::prelude::*;

use super::*;

/// One key, one token, and a runtime to verify in.
struct Bench {
    house: Static,
    token: String,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new(algorithm: Algorithm) -> Self {
        let key = Key::new("one", algorithm);
        let token = key.sign(&claims(STATIC_ISSUER)).expose().to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { house: Static::of(&[&key]), token, runtime }
    }

    fn verifies(&self, token: &str) -> bool {
        self.runtime.block_on(self.house.verify(&Secret::new(token))).is_ok()
    }
}

thread_local! {
    static BENCHES: [Bench; 2] = [Bench::new(Algorithm::RS256), Bench::new(Algorithm::ES256)];
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_changed_character_never_verifies(at: prop::sample::Index, to in "[A-Za-z0-9_.= -]", which in 0..2_usize) {
        BENCHES.with(|benches| {
            let bench = &benches[which];
            prop_assert!(bench.verifies(&bench.token));
            let at = at.index(bench.token.len());
            let mut changed = bench.token.clone();
            changed.replace_range(at..=at, &to);
            prop_assert_eq!(bench.verifies(&changed), changed == bench.token, "{}", changed);
            Ok(())
        })?;
    }

    #[test]
    fn a_cut_or_doubled_token_never_verifies(from: prop::sample::Index, to: prop::sample::Index, which in 0..2_usize) {
        BENCHES.with(|benches| {
            let bench = &benches[which];
            let (from, to) = (from.index(bench.token.len()), to.index(bench.token.len()));
            let (from, to) = (from.min(to), from.max(to) + 1);
            let mut cut = bench.token.clone();
            cut.replace_range(from..to, "");
            prop_assert!(!bench.verifies(&cut), "{}", cut);
            let mut doubled = bench.token.clone();
            doubled.insert_str(to, &bench.token[from..to]);
            prop_assert!(!bench.verifies(&doubled), "{}", doubled);
            Ok(())
        })?;
    }

    #[test]
    fn no_text_verifies_and_none_is_a_panic(text in "\\PC{0,64}", parts in "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}") {
        BENCHES.with(|benches| {
            prop_assert!(!benches[0].verifies(&text));
            prop_assert!(!benches[0].verifies(&parts));
            Ok(())
        })?;
    }
}

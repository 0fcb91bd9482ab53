//! The measurement measured: servers that answer wrongly, on purpose, must end a run. Tried before anything else.

use std::panic::{catch_unwind, set_hook, take_hook};

use crate::load::{Ask, Protocol, connections, download, h2load, probe, wrk};
use crate::peers::Nginx;
use crate::settings::interrupted;

const RIGHT: &str = "the body that is expected";
const LENGTH: u64 = RIGHT.len() as u64;

/// # Panics
///
/// When a wrong answer would be taken for a right one, or a right one for a wrong one.
pub(crate) fn check() {
    let locations = format!(
        "location /right {{ return 200 '{RIGHT}'; }}\n\
         location /other {{ return 200 'the body that is not wanted'; }}\n\
         location /refused {{ return 503 '{RIGHT}'; }}\n\
         location /turns {{ if ($sometimes) {{ return 503 '{RIGHT}'; }} return 200 '{RIGHT}'; }}\n\
         location /short {{ if ($sometimes) {{ return 200 'short'; }} return 200 '{RIGHT}'; }}\n"
    );
    let chance = "split_clients $connection$connection_requests $sometimes { 20% 1; * ''; }\n";
    let server = Nginx::of(1, &locations).http(chance).start();
    let ask = |path: &str| Ask::new(format!("http://{}/{path}", server.address));
    let length = probe(&ask("right").body(RIGHT.as_bytes()));
    wrk(&ask("right"), 4, 1, length);
    download(&ask("right"), LENGTH);
    connections(&ask("right"), 10, LENGTH);
    let fails = |what: &str, work: &dyn Fn()| {
        let ended = catch_unwind(std::panic::AssertUnwindSafe(work)).is_err();
        assert!(ended && !interrupted(), "{what} would have been taken for a right answer");
    };
    let hook = take_hook();
    set_hook(Box::new(|_| ()));
    let all = catch_unwind(std::panic::AssertUnwindSafe(|| {
        fails("another body", &|| {
            probe(&ask("other").body(RIGHT.as_bytes()));
        });
        fails("another status", &|| {
            probe(&ask("refused"));
        });
        fails("a permission", &|| {
            probe(&ask("right").status(401));
        });
        fails("a refusal now and then", &|| {
            wrk(&ask("turns"), 4, 1, length);
        });
        fails("a permission under load", &|| {
            wrk(&ask("right").status(401), 4, 1, length);
        });
        fails("a short body now and then", &|| {
            wrk(&ask("short"), 4, 1, length);
        });
        fails("a blob of another length", &|| {
            download(&ask("right"), LENGTH + 1);
        });
        fails("a connection's other length", &|| {
            connections(&ask("short"), 100, LENGTH);
        });
        fails("another protocol", &|| {
            h2load(&ask("right"), Protocol::Http2, 64, LENGTH);
        });
    }));
    set_hook(hook);
    if let Err(panic) = all {
        std::panic::resume_unwind(panic);
    }
    println!("wrong answers end a run");
}

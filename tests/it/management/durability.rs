//! What was acknowledged is there, whole, however the server ended: SIGKILL in the middle of many writes, again and again.
//!
//! `MANAGEMENT_WRITES` makes it larger; `make soak` asks for 10,000.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::support::{self, Postgres};
use crate::harness::manager::Manager;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::Seawall;

const WRITERS: usize = 8;
const KILLS: usize = 5;
/// Scope maps of one writer; each is written again and again.
const MAPS: usize = 25;

/// How often each scope map was written: the last write that was acknowledged.
type Acknowledged = HashMap<String, usize>;

fn writes() -> usize {
    std::env::var("MANAGEMENT_WRITES").map_or(1_000, |text| text.parse().unwrap())
}

/// A scope map whose parts all say the same number, so that half a write would show.
fn body(number: usize) -> serde_json::Value {
    json!({"properties": {
        "description": format!("write {number}"),
        "actions": [format!("repositories/r{number}/content/read"), format!("repositories/r{number}/content/write")],
    }})
}

fn number_of(map: &serde_json::Value) -> usize {
    let number = map["properties"]["description"].as_str().unwrap().strip_prefix("write ").unwrap().parse().unwrap();
    assert_eq!(map["properties"]["actions"], body(number)["properties"]["actions"], "half a write: {map}");
    number
}

/// Writes until told to stop or the server is gone, and counts `left` down; every answer is remembered before the next write.
fn write(writer: usize, manager: &Manager, left: &AtomicUsize, stop: &AtomicBool, acknowledged: &Mutex<Acknowledged>) {
    let mut number = acknowledged.lock().unwrap().values().copied().max().unwrap_or(0);
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        let name = format!("map-{writer}-{}", number % MAPS);
        let Some(answer) = manager.call("PUT", &format!("/scopeMaps/{name}"), &body(number)) else { return };
        assert!(matches!(answer.status, 200 | 201), "{} {}", answer.status, answer.text());
        acknowledged.lock().unwrap().insert(name, number);
        let _ = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    }
}

fn survives_being_killed(mut server: Seawall) {
    let all: Vec<Arc<Mutex<Acknowledged>>> = (0..WRITERS).map(|_| Arc::default()).collect();
    let total = writes();
    for round in 0..=KILLS {
        let manager = Manager::of(&server);
        let left = Arc::new(AtomicUsize::new(total / (KILLS + 1)));
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = all
            .iter()
            .cloned()
            .enumerate()
            .map(|(writer, acknowledged)| {
                let (manager, left, stop) = (manager.clone(), Arc::clone(&left), Arc::clone(&stop));
                thread::spawn(move || write(writer, &manager, &left, &stop, &acknowledged))
            })
            .collect();
        while left.load(Ordering::SeqCst) > 0 {
            thread::sleep(Duration::from_millis(5));
        }
        if round < KILLS {
            // In the middle of eight writes.
            server.process().signal("KILL");
        }
        stop.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.join().unwrap();
        }
        server = server.restarted();
        let manager = Manager::of(&server);
        for acknowledged in &all {
            for (name, number) in acknowledged.lock().unwrap().iter() {
                let map = manager.done("GET", &format!("/scopeMaps/{name}"), &serde_json::Value::Null);
                let found = number_of(&map);
                // The write in flight when the server died may have been made too; no other writer has this name.
                assert!(found >= *number, "{name}: write {number} was acknowledged, found {found}");
            }
        }
    }
    let acknowledged: usize = all.iter().map(|one| one.lock().unwrap().len()).sum();
    println!("{total} writes, {KILLS} kills: {acknowledged} scope maps, every acknowledged write is there");
}

#[test]
fn sqlite_keeps_every_acknowledged_write_through_sigkill() {
    let upstream = Registry::start(Distribution::V2);
    survives_being_killed(support::bare(&upstream));
}

#[test]
fn postgresql_keeps_every_acknowledged_write_through_sigkill() {
    let upstream = Registry::start(Distribution::V2);
    let database = Postgres::start();
    survives_being_killed(support::replica(&upstream, &database));
}

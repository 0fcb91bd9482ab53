//! A small manifest of an upstream that costs next to nothing: what each proxy takes for a request.

use tempfile::TempDir;

use crate::load::Ask;
use crate::peers::{Nginx, haproxy, only_es256};
use crate::picture::Chart;
use crate::report::{Part, Table, Verdict};
use crate::rounds::{Row, Rows, Target, measure};
use crate::settings::Settings;
use crate::tokens::Minter;
use crate::upstream::{REPOSITORY, Upstream};
use crate::walls::{Registry, Wall};

pub(crate) const NAME: &str = "small";

const DIRECT: &str = "the upstream itself";
const NGINX: &str = "nginx";
const NGINX_LOG: &str = "nginx with its access log";
const NGINX_AUTH: &str = "nginx auth_request with its backend";
const NGINX_SAME: &str = "nginx, the very same request as seawall";
const NGINX_ANEW: &str = "nginx auth_request with its backend, as nginx's documentation has it";
const NGINX_VERIFIES: &str = "nginx auth_request, its backend verifies ES256";
const HAPROXY: &str = "HAProxy";
const HAPROXY_JWT: &str = "HAProxy jwt_verify ES256";
const BY_TAG: &str = "seawall, by tag";
const BY_TAG_RS256: &str = "seawall, by tag, with a token of RS256";
const BY_DIGEST: &str = "seawall, by digest, content cache";
const NOBODY: &str = "seawall, 401 without a credential";
const STRANGER: &str = "seawall, 401 without the right";
const OUTSIDE: &str = "seawall, 403 by the network rules";

/// Registries of the one seawall.
const PLAIN: &str = "plain";
const KEEPING: &str = "keeping";
const CLOSED: &str = "closed";

pub(crate) fn run(settings: &Settings) -> Part {
    let upstream = Upstream::start();
    let (address, id) = (upstream.peer.address, upstream.peer.id());
    let judge = Nginx::of(1, "location / { return 200; }").start();
    let [plain, logged, asking] =
        [Nginx::proxy(address), Nginx::proxy(address).logged(), Nginx::asking(address, judge.address)]
            .map(|nginx| nginx.start());
    let minter = Minter::new();
    let directory = TempDir::new().unwrap();
    let balancer = haproxy(address, "");
    let key = minter.public_key(directory.path());
    let verifier = haproxy(address, &only_es256(&key));
    let examiner = haproxy(address, &format!("{}  http-request return status 200\n", only_es256(&key)));
    let examining = Nginx::asking(address, examiner.address).start();
    let anew = Nginx::asking_anew(address, judge.address).start();
    let mut wall = Wall::start(&[
        Registry::plain(PLAIN, address),
        Registry::keeping(KEEPING, address),
        Registry::plain(CLOSED, address).with("    networkRuleSet: {defaultAction: Deny}\n"),
    ]);
    let mut other = Wall::with_rs256(&[Registry::plain(PLAIN, address)]);
    let (tag, digest) = (Upstream::by_tag(), upstream.by_digest());
    let manifest = |ask: Ask| ask.body(&upstream.manifest);
    let at = |peer: &crate::peers::Peer| manifest(Ask::new(format!("http://{}{tag}", peer.address)));
    let (audit, seawall) = (wall.audit(), wall.id());
    let walled = |name, ask| Target::new(name, ask, &[seawall], id).log(audit.clone());
    let accept = |ask: Ask| manifest(ask.header("Accept", crate::harness::image::MANIFEST));
    let token = minter.token(REPOSITORY, &["pull"]);
    let puller = wall.puller(PLAIN);
    let targets = [
        Target::new(DIRECT, at(&upstream.peer), &[], id),
        Target::new(NGINX, at(&plain), &[plain.id()], id),
        Target::new(NGINX_SAME, accept(at(&plain)).bearer(&puller), &[plain.id()], id),
        Target::new(NGINX_LOG, at(&logged), &[logged.id()], id).log(logged.log()),
        Target::new(NGINX_AUTH, at(&asking), &[asking.id(), judge.id()], id),
        Target::new(NGINX_ANEW, at(&anew), &[anew.id(), judge.id()], id),
        Target::new(NGINX_VERIFIES, at(&examining).bearer(&token), &[examining.id(), examiner.id()], id),
        Target::new(HAPROXY, at(&balancer), &[balancer.id()], id),
        Target::new(HAPROXY_JWT, at(&verifier).bearer(&token), &[verifier.id()], id),
        walled(BY_TAG, accept(wall.ask(PLAIN, &tag)).bearer(&puller)),
        Target::new(BY_TAG_RS256, accept(other.ask(PLAIN, &tag)).bearer(&other.puller(PLAIN)), &[other.id()], id)
            .log(other.audit()),
        walled(BY_DIGEST, accept(wall.ask(KEEPING, &digest)).bearer(&wall.puller(KEEPING))),
        walled(NOBODY, wall.ask(PLAIN, &tag).status(401)),
        walled(STRANGER, wall.ask(PLAIN, &tag).bearer(&wall.stranger(PLAIN)).status(401)),
        walled(OUTSIDE, wall.ask(CLOSED, &tag).status(403)),
    ];
    part(&measure(settings, NAME, &targets))
}

fn part(rows: &Rows) -> Part {
    let cpu = |name| &rows.get(name).cpu;
    let mut verdicts = vec![
        Verdict::at_most("manifest by tag: CPU ÷ nginx", cpu(BY_TAG), cpu(NGINX), 2.1, 1.6),
        Verdict::at_most(
            "manifest by tag: CPU ÷ nginx auth_request with its backend, as documented",
            cpu(BY_TAG),
            cpu(NGINX_ANEW),
            0.45,
            0.35,
        ),
        Verdict::at_most(
            "manifest by tag: CPU ÷ nginx auth_request with its backend, over kept connections",
            cpu(BY_TAG),
            cpu(NGINX_AUTH),
            0.45,
            0.35,
        ),
        Verdict::at_most("manifest by tag: CPU ÷ HAProxy jwt_verify ES256", cpu(BY_TAG), cpu(HAPROXY_JWT), 0.3, 0.22),
        Verdict::at_most("manifest by digest, content cache: CPU ÷ nginx", cpu(BY_DIGEST), cpu(NGINX), 1.2, 0.8),
    ];
    for refused in [NOBODY, STRANGER, OUTSIDE] {
        let work = format!("{}: CPU ÷ nginx", refused.replace("seawall, ", ""));
        verdicts.push(Verdict::at_most(&work, cpu(refused), cpu(NGINX), 0.9, 0.6));
        if refused == STRANGER {
            let work = format!("{work}, the very same request");
            verdicts.push(Verdict::at_most(&work, cpu(refused), cpu(NGINX_SAME), 0.9, 0.6));
        }
    }
    let p99 = |name| &rows.get(name).p99;
    verdicts.push(Verdict::at_most("p99 at 64 connections ÷ nginx", p99(BY_TAG), p99(NGINX), 2.0, 1.2));
    let mut cost = Chart::new("small-cpu", "CPU seconds for 10,000 requests of a small manifest", 3);
    let mut rate = Chart::new("small-rate", "Requests of a small manifest in a second", 0);
    for Row { name, rate: requests, cpu, .. } in &rows.0 {
        if cpu.most() > 0.0 {
            cost = cost.bar(name, cpu);
        }
        rate = rate.bar(name, requests);
    }
    Part {
        title: "A small manifest",
        text: format!(
            "`GET` of a manifest of 1,203 bytes by wrk with one thread and {} connections. All proxies have two workers and \
             kept connections to an upstream, an nginx with one worker, that answers from memory. seawall's audit log goes to \
             a file; nginx's and HAProxy's own logs are off but where it is said. The token of seawall's callers is from its \
             token endpoint, of ES256 as HAProxy's (1.3 kB, most of it the certificate by which Distribution could verify it; \
             of RS256, the default, 2.3 kB). One line is nginx with that header, which it reads and passes on. The backend of \
             auth_request answers 200 to everything; where it verifies, it is a HAProxy with jwt_verify. By tag, every request \
             goes to the upstream. Latencies are those of a machine that is fully busy.",
            crate::rounds::CONNECTIONS
        ),
        tables: vec![Table::new(&Row::HEAD, rows.cells())],
        verdicts,
        charts: vec![cost, rate],
    }
}

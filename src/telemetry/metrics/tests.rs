use super::*;
use crate::telemetry::ContentResult;

fn request(registry: Option<&str>, operation: OperationClass, status: u16) -> FinishedRequest<'_> {
    FinishedRequest {
        registry,
        operation,
        status,
        duration: Duration::from_millis(20),
        upstream: Some(Duration::from_millis(3)),
        uploaded: 10,
        downloaded: 200,
    }
}

#[track_caller]
fn assert_lines(metrics: &Metrics, expected: &[&str]) {
    let text = metrics.render().unwrap();
    for line in expected {
        assert!(text.lines().any(|found| found == *line), "{line} is missing in\n{text}");
    }
}

#[test]
fn fixed_series_exist_at_zero_from_the_start() {
    assert_lines(
        &Metrics::new().unwrap(),
        &[
            "seawall_credential_cache_hits_total{cache=\"password\"} 0",
            "seawall_credential_cache_misses_total{cache=\"access_token\"} 0",
            "seawall_transferred_bytes_total{direction=\"upload\"} 0",
            "seawall_requests_in_flight 0",
            "seawall_open_transfers 0",
            "seawall_policy_version 0",
            "seawall_policy_last_reload_timestamp_seconds 0",
            "seawall_audit_records_dropped_total 0",
            "seawall_connections_refused_total{reason=\"late_head\"} 0",
            "seawall_malformed_requests_total 0",
            "seawall_panics_total 0",
            "seawall_store_up 0",
            "seawall_store_errors_total 0",
            "seawall_policy_revision 0",
            "seawall_policy_delay_seconds_count 0",
            "seawall_request_duration_seconds_count{operation=\"other\"} 0",
            "seawall_upstream_response_seconds_count 0",
        ],
    );
}

#[test]
fn a_finished_request_moves_its_own_series() {
    let metrics = Metrics::new().unwrap();
    metrics.request_finished(&request(Some("myregistry"), OperationClass::ManifestRead, 200));
    metrics.request_finished(&request(Some("myregistry"), OperationClass::ManifestRead, 206));
    metrics.request_finished(&request(None, OperationClass::Other, 421));
    metrics.request_finished(&FinishedRequest { upstream: None, ..request(None, OperationClass::Base, 0) });
    assert_lines(
        &metrics,
        &[
            "seawall_requests_total{operation=\"manifest_read\",registry=\"myregistry\",status=\"2xx\"} 2",
            "seawall_requests_total{operation=\"other\",registry=\"none\",status=\"4xx\"} 1",
            "seawall_requests_total{operation=\"base\",registry=\"none\",status=\"none\"} 1",
            "seawall_request_duration_seconds_count{operation=\"manifest_read\"} 2",
            "seawall_request_duration_seconds_bucket{operation=\"manifest_read\",le=\"0.01\"} 0",
            "seawall_request_duration_seconds_bucket{operation=\"manifest_read\",le=\"0.025\"} 2",
            "seawall_upstream_response_seconds_count 3",
            "seawall_transferred_bytes_total{direction=\"upload\"} 40",
            "seawall_transferred_bytes_total{direction=\"download\"} 800",
        ],
    );
}

#[test]
fn every_other_event_moves_its_own_series() {
    let metrics = Metrics::new().unwrap();
    metrics.decided(Some("myregistry"), Outcome::Deny, "network_rule");
    metrics.decided(Some("myregistry"), Outcome::Permit, "scope");
    metrics.shadow_decided("myregistry", "deny");
    metrics.rate_limited(Some("myregistry"), "read", "identity");
    metrics.rate_limited(None, "login", "source");
    metrics.cache_looked_up(Cache::Password, true);
    metrics.cache_looked_up(Cache::AccessToken, false);
    metrics.policy_in_force(7, 12);
    metrics.reloaded(Reload::Ok, Timestamp::from_second(1_000).unwrap());
    metrics.reloaded(Reload::Failed, Timestamp::from_second(2_000).unwrap());
    metrics.audit_records_dropped(3);
    metrics.connection_refused(RefusedConnection::UntrustedPeer);
    metrics.request_malformed();
    metrics.panicked();
    metrics.management_request("tokens/write", 201);
    metrics.store_failed();
    metrics.store_answered();
    metrics.store_changes_applied(&[Duration::from_millis(3), Duration::from_millis(300)]);
    metrics.passwords_expiring("myregistry", "7d", 2);
    metrics.identity_provider_answered("corp", true);
    metrics.identity_token_refused(Some("corp"), "expired");
    metrics.identity_token_refused(None, "unknown_issuer");
    assert_lines(
        &metrics,
        &[
            "seawall_decisions_total{outcome=\"deny\",reason=\"network_rule\",registry=\"myregistry\"} 1",
            "seawall_decisions_total{outcome=\"permit\",reason=\"scope\",registry=\"myregistry\"} 1",
            "seawall_shadow_decisions_total{registry=\"myregistry\",would=\"deny\"} 1",
            "seawall_rate_limited_total{category=\"read\",registry=\"myregistry\",scope=\"identity\"} 1",
            "seawall_rate_limited_total{category=\"login\",registry=\"none\",scope=\"source\"} 1",
            "seawall_credential_cache_hits_total{cache=\"password\"} 1",
            "seawall_credential_cache_hits_total{cache=\"access_token\"} 0",
            "seawall_credential_cache_misses_total{cache=\"access_token\"} 1",
            "seawall_policy_version 7",
            "seawall_policy_reloads_total{result=\"ok\"} 1",
            "seawall_policy_reloads_total{result=\"failed\"} 1",
            "seawall_policy_last_reload_timestamp_seconds 1000",
            "seawall_audit_records_dropped_total 3",
            "seawall_connections_refused_total{reason=\"untrusted_peer\"} 1",
            "seawall_malformed_requests_total 1",
            "seawall_panics_total 1",
            "seawall_management_requests_total{code=\"201\",operation=\"tokens/write\"} 1",
            "seawall_store_up 1",
            "seawall_store_errors_total 1",
            "seawall_policy_revision 12",
            "seawall_policy_delay_seconds_bucket{le=\"0.005\"} 1",
            "seawall_policy_delay_seconds_bucket{le=\"0.5\"} 2",
            "seawall_passwords_expiring{registry=\"myregistry\",within=\"7d\"} 2",
            "seawall_identity_provider_up{provider=\"corp\"} 1",
            "seawall_identity_tokens_refused_total{provider=\"corp\",reason=\"expired\"} 1",
            "seawall_identity_tokens_refused_total{provider=\"none\",reason=\"unknown_issuer\"} 1",
        ],
    );
}

#[test]
fn a_provider_that_is_gone_is_neither_up_nor_down() {
    let metrics = Metrics::new().unwrap();
    metrics.identity_provider_answered("gone", false);
    metrics.forget_identity_provider("gone");
    assert!(!metrics.render().unwrap().contains("gone"));
}

#[test]
fn a_registry_that_is_gone_has_no_expiring_passwords() {
    let metrics = Metrics::new().unwrap();
    metrics.passwords_expiring("gone", "7d", 3);
    metrics.forget_passwords_expiring();
    assert!(!metrics.render().unwrap().contains("gone"));
}

#[test]
fn what_is_kept_of_a_registry_has_series_of_its_own_while_it_is_there() {
    let metrics = Metrics::new().unwrap();
    let content = metrics.content("myregistry");
    content.asked(ContentResult::Hit);
    content.asked(ContentResult::Bypass);
    content.rejected();
    content.holds_in_memory(1203);
    content.holds_on_disk(7);
    assert_lines(
        &metrics,
        &[
            "seawall_content_cache_requests_total{registry=\"myregistry\",result=\"hit\"} 1",
            "seawall_content_cache_requests_total{registry=\"myregistry\",result=\"stale\"} 0",
            "seawall_content_cache_requests_total{registry=\"myregistry\",result=\"miss\"} 0",
            "seawall_content_cache_requests_total{registry=\"myregistry\",result=\"bypass\"} 1",
            "seawall_content_cache_rejected_total{registry=\"myregistry\"} 1",
            "seawall_content_cache_bytes{place=\"memory\",registry=\"myregistry\"} 1203",
            "seawall_content_cache_bytes{place=\"disk\",registry=\"myregistry\"} 7",
        ],
    );
    metrics.forget_content("myregistry");
    assert!(!metrics.render().unwrap().contains("seawall_content_cache_bytes{"));
}

#[test]
fn gauges_fall_when_their_guard_is_dropped() {
    let metrics = Metrics::new().unwrap();
    let (first, second) = (metrics.request_started(), metrics.request_started());
    let transfer = metrics.transfer_opened();
    assert_lines(&metrics, &["seawall_requests_in_flight 2", "seawall_open_transfers 1"]);
    drop((first, transfer));
    assert_lines(&metrics, &["seawall_requests_in_flight 1", "seawall_open_transfers 0"]);
    drop(second);
    assert_lines(&metrics, &["seawall_requests_in_flight 0"]);
}

#[test]
fn every_metric_has_help_and_our_prefix() {
    let metrics = Metrics::new().unwrap();
    metrics.request_finished(&request(None, OperationClass::Base, 200));
    metrics.decided(None, Outcome::Error, "x");
    metrics.management_request("tokens/read", 200);
    metrics.passwords_expiring("myregistry", "7d", 2);
    metrics.identity_provider_answered("corp", true);
    metrics.identity_token_refused(None, "unknown_issuer");
    metrics.private_endpoint_unknown("myregistry");
    metrics.content("myregistry").asked(ContentResult::Hit);
    let text = metrics.render().unwrap();
    let (help, types): (Vec<_>, Vec<_>) =
        text.lines().filter_map(|line| line.strip_prefix("# ")).partition(|line| line.starts_with("HELP "));
    assert_eq!(help.len(), 33, "{text}");
    assert_eq!(types.len(), help.len());
    assert!(help.iter().all(|line| line.starts_with("HELP seawall_") && line.ends_with('.')), "{text}");
}
